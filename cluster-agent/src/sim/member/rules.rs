//! What a member decides each beat, as a pure function of what it finds in the directory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::quorum::{
    CHECK_QUORUM_MS, ELECTION_TIMEOUT_MS, FETCH_TIMEOUT_MS, IDLE_APPEND_MS, RaftState,
};

/// Records a member that was away copies per beat.
const CATCH_UP_PER_BEAT: i64 = 1000;

/// The lease of one epoch's leader. Made once per epoch, so that an epoch has one leader at most;
/// replaced only by that leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) epoch: u64,
    pub(super) leader: u32,
    pub(super) log_end: i64,
    pub(super) high_watermark: i64,
    pub(super) renewed_at_ms: i64,
    /// The leader ended in good order or found itself without a majority.
    pub(super) released: bool,
}

/// A member's sign of life, and how far its log goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fetch {
    pub(super) epoch: u64,
    pub(super) log_end: i64,
    pub(super) at_ms: i64,
}

/// One member.
#[derive(Debug, Clone)]
pub(super) struct Core {
    id: u32,
    voters: u32,
    pub(super) state: RaftState,
    pub(super) leader: Option<u32>,
    pub(super) epoch: u64,
    pub(super) log_end: i64,
    pub(super) log_end_epoch: u64,
    pub(super) high_watermark: i64,
    next_append_ms: i64,
    leads_since_ms: i64,
    /// A process that has just started looks for a leader before it wants to be one.
    patient_until_ms: i64,
}

/// What a beat leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing beyond the sign of life.
    Follow,
    /// Replace the lease, which is this member's own.
    Renew(Lease),
    /// Try to make this lease; only one member can.
    Claim(Lease),
}

impl Core {
    /// A member that finds its old log in its own last sign of life.
    pub(super) fn new(id: u32, voters: u32, last: Option<&Fetch>, now_ms: i64) -> Self {
        Self {
            id,
            voters,
            state: RaftState::Unattached,
            leader: None,
            epoch: last.map_or(0, |last| last.epoch),
            log_end: last.map_or(0, |last| last.log_end),
            log_end_epoch: last.map_or(0, |last| last.epoch),
            high_watermark: -1,
            next_append_ms: 0,
            leads_since_ms: 0,
            patient_until_ms: now_ms + ELECTION_TIMEOUT_MS,
        }
    }

    fn majority(&self) -> usize {
        usize::try_from(self.voters / 2 + 1).unwrap_or(usize::MAX)
    }

    /// Its sign of life.
    pub(super) fn fetch(&self, now_ms: i64) -> Fetch {
        Fetch { epoch: self.epoch, log_end: self.log_end, at_ms: now_ms }
    }

    /// One beat: `lease` is the newest there is, `others` the other members' signs of life.
    pub(super) fn beat(
        &mut self,
        lease: Option<&Lease>,
        others: &BTreeMap<u32, Fetch>,
        now_ms: i64,
    ) -> Action {
        match lease {
            Some(lease) if self.state == RaftState::Leader && lease.epoch == self.epoch => {
                self.lead(others, now_ms)
            }
            Some(lease) if lease.is_live(now_ms) && lease.leader != self.id => {
                self.follow(lease);
                Action::Follow
            }
            Some(_) | None => self.seek(lease, others, now_ms),
        }
    }

    /// The claim was granted: this member leads.
    pub(super) fn won(&mut self, lease: &Lease, now_ms: i64) {
        self.state = RaftState::Leader;
        self.leader = Some(self.id);
        self.epoch = lease.epoch;
        self.log_end = lease.log_end;
        self.log_end_epoch = lease.epoch;
        self.high_watermark = -1;
        self.next_append_ms = now_ms + IDLE_APPEND_MS;
        self.leads_since_ms = now_ms;
    }

    /// The lease with which a leader hands over when its process ends.
    pub(super) fn resign(&mut self, now_ms: i64) -> Option<Lease> {
        let led = self.state == RaftState::Leader;
        let lease = self.lease(now_ms, true);
        self.detach();
        led.then_some(lease)
    }

    fn lead(&mut self, others: &BTreeMap<u32, Fetch>, now_ms: i64) -> Action {
        while self.next_append_ms <= now_ms {
            self.log_end += 1;
            self.next_append_ms += IDLE_APPEND_MS;
        }
        let fresh: Vec<&Fetch> = others
            .values()
            .filter(|f| f.epoch == self.epoch && now_ms - f.at_ms <= CHECK_QUORUM_MS)
            .collect();
        let patience_over = now_ms - self.leads_since_ms > CHECK_QUORUM_MS;
        if fresh.len() + 1 < self.majority() && patience_over {
            let lease = self.lease(now_ms, true);
            self.detach();
            return Action::Renew(lease);
        }
        let mut ends: Vec<i64> = fresh.iter().map(|f| f.log_end).collect();
        ends.push(self.log_end);
        ends.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(replicated) = ends.get(self.majority() - 1) {
            self.high_watermark = self.high_watermark.max(*replicated);
        }
        Action::Renew(self.lease(now_ms, false))
    }

    fn follow(&mut self, lease: &Lease) {
        self.state = RaftState::Follower;
        self.leader = Some(lease.leader);
        self.epoch = lease.epoch;
        self.log_end = lease.log_end.min(self.log_end + CATCH_UP_PER_BEAT);
        self.log_end_epoch = lease.epoch;
        self.high_watermark = lease.high_watermark.min(self.log_end);
    }

    fn seek(
        &mut self,
        lease: Option<&Lease>,
        others: &BTreeMap<u32, Fetch>,
        now_ms: i64,
    ) -> Action {
        self.detach();
        if now_ms < self.patient_until_ms {
            return Action::Follow;
        }
        let committed = lease.map_or(0, |lease| lease.high_watermark);
        let alive = others.values().filter(|f| now_ms - f.at_ms <= FETCH_TIMEOUT_MS);
        let (mut votes, mut behind) = (1, 0);
        for other in alive {
            votes += 1;
            behind += usize::from(other.log_end > self.log_end);
        }
        // A vote goes to a log that is at least as long; committed records must not get lost.
        if votes < self.majority() || votes - behind < self.majority() || self.log_end < committed {
            return Action::Follow;
        }
        self.state = RaftState::Prospective;
        let epoch = lease.map_or(self.epoch, |lease| lease.epoch.max(self.epoch)) + 1;
        Action::Claim(Lease {
            epoch,
            leader: self.id,
            log_end: self.log_end + 1,
            high_watermark: committed,
            renewed_at_ms: now_ms,
            released: false,
        })
    }

    fn detach(&mut self) {
        self.state = RaftState::Unattached;
        self.leader = None;
        self.high_watermark = -1;
    }

    fn lease(&self, now_ms: i64, released: bool) -> Lease {
        Lease {
            epoch: self.epoch,
            leader: self.id,
            log_end: self.log_end,
            high_watermark: self.high_watermark,
            renewed_at_ms: now_ms,
            released,
        }
    }
}

impl Lease {
    fn is_live(&self, now_ms: i64) -> bool {
        !self.released && now_ms - self.renewed_at_ms <= FETCH_TIMEOUT_MS
    }
}
