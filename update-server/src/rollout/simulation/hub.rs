//! The hub of a simulated world: the real planner and the real `directive::decide` over rows that
//! survive what memory does not, and the invariants, asked by somebody who keeps own books.

use std::collections::BTreeMap;

use channels::names::ClusterId;
use channels::rollout::{Failure, FleetSalt, Labels, Policy, lint};
use channels::version::ReleaseVersion;
use channels::wire::{Action, Grant, Hold};
use jiff::{SignedDuration, Timestamp};

use super::agent::{Cluster, Said};
use super::books::{Books, Start};
use super::releases::Releases;
use crate::directive::{self, Asked, Ledger, ReleaseFacts, Situation};
use crate::fleet::{GraphKey, ProductRecord, Slot};
use crate::rollout::{
    Ask, AttemptRow, Draft, Fact, Fleet, Heard, Outcome, Overlay, PolicyRow, RolloutChanges,
    RolloutCommand, RolloutEvent, RolloutId, RolloutRow, Rollouts, Turn,
};
use crate::served::Served as _;

pub(super) const INTERVAL_S: u64 = 300;
const TTL_S: u64 = 900;
const SALT: [u8; 32] = [7; 32];

/// What the hub knows of a cluster from reports it accepted.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: ClusterId,
    pub(super) labels: u32,
    record: Option<ProductRecord>,
    last_seen: Option<Timestamp>,
    seq: u64,
    ledger: Ledger,
}

/// What a cluster gets for a report.
pub(super) enum Reply {
    /// Nothing: it was refused, or its commit failed.
    None,
    /// An answer, with a grant or without.
    Committed(Option<Grant>),
}

#[derive(Debug, Default)]
struct Disk {
    policies: Vec<PolicyRow>,
    rollouts: BTreeMap<RolloutId, RolloutRow>,
    attempts: BTreeMap<(RolloutId, Slot, u64), AttemptRow>,
    last_tick: Option<Timestamp>,
}

pub(super) struct Hub {
    pub(super) rollouts: Rollouts,
    disk: Disk,
    pub(super) known: Vec<Known>,
    pub(super) sets: Vec<Labels>,
    graphs: Vec<GraphKey>,
    versions: Vec<ReleaseVersion>,
    pub(super) holds: Vec<Hold>,
    pub(super) books: BTreeMap<RolloutId, Books>,
    /// What happened, for the test that everything does happen.
    pub(super) met: BTreeMap<&'static str, u64>,
    pub(super) breaks: Vec<String>,
}

impl Fleet for Hub {
    fn each(&self, visit: &mut dyn FnMut(Fact)) {
        for (slot, known) in (0..).zip(&self.known) {
            let Some(record) = &known.record else { continue };
            let version = self.versions.iter().position(|known| *known == record.version).unwrap();
            visit(Fact {
                slot: Slot(slot),
                cluster: known.id,
                labels: known.labels,
                graph: 0,
                version: u32::try_from(version).unwrap(),
                last_seen: known.last_seen,
            });
        }
    }

    fn graph(&self, number: u32) -> Option<&GraphKey> {
        self.graphs.get(number as usize)
    }

    fn version(&self, number: u32) -> Option<&ReleaseVersion> {
        self.versions.get(number as usize)
    }

    fn label_set(&self, number: u32) -> Option<&Labels> {
        self.sets.get(number as usize)
    }

    fn interval_s(&self) -> u64 {
        INTERVAL_S
    }
}

impl Hub {
    pub(super) fn new(clusters: &[Cluster], releases: &Releases) -> Self {
        let mut sets: Vec<Labels> = Vec::new();
        let mut known = Vec::new();
        for cluster in clusters {
            let labels = number_of(&mut sets, &cluster.labels);
            known.push(Known {
                id: cluster.id,
                labels,
                record: None,
                last_seen: None,
                seq: 0,
                ledger: Ledger::default(),
            });
        }
        Self {
            rollouts: Rollouts::new(FleetSalt::from_bytes(SALT)),
            disk: Disk::default(),
            known,
            sets,
            graphs: vec![releases.graph.clone()],
            versions: ["1.0.0", "1.1.0", "1.2.0"].map(super::releases::version).to_vec(),
            holds: Vec::new(),
            books: BTreeMap::new(),
            met: BTreeMap::new(),
            breaks: Vec::new(),
        }
    }

    pub(super) fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    pub(super) fn breach(&mut self, now: Timestamp, what: &str) {
        self.breaks.push(format!("{now}: {what}"));
    }

    pub(super) fn relabel(&mut self, slot: usize, labels: &Labels) {
        self.known[slot].labels = number_of(&mut self.sets, labels);
    }

    /// One batch: work, rows, commit, memory, own books.
    fn batch<T>(
        &mut self,
        clusters: &[Cluster],
        now: Timestamp,
        work: impl FnOnce(&Self, &mut Draft<'_>) -> T,
    ) -> T {
        let mut overlay = Overlay::default();
        let done = work(self, &mut overlay.on(&self.rollouts));
        let changes = overlay.changes(now);
        self.rollouts.apply(overlay);
        let events = self.write(changes);
        self.follow(clusters, &events, now);
        done
    }

    fn write(&mut self, changes: RolloutChanges) -> Vec<RolloutEvent> {
        self.disk.policies.extend(changes.policies);
        self.disk.rollouts.extend(changes.rollouts.into_iter().map(|row| (row.id, row)));
        for row in changes.attempts {
            self.disk.attempts.insert((row.rollout, row.slot, row.generation), row);
        }
        changes.events
    }

    /// Everything in memory is lost.
    pub(super) fn restart(&mut self, now: Timestamp) {
        let before = self.rollouts.views(now);
        self.rollouts = Rollouts::restore(
            FleetSalt::from_bytes(SALT),
            self.disk.policies.clone(),
            self.disk.rollouts.values().cloned(),
            self.disk.attempts.values().cloned(),
        )
        .unwrap();
        let after = self.rollouts.views(now);
        for (before, after) in before.iter().zip(&after) {
            let of = |view: &crate::rollout::RolloutView| {
                (view.id, view.failures.clone(), view.in_flight, view.held.clone(), view.starts_at)
            };
            if of(before) != of(after) {
                let (before, after) = (of(before), of(after));
                self.breach(now, &format!("a restart changed {before:?} to {after:?}"));
            }
        }
        self.meet("restart");
    }

    /// It is back after an outage.
    pub(super) fn wake(&mut self, clusters: &[Cluster], releases: &Releases, now: Timestamp) {
        let last = self.disk.last_tick;
        self.batch(clusters, now, |_, draft| {
            if let Some(last) = last {
                draft.hub_was_down(last, now);
            }
            draft.offered(&releases.heads(), now);
        });
        self.tick(clusters, releases, now);
    }

    pub(super) fn offered(&mut self, clusters: &[Cluster], releases: &Releases, now: Timestamp) {
        self.batch(clusters, now, |_, draft| draft.offered(&releases.heads(), now));
    }

    pub(super) fn apply_policy(&mut self, clusters: &[Cluster], text: &str, now: Timestamp) {
        let fleet = lint::Fleet::Unknown;
        let applied =
            self.batch(clusters, now, |_, draft| draft.apply_policy(text, &fleet, "ann", now));
        applied.unwrap();
    }

    pub(super) fn command(
        &mut self,
        clusters: &[Cluster],
        id: RolloutId,
        command: &RolloutCommand,
        now: Timestamp,
    ) -> bool {
        let done = self.batch(clusters, now, |_, draft| draft.command(id, command, "ann", now));
        if done.is_ok()
            && let RolloutCommand::Resume { seen, .. } = command
        {
            let books = self.books.entry(id).or_default();
            for failure in seen {
                books.failed.insert(*failure, true);
            }
            books.at_halt = None;
        }
        done.is_ok()
    }

    pub(super) fn tick(&mut self, clusters: &[Cluster], releases: &Releases, now: Timestamp) {
        self.batch(clusters, now, |hub, draft| draft.tick(hub, releases, &hub.holds, now));
        self.disk.last_tick = Some(now);
        for view in self.rollouts.views(now) {
            let books = self.books.entry(view.id).or_default().clone();
            let shown: BTreeMap<Failure, bool> = view.failures.iter().copied().collect();
            for (failure, accepted) in &books.failed {
                if shown.get(failure) != Some(accepted) {
                    let what = format!("rollout {} forgot {failure:?} ({accepted})", view.id);
                    self.breach(now, &what);
                }
            }
        }
        self.halts_in_time(now);
    }

    /// Takes a report in; answers with the grant. A commit that fails leaves no trace.
    pub(super) fn report(
        &mut self,
        clusters: &[Cluster],
        slot: usize,
        said: &Said,
        releases: &Releases,
        commit: bool,
        now: Timestamp,
    ) -> Reply {
        if said.seq <= self.known[slot].seq {
            self.meet("stale report refused");
            return Reply::None;
        }
        let (row, known) = (clusters[slot].slot, self.known[slot].clone());
        let labels = self.sets[known.labels as usize].clone();
        let heard = Heard {
            slot: row,
            cluster: known.id,
            labels: &labels,
            products: std::slice::from_ref(&said.record),
        };
        let mut overlay = Overlay::default();
        let mut draft = overlay.on(&self.rollouts);
        draft.heard(&heard, now);
        let ask = said.wants.as_ref().map(|wants| Ask {
            slot: row,
            cluster: known.id,
            labels: &labels,
            graph: &said.record.graph,
            from: &said.record.version,
            wants,
            begun: said.record.has_begun(&wants.to),
            health: &said.record.health,
            failure: said.record.failure.as_ref(),
            ceiling: None,
            served: releases,
        });
        let turn = ask.as_ref().map_or(Turn::Ungoverned, |ask| draft.may_go(ask, now));
        let decision = decide(&self.holds, &known, said, releases, &turn, now);
        let directive = &decision.directives[0];
        let mut starts = None;
        if let (Some(ask), Some(grant), Turn::Go { rollout }) = (&ask, &directive.grant, &turn) {
            let before = draft.live(*rollout, row).map(|tracked| tracked.in_flight);
            if before != Some(true) {
                let ring = draft.head(*rollout).unwrap().rules.ring_of(&labels);
                starts = Some(Start { ring, fresh: before.is_none() });
            }
            draft.granted(ask, *rollout, grant, now);
        }
        if !commit {
            self.meet("commit failed");
            return Reply::None;
        }
        if directive.action != Action::Proceed && directive.reasons.is_empty() {
            self.breach(now, "a cluster waits without a reason");
        }
        if ask.is_some() && matches!(turn, Turn::Ungoverned) {
            self.breach(now, "a governed release was granted as if ungoverned");
        }
        for reason in &directive.reasons {
            if let Some(code) = CODES.iter().find(|code| **code == reason.code) {
                self.meet(code);
            }
        }
        let changes = overlay.changes(now);
        self.rollouts.apply(overlay);
        let events = self.write(changes);
        let known = &mut self.known[slot];
        known.record = Some(said.record.clone());
        known.last_seen = Some(now);
        known.seq = said.seq;
        known.ledger = decision.ledger.clone();
        self.note_report(row, said);
        self.follow(clusters, &events, now);
        if let Some(grant) = &directive.grant {
            self.note_grant(row, &turn, grant, starts, releases, said, now);
        }
        Reply::Committed(directive.grant.clone())
    }

    pub(super) fn policy(&self) -> std::sync::Arc<Policy> {
        let policy = self.rollouts.policies().in_force().next().unwrap();
        std::sync::Arc::clone(&policy.policy)
    }

    /// Whether the rollout of a release has nobody left to go, by what the hub knows.
    pub(super) fn has_converged(&self, version: &ReleaseVersion, now: Timestamp) -> bool {
        let views = self.rollouts.views(now);
        views.iter().any(|view| view.version == *version && view.converged_at.is_some())
    }

    /// Rows of attempts that lapsed.
    pub(super) fn lapsed(&self) -> usize {
        self.disk.attempts.values().filter(|row| row.outcome == Outcome::Lapsed).count()
    }
}

const CODES: &[&str] = &[
    "held",
    "halted",
    "health_unknown",
    "ring_closed",
    "not_yet",
    "outside_windows",
    "cap_concurrent",
    "cap_period",
    "cap_failure_domain",
    "superseded",
    "not_counted",
];

fn number_of(sets: &mut Vec<Labels>, labels: &Labels) -> u32 {
    let known = sets.iter().position(|set| set == labels);
    let number = known.unwrap_or_else(|| {
        sets.push(labels.clone());
        sets.len() - 1
    });
    u32::try_from(number).unwrap()
}

/// The real decision; the planner's word comes after what the hub refuses by itself.
fn decide(
    holds: &[Hold],
    known: &Known,
    said: &Said,
    releases: &Releases,
    turn: &Turn,
    now: Timestamp,
) -> directive::Decision {
    let record = &said.record;
    let facts = said.wants.as_ref().map_or(ReleaseFacts::default(), |wants| {
        releases.facts(&record.graph, &record.version, &wants.to)
    });
    let limits = directive::Limits::default();
    let asked = Asked::by(record, said.wants.as_ref(), facts, turn, limits);
    let situation = Situation { cluster: known.id, holds, full: true, now, ttl_s: TTL_S };
    directive::decide(&situation, &known.ledger, &[asked])
}

/// A stretch of virtual time.
pub(super) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}
