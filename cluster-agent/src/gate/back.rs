//! Evidence that a unit is back, healthy and stays so.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Blocker, GatePolicy};
use crate::observation::{Finding, Observation, UnitKey};

/// What was known of a unit when it was changed; persisted with its phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MutateRecord {
    /// When the change began (agent's clock).
    pub at: Timestamp,
    /// Start time of the process before the change, if it answered then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start_before: Option<f64>,
    /// Nodes: p99 of relists before the change, milliseconds; the baseline of its return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pleg_p99_before_ms: Option<u64>,
    /// Controllers: the leader's log end offset sampled when the unit had returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_offset_at_return: Option<i64>,
    /// Controllers and brokers: the quorum's epoch when the soak began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_at_soak: Option<u64>,
}

/// `AwaitReturn`: the unit answers, restarted, and reports `expected_version`.
pub fn has_returned(
    key: &UnitKey,
    _expected_version: &str,
    _since: &MutateRecord,
    _observation: &Observation,
) -> Vec<Blocker> {
    vec![(Some(key.unit.clone()), Finding::NotObserved)]
}

/// `AwaitHealth`: it has returned and its own health gate holds.
pub fn back_and_healthy(
    key: &UnitKey,
    _expected_version: &str,
    _since: &MutateRecord,
    _observation: &Observation,
    _policy: &GatePolicy,
) -> Vec<Blocker> {
    vec![(Some(key.unit.clone()), Finding::NotObserved)]
}

/// `Soak`: it is still healthy, the epoch stands, and nothing else got worse.
pub fn still_soaking_well(
    key: &UnitKey,
    _expected_version: &str,
    _since: &MutateRecord,
    _observation: &Observation,
    _policy: &GatePolicy,
) -> Vec<Blocker> {
    vec![(Some(key.unit.clone()), Finding::NotObserved)]
}
