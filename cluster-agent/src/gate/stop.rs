//! The stop table: what pauses a roll at once (rolling.md §9).

use channels::health::{CommitProgress, PlegColour, elapsed_ms};
use channels::names::{ProductRef, UnitName};
use channels::wire::{HealthVerdict, Role};

use super::take_out::{SMALLEST_SAFE_QUORUM, without_repeats};
use super::{Blocker, GatePolicy};
use crate::observation::agreement::{count, leaderless_ms, partition_findings};
use crate::observation::{
    Finding, Observation, Placement, QuorumObservation, UnitKey, UnitObservation,
};

/// Voters that may be bad or lost at the same time; one is the unit that is out.
const BAD_VOTERS_MAX: u64 = 1;

/// Every reason to stop now. `out` is the unit that is out; its own absence is no reason, and that of
/// what runs on it, if it is a node, neither.
pub fn stop_conditions(
    out: Option<&UnitKey>,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let mut blockers: Vec<Blocker> = observation
        .gates
        .iter()
        .filter(|gate| gate.stops && gate.finding.verdict() == HealthVerdict::Unhealthy)
        .map(|gate| (None, gate.finding.clone()))
        .collect();
    for (product, quorum) in &observation.quorums {
        let lame = loses_majority(product, out, observation, policy);
        let stops = quorum_stops(product, quorum, observation, policy);
        blockers.extend(stops.into_iter().filter(|(_, finding)| !(lame && of_majority(finding))));
    }
    for (key, unit) in observation.units.iter().filter(|(key, _)| Some(*key) != out) {
        let about = |finding| (Some(key.unit.clone()), finding);
        // A unit that is asked and does not answer is lost; one that is only asked seldom is not.
        let asked = unit.findings.iter().any(|f| matches!(f, Finding::Unreachable { .. }));
        let seldom_ms = if asked { 0 } else { unit.stale_after_ms };
        let limit_ms = policy.unit_lost_stop_ms.max(seldom_ms);
        let age_ms = lost_for_ms(unit, observation);
        if age_ms > limit_ms && !goes_with(out, unit) {
            blockers.push(about(Finding::Stale { age_ms, limit_ms }));
        }
        if unit.role == Role::Node {
            blockers.extend(node_stops(unit).into_iter().map(about));
        }
    }
    without_repeats(blockers)
}

/// Whether a quorum is without a majority while `out` is away, and its owner allows that. It elects
/// and commits again when the unit is back: the unit's own deadlines bound that.
pub fn loses_majority(
    product: &ProductRef,
    out: Option<&UnitKey>,
    observation: &Observation,
    policy: &GatePolicy,
) -> bool {
    let voters = observation.voters(product);
    let away = |name: &UnitName, unit: &UnitObservation| {
        out.is_some_and(|out| out.product == *product && out.unit == *name) || goes_with(out, unit)
    };
    policy.allow_small_quorum
        && count(voters.len()) < SMALLEST_SAFE_QUORUM
        && voters.iter().any(|(name, unit)| away(name, unit))
}

/// What follows from having no majority.
fn of_majority(finding: &Finding) -> bool {
    matches!(
        finding,
        Finding::NoLeader { .. } | Finding::CommitStalled { .. } | Finding::VotersBad { .. }
    )
}

fn quorum_stops(
    product: &ProductRef,
    quorum: &QuorumObservation,
    observation: &Observation,
    policy: &GatePolicy,
) -> Vec<Blocker> {
    let mut findings = Vec::new();
    let for_ms = leaderless_ms(quorum.leaderless_since, observation.at);
    if quorum.leaderless_since.is_some() && for_ms > policy.leaderless_stop_ms {
        findings.push(Finding::NoLeader { for_ms, limit_ms: policy.leaderless_stop_ms });
    }
    match quorum.commits {
        CommitProgress::Stalled { for_ms }
            if quorum.commit_window_ms.is_some() && for_ms > policy.commit_stop_ms =>
        {
            findings.push(Finding::CommitStalled { for_ms, limit_ms: policy.commit_stop_ms });
        }
        CommitProgress::Stalled { .. } | CommitProgress::Moving | CommitProgress::Unknown => {}
    }
    let voters = observation.voters(product);
    let bad = voters.iter().filter(|(_, unit)| {
        let since = unit.bad_since.map_or(0, |since| elapsed_ms(since, observation.at));
        unit.verdict != HealthVerdict::Healthy && since > policy.voters_bad_stop_ms
    });
    let bad = count(bad.count());
    if bad > BAD_VOTERS_MAX {
        findings.push(Finding::VotersBad { observed: bad, limit: BAD_VOTERS_MAX });
    }
    let lost = voters
        .iter()
        .filter(|(_, unit)| lost_for_ms(unit, observation) > policy.voters_lost_stop_ms);
    let lost = count(lost.count());
    if lost > BAD_VOTERS_MAX {
        findings.push(Finding::ScrapesLost { observed: lost, limit: BAD_VOTERS_MAX });
    }
    let offline = voters.iter().filter_map(|(_, unit)| unit.voter.as_ref());
    findings.extend(
        offline
            .flat_map(partition_findings)
            .filter(|finding| matches!(finding, Finding::OfflinePartitions { .. })),
    );
    findings.into_iter().map(|finding| (None, finding)).collect()
}

/// Whether a unit is on the node that is out: it is away for as long as that node is.
pub(super) fn goes_with(out: Option<&UnitKey>, unit: &UnitObservation) -> bool {
    matches!((&unit.placement, out), (Placement::OnNode(node), Some(out)) if *node == out.unit)
}

/// Time since the last good page; of a unit that never answered, since the first look at it.
fn lost_for_ms(unit: &UnitObservation, observation: &Observation) -> u64 {
    let since = unit.last_good.or(unit.bad_since).unwrap_or(observation.at);
    elapsed_ms(since, observation.at)
}

fn node_stops(unit: &UnitObservation) -> Vec<Finding> {
    let red = unit.pleg.as_ref().is_some_and(|pleg| pleg.colour >= PlegColour::Red);
    let pleg = |finding: &Finding| {
        matches!(
            finding,
            Finding::PlegLag { .. } | Finding::PlegStall { .. } | Finding::PlegDiscards { .. }
        )
    };
    let stops = |finding: &Finding| *finding == Finding::NotReady || (red && pleg(finding));
    unit.findings.iter().filter(|finding| stops(finding)).cloned().collect()
}
