//! Views that tests begin with.

use channels::names::UnitName;
use channels::wire::{HealthSummary, HealthVerdict, Phase, ProductState, Progress, WaitingOn};
use jiff::Timestamp;

use super::status::{AgentStatus, HistoryEntry, HistoryState};
use super::view::{Acceptance, Retrieval, Serving, SpecView, View};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(super) fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

pub(super) fn waiting(gate: &str, of: Option<&str>, message: &str) -> WaitingOn {
    WaitingOn {
        gate: gate.into(),
        unit: of.map(unit),
        message: message.into(),
        observed: None,
        limit: None,
        since: None,
    }
}

/// Everything is well and there is nothing to do.
pub(super) fn calm() -> View {
    View {
        state: ProductState {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable-4".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            version: "4.0.0".parse().unwrap(),
            target: None,
            phase: Phase::Idle,
            since: at(0),
            unit: None,
            progress: None,
            health: HealthSummary { verdict: HealthVerdict::Healthy, ..HealthSummary::default() },
            waiting_on: vec![],
            failure: None,
            accepted_risks: vec![],
            wants: None,
            units: vec![],
        },
        policy: "manual",
        serving: Serving { verdict: HealthVerdict::Healthy, why: None },
        units: vec![],
        units_omitted: 0,
        retrieval: Retrieval::Done,
        acceptance: Acceptance::Accepted { version: "4.0.0".into(), digest: None },
        pause: None,
        rolling: false,
        finalized: None,
        history: vec![],
        available: vec![],
        conditional: vec![],
        spec: SpecView { generation: Some(1), refused: None },
        agent: AgentStatus { version: "0".into(), holder: "a".into() },
    }
}

/// On its way to 4.1.0, with c2 out.
pub(super) fn rolling() -> View {
    let mut view = calm();
    view.rolling = true;
    view.state.target = Some("4.1.0".parse().unwrap());
    view.state.unit = Some(unit("c2"));
    view.state.phase = Phase::Soak;
    view.state.progress = Some(Progress { done: 1, total: 3 });
    view.history = vec![HistoryEntry {
        state: HistoryState::Partial,
        version: "4.1.0".into(),
        from: Some("4.0.0".into()),
        started_time: at(0),
        completion_time: None,
        verified: true,
    }];
    view
}
