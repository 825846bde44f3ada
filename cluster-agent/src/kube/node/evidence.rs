//! What a node object proves: the version it runs, this boot, readiness. Pure.

use jiff::Timestamp;

use super::objects::Node;
use crate::config::{NodeEvidence, NodePool};
use crate::kube::object::{Condition, condition};
use crate::observation::{Finding, Witness};

/// Labels of control-plane nodes, new and old.
const CONTROL_PLANE: [&str; 2] =
    ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];

/// Whether a node is of the control plane.
pub(super) fn is_control_plane(node: &Node) -> bool {
    CONTROL_PLANE.iter().any(|label| node.metadata.labels.contains_key(*label))
}

/// Whether a node says that it is Ready; without the condition it is not.
pub(crate) fn is_ready(node: &Node) -> bool {
    condition(&node.status.conditions, "Ready").is_some_and(Condition::holds)
}

/// The version a node runs, without a leading `v`; `None` if it does not show.
pub(crate) fn version(node: &Node, evidence: &NodeEvidence) -> Option<String> {
    let info = &node.status.node_info;
    let shown = match evidence {
        NodeEvidence::KubeletVersion => Some(info.kubelet_version.as_str()),
        NodeEvidence::OsImage { prefix } => info.os_image.strip_prefix(prefix.as_str()),
        NodeEvidence::Label { key } => node.metadata.labels.get(key).map(String::as_str),
        NodeEvidence::Annotation { key } => node.metadata.annotations.get(key).map(String::as_str),
    };
    let shown = shown.map(str::trim).filter(|version| !version.is_empty())?;
    Some(shown.strip_prefix('v').unwrap_or(shown).to_owned())
}

/// The API server's word about a node.
pub(super) fn witness(
    node: &Node,
    pool: &NodePool,
    findings: Vec<Finding>,
    at: Timestamp,
) -> Witness {
    let boot_id = &node.status.node_info.boot_id;
    Witness {
        at,
        version: version(node, &pool.evidence),
        // A change without a reboot is proved by the version alone.
        incarnation: (pool.reboot && !boot_id.is_empty()).then(|| format!("boot {boot_id}")),
        ready: Some(is_ready(node)),
        findings,
    }
}
