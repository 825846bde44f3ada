//! What a drain does with each pod of a node (rolling.md §5.1). Pure.
//!
//! The filters are those of `kubectl drain`, in its order, with one difference: what would lose
//! data (an `emptyDir`, a pod nobody starts again) is a finding that needs a flag of the owner's.

use jiff::Timestamp;

use crate::config::DrainSettings;
use crate::kube::STEP_ANNOTATION;
use crate::kube::object::Pod;

/// Marks the API's picture of a pod that a kubelet starts from a file.
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// What happens to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays: its DaemonSet or the kubelet would start it again on this very node.
    Stays,
    /// It was made after the cordon, which it tolerates: evicted, it would come back again and
    /// again. The pod that was there before has gone, and that is what a drain is for.
    CameBack,
    /// It is on its way out: waited for.
    Leaving,
    /// It is evicted.
    Evicted,
    /// It must not be moved without the owner's word.
    Unmovable(&'static str),
}

/// What happens to a pod of a node that is drained; `cordoned_at` is known once it is cordoned.
///
/// Clocks of two machines meet here. One that is ahead of the API server's costs an eviction more;
/// one that is behind lets a pod stay that would have come back in any case.
pub(crate) fn fate(pod: &Pod, drain: &DrainSettings, cordoned_at: Option<Timestamp>) -> Fate {
    let meta = &pod.metadata;
    if meta.annotations.contains_key(MIRROR_ANNOTATION) {
        return Fate::Stays;
    }
    // Jobs of this agent's own do the change; they are no work of the node's.
    if meta.labels.contains_key(STEP_ANNOTATION) {
        return Fate::Stays;
    }
    let controller = meta.controller();
    if controller.is_some_and(|owner| owner.kind == "DaemonSet") && !pod.is_finished() {
        return Fate::Stays;
    }
    let is_newer = meta.creation_timestamp > cordoned_at;
    if cordoned_at.is_some() && is_newer && pod.spec.tolerates_cordon() {
        return Fate::CameBack;
    }
    if meta.deletion_timestamp.is_some() {
        return Fate::Leaving;
    }
    if pod.is_finished() {
        return Fate::Evicted;
    }
    if controller.is_none() && !drain.force_unmanaged {
        return Fate::Unmovable(
            "no controller would start it again elsewhere (drain.force_unmanaged lets it go)",
        );
    }
    let has_empty_dir = pod.spec.volumes.iter().any(|volume| volume.empty_dir.is_some());
    if has_empty_dir && !drain.delete_empty_dir {
        return Fate::Unmovable(
            "the content of its emptyDir would be lost (drain.delete_empty_dir lets it go)",
        );
    }
    Fate::Evicted
}

/// The DaemonSets whose pods on a node are not Ready, as `namespace/name`, and how many are.
pub(crate) fn daemon_sets(pods: &[Pod]) -> (u64, Vec<String>) {
    let mut ready = 0;
    let mut unready = Vec::new();
    for pod in pods {
        let owner = pod.metadata.controller().filter(|owner| owner.kind == "DaemonSet");
        let Some(owner) = owner.filter(|_| pod.metadata.deletion_timestamp.is_none()) else {
            continue;
        };
        if pod.is_ready() {
            ready += 1;
        } else {
            unready.push(format!("{}/{}", pod.metadata.namespace, owner.name));
        }
    }
    unready.sort();
    unready.dedup();
    (ready, unready)
}
