//! What a broker's gauges mean: replication, offline replicas, and whether it serves yet.

use super::{BrokerView, Finding};

/// `BrokerState` while logs are recovered after an unclean stop.
const RECOVERY: u64 = 2;

/// `BrokerState` of a broker that serves.
const RUNNING: u64 = 3;

impl BrokerView {
    /// What is left to recover, if it recovers: see [`super::UnitObservation::recovering`].
    pub(super) fn recovering(&self) -> Option<u64> {
        let left = match (self.logs_to_recover, self.segments_to_recover) {
            (None, None) => 0,
            (logs, segments) => logs.unwrap_or(0).saturating_add(segments.unwrap_or(0)),
        };
        (self.state == Some(RECOVERY) || left > 0).then_some(left)
    }
}

/// What is wrong with a broker by its own page.
pub(super) fn broker_findings(broker: &BrokerView) -> Vec<Finding> {
    let limit = 0;
    let above = |figure: Option<u64>| figure.filter(|&count| count > limit);
    let recovering = broker.recovering();
    let state = broker.state.filter(|&state| state != RUNNING && recovering.is_none());
    [
        state.map(|state| Finding::BrokerState { state: state_name(state) }),
        recovering.map(|observed| Finding::LogRecovery { observed, limit }),
        above(broker.offline_replicas).map(|observed| Finding::OfflineReplicas { observed, limit }),
        above(broker.under_replicated).map(|observed| Finding::UnderReplicated { observed, limit }),
        above(broker.under_min_isr).map(|observed| Finding::UnderMinIsr { observed, limit }),
        above(broker.reassigning).map(|observed| Finding::Reassigning { observed, limit }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The state by Kafka's name (`org.apache.kafka.metadata.BrokerState`).
fn state_name(state: u64) -> String {
    let name = match state {
        0 => "NOT_RUNNING",
        1 => "STARTING",
        RECOVERY => "RECOVERY",
        RUNNING => "RUNNING",
        6 => "PENDING_CONTROLLED_SHUTDOWN",
        7 => "SHUTTING_DOWN",
        other => return format!("state {other}"),
    };
    format!("{name} ({state})")
}
