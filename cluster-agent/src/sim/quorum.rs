//! The metadata quorum: leader, epochs, log end offsets and high watermark (rolling.md §1.1).
//!
//! Every tick each running voter acts once, in id order. Messages are instant; what takes time is
//! what takes time in Kafka: noticing that a leader is gone, backing off, catching up.

use std::collections::{BTreeMap, VecDeque};

use super::log::Log;
use super::rng::Rng;

/// Length of one tick.
pub(super) const TICK_MS: i64 = 50;

/// `controller.quorum.fetch.timeout.ms`.
pub(super) const FETCH_TIMEOUT_MS: i64 = 2000;

/// A leader resigns if it hears from no majority for 1.5 × the fetch timeout.
pub(super) const CHECK_QUORUM_MS: i64 = 3000;

/// `controller.quorum.election.timeout.ms`, and the backoff on top of it.
pub(super) const ELECTION_TIMEOUT_MS: i64 = 1000;
const ELECTION_BACKOFF_MAX_MS: u32 = 1000;

/// `metadata.max.idle.interval.ms`: an idle leader appends this often.
pub(super) const IDLE_APPEND_MS: i64 = 500;

/// Records a follower that was away copies per tick (20,000/s: metadata records are small).
const CATCH_UP_PER_TICK: i64 = 1000;

/// How long leader offsets are remembered, for followers that are made to lag.
const HISTORY_MS: i64 = 120_000;

/// `current-state` of a voter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RaftState {
    Leader,
    Follower,
    Unattached,
    /// Asks for pre-votes (KIP-996).
    Prospective,
}

impl RaftState {
    /// The string Kafka exports.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Unattached => "unattached",
            Self::Prospective => "prospective",
        }
    }
}

/// One voter.
#[derive(Debug, Clone)]
pub(super) struct Voter {
    pub(super) running: bool,
    pub(super) state: RaftState,
    pub(super) leader: Option<u32>,
    pub(super) epoch: u64,
    pub(super) log: Log,
    /// -1 = not known since the last start or election.
    pub(super) high_watermark: i64,
    pub(super) lag_ms: i64,
    /// It hears from no other voter, and none from it.
    pub(super) cut: bool,
    heard_at_ms: i64,
    election_at_ms: i64,
    next_append_ms: i64,
    /// On the leader: when each follower last fetched, and from which offset.
    fetched: BTreeMap<u32, (i64, i64)>,
}

/// All voters.
#[derive(Debug, Clone)]
pub(super) struct Quorum {
    pub(super) voters: BTreeMap<u32, Voter>,
    /// Voters needed to elect or commit.
    pub(super) majority: usize,
    pub(super) elections: u64,
    rng: Rng,
    history: VecDeque<(i64, i64)>,
}

impl Quorum {
    /// A quorum of voters `1..=count` that has been up for a while; one of them leads.
    pub(super) fn new(count: u32, now_ms: i64, mut rng: Rng) -> Self {
        let epoch = 3 + u64::from(rng.below(40));
        let log = Log::new(epoch, 20_000 + i64::from(rng.below(50_000)));
        let leader = 1 + rng.below(count);
        let voter = |id: u32| Voter {
            running: true,
            state: if id == leader { RaftState::Leader } else { RaftState::Follower },
            leader: Some(leader),
            epoch,
            log: log.clone(),
            high_watermark: log.end(),
            lag_ms: 0,
            cut: false,
            heard_at_ms: now_ms,
            election_at_ms: now_ms,
            next_append_ms: now_ms + IDLE_APPEND_MS,
            fetched: (1..=count).filter(|v| *v != id).map(|v| (v, (now_ms, log.end()))).collect(),
        };
        let voters: BTreeMap<u32, Voter> = (1..=count).map(|id| (id, voter(id))).collect();
        let majority = voters.len() / 2 + 1;
        Self { voters, majority, elections: 0, rng, history: VecDeque::from([(now_ms, log.end())]) }
    }

    /// The running voter that leads in the highest epoch.
    pub(super) fn leader(&self) -> Option<u32> {
        let leads = |(_, v): &(&u32, &Voter)| v.running && v.state == RaftState::Leader;
        self.voters.iter().filter(leads).max_by_key(|(_, v)| v.epoch).map(|(id, _)| *id)
    }

    /// Lets every running voter act once.
    pub(super) fn tick(&mut self, now_ms: i64) {
        let ids: Vec<u32> = self.voters.keys().copied().collect();
        for id in ids {
            let Some(mut me) = self.voters.remove(&id) else { continue };
            if me.running {
                match me.state {
                    RaftState::Leader => self.lead(&mut me, now_ms),
                    RaftState::Follower => self.follow(id, &mut me, now_ms),
                    RaftState::Unattached | RaftState::Prospective => {
                        self.seek_leader(id, &mut me, now_ms);
                    }
                }
            }
            self.voters.insert(id, me);
        }
        if let Some(end) = self.leader().and_then(|id| self.voters.get(&id)).map(|v| v.log.end()) {
            self.history.push_back((now_ms, end));
        }
        while self.history.front().is_some_and(|(at, _)| *at < now_ms - HISTORY_MS) {
            self.history.pop_front();
        }
    }

    /// Stops a voter's process in good order: a leader hands over (`EndQuorumEpoch`).
    pub(super) fn stop(&mut self, id: u32, now_ms: i64) {
        let Some(me) = self.voters.get_mut(&id) else { return };
        let led = me.running && me.state == RaftState::Leader;
        me.running = false;
        me.detach(now_ms);
        if !led {
            return;
        }
        let mut successors: Vec<(i64, u32)> = self
            .voters
            .iter()
            .filter(|(_, v)| v.running && v.leader == Some(id))
            .map(|(other, v)| (-v.log.end(), *other))
            .collect();
        successors.sort_unstable();
        let mut election_at_ms = now_ms + TICK_MS + i64::from(self.rng.below(100));
        for (_, other) in successors {
            if let Some(voter) = self.voters.get_mut(&other) {
                voter.detach(election_at_ms);
            }
            election_at_ms += ELECTION_TIMEOUT_MS;
        }
    }

    /// Starts a stopped voter's process: its log and epoch are on disk, all else is to be learnt.
    pub(super) fn start(&mut self, id: u32, now_ms: i64) {
        let patience = FETCH_TIMEOUT_MS + i64::from(self.rng.below(ELECTION_BACKOFF_MAX_MS));
        if let Some(me) = self.voters.get_mut(&id) {
            me.running = true;
            me.detach(now_ms + patience);
        }
    }

    /// Freezes or thaws a voter's process, as `SIGSTOP` and `SIGCONT` do.
    pub(super) fn freeze(&mut self, id: u32, frozen: bool) {
        if let Some(me) = self.voters.get_mut(&id) {
            me.running = !frozen;
        }
    }

    /// Makes the leader resign in good order, as an operator's request or a hiccup does.
    pub(super) fn unseat(&mut self, now_ms: i64) {
        let Some(id) = self.leader() else { return };
        self.stop(id, now_ms);
        let patience = FETCH_TIMEOUT_MS;
        if let Some(me) = self.voters.get_mut(&id) {
            me.running = true;
            me.detach(now_ms + patience);
        }
    }

    fn lead(&mut self, me: &mut Voter, now_ms: i64) {
        if self.voters.values().any(|v| me.hears(v) && v.epoch > me.epoch) {
            me.detach(now_ms + FETCH_TIMEOUT_MS);
            return;
        }
        while me.next_append_ms <= now_ms {
            me.log.append(me.epoch);
            me.next_append_ms += IDLE_APPEND_MS;
        }
        let heard = |(at, _): &&(i64, i64)| now_ms - *at <= CHECK_QUORUM_MS;
        if me.fetched.values().filter(heard).count() + 1 < self.majority {
            me.detach(now_ms + ELECTION_TIMEOUT_MS + self.backoff());
            return;
        }
        let mut ends: Vec<i64> = me.fetched.values().map(|(_, offset)| *offset).collect();
        ends.push(me.log.end());
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let replicated = ends.get(self.majority - 1).copied().unwrap_or(-1);
        // Only a record of its own epoch lets a leader commit (Raft §5.4.2).
        if replicated > me.log.last_epoch_start() {
            me.high_watermark = me.high_watermark.max(replicated);
        }
    }

    fn follow(&mut self, id: u32, me: &mut Voter, now_ms: i64) {
        let delayed_end = self.leader_end_at(now_ms - me.lag_ms);
        let leader = me.leader.and_then(|leader| self.voters.get_mut(&leader)).filter(|leader| {
            me.hears(leader) && leader.state == RaftState::Leader && leader.epoch == me.epoch
        });
        let Some(leader) = leader else {
            if now_ms - me.heard_at_ms >= FETCH_TIMEOUT_MS {
                me.detach(now_ms + self.backoff() / 4);
            } else if self.voters.values().any(|v| me.hears(v) && v.epoch > me.epoch) {
                me.detach(now_ms + FETCH_TIMEOUT_MS);
            }
            return;
        };
        leader.fetched.insert(id, (now_ms, me.log.end()));
        let target = if me.lag_ms > 0 { delayed_end } else { leader.log.end() };
        me.log.fetch(&leader.log, target, CATCH_UP_PER_TICK);
        me.high_watermark = leader.high_watermark.min(me.log.end()).max(me.high_watermark);
        me.heard_at_ms = now_ms;
    }

    fn seek_leader(&mut self, id: u32, me: &mut Voter, now_ms: i64) {
        let leader = self.leader().and_then(|l| self.voters.get(&l).map(|v| (l, v)));
        let leader = leader.filter(|(_, v)| me.hears(v)).map(|(l, v)| (l, v.epoch));
        match leader {
            Some((leader, epoch)) if epoch >= me.epoch => me.attach(leader, epoch, now_ms),
            Some(_) | None if now_ms >= me.election_at_ms => self.elect(id, me, now_ms),
            Some(_) | None => {}
        }
    }

    /// A pre-vote (KIP-996) and, if a majority would grant it, the vote itself.
    fn elect(&mut self, id: u32, me: &mut Voter, now_ms: i64) {
        let grants = |v: &Voter| {
            let has_leader = v.state == RaftState::Leader
                || (v.state == RaftState::Follower && now_ms - v.heard_at_ms < FETCH_TIMEOUT_MS);
            me.hears(v) && !has_leader && v.log.is_at_most(&me.log)
        };
        let votes = 1 + self.voters.values().filter(|v| grants(v)).count();
        if votes < self.majority {
            me.state = RaftState::Prospective;
            me.election_at_ms = now_ms + ELECTION_TIMEOUT_MS + self.backoff();
            return;
        }
        let heard = self.voters.values().filter(|v| me.hears(v));
        let seen = heard.map(|v| v.epoch).max().unwrap_or(0);
        me.epoch = seen.max(me.epoch) + 1;
        me.state = RaftState::Leader;
        me.leader = Some(id);
        me.high_watermark = -1;
        me.log.append(me.epoch);
        me.next_append_ms = now_ms + IDLE_APPEND_MS;
        // Silence counts from here, and nothing is known to be replicated.
        me.fetched = self.voters.keys().map(|other| (*other, (now_ms, 0))).collect();
        self.elections += 1;
        self.history.clear();
        let epoch = me.epoch;
        for voter in self.voters.values_mut().filter(|v| me.hears(v)) {
            voter.attach(id, epoch, now_ms);
        }
    }

    fn backoff(&mut self) -> i64 {
        i64::from(self.rng.below(ELECTION_BACKOFF_MAX_MS))
    }

    /// When a record was appended, or the oldest moment that is remembered after that.
    pub(super) fn appended_at_ms(&self, offset: i64) -> Option<i64> {
        self.history.iter().find(|(_, end)| *end > offset).map(|(at, _)| *at)
    }

    /// The leader's log end at a moment, or its oldest remembered one.
    fn leader_end_at(&self, at_ms: i64) -> i64 {
        let before = self.history.iter().rev().find(|(at, _)| *at <= at_ms);
        before.or(self.history.front()).map_or(0, |(_, end)| *end)
    }
}

impl Voter {
    /// Whether a message of `other` reaches this voter, which runs.
    fn hears(&self, other: &Self) -> bool {
        other.running && !self.cut && !other.cut
    }

    fn attach(&mut self, leader: u32, epoch: u64, now_ms: i64) {
        self.state = RaftState::Follower;
        self.leader = Some(leader);
        self.epoch = epoch;
        self.heard_at_ms = now_ms;
    }

    fn detach(&mut self, election_at_ms: i64) {
        self.state = RaftState::Unattached;
        self.leader = None;
        self.high_watermark = -1;
        self.election_at_ms = election_at_ms;
    }
}

#[cfg(test)]
mod tests;
