//! Whether the voters of one quorum tell the same story (rolling.md §1.4, pitfalls).
//!
//! Pure, and shared by observer and gates: a gate asks the same questions without the voter that is
//! to be taken out, so that a voter that is confused already does not block its own repair.

use std::collections::BTreeSet;

use channels::health::{CommitProgress, elapsed_ms};
use channels::names::UnitName;
use jiff::Timestamp;

use super::{Finding, QuorumObservation, UnitObservation, VoterView};

/// What voters agree on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Agreement {
    /// The leader every voter names and that confirms it by being active.
    pub leader: Option<UnitName>,
    /// The epoch every voter is in.
    pub epoch: Option<u64>,
    /// Where they differ, or what is missing.
    pub findings: Vec<Finding>,
}

/// Asks every voter of `voters` that was read, except `without`.
///
/// The leader is asked for its confirmation even if it is `without`: a roll of the leader needs
/// one. `leaderless` is the time without a leader so far and its limit, for the finding's numbers.
pub(crate) fn agreement(
    voters: &[(&UnitName, &UnitObservation)],
    without: Option<&UnitName>,
    expected: u32,
    leaderless: (u64, u64),
) -> Agreement {
    let read =
        || voters.iter().filter_map(|(name, unit)| Some((*name, *unit, unit.voter.as_ref()?)));
    let asked: Vec<_> = read().filter(|(name, ..)| Some(*name) != without).collect();
    let mut findings = Vec::new();

    let epochs: BTreeSet<u64> = asked.iter().filter_map(|(.., voter)| voter.epoch).collect();
    if let (Some(&lowest), Some(&highest), true) = (epochs.first(), epochs.last(), epochs.len() > 1)
    {
        findings.push(Finding::EpochMismatch { lowest, highest });
    }
    let epoch = if epochs.len() == 1 { epochs.first().copied() } else { None };

    let named: BTreeSet<i64> =
        asked.iter().map(|(.., voter)| voter.current_leader.unwrap_or(-1)).collect();
    let agreed = match (named.first(), named.len()) {
        (Some(&id), 1) if id >= 0 => Some(id),
        (_, 2..) => {
            findings.push(Finding::LeadersDisagree { leaders: named.iter().copied().collect() });
            None
        }
        _ => None,
    };
    let confirmed = agreed.and_then(|id| {
        let confirms = |unit: &UnitObservation, voter: &VoterView| {
            unit.node_id == Some(id) && voter.active == Some(true)
        };
        read().find(|(_, unit, voter)| confirms(unit, voter)).map(|(name, ..)| name.clone())
    });
    if confirmed.is_none() && named.len() < 2 {
        findings.push(Finding::NoLeader { for_ms: leaderless.0, limit_ms: leaderless.1 });
    }

    let heard = |name: &UnitName| Some(name) != without || Some(name) == confirmed.as_ref();
    let heard: Vec<&VoterView> =
        read().filter(|(name, ..)| heard(name)).map(|(.., voter)| voter).collect();
    let active = count(heard.iter().filter(|voter| voter.active == Some(true)).count());
    if active > 1 {
        findings.push(Finding::ActiveControllers { observed: active, limit: 1 });
    }
    let expected = u64::from(expected);
    let counted = heard.iter().filter_map(|voter| voter.number_of_voters);
    if let Some(observed) = counted.into_iter().find(|&voters| voters != expected) {
        findings.push(Finding::VotersMismatch { observed, limit: expected });
    }
    if heard.iter().any(|voter| voter.uncommitted_change) {
        findings.push(Finding::UncommittedVoterChange);
    }
    Agreement { leader: confirmed, epoch, findings }
}

/// What is wrong with commits, if anything.
pub(crate) fn commit_finding(quorum: &QuorumObservation) -> Option<Finding> {
    let limit_ms = quorum.commit_window_ms?;
    match quorum.commits {
        CommitProgress::Moving => None,
        CommitProgress::Unknown => Some(Finding::CommitUnknown),
        CommitProgress::Stalled { for_ms } => Some(Finding::CommitStalled { for_ms, limit_ms }),
    }
}

/// What the active controller says about partitions and brokers.
pub(crate) fn partition_findings(leader: &VoterView) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(observed) = leader.offline_partitions.filter(|&n| n > 0) {
        findings.push(Finding::OfflinePartitions { observed, limit: 0 });
    }
    if let Some(observed) = leader.fenced_brokers.filter(|&n| n > 0) {
        findings.push(Finding::FencedBrokers { observed, limit: 0 });
    }
    findings
}

/// Time without a leader at `now`, milliseconds.
pub(crate) fn leaderless_ms(since: Option<Timestamp>, now: Timestamp) -> u64 {
    since.map_or(0, |since| elapsed_ms(since, now))
}

/// A collection's size as a count.
pub(crate) fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
