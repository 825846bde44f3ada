//! What is remembered of one metadata quorum between probes.

use channels::health::{CommitTracker, Lag, LeaderPage, QuorumLimits, QuorumTracker};
use channels::names::UnitName;
use jiff::Timestamp;

use super::agreement::{agreement, commit_finding, leaderless_ms, partition_findings};
use super::memory::UnitMemory;
use super::{Finding, QuorumObservation, UnitObservation, VoterState};

/// A `LastAppliedRecordLagMs` beyond this is not a lag: nothing was applied yet (rolling.md §1.4).
const NOT_LOADED_MS: f64 = 1e9;

/// One quorum's memory.
#[derive(Debug, Default)]
pub(super) struct QuorumMemory {
    tracker: QuorumTracker,
    commits: CommitTracker,
    /// When voters were last heard; commits are judged at that time, since nothing is known later.
    probed_at: Option<Timestamp>,
    leaderless_since: Option<Timestamp>,
    seen: Option<QuorumObservation>,
}

impl QuorumMemory {
    /// What was last made of it.
    pub(super) fn seen(&self) -> Option<QuorumObservation> {
        self.seen.clone()
    }

    /// Adds a finding to what was last made of it.
    pub(super) fn find(&mut self, finding: Finding) {
        if let Some(seen) = &mut self.seen {
            seen.findings.push(finding);
        }
    }

    /// Leader offset, high watermark and lags of one probe round.
    pub(super) fn probe(
        &mut self,
        voters: &mut [&mut UnitMemory],
        probe_ms: u64,
        limits: &QuorumLimits,
    ) {
        let leader = voters
            .iter()
            .enumerate()
            .filter_map(|(index, memory)| Some((claimed_epoch(memory)?, index)))
            .max();
        if let Some((epoch, index)) = leader
            && let Some(memory) = voters.get_mut(index)
        {
            memory.seen.is_leader = true;
            let offset = memory.seen.voter.as_ref().and_then(|voter| voter.log_end_offset);
            if let (Some(at), Some(offset)) = (memory.requested_at, offset) {
                let page = self.tracker.leader(at, epoch, offset, limits);
                memory.probe_findings.extend(page_finding(page, limits));
            }
        }
        self.tracker.followers(highest_follower(voters));
        let views = || voters.iter().filter_map(|memory| memory.seen.voter.as_ref());
        let highest = views().filter_map(|voter| voter.high_watermark).max();
        let at = voters.iter().filter_map(|memory| memory.received_at).max();
        if let (Some(highest), Some(at)) = (highest, at) {
            let epoch = views().filter_map(|voter| voter.epoch).max();
            self.commits.record(at, epoch, highest);
        }
        self.probed_at = at;
        for memory in voters {
            judge_voter(memory, &self.tracker, limits, probe_ms);
        }
    }

    /// Agreement and commits at `now`.
    pub(super) fn judge(
        &mut self,
        voters: &[(&UnitName, &UnitObservation)],
        now: Timestamp,
        limits: &QuorumLimits,
    ) {
        let expected = u32::try_from(voters.len()).unwrap_or(u32::MAX);
        let waited_ms = leaderless_ms(self.leaderless_since, now);
        let agreed = agreement(voters, None, expected, (waited_ms, 0));
        self.leaderless_since = match &agreed.leader {
            Some(_) => None,
            None => self.leaderless_since.or(Some(now)),
        };
        let commit_window_ms = limits.commit_window_ms;
        let judged_at = self.probed_at.unwrap_or(now);
        let mut seen = QuorumObservation {
            epoch: agreed.epoch,
            voters_expected: expected,
            high_watermark: self.commits.highest(),
            leader_log_end_offset: self.tracker.newest_offset(),
            leaderless_since: self.leaderless_since,
            commits: self.commits.progress(judged_at, commit_window_ms.unwrap_or(0)),
            commit_window_ms,
            findings: agreed.findings,
            leader: agreed.leader,
        };
        seen.findings.extend(commit_finding(&seen));
        let leader_view = seen.leader.as_ref().and_then(|leader| {
            let (_, unit) = voters.iter().find(|(name, _)| *name == leader)?;
            unit.voter.as_ref()
        });
        seen.findings.extend(leader_view.map(partition_findings).unwrap_or_default());
        self.seen = Some(seen);
    }
}

/// The epoch in which this voter was just seen as confirmed leader.
fn claimed_epoch(memory: &UnitMemory) -> Option<u64> {
    let voter = memory.seen.voter.as_ref()?;
    let claims = voter.active == Some(true) && voter.current_leader == memory.target.node_id;
    if claims { voter.epoch } else { None }
}

/// What is wrong with the page of the leader, against which every lag is measured.
fn page_finding(page: LeaderPage, limits: &QuorumLimits) -> Option<Finding> {
    match page {
        LeaderPage::Current => None,
        LeaderPage::Behind { offset, follower_offset } => {
            Some(Finding::LeaderBehind { observed: offset, limit: follower_offset })
        }
        LeaderPage::Still { for_ms } => Some(Finding::LeaderStandsStill {
            observed_ms: for_ms,
            limit_ms: limits.commit_window_ms.unwrap_or(0),
        }),
    }
}

fn from_the_past(memory: &UnitMemory) -> bool {
    memory.probe_findings.iter().any(|finding| {
        matches!(finding, Finding::LeaderBehind { .. } | Finding::LeaderStandsStill { .. })
    })
}

/// Epoch and highest offset of the voters that do not lead. A log that ends in another epoch than
/// its voter is in may have a tail that the leader never had.
fn highest_follower(voters: &[&mut UnitMemory]) -> Option<(u64, i64)> {
    voters
        .iter()
        .filter(|memory| !memory.seen.is_leader)
        .filter_map(|memory| {
            let voter = memory.seen.voter.as_ref()?;
            let epoch = voter.epoch?;
            let settled = voter.log_end_epoch.is_none_or(|ends_in| ends_in == epoch);
            Some((epoch, voter.log_end_offset.filter(|_| settled)?))
        })
        .max()
}

/// Lag and findings of one voter, from its last probe.
fn judge_voter(
    memory: &mut UnitMemory,
    tracker: &QuorumTracker,
    limits: &QuorumLimits,
    probe_ms: u64,
) {
    let (Some(voter), Some(received_at)) = (memory.seen.voter.clone(), memory.received_at) else {
        return memory.note_sync(false);
    };
    let mut findings = Vec::new();
    if let Some(VoterState::Other(state)) = &voter.state {
        findings.push(Finding::NotInQuorum { state: state.clone() });
    }
    if let (Some(log_end_epoch), Some(current_epoch)) = (voter.log_end_epoch, voter.epoch)
        && log_end_epoch != current_epoch
    {
        findings.push(Finding::LogEpochBehind { log_end_epoch, current_epoch });
    }
    let limit_ms = limits.lag_limit_ms(probe_ms);
    let lag = match (voter.epoch, voter.log_end_offset) {
        (Some(_), Some(_)) if memory.seen.is_leader && !from_the_past(memory) => Lag::Known(0),
        (Some(epoch), Some(offset)) => tracker.lag(epoch, offset, received_at),
        _ => Lag::Unknown { at_least_ms: None },
    };
    match lag {
        Lag::Known(observed_ms) if observed_ms < limit_ms => {}
        Lag::Known(observed_ms) => findings.push(Finding::QuorumLag { observed_ms, limit_ms }),
        Lag::Unknown { at_least_ms: Some(observed_ms) } if observed_ms >= limit_ms => {
            findings.push(Finding::QuorumLag { observed_ms, limit_ms });
        }
        Lag::Unknown { .. } => findings.push(Finding::QuorumLagUnknown),
    }
    findings.extend(applied_lag(memory, limits));
    memory.seen.quorum_lag_ms = lag.known_ms();
    memory.note_sync(findings.is_empty());
    memory.probe_findings.extend(findings);
}

/// The slow witness; it says nothing about the leader, which applies before it commits.
fn applied_lag(memory: &UnitMemory, limits: &QuorumLimits) -> Option<Finding> {
    let limit_ms = limits.applied_lag_ms?;
    let lag_ms = memory.applied_lag_ms.filter(|_| !memory.seen.is_leader)?;
    if lag_ms > NOT_LOADED_MS {
        return Some(Finding::NotInQuorum { state: "still loading metadata".to_owned() });
    }
    let observed_ms = whole_ms(lag_ms);
    (observed_ms >= limit_ms).then_some(Finding::AppliedLag { observed_ms, limit_ms })
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates; the value is below 1e9"
)]
fn whole_ms(value: f64) -> u64 {
    value.round() as u64
}
