//! G(x): may unit x be taken out now? (rolling.md §9, `G_controller`, `G_broker`, `G_node`)

use channels::names::{ProductRef, UnitName};
use channels::wire::{HealthVerdict, Role};

use super::stop::goes_with;
use super::{Blocker, GatePolicy};
use crate::observation::agreement::{
    agreement, commit_finding, count, leaderless_ms, partition_findings,
};
use crate::observation::{Finding, Observation, Placement, UnitKey, UnitObservation};
use crate::telemetry::Signal;

/// Smallest quorum that survives the loss of one voter.
pub(super) const SMALLEST_SAFE_QUORUM: u64 = 3;

/// Every reason why `key` must not be taken out; empty = G(x) holds.
///
/// The planner asks for it at two probes in a row before it acts (invariant I2).
pub fn may_take_out(key: &UnitKey, observation: &Observation, policy: &GatePolicy) -> Vec<Blocker> {
    blockers(key, observation, policy, |_| false)
}

/// The same for a unit that an earlier attempt has changed: what that broke, on the unit itself and
/// on what runs on it, is what the next attempt is to mend.
pub fn may_take_out_again(
    key: &UnitKey,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let policy = GatePolicy { node_itself_green: false, ..policy.clone() };
    blockers(key, observation, &policy, |unit| goes_with(Some(key), unit))
}

/// Every reason, but that units which `go_along` are down.
fn blockers(
    key: &UnitKey,
    observation: &Observation,
    policy: &GatePolicy,
    go_along: impl Fn(&UnitObservation) -> bool,
) -> Vec<Blocker> {
    let Some(unit) = observation.units.get(key) else {
        return vec![(Some(key.unit.clone()), Finding::NotObserved)];
    };
    let mut blockers = match unit.role {
        Role::Controller | Role::Broker => member(key, unit, observation, policy),
        Role::Node => node(key, observation, policy),
        Role::Workload => peers(key, observation, Role::Workload),
    };
    blockers.extend(others_down(key, observation, go_along));
    blockers.extend(cluster_gates(key, unit, observation));
    without_repeats(blockers)
}

pub(super) fn without_repeats(blockers: Vec<Blocker>) -> Vec<Blocker> {
    let mut unique: Vec<Blocker> = Vec::with_capacity(blockers.len());
    for blocker in blockers {
        if !unique.contains(&blocker) {
            unique.push(blocker);
        }
    }
    unique
}

/// A unit's findings; a verdict that is not healthy without one is unknown all the same.
pub(super) fn findings_of(unit: &UnitObservation) -> Vec<Finding> {
    if unit.findings.is_empty() && unit.verdict != HealthVerdict::Healthy {
        return vec![Finding::NotObserved];
    }
    unit.findings.clone()
}

fn about(name: &UnitName, findings: Vec<Finding>) -> impl Iterator<Item = Blocker> + '_ {
    findings.into_iter().map(|finding| (Some(name.clone()), finding))
}

/// A controller, a broker, or both in one process: then both gates count.
fn member(
    key: &UnitKey,
    unit: &UnitObservation,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    if unit.role == Role::Controller {
        blockers.extend(controller(key, observation, policy));
    }
    if unit.is_broker() {
        let voter = (unit.role == Role::Controller).then_some(&key.unit);
        blockers.extend(broker(key, voter, observation, policy));
    }
    blockers
}

fn controller(key: &UnitKey, observation: &Observation, policy: &GatePolicy) -> Vec<Blocker> {
    let mut blockers = quorum(&key.product, Some(&key.unit), Role::Controller, observation, policy);
    blockers.extend(voters(&key.product, Some(&key.unit), observation, policy));
    let brokers = observation.brokers(&key.product).into_iter();
    for (name, unit) in brokers.filter(|(name, _)| **name != key.unit) {
        // The controllers' roll must not meet brokers that cannot lose anything; replication that
        // merely catches up is none of its business.
        let serious = findings_of(unit).into_iter().filter(|finding| {
            !matches!(finding, Finding::UnderReplicated { .. } | Finding::Reassigning { .. })
        });
        blockers.extend(about(name, serious.collect()));
    }
    blockers
}

/// G(x) of a broker; `voter` is its own name if it takes a voter out with it.
fn broker(
    key: &UnitKey,
    voter: Option<&UnitName>,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let mut blockers = quorum(&key.product, voter, Role::Broker, observation, policy);
    blockers.extend(voters(&key.product, voter, observation, policy));
    for (name, unit) in observation.brokers(&key.product) {
        let mut findings = findings_of(unit);
        if *name == key.unit {
            // Partitions that x leads count like any others; its own troubles do not.
            findings.retain(is_replication);
        }
        blockers.extend(about(name, findings));
    }
    blockers.extend(at_min_isr(&key.product, observation));
    blockers
}

fn is_replication(finding: &Finding) -> bool {
    matches!(
        finding,
        Finding::UnderReplicated { .. } | Finding::UnderMinIsr { .. } | Finding::Reassigning { .. }
    )
}

fn node(key: &UnitKey, observation: &Observation, policy: &GatePolicy) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    for (other, unit) in observation.units.iter().filter(|(_, unit)| unit.role == Role::Node) {
        if other != key || policy.node_itself_green {
            blockers.extend(about(&other.unit, findings_of(unit)));
        }
    }
    let mut members = 0;
    for (member, unit) in &observation.units {
        let here = match &unit.placement {
            Placement::OnNode(name) => *name == key.unit,
            Placement::Unknown => true,
            Placement::Elsewhere => false,
        };
        match unit.role {
            Role::Controller | Role::Broker if here => {
                blockers.extend(self::member(member, unit, observation, policy));
            }
            Role::Controller | Role::Broker | Role::Node | Role::Workload => continue,
        }
        if unit.placement != Placement::Unknown {
            members += 1;
        }
    }
    if members > 1 {
        blockers.push((None, Finding::MembersShareNode { observed: members, limit: 1 }));
    }
    blockers
}

/// Other units of the same role and product must be healthy.
fn peers(key: &UnitKey, observation: &Observation, role: Role) -> Vec<Blocker> {
    let others = observation.of_role(&key.product, role);
    let others = others.into_iter().filter(|(name, _)| **name != key.unit);
    others.flat_map(|(name, unit)| about(name, findings_of(unit)).collect::<Vec<_>>()).collect()
}

/// Never while another unit is down, whatever it is (invariants I1 and I5).
fn others_down(
    key: &UnitKey,
    observation: &Observation,
    go_along: impl Fn(&UnitObservation) -> bool,
) -> Vec<Blocker> {
    let others = observation.units.iter().filter(|(other, unit)| *other != key && !go_along(unit));
    others
        .flat_map(|(other, unit)| {
            let down = findings_of(unit).into_iter().filter(Finding::is_down).collect();
            about(&other.unit, down).collect::<Vec<_>>()
        })
        .collect()
}

/// Alerts, queries and the like that concern the unit.
fn cluster_gates(key: &UnitKey, unit: &UnitObservation, observation: &Observation) -> Vec<Blocker> {
    let gates = observation.gates.iter().filter(|gate| gate.scope.covers(key, unit));
    gates.map(|gate| (None, gate.finding.clone())).collect()
}

/// What the quorum as a whole must satisfy while a unit of role `rolled` is out, asked without
/// voter `without`.
pub(super) fn quorum(
    product: &ProductRef,
    without: Option<&UnitName>,
    rolled: Role,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let Some(seen) = observation.quorums.get(product) else {
        return vec![(None, Finding::MetricMissing { signal: Signal::CurrentLeader })];
    };
    let mut findings = Vec::new();
    let voters = observation.voters(product);
    let size = u64::from(seen.voters_expected);
    if size < SMALLEST_SAFE_QUORUM && !policy.allow_small_quorum {
        findings.push(Finding::QuorumTooSmall { observed: size, limit: SMALLEST_SAFE_QUORUM });
    }
    let waited_ms = leaderless_ms(seen.leaderless_since, observation.at);
    // A voter that is alone has no other that could tell its story.
    let without = without.filter(|_| voters.len() > 1);
    let agreed = agreement(&voters, without, seen.voters_expected, (waited_ms, 0));
    let leader_view = agreed.leader.as_ref().and_then(|leader| {
        let (_, unit) = voters.iter().find(|(name, _)| *name == leader)?;
        unit.voter.as_ref()
    });
    let partitions = leader_view.map(partition_findings).unwrap_or_default();
    findings.extend(agreed.findings);
    findings.extend(commit_finding(seen));
    findings.extend(partitions.into_iter().filter(|finding| {
        // Fenced brokers stop a broker's roll; a controller's only if partitions suffer.
        rolled == Role::Broker || !matches!(finding, Finding::FencedBrokers { .. })
    }));
    findings.into_iter().map(|finding| (None, finding)).collect()
}

/// The voters that must carry the quorum without `without`.
fn voters(
    product: &ProductRef,
    without: Option<&UnitName>,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let all = observation.voters(product);
    let all_count = all.len();
    let needed = count(all_count) / 2 + 1;
    let others: Vec<_> = all.into_iter().filter(|(name, _)| Some(*name) != without).collect();
    let healthy = others.iter().filter(|(_, unit)| findings_of(unit).is_empty()).count();
    let healthy = count(healthy);
    // A small quorum cannot keep its majority; whoever allows it at least has the others well.
    let is_small = count(all_count) < SMALLEST_SAFE_QUORUM && policy.allow_small_quorum;
    if !policy.all_other_voters && !is_small {
        let short = Finding::TooFewVoters { observed: healthy, limit: needed };
        return if healthy < needed { vec![(None, short)] } else { Vec::new() };
    }
    others
        .into_iter()
        .flat_map(|(name, unit)| about(name, findings_of(unit)).collect::<Vec<_>>())
        .collect()
}

/// Partitions at minimum ISR, beyond those that always are.
fn at_min_isr(product: &ProductRef, observation: &Observation) -> Option<Blocker> {
    let brokers = observation.brokers(product);
    let figures = brokers.iter().filter_map(|(_, unit)| unit.broker.as_ref()?.at_min_isr);
    let observed = figures.reduce(u64::saturating_add)?;
    match observation.at_min_isr_baseline.get(product) {
        Some(&limit) if observed <= limit => None,
        Some(&limit) => Some((None, Finding::AtMinIsr { observed, limit })),
        None if observed == 0 => None,
        // Never seen with everything replicated: whatever is there may be a shrunken ISR.
        None => Some((None, Finding::AtMinIsr { observed, limit: 0 })),
    }
}
