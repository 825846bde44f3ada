//! Every condition of every gate, toggled one by one.

mod back;
mod stop;
mod take_out;

use std::collections::BTreeMap;

use channels::health::{CommitProgress, PlegColour, PlegReading};
use channels::wire::{HealthVerdict, Role};
use jiff::Timestamp;

use super::{Blocker, GatePolicy};
use crate::observation::{
    BrokerView, Finding, Observation, Placement, QuorumObservation, UnitKey, UnitObservation,
    VoterState, VoterView,
};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

/// Now, in these tests.
const NOW_MS: i64 = 1_000_000;

fn key(unit: &str) -> UnitKey {
    let product = if unit.starts_with('n') { "acme/platform" } else { "acme/kafka" };
    UnitKey { product: product.parse().unwrap(), unit: unit.parse().unwrap() }
}

fn healthy_unit(role: Role) -> UnitObservation {
    UnitObservation {
        incarnation: None,
        evidence_from: crate::observation::EvidenceFrom::Page,
        role,
        pool: "pool".parse().unwrap(),
        node_id: None,
        placement: Placement::Elsewhere,
        last_good: Some(at(NOW_MS - 100)),
        version: Some("3.9.1".to_owned()),
        process_start: Some(100.0),
        verdict: HealthVerdict::Healthy,
        bad_since: None,
        findings: Vec::new(),
        quorum_lag_ms: None,
        pleg_lag_ms: None,
        is_leader: false,
        node_ready: None,
        stale_after_ms: 2000,
        voter: None,
        broker: None,
        also_broker: false,
        recovering: None,
        pleg: None,
    }
}

fn voter(id: i64, leads: bool) -> UnitObservation {
    let view = VoterView {
        state: Some(if leads { VoterState::Leader } else { VoterState::Follower }),
        current_leader: Some(1),
        epoch: Some(7),
        log_end_offset: Some(500),
        log_end_epoch: Some(7),
        high_watermark: Some(499),
        active: Some(leads),
        number_of_voters: None,
        uncommitted_change: false,
        metadata_errors: Some(0),
        fenced_brokers: Some(0),
        offline_partitions: Some(0),
        global_partitions: None,
        good_probes: 9,
    };
    UnitObservation {
        node_id: Some(id),
        is_leader: leads,
        voter: Some(view),
        ..healthy_unit(Role::Controller)
    }
}

fn broker() -> UnitObservation {
    let view = BrokerView {
        under_replicated: Some(0),
        under_min_isr: Some(0),
        at_min_isr: Some(1),
        reassigning: Some(0),
        ..BrokerView::default()
    };
    UnitObservation { broker: Some(view), ..healthy_unit(Role::Broker) }
}

fn node() -> UnitObservation {
    let pleg = PlegReading {
        lag_ms: Some(50),
        p99_ms: Some(50),
        stall_ms: 0,
        stall_excess_ms: 0,
        age_excess_ms: Some(0),
        stall_limit_ms: 30_000,
        relists_in_window: 200,
        relists_since_start: 9000,
        new_discards: 0,
        baseline_p99_ms: Some(50),
        colour: PlegColour::Green,
    };
    UnitObservation { pleg: Some(pleg), ..healthy_unit(Role::Node) }
}

/// Five voters (c1 leads), three brokers and three nodes, all well.
fn healthy() -> Observation {
    let mut units = BTreeMap::new();
    for id in 1..=5 {
        units.insert(key(&format!("c{id}")), voter(id, id == 1));
    }
    for id in 1..=3 {
        units.insert(key(&format!("b{id}")), broker());
        units.insert(key(&format!("n{id}")), node());
    }
    let quorum = QuorumObservation {
        leader: Some("c1".parse().unwrap()),
        epoch: Some(7),
        voters_expected: 5,
        high_watermark: Some(499),
        leader_log_end_offset: Some(500),
        leaderless_since: None,
        commits: CommitProgress::Moving,
        commit_window_ms: Some(5000),
        findings: Vec::new(),
    };
    let product = key("c1").product;
    Observation {
        at: at(NOW_MS),
        units,
        quorums: BTreeMap::from([(product.clone(), quorum)]),
        at_min_isr_baseline: BTreeMap::from([(product, 3)]),
        gates: vec![],
    }
}

type Change = Box<dyn Fn(&mut Observation)>;

fn unit(name: &'static str, change: impl Fn(&mut UnitObservation) + 'static) -> Change {
    Box::new(move |observation| change(observation.units.get_mut(&key(name)).unwrap()))
}

fn view(name: &'static str, change: impl Fn(&mut VoterView) + 'static) -> Change {
    unit(name, move |unit| change(unit.voter.as_mut().unwrap()))
}

fn quorum(change: impl Fn(&mut QuorumObservation) + 'static) -> Change {
    Box::new(move |observation| {
        change(observation.quorums.get_mut(&key("c1").product).unwrap());
    })
}

/// Gives a unit one finding and the verdict that goes with it, as the observer does.
fn finding(name: &'static str, finding: Finding) -> Change {
    unit(name, move |unit| {
        unit.verdict = finding.verdict();
        unit.bad_since = Some(at(NOW_MS - 100));
        unit.findings = vec![finding.clone()];
        if finding.is_down() {
            (unit.voter, unit.broker, unit.pleg) = (None, None, None);
        }
    })
}

fn changed(changes: &[Change]) -> Observation {
    let mut observation = healthy();
    for change in changes {
        change(&mut observation);
    }
    observation
}

/// `unit:gate`, sorted.
fn told(blockers: &[Blocker]) -> Vec<String> {
    let mut told: Vec<String> = blockers
        .iter()
        .map(|(unit, finding)| {
            let unit = unit.as_ref().map_or("-", |name| name.as_str());
            format!("{unit}:{}", finding.gate_name())
        })
        .collect();
    told.sort();
    told
}

fn policy() -> GatePolicy {
    GatePolicy::default()
}
