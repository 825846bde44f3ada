//! How the cluster really was at each probe: the witness of the laws, which the agent never sees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use channels::names::UnitName;
use channels::wire::Role;

use super::network::Delivered;
use super::plant::Plant;
use crate::observation::Target;
use crate::sim::Fault;

/// Probes remembered.
const LOOKS_MAX: usize = 60;

/// Leader offsets remembered, for the lag of the slowest: a minute of probes.
const ENDS_MAX: usize = 120;

/// `controller.quorum.fetch.timeout.ms`: beyond it a voter is behind.
const LAG_MAX_MS: i64 = 2_000;

/// One unit at one probe.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is seen for itself")]
pub(super) struct UnitLook {
    pub(super) role: Role,
    /// It is a broker, or one beside what it is.
    pub(super) is_broker: bool,
    pub(super) delivered: Delivered,
    pub(super) up: bool,
    pub(super) version: String,
    pub(super) in_sync: bool,
    /// Voters: since when it has really been behind, cut off, or of another epoch.
    pub(super) bad_since_ms: Option<i64>,
    /// Nodes: since when its relists hang or crawl.
    pub(super) pleg_bad_since_ms: Option<i64>,
    /// Nodes: the API server's word says it is not ready, or held by somebody else.
    pub(super) held: bool,
}

/// The cluster at one probe.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) at_ms: i64,
    pub(super) leader: Option<UnitName>,
    /// Since when nobody leads.
    pub(super) leaderless_since_ms: Option<i64>,
    /// Since when nothing was committed.
    pub(super) stalled_since_ms: i64,
    pub(super) alert: bool,
    pub(super) units: BTreeMap<UnitName, UnitLook>,
}

/// The probes.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks {
    all: VecDeque<Look>,
    ends: VecDeque<(i64, i64)>,
    committed: i64,
    /// When a page last told an old story.
    pub(super) lied_at_ms: Option<i64>,
    /// When time last did not pass evenly for the agent: a jump, or a long gap.
    pub(super) uneven_at_ms: Option<i64>,
}

/// What of a look only the run knows.
pub(super) struct Circumstances<'a> {
    pub(super) delivered: &'a BTreeMap<UnitName, Delivered>,
    pub(super) held: &'a BTreeSet<UnitName>,
    pub(super) alert: bool,
}

impl Looks {
    /// Notes how everything really is at a probe.
    pub(super) fn note(
        &mut self,
        sim: &Plant,
        targets: &[Target],
        around: &Circumstances<'_>,
        now_ms: i64,
    ) {
        let voters = sim.voters();
        let leader = voters.iter().find(|(_, voter)| voter.leads);
        if let Some((_, leader)) = leader {
            self.ends.push_back((now_ms, leader.log_end));
        }
        while self.ends.len() > ENDS_MAX {
            self.ends.pop_front();
        }
        let before = self.all.back();
        let high = voters.values().map(|voter| voter.high_watermark).max().unwrap_or(0);
        let moved = high > self.committed;
        self.committed = self.committed.max(high);
        let unit = |target: &Target| {
            let name = &target.key.unit;
            let before = before.and_then(|look| look.units.get(name));
            let voter = voters.get(name);
            let bad = voter.is_some_and(|voter| {
                let epoch = leader.is_none_or(|(_, leader)| leader.epoch != voter.epoch);
                !voter.takes_part || epoch || self.lag_ms(voter.log_end, now_ms) > LAG_MAX_MS
            });
            let faults = sim.faults(name);
            let ill = |fault: &Fault| matches!(fault, Fault::RelistStall | Fault::Lag { .. });
            let slow = target.role == Role::Node && faults.iter().any(ill);
            let since = |bad: bool, before: Option<i64>| bad.then(|| before.unwrap_or(now_ms));
            let look = UnitLook {
                role: target.role,
                is_broker: target.is_broker(),
                delivered: around.delivered.get(name).copied().unwrap_or(Delivered::Lost),
                up: sim.is_up(name),
                version: sim.version(name).unwrap_or_default().to_owned(),
                in_sync: sim.in_sync(name),
                bad_since_ms: since(bad, before.and_then(|look| look.bad_since_ms)),
                pleg_bad_since_ms: since(slow, before.and_then(|look| look.pleg_bad_since_ms)),
                held: around.held.contains(name),
            };
            (name.clone(), look)
        };
        let leaderless = leader.is_none();
        let look = Look {
            at_ms: now_ms,
            leader: leader.map(|(name, _)| name.clone()),
            leaderless_since_ms: leaderless
                .then(|| before.and_then(|look| look.leaderless_since_ms).unwrap_or(now_ms)),
            stalled_since_ms: before.filter(|_| !moved).map_or(now_ms, |l| l.stalled_since_ms),
            alert: around.alert,
            units: targets.iter().map(unit).collect(),
        };
        if look.units.values().any(|unit| unit.delivered == Delivered::Old) {
            self.lied_at_ms = Some(now_ms);
        }
        if before.is_some_and(|before| now_ms - before.at_ms > 5_000) {
            self.uneven_at_ms = Some(now_ms);
        }
        self.all.push_back(look);
        if self.all.len() > LOOKS_MAX {
            self.all.pop_front();
        }
    }

    /// How long ago the leader's log ended where this voter's ends.
    fn lag_ms(&self, end: i64, now_ms: i64) -> i64 {
        let reached = self.ends.iter().rev().find(|(_, leader)| *leader <= end);
        let oldest = self.ends.front().map_or(now_ms, |(at, _)| *at);
        now_ms - reached.map_or(oldest, |(at, _)| *at)
    }

    /// The newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Look> {
        self.all.iter().rev()
    }

    pub(super) fn last(&self) -> Option<&Look> {
        self.all.back()
    }

    /// Whether something happened in the last `ms`.
    pub(super) fn lately(at_ms: Option<i64>, ms: i64, now_ms: i64) -> bool {
        at_ms.is_some_and(|at| now_ms - at <= ms)
    }
}
