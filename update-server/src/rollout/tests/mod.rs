//! A small hub for tests of the planner: three clusters, one graph, time in minutes.

mod deciding;
mod governing;
mod judging;

use std::collections::BTreeSet;

use channels::names::ClusterId;
use channels::rollout::{Failure as Failed, FleetSalt, Labels, lint};
use channels::version::ReleaseVersion;
use channels::wire::{
    Failure, Grant, GrantRequest, HealthSummary, HealthVerdict, Hold, Phase, Reason,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::simulation::releases::{Releases, version};
use super::{
    Ask, AttemptRow, AttemptView, Draft, Fact, Fleet, Heard, Overlay, PolicyRow, RolloutCommand,
    RolloutId, RolloutRefusal, RolloutRow, RolloutView, Rollouts, Turn,
};
use crate::fleet::{GraphKey, ProductRecord, Slot};

const SALT: [u8; 32] = [1; 32];
/// Seconds a grant is good for.
const TTL: SignedDuration = SignedDuration::from_mins(15);
const FIRST: RolloutId = RolloutId(1);

/// One ring that is open at once; two may be out; one failure may be.
const OPEN: &str = "name: open\nemergency: true\nrings: [{name: all, rest: true}]\ncurve: {points: \
                    [{after: 0s, share: 100%}]}\ngates: {soak: 1h, max_failures: 1, min_sample: \
                    1}\ncaps: {concurrent: 2}\n";

fn minute(minute: i64) -> Timestamp {
    let start: Timestamp = "2026-12-07T08:00:00Z".parse().unwrap();
    start + SignedDuration::from_mins(minute)
}

fn record(releases: &Releases, at: &str) -> ProductRecord {
    ProductRecord {
        graph: releases.graph.clone(),
        version: version(at),
        target: None,
        phase: Phase::Idle,
        since: minute(0),
        unit: None,
        progress: None,
        health: HealthSummary { verdict: HealthVerdict::Healthy, ..HealthSummary::default() },
        waiting_on: Vec::new(),
        why_not: Vec::new(),
        failure: None,
        accepted_risks: Vec::new(),
    }
}

/// What clusters say while they roll, and after that.
fn rolling(releases: &Releases, from: &str, to: &str) -> ProductRecord {
    let (target, phase) = (Some(version(to)), Phase::AwaitReturn);
    ProductRecord { target, phase, ..record(releases, from) }
}

fn paused(releases: &Releases, from: &str, to: &str, at: Timestamp) -> ProductRecord {
    let failure = Failure { kind: "unit".to_owned(), message: "it is gone".to_owned(), at };
    let (target, failure) = (Some(version(to)), Some(failure));
    ProductRecord { target, failure, phase: Phase::Paused, ..record(releases, from) }
}

struct Site {
    rollouts: Rollouts,
    releases: Releases,
    holds: Vec<Hold>,
    clusters: Vec<(Labels, ProductRecord, Timestamp)>,
    versions: Vec<ReleaseVersion>,
    sets: Vec<Labels>,
    policies: Vec<PolicyRow>,
    rows: Vec<RolloutRow>,
    attempts: Vec<AttemptRow>,
    told: Vec<&'static str>,
}

impl Fleet for Site {
    fn each(&self, visit: &mut dyn FnMut(Fact)) {
        for (slot, (labels, record, last_seen)) in (0..).zip(&self.clusters) {
            let index = self.versions.iter().position(|known| *known == record.version).unwrap();
            let set = self.sets.iter().position(|set| set == labels).unwrap();
            visit(Fact {
                slot: Slot(slot),
                cluster: id(slot),
                labels: u32::try_from(set).unwrap(),
                graph: 0,
                version: u32::try_from(index).unwrap(),
                last_seen: Some(*last_seen),
            });
        }
    }
    fn graph(&self, _: u32) -> Option<&GraphKey> {
        Some(&self.releases.graph)
    }
    fn version(&self, number: u32) -> Option<&ReleaseVersion> {
        self.versions.get(number as usize)
    }
    fn label_set(&self, number: u32) -> Option<&Labels> {
        self.sets.get(number as usize)
    }
    fn interval_s(&self) -> u64 {
        300
    }
}

fn id(slot: u32) -> ClusterId {
    ClusterId(Uuid::from_u128(u128::from(slot) + 1))
}

impl Site {
    /// Clusters at 1.0.0, with a ring label each; 1.1.0 is offered under the policy.
    fn new(policy: &str, rings: &[&str]) -> Self {
        let releases = Releases::new();
        let labels = |ring: &&str| Labels::from([("ring".to_owned(), (*ring).to_owned())]);
        let sets: BTreeSet<Labels> = rings.iter().map(labels).collect();
        let cluster = |ring: &&str| (labels(ring), record(&releases, "1.0.0"), minute(0));
        let clusters = rings.iter().map(cluster).collect();
        let mut site = Self {
            rollouts: Rollouts::new(FleetSalt::from_bytes(SALT)),
            releases,
            holds: Vec::new(),
            clusters,
            versions: ["1.0.0", "1.1.0", "1.2.0"].map(version).to_vec(),
            sets: sets.into_iter().collect(),
            policies: Vec::new(),
            rows: Vec::new(),
            attempts: Vec::new(),
            told: Vec::new(),
        };
        site.apply(policy, 0).unwrap();
        site.offer(0);
        site.tick(0);
        site
    }

    fn batch<T>(&mut self, now: Timestamp, work: impl FnOnce(&Self, &mut Draft<'_>) -> T) -> T {
        let mut overlay = Overlay::default();
        let done = work(self, &mut overlay.on(&self.rollouts));
        let changes = overlay.changes(now);
        self.rollouts.apply(overlay);
        self.policies.extend(changes.policies);
        self.rows.extend(changes.rollouts);
        self.attempts.extend(changes.attempts);
        self.told.extend(changes.events.iter().map(|event| event.kind.code()));
        done
    }

    fn apply(&mut self, policy: &str, at: i64) -> Result<(), RolloutRefusal> {
        let (now, fleet) = (minute(at), lint::Fleet::Unknown);
        self.batch(now, |_, draft| draft.apply_policy(policy, &fleet, "ann", now)).map(drop)
    }

    fn offer(&mut self, at: i64) {
        let now = minute(at);
        self.batch(now, |site, draft| draft.offered(&site.releases.heads(), now));
    }

    fn tick(&mut self, at: i64) {
        let now = minute(at);
        self.batch(now, |site, draft| draft.tick(site, &site.releases, &site.holds, now));
    }

    fn command(&mut self, command: &RolloutCommand, at: i64) -> Result<(), RolloutRefusal> {
        let now = minute(at);
        self.batch(now, |_, draft| draft.command(FIRST, command, "ann", now))
    }

    /// Somebody accepts every failure that waits.
    fn resume(&mut self, at: i64) -> Result<(), RolloutRefusal> {
        let waiting = self.view(at).failures.into_iter().filter(|(_, accepted)| !accepted);
        let seen: BTreeSet<Failed> = waiting.map(|(failure, _)| failure).collect();
        self.command(&RolloutCommand::Resume { seen, reason: "seen".to_owned() }, at)
    }

    fn hear(&mut self, slot: u32, record: ProductRecord, at: i64) {
        let now = minute(at);
        let cluster = &mut self.clusters[slot as usize];
        (cluster.1, cluster.2) = (record, now);
        self.batch(now, |site, draft| {
            let (labels, record, _) = &site.clusters[slot as usize];
            let products = std::slice::from_ref(record);
            draft.heard(&Heard { slot: Slot(slot), cluster: id(slot), labels, products }, now);
        });
    }

    /// A cluster asks; what may go is granted.
    fn ask_up_to(&mut self, slot: u32, to: &str, ceiling: Option<&str>, at: i64) -> Turn {
        let (now, ceiling) = (minute(at), ceiling.map(version));
        let to = version(to);
        let release_digest = self.releases.digest(&to).unwrap();
        let wants = GrantRequest { to: to.clone(), release_digest, renews: None };
        self.batch(now, |site, draft| {
            let (labels, record, _) = &site.clusters[slot as usize];
            let ask = Ask {
                slot: Slot(slot),
                cluster: id(slot),
                labels,
                graph: &record.graph,
                from: &record.version,
                wants: &wants,
                begun: record.has_begun(&to),
                health: &record.health,
                failure: record.failure.as_ref(),
                ceiling: ceiling.as_ref(),
                served: &site.releases,
            };
            let turn = draft.may_go(&ask, now);
            if let Turn::Go { rollout } = turn {
                let grant = Grant {
                    cluster: id(slot),
                    product: record.graph.product.clone(),
                    to,
                    release_digest,
                    generation: u64::try_from(at).unwrap() + 1,
                    expires_at: now + TTL,
                };
                draft.granted(&ask, rollout, &grant, now);
            }
            turn
        })
    }

    fn ask(&mut self, slot: u32, to: &str, at: i64) -> Turn {
        self.ask_up_to(slot, to, None, at)
    }

    /// A cluster goes from 1.0.0 to 1.1.0 in five minutes.
    fn succeed(&mut self, slot: u32, at: i64) {
        assert_eq!(self.ask(slot, "1.1.0", at), go());
        self.hear(slot, rolling(&self.releases, "1.0.0", "1.1.0"), at + 1);
        self.hear(slot, record(&self.releases, "1.1.0"), at + 5);
    }

    fn restart(&mut self) {
        let salt = FleetSalt::from_bytes(SALT);
        let (policies, mut rows) = (self.policies.clone(), self.rows.clone());
        // As a table keeps them: the last of each key.
        rows.reverse();
        let mut seen = BTreeSet::new();
        rows.retain(|row| seen.insert(row.id));
        let mut attempts = self.attempts.clone();
        attempts.reverse();
        let mut seen = BTreeSet::new();
        attempts.retain(|row| seen.insert((row.rollout, row.slot, row.generation)));
        self.rollouts = Rollouts::restore(salt, policies, rows, attempts).unwrap();
    }

    fn view(&self, at: i64) -> RolloutView {
        self.rollouts.view(FIRST, minute(at)).unwrap()
    }

    fn attempt(&self, slot: u32, at: i64) -> AttemptView {
        self.rollouts.attempt(FIRST, Slot(slot), minute(at)).unwrap()
    }
}

fn go() -> Turn {
    Turn::Go { rollout: FIRST }
}

/// The codes of an answer that is no leave.
fn codes(turn: &Turn) -> Vec<&str> {
    let of = |reasons: &'_ [Reason]| -> Vec<String> {
        reasons.iter().map(|reason| reason.code.clone()).collect()
    };
    let reasons = match turn {
        Turn::Wait { reasons, .. } | Turn::Hold { reasons, .. } => reasons,
        Turn::Go { .. } | Turn::Ungoverned => panic!("{turn:?}"),
    };
    assert!(!of(reasons).is_empty());
    reasons.iter().map(|reason| reason.code.as_str()).collect()
}
