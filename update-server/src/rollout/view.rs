//! What people see of a rollout.

use std::collections::BTreeMap;

use channels::names::{ClusterId, ProductRef};
use channels::rollout::{
    Caps, ClusterState, Counts, Decision, Failure, HealthGate, Name, Ring, Share, Stop, WaitReason,
};
use channels::version::ReleaseVersion;
use channels::wire::HealthSummary;
use jiff::{SignedDuration, Timestamp};
use signing::Sha256Digest;

use super::attempt::Tracked;
use super::measures::Worse;
use super::rollouts::Rollouts;
use super::state::{Head, RolloutId, Said};
use super::tick::{health, missing};
use crate::fleet::Slot;
use crate::served::Served;

/// How a rollout stands, the gravest word first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RolloutStatus {
    /// Failures stopped it.
    Halted,
    /// Somebody stopped it.
    Held,
    /// The health of too many clusters is unknown.
    Blind,
    /// Its policy was deleted.
    Closed,
    /// A newer release took its place.
    Superseded,
    /// Every member runs the release.
    Converged,
    /// It has not started.
    Scheduled,
    /// It runs.
    Running,
}

impl RolloutStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Halted => "halted",
            Self::Held => "held",
            Self::Blind => "blind",
            Self::Closed => "closed",
            Self::Superseded => "superseded",
            Self::Converged => "converged",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
        }
    }
}

/// One ring.
#[derive(Debug, Clone, PartialEq)]
pub struct RingView {
    /// Its name.
    pub name: Name,
    /// As of the last tick.
    pub counts: Counts,
    /// How much of it is open; `None` while it is closed.
    pub open: Option<Share>,
    /// What keeps the next ring closed, or this one while it is closed itself.
    pub waits_for: Vec<WaitReason>,
    /// When it opens, if only time is missing.
    pub opens_at: Option<Timestamp>,
    /// Somebody holds it.
    pub held: Option<Said>,
    /// Whether it waits for a person's approval.
    pub needs_approval: bool,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutView {
    /// Its number.
    pub id: RolloutId,
    /// Its policy.
    pub policy: Name,
    /// The version of the policy that applies.
    pub policy_version: u64,
    /// Its product.
    pub product: ProductRef,
    /// Its release.
    pub version: ReleaseVersion,
    /// Digest of the release's document.
    pub digest: Sha256Digest,
    /// When the hub first saw it.
    pub opened_at: Timestamp,
    /// When it starts, or started.
    pub starts_at: Timestamp,
    /// How it stands.
    pub status: RolloutStatus,
    /// Its rings, in order.
    pub rings: Vec<RingView>,
    /// Failures, acknowledged or not, in order of time.
    pub failures: Vec<(Failure, bool)>,
    /// Its caps.
    pub caps: Caps,
    /// Clusters that count against them.
    pub in_flight: u32,
    /// Somebody holds it.
    pub held: Option<Said>,
    /// Somebody made it an emergency.
    pub emergency: Option<Said>,
    /// The newest one that took its place.
    pub superseded_by: Option<RolloutId>,
    /// When every member ran the release for the first time.
    pub converged_at: Option<Timestamp>,
}

/// A rollout that is not over, in few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenView {
    /// Its product.
    pub product: ProductRef,
    /// How it stands.
    pub status: RolloutStatus,
    /// Clusters that count against its caps.
    pub in_flight: u32,
    /// Failures that nobody acknowledged.
    pub failures: u64,
}

/// One cluster in a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptView {
    /// Its row.
    pub slot: Slot,
    /// Who.
    pub cluster: ClusterId,
    /// Its ring.
    pub ring: Name,
    /// Where it is.
    pub state: ClusterState,
    /// How it does.
    pub health: HealthGate,
    /// Whether its failure was acknowledged.
    pub acknowledged: bool,
    /// The baseline by which it failed, if it was one.
    pub worse: Option<Box<Worse>>,
}

impl Rollouts {
    /// Rollouts that are not over, in few words.
    pub fn open_views(&self, now: Timestamp) -> Vec<OpenView> {
        let view = |head: &Head| OpenView {
            product: head.product.clone(),
            status: self.status(head, now),
            in_flight: head.load.in_flight(),
            failures: u64::try_from(head.state.core.failed().len()).unwrap_or(u64::MAX),
        };
        let is_open = |view: &OpenView| match view.status {
            RolloutStatus::Closed | RolloutStatus::Superseded | RolloutStatus::Converged => {
                view.in_flight > 0 || view.failures > 0
            }
            RolloutStatus::Halted
            | RolloutStatus::Held
            | RolloutStatus::Blind
            | RolloutStatus::Scheduled
            | RolloutStatus::Running => true,
        };
        self.heads.values().map(view).filter(is_open).collect()
    }

    /// Rollouts that are over for so long: a newer release took their place or nobody governs
    /// them, nobody is on the way in them, and no failure waits. Oldest first.
    ///
    /// Each with the time up to which its attempts count for nothing any more: for a cap on its grants
    /// they may for longer than others.
    pub fn over_for(&self, keep: SignedDuration, now: Timestamp) -> Vec<(RolloutId, Timestamp)> {
        let over = |head: &Head| {
            let in_force = self.policies.get(&head.policy).is_some_and(|known| !known.row.deleted);
            let live = self.attempts.get(&head.id).is_some_and(|all| !all.live.is_empty());
            let is_over = (!in_force || head.state.superseded_by.is_some())
                && !live
                && head.state.core.failed().is_empty();
            let cap = head
                .rules
                .caps
                .per_period
                .map_or(SignedDuration::ZERO, |cap| cap.period.duration());
            let before = now.checked_sub(keep.max(cap)).ok()?;
            (is_over && head.opened_at < before).then_some((head.id, before))
        };
        self.heads.values().filter_map(over).collect()
    }

    /// Failures of a product's releases over all their rollouts, acknowledged or not.
    pub fn failures_of(&self, product: &ProductRef) -> BTreeMap<ReleaseVersion, u64> {
        let mut found = BTreeMap::new();
        for id in self.of_product.get(product).into_iter().flatten() {
            let Some(head) = self.heads.get(id) else { continue };
            let core = &head.state.core;
            let failures = core.failed().len() + core.acknowledged().len();
            let count: &mut u64 = found.entry(head.version.clone()).or_default();
            *count += u64::try_from(failures).unwrap_or(u64::MAX);
        }
        found
    }
}

/// A cluster may be led back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackOffer {
    /// Its row.
    pub slot: Slot,
    /// Who.
    pub cluster: ClusterId,
    /// Where it came from.
    pub to: ReleaseVersion,
}

impl Rollouts {
    /// Every rollout, newest first.
    pub fn views(&self, now: Timestamp) -> Vec<RolloutView> {
        self.heads.keys().rev().filter_map(|id| self.view(*id, now)).collect()
    }

    /// One rollout.
    pub fn view(&self, id: RolloutId, now: Timestamp) -> Option<RolloutView> {
        let head = self.heads.get(&id)?;
        let core = &head.state.core;
        let waiting = core.failed().values().map(|failure| (*failure, false));
        let accepted = core.acknowledged().iter().map(|failure| (*failure, true));
        let mut failures: Vec<(Failure, bool)> = waiting.chain(accepted).collect();
        failures.sort_by_key(|(failure, _)| (failure.at, *failure));
        let rings = head.rules.rings.iter().enumerate();
        Some(RolloutView {
            id,
            policy: head.policy.clone(),
            policy_version: head.state.policy_version,
            product: head.product.clone(),
            version: head.version.clone(),
            digest: head.digest,
            opened_at: head.opened_at,
            starts_at: core.clock().starts_at(),
            status: self.status(head, now),
            rings: rings.map(|(index, ring)| ring_view(head, index, ring, now)).collect(),
            failures,
            caps: head.rules.caps.clone(),
            in_flight: head.load.in_flight(),
            held: head.state.held.clone(),
            emergency: head.state.emergency.clone(),
            superseded_by: head.state.superseded_by,
            converged_at: head.state.converged_at,
        })
    }

    fn status(&self, head: &Head, now: Timestamp) -> RolloutStatus {
        let stops = head.state.core.clock().stops();
        let in_force = self.policies.get(&head.policy).is_some_and(|known| !known.row.deleted);
        if stops.contains(&Stop::Halted) {
            RolloutStatus::Halted
        } else if stops.contains(&Stop::Held) {
            RolloutStatus::Held
        } else if stops.contains(&Stop::Blind) {
            RolloutStatus::Blind
        } else if !in_force {
            RolloutStatus::Closed
        } else if head.state.superseded_by.is_some() {
            RolloutStatus::Superseded
        } else if now < head.state.core.clock().starts_at() {
            RolloutStatus::Scheduled
        } else if head.state.converged_at.is_some() && !head.has_more_to_do() {
            RolloutStatus::Converged
        } else {
            RolloutStatus::Running
        }
    }

    /// The live attempts of a rollout, by row: on their way, soaking, or failed.
    pub fn attempts(&self, id: RolloutId, now: Timestamp) -> Vec<AttemptView> {
        let Some(head) = self.heads.get(&id) else { return Vec::new() };
        let live = self.attempts.get(&id).into_iter().flat_map(|attempts| &attempts.live);
        live.map(|(slot, tracked)| attempt_view(head, *slot, tracked, now)).collect()
    }

    /// The attempt of one cluster in a rollout, if it is looked at.
    pub fn attempt(&self, id: RolloutId, slot: Slot, now: Timestamp) -> Option<AttemptView> {
        let tracked = self.attempts.get(&id)?.live.get(&slot)?;
        Some(attempt_view(self.heads.get(&id)?, slot, tracked, now))
    }

    /// How a cluster was when it was granted, while its attempt is looked at.
    pub fn baseline(&self, id: RolloutId, slot: Slot) -> Option<&HealthSummary> {
        self.attempts.get(&id)?.live.get(&slot)?.baseline.as_ref()
    }

    /// The newest rollout of a product in which a cluster has an attempt that is looked at.
    pub fn attempt_of(&self, product: &ProductRef, slot: Slot) -> Option<RolloutId> {
        let live = |id: &&RolloutId| {
            self.attempts.get(id).is_some_and(|attempts| attempts.live.contains_key(&slot))
        };
        self.of_product.get(product)?.iter().rev().find(live).copied()
    }

    /// Whether a cluster succeeded in this rollout and has soaked.
    pub fn has_settled(&self, id: RolloutId, slot: Slot) -> bool {
        self.attempts.get(&id).is_some_and(|all| all.settled.contains(slot))
    }

    /// Clusters that failed and may go back where they came from: the graph has that edge and the
    /// older release's document allows it. Whether a finalize step was taken only the cluster
    /// knows; its agent refuses after one.
    pub fn rollback_offers(&self, id: RolloutId, served: &dyn Served) -> Vec<RollbackOffer> {
        let Some(head) = self.heads.get(&id) else { return Vec::new() };
        let live = self.attempts.get(&id).into_iter().flat_map(|attempts| &attempts.live);
        let failed = live.filter(|(_, tracked)| tracked.attempt.recorded.is_some());
        let may_go_back = |tracked: &Tracked| {
            head.state.graphs.iter().any(|graph| {
                let facts = served.facts(graph, &head.version, &tracked.from);
                facts.allowed && facts.offered
            })
        };
        failed
            .filter(|(_, tracked)| may_go_back(tracked))
            .map(|(slot, tracked)| RollbackOffer {
                slot: *slot,
                cluster: tracked.cluster,
                to: tracked.from.clone(),
            })
            .collect()
    }

    /// When the curves of open rings reach their points, as things stand; nothing while the clock
    /// stands still.
    pub fn planned(&self, id: RolloutId, now: Timestamp) -> Vec<(Timestamp, Name, Share)> {
        let Some(head) = self.heads.get(&id) else { return Vec::new() };
        let core = &head.state.core;
        let rings = head.rules.rings.iter().enumerate();
        let points = rings.flat_map(|(index, ring)| {
            ring.curve.points().iter().map(move |point| (index, ring, *point))
        });
        points
            .filter(|(index, _, point)| core.share(&head.rules, *index, now) < point.share)
            .filter_map(|(index, ring, point)| {
                let at = core.reaches(&head.rules, index, point.after.duration(), now)?;
                Some((at, ring.name.clone(), point.share))
            })
            .collect()
    }
}

fn ring_view(head: &Head, index: usize, ring: &Ring, now: Timestamp) -> RingView {
    let core = &head.state.core;
    let is_open = index < core.rings_open();
    let judged = head.judgements.get(index);
    let rest = head.rest.get(index).copied().unwrap_or_default();
    let unjudged = Counts {
        members: rest.not_started.saturating_add(rest.settled).saturating_add(rest.there),
        not_started: rest.not_started,
        succeeded: rest.settled,
        there: rest.there,
        ..Counts::default()
    };
    let (mut waits_for, mut opens_at) = (Vec::new(), None);
    if is_open {
        waits_for.extend(judged.map(|judged| missing(&judged.decision)).unwrap_or_default());
    } else if index == core.rings_open() {
        let before = index.checked_sub(1).and_then(|before| head.judgements.get(before));
        if let Some(before) = before {
            waits_for = missing(&before.decision);
            if let Decision::Wait { earliest_at, .. } = &before.decision {
                opens_at = earliest_at.filter(|_| !core.needs_approval(ring));
            }
        }
    }
    RingView {
        name: ring.name.clone(),
        counts: judged.map_or(unjudged, |judged| judged.counts),
        open: is_open.then(|| core.share(&head.rules, index, now)),
        waits_for,
        opens_at,
        held: head.state.rings_held.get(&ring.name).cloned(),
        needs_approval: core.needs_approval(ring),
    }
}

fn attempt_view(head: &Head, slot: Slot, tracked: &Tracked, now: Timestamp) -> AttemptView {
    let state = tracked.state(&head.rules.deadlines, &head.state.interruptions, now);
    let acknowledged = head.has_accepted(tracked);
    AttemptView {
        slot,
        cluster: tracked.cluster,
        ring: tracked.ring.clone(),
        state,
        health: health(head, tracked),
        acknowledged,
        worse: tracked.worse.clone(),
    }
}
