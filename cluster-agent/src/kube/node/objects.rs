//! Nodes, budgets, Jobs and locks, as far as they are read here, and no more: a node's images would
//! be most of the agent's memory. What all objects have alike, and pods, are in [`object`].
//!
//! [`object`]: crate::kube::object

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::kube::object::{Condition, Meta, condition};

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Node {
    pub(crate) metadata: NodeMeta,
    pub(crate) spec: NodeSpec,
    pub(crate) status: NodeStatus,
}

/// `metadata` of a node, with who last wrote which field.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NodeMeta {
    pub(crate) name: String,
    pub(crate) resource_version: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) managed_fields: Vec<ManagedFields>,
}

/// One of `metadata.managedFields`, of which only the cordon is read.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ManagedFields {
    pub(crate) manager: String,
    #[serde(rename = "fieldsV1")]
    pub(crate) fields: OwnedFields,
}

/// The fields of a node that one manager owns.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct OwnedFields {
    #[serde(rename = "f:spec")]
    pub(crate) spec: OwnedSpec,
}

/// The fields of a node's `spec` that one manager owns.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct OwnedSpec {
    #[serde(rename = "f:unschedulable")]
    pub(crate) unschedulable: Option<IgnoredAny>,
}

/// `spec` of a node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeSpec {
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
}

/// A taint.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Taint {
    pub(crate) key: String,
}

/// `status` of a node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NodeStatus {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) node_info: NodeInfo,
}

/// `status.nodeInfo`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeInfo {
    #[serde(rename = "kubeletVersion")]
    pub(crate) kubelet_version: String,
    #[serde(rename = "osImage")]
    pub(crate) os_image: String,
    #[serde(rename = "bootID")]
    pub(crate) boot_id: String,
}

/// A disruption budget.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Budget {
    pub(crate) metadata: Meta,
    pub(crate) spec: BudgetSpec,
    pub(crate) status: BudgetStatus,
}

/// `spec` of a disruption budget.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BudgetSpec {
    pub(crate) selector: Option<Selector>,
    pub(crate) unhealthy_pod_eviction_policy: Option<String>,
}

/// A label selector.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: BTreeMap<String, String>,
    pub(crate) match_expressions: Vec<Expression>,
}

/// One expression of a label selector.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Expression {
    pub(crate) key: String,
    pub(crate) operator: String,
    pub(crate) values: Vec<String>,
}

impl Expression {
    /// Whether it holds of a label's value; `None` if its operator is one yet unheard of.
    pub(crate) fn holds(&self, value: Option<&str>) -> Option<bool> {
        let listed = value.is_some_and(|value| self.values.iter().any(|other| other == value));
        let number = |text: &str| text.parse::<i64>().ok();
        let beside = |compare: fn(&i64, &i64) -> bool| {
            let limit = self.values.first().and_then(|limit| number(limit));
            let both = value.and_then(number).zip(limit);
            both.is_some_and(|(value, limit)| compare(&value, &limit))
        };
        Some(match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => beside(i64::gt),
            "Lt" => beside(i64::lt),
            _ => return None,
        })
    }
}

/// A claim for a volume.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Claim {
    pub(crate) spec: ClaimSpec,
}

/// `spec` of a claim.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ClaimSpec {
    pub(crate) volume_name: String,
}

/// A volume of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PersistentVolume {
    pub(crate) spec: VolumeSpec,
}

/// `spec` of a volume, of which only matters where it can be mounted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VolumeSpec {
    pub(crate) node_affinity: VolumeAffinity,
}

/// `spec.nodeAffinity` of a volume.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct VolumeAffinity {
    pub(crate) required: NodeTerms,
}

/// Nodes are picked by any of these.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NodeTerms {
    pub(crate) node_selector_terms: Vec<NodeTerm>,
}

/// A node is picked by all of these; none pick none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct NodeTerm {
    pub(crate) match_expressions: Vec<Expression>,
    pub(crate) match_fields: Vec<Expression>,
}

impl NodeTerm {
    /// Whether it surely picks the node.
    pub(crate) fn picks(&self, node: &Node) -> bool {
        let meta = &node.metadata;
        let by_label = |one: &Expression| one.holds(meta.labels.get(&one.key).map(String::as_str));
        let by_field = |one: &Expression| {
            one.holds(Some(meta.name.as_str()).filter(|_| one.key == "metadata.name"))
        };
        let mut all = self
            .match_expressions
            .iter()
            .map(by_label)
            .chain(self.match_fields.iter().map(by_field));
        let is_empty = self.match_expressions.is_empty() && self.match_fields.is_empty();
        !is_empty && all.all(|holds| holds == Some(true))
    }
}

/// `status` of a disruption budget.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct BudgetStatus {
    pub(crate) disruptions_allowed: i64,
    pub(crate) expected_pods: i64,
    pub(crate) desired_healthy: i64,
    pub(crate) observed_generation: i64,
}

/// A Job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Job {
    pub(crate) metadata: Meta,
    pub(crate) spec: JobSpec,
    pub(crate) status: JobStatus,
}

impl Job {
    /// Whether it has ended, well or not.
    pub(crate) fn is_over(&self) -> bool {
        let holds = |kind| condition(&self.status.conditions, kind).is_some_and(Condition::holds);
        holds("Complete") || holds("Failed")
    }
}

/// `spec` of a Job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct JobSpec {
    pub(crate) ttl_seconds_after_finished: Option<i64>,
}

/// `status` of a Job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct JobStatus {
    pub(crate) active: i64,
    pub(crate) start_time: Option<Timestamp>,
    pub(crate) conditions: Vec<Condition>,
}

/// A `NodeMaintenance` of medik8s.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Maintenance {
    pub(crate) metadata: Meta,
    pub(crate) spec: MaintenanceSpec,
}

/// `spec` of a `NodeMaintenance`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct MaintenanceSpec {
    pub(crate) node_name: String,
    pub(crate) reason: String,
}

/// Any object, of which only `metadata` is read.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Object {
    pub(crate) metadata: Meta,
}
