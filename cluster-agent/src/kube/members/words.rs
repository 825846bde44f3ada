//! What a StatefulSet's pods say about the units they are. Pure.

use std::collections::BTreeMap;

use channels::names::UnitName;
use jiff::Timestamp;

use super::set::Crew;
use crate::config::Wanted;
use crate::kube::object::{Pod, Said};
use crate::observation::{Finding, Heard, UnitKey, Witness};

/// One word per unit; the pod's name is the unit's.
pub(super) fn words(
    crew: &Crew,
    units: &[UnitKey],
    wanted: &Wanted,
    now: Timestamp,
) -> BTreeMap<UnitKey, Heard> {
    units.iter().map(|key| (key.clone(), Ok(word(crew, key, wanted, now)))).collect()
}

/// The node each unit's pod is on. One whose name no unit can have is not known here.
pub(super) fn places(crew: &Crew, units: &[UnitKey]) -> BTreeMap<UnitKey, Option<UnitName>> {
    let place = |key: &UnitKey| {
        let node = crew.pods.get(key.unit.as_str())?.spec.node_name.as_ref()?;
        node.parse().ok()
    };
    units.iter().map(|key| (key.clone(), place(key))).collect()
}

fn word(crew: &Crew, key: &UnitKey, wanted: &Wanted, now: Timestamp) -> Witness {
    let name = key.unit.as_str();
    let Some(pod) = crew.pods.get(name) else {
        let why = format!("StatefulSet {} has no such pod", crew.set.metadata.name);
        return Witness {
            at: now,
            version: None,
            incarnation: None,
            ready: Some(false),
            findings: vec![Finding::PodWaiting { pod: name.to_owned(), why }],
        };
    };
    let ready = pod.is_ready();
    let mut findings = Vec::new();
    if !ready {
        findings.push(Finding::PodWaiting { pod: name.to_owned(), why: pod.why_not_ready() });
    }
    let (version, contradiction) = version(pod, wanted);
    findings.extend(contradiction);
    Witness {
        at: now,
        version,
        incarnation: incarnation(pod, wanted),
        ready: Some(ready),
        findings,
    }
}

/// What has not been started runs no version yet.
fn version(pod: &Pod, wanted: &Wanted) -> (Option<String>, Option<Finding>) {
    let started = pod.container(&wanted.container).is_some_and(|c| !c.image_id.is_empty());
    match pod.as_template().version(wanted) {
        Said::Version(version) => (started.then(|| plain(&version)), None),
        Said::Nothing => (None, None),
        Said::Contradicts(what) => {
            let pod = format!("pod {}", pod.metadata.name);
            (None, Some(Finding::VersionContradicted { what: pod, why: what }))
        }
    }
}

fn plain(version: &str) -> String {
    version.strip_prefix('v').unwrap_or(version).to_owned()
}

/// A pod that is made anew has another uid; a container that restarts in it has another count.
fn incarnation(pod: &Pod, wanted: &Wanted) -> Option<String> {
    let uid = &pod.metadata.uid;
    let restarts = pod.container(&wanted.container).map_or(0, |status| status.restart_count);
    (!uid.is_empty()).then(|| format!("{uid}/{restarts}"))
}
