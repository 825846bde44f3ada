//! `ClusterUpdate.status`: what the agent writes.
//!
//! Wire types only; `conditions` fills them. Unknown fields are read over, so that an agent of
//! another version can take over the resource.

#![expect(unreachable_pub, reason = "the schema's derive copies the struct into a function")]

use ::kube::KubeSchema;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Units listed; a resource must stay far below the 1.5 MB that etcd takes.
pub const UNITS_MAX: usize = 256;

/// Completed and partial moves listed, as many as OpenShift's `ClusterVersion` keeps.
pub const HISTORY_MAX: usize = 100;

/// Updates listed of either kind.
pub const UPDATES_MAX: usize = 50;

/// Risks listed of one update.
pub const RISKS_MAX: usize = 50;

/// Reasons listed.
pub const REASONS_MAX: usize = 16;

/// How far the product is, as the agent last saw it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ClusterUpdateStatus {
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The release that every unit runs, or the one the roll moves away from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The release it is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<String>,
    /// The newest release that was finalized: there is no way back behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalized: Option<String>,
    /// The channel it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Its architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Who decides that it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What it is doing: `idle`, `waiting`, `preflight`, `quiesce`, `mutate`, `await_return`,
    /// `await_health`, `soak` or `paused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The unit that is out, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How far a roll has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressStatus>,
    /// Names of the gates that keep it from moving, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// Its health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// `Available`, `Progressing`, `Failing`, `RetrievedUpdates`, `Upgradeable` and
    /// `ReleaseAccepted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Why it does not move.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub waiting_on: Vec<Waiting>,
    /// Its units, those that need attention first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub units: Vec<UnitStatus>,
    /// Units that are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units_omitted: Option<i64>,
    /// Moves, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub history: Vec<HistoryEntry>,
    /// Releases the channel offers from here without a risk, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 128)))]
    pub available_updates: Vec<String>,
    /// Releases the channel offers at a risk, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub conditional_updates: Vec<ConditionalUpdate>,
    /// Who wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStatus>,
}

/// Units done of units concerned.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ProgressStatus {
    /// Units that run the release and have soaked.
    pub done: i64,
    /// Units in all.
    pub total: i64,
}

/// A product's health with its two lags.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct HealthStatus {
    /// healthy, unhealthy or unknown.
    pub verdict: String,
    /// Worst quorum lag over the controllers, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_lag_ms: Option<i64>,
    /// The controller with that lag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_lag_unit: Option<String>,
    /// Worst PLEG lag over the nodes, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pleg_lag_ms: Option<i64>,
    /// The node with that lag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pleg_lag_unit: Option<String>,
}

/// One condition, with the fields and the meaning of Kubernetes' own.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Condition {
    /// Its name.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub type_: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// Generation of the spec that was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When its status last changed.
    #[schemars(schema_with = "schema::time")]
    pub last_transition_time: Timestamp,
    /// Why, in one word.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// Why, for people.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// Three-valued, as Kubernetes spells it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(inline)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be told.
    Unknown,
}

impl ConditionStatus {
    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One reason why nothing moves, with its numbers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Waiting {
    /// Name of the gate.
    pub gate: String,
    /// The unit it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The whole sentence.
    pub message: String,
    /// What was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<f64>,
    /// The limit it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Since when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_time")]
    pub since: Option<Timestamp>,
}

/// One unit.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct UnitStatus {
    /// Its name.
    pub name: String,
    /// controller, broker, node or workload.
    pub role: String,
    /// Its pool.
    pub pool: String,
    /// The version it reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// pending, done or idle; the phase of its step while it is out.
    pub phase: String,
    /// healthy, unhealthy or unknown.
    pub health: String,
    /// Why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One move.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct HistoryEntry {
    /// Whether every unit got there.
    pub state: HistoryState,
    /// Where to.
    pub version: String,
    /// Where from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// First unit out.
    #[schemars(schema_with = "schema::time")]
    pub started_time: Timestamp,
    /// Last unit soaked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional_time")]
    pub completion_time: Option<Timestamp>,
    /// Whether the release document was verified against the pinned root before the first unit.
    pub verified: bool,
}

/// How far a move got.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(inline)]
pub enum HistoryState {
    /// Not every unit runs it.
    Partial,
    /// Every unit runs it and has soaked.
    Completed,
}

/// A release that is offered at a risk.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ConditionalUpdate {
    /// The release.
    pub version: String,
    /// Names of the risks.
    #[schemars(length(max = 50))]
    pub risks: Vec<String>,
    /// Those of them that its owner accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub accepted: Vec<String>,
}

/// The agent that wrote a status.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct AgentStatus {
    /// Its version.
    pub version: String,
    /// Its name on the Lease.
    pub holder: String,
}
