//! What happens at the hub, as it is told to listeners: server-sent events and webhooks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::people::Freshness;
use super::report::HealthVerdict;

/// Something that changed at the hub: the data of a server-sent event, and the body of a webhook's
/// delivery. Made from a committed row of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HubEvent {
    /// In a stream `<epoch>.<counter>`, to go on from after a lost connection; in a delivery the
    /// number of the audit row, the same at every attempt.
    pub id: String,
    /// When, by the hub's clock.
    pub at: Timestamp,
    /// What, `snake_case`: the action of the audit row (`hold`, `publish`, …).
    pub kind: String,
    /// On what.
    pub object: String,
    /// Who. Absent for listeners that may not read the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Details, by kind.
    pub detail: serde_json::Value,
}

/// Counters of the live fleet, told at most once a second while they change: the data of a `fleet`
/// event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetCounters {
    /// Server's clock.
    pub at: Timestamp,
    /// Clusters in force.
    pub clusters: u64,
    /// Of those, by age class of their last report.
    pub by_freshness: BTreeMap<Freshness, u64>,
    /// Active clusters by their worst product.
    pub by_health: BTreeMap<HealthVerdict, u64>,
    /// Products of active clusters whose unit is out right now.
    pub rolling: u64,
    /// Products of active clusters that wait, are paused or failed.
    pub stopped: u64,
    /// Products of active clusters on the head of their channel.
    pub current: u64,
    /// On the way to it.
    pub behind: u64,
    /// In the graph with no way to it.
    pub stranded: u64,
    /// Not in the graph.
    pub off_graph: u64,
    /// Past the end of life of what they run, whatever else they are.
    #[serde(default)]
    pub eol: u64,
    /// Silent clusters whose last word was that a unit is out.
    pub silent_while_updating: u64,
    /// Clusters whose key more than one agent uses.
    pub identity_conflicts: u64,
}
