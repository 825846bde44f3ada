//! A StatefulSet and its pods as they are read.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::kube::object::{Meta, Pod, Strategy, Template};

/// The strategy under which pods change only when the agent makes them.
pub(super) const ON_DELETE: &str = "OnDelete";

/// The label by which a pod names the revision of the template it was made from.
const REVISION: &str = "controller-revision-hash";

/// A StatefulSet, as far as it matters here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatefulSet {
    /// Its metadata.
    pub(crate) metadata: Meta,
    /// What it should be.
    pub(crate) spec: SetSpec,
    /// What it is.
    pub(crate) status: SetStatus,
}

/// The spec of a StatefulSet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SetSpec {
    /// How many pods; 1 unless said.
    pub(crate) replicas: Option<i64>,
    /// Where they are counted from.
    pub(crate) ordinals: Option<Ordinals>,
    /// Whose pods they are.
    pub(crate) selector: Selector,
    /// What they are made from.
    pub(crate) template: Template,
    /// When they change.
    pub(crate) update_strategy: Strategy,
}

/// The first ordinal.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ordinals {
    /// 0 unless said.
    pub(crate) start: i64,
}

/// A label selector; sets are selected by labels alone here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Selector {
    /// Labels and their values.
    pub(crate) match_labels: BTreeMap<String, String>,
}

impl Selector {
    /// As a request says it.
    pub(crate) fn query(&self) -> String {
        let pairs: Vec<String> =
            self.match_labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(",")
    }
}

/// The status of a StatefulSet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SetStatus {
    /// The spec its controller has seen.
    pub(crate) observed_generation: i64,
    /// The revision of the newest template.
    pub(crate) update_revision: String,
}

impl StatefulSet {
    /// How many pods it should have.
    pub(super) fn replicas(&self) -> i64 {
        self.spec.replicas.unwrap_or(1)
    }

    /// Names of the pods it should have.
    pub(super) fn pod_names(&self) -> Vec<String> {
        let start = self.spec.ordinals.as_ref().map_or(0, |ordinals| ordinals.start);
        // More pods than an agent observes units are no set of its.
        let count = self.replicas().clamp(0, 10_000);
        (start..start.saturating_add(count))
            .map(|ordinal| format!("{}-{ordinal}", self.metadata.name))
            .collect()
    }

    /// Whether its controller has seen its newest template.
    pub(super) fn is_observed(&self) -> bool {
        self.status.observed_generation >= self.metadata.generation
    }

    /// Whether a pod was made from its newest template.
    pub(super) fn made(&self, pod: &Pod) -> bool {
        let revision = pod.metadata.labels.get(REVISION);
        !self.status.update_revision.is_empty() && revision == Some(&self.status.update_revision)
    }
}

/// A StatefulSet and its pods at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Crew {
    /// The set.
    pub(super) set: StatefulSet,
    /// Its pods by name.
    pub(super) pods: BTreeMap<String, Pod>,
}

impl Crew {
    /// Which of its members, apart from `but`, is missing or not Ready, and why.
    pub(super) fn first_unready(&self, but: Option<&str>) -> Option<(String, String)> {
        self.set.pod_names().into_iter().filter(|name| Some(name.as_str()) != but).find_map(
            |name| match self.pods.get(&name) {
                None => Some((name, "it does not exist".to_owned())),
                Some(pod) if !pod.is_ready() => {
                    let why = pod.why_not_ready();
                    Some((name, why))
                }
                Some(_) => None,
            },
        )
    }
}
