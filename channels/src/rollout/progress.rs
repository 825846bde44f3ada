//! One rollout as it goes: its clock, the rings that opened, what halted it and what was
//! acknowledged. The hub stores this value and the simulator makes one; both ask the same
//! questions.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::attempt::ClusterState;
use super::calendar::Opening;
use super::caps::Load;
use super::clock::{RolloutClock, Stop};
use super::judge::{
    Acknowledged, Decision, Failure, Judgement, Member, Muster, Rest, WaitReason, judge_muster,
};
use super::labels::Labels;
use super::order::Position;
use super::policy::{Name, Policy, Ring};
use super::share::Share;
use super::why::{Answer, WhyNot};
use crate::names::ClusterId;

/// The state of one release's rollout under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    clock: RolloutClock,
    /// Running time at which each ring opened, in order; never empty.
    opened: Vec<SignedDuration>,
    acknowledged: Acknowledged,
    /// Failures that wait to be acknowledged.
    halted_by: Acknowledged,
    /// The failures that were judged and not acknowledged, at most one per cluster: what a cluster
    /// says afterwards does not undo them.
    failed: BTreeMap<ClusterId, Failure>,
    /// Rings that a person approved, by name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    approved: BTreeSet<Name>,
}

/// What an evaluation found and changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// One judgement per ring that is open, in order.
    pub judgements: Vec<Judgement>,
    /// The ring that opened, by index, if one did.
    pub opened: Option<usize>,
    /// Failures that halted it now, or joined those that did.
    pub new_failures: Vec<Failure>,
}

/// The question whether one cluster may go.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Where the cluster stands; `None` when it is in no ring.
    pub position: Option<&'a Position>,
    /// The cluster's labels.
    pub labels: &'a Labels,
    /// What counts against the caps.
    pub load: &'a Load,
    /// The judgements of the last evaluation.
    pub judgements: &'a [Judgement],
}

impl Rollout {
    /// A rollout that starts at `starts_at` (see [`Policy::starts_at`]); its first ring opens then.
    pub fn starting_at(starts_at: Timestamp) -> Self {
        Self {
            clock: RolloutClock::starting_at(starts_at),
            opened: vec![SignedDuration::ZERO],
            acknowledged: Acknowledged::new(),
            halted_by: Acknowledged::new(),
            failed: BTreeMap::new(),
            approved: BTreeSet::new(),
        }
    }

    /// Its clock.
    pub fn clock(&self) -> &RolloutClock {
        &self.clock
    }

    /// How many rings have opened, at least one.
    pub fn rings_open(&self) -> usize {
        self.opened.len()
    }

    /// Running time at which each ring that is open opened, in order; never empty.
    pub fn opened(&self) -> &[SignedDuration] {
        &self.opened
    }

    /// The failures that wait to be acknowledged.
    pub fn halted_by(&self) -> &Acknowledged {
        &self.halted_by
    }

    /// The failures that were acknowledged.
    pub fn acknowledged(&self) -> &Acknowledged {
        &self.acknowledged
    }

    /// The failures that were judged and not acknowledged, by cluster.
    pub fn failed(&self) -> &BTreeMap<ClusterId, Failure> {
        &self.failed
    }

    /// Whether a ring waits for a person's approval, whatever else it waits for.
    pub fn needs_approval(&self, ring: &Ring) -> bool {
        ring.approval && !self.approved.contains(&ring.name)
    }

    /// A person approved a ring. The curve of the first one begins now.
    pub fn approve(&mut self, policy: &Policy, ring: &Name, now: Timestamp) {
        let is_first = policy.rings.first().is_some_and(|first| first.name == *ring);
        if self.approved.insert(ring.clone())
            && is_first
            && let Some(opened) = self.opened.first_mut()
        {
            *opened = self.clock.running(now, &policy.calendar);
        }
    }

    /// A new version of the policy applies from now on. Rings stay open as far as the lists of
    /// rings begin with the same names; those behind the first difference open anew.
    pub fn adopt(&mut self, old: &Policy, new: &Policy, now: Timestamp) {
        self.settle(old, now);
        let pairs = old.rings.iter().zip(&new.rings);
        match pairs.take_while(|(old, new)| old.name == new.name).count() {
            0 => self.opened = vec![self.clock.running(now, &new.calendar)],
            same => self.opened.truncate(same),
        }
    }

    /// Somebody holds it.
    pub fn hold(&mut self, policy: &Policy, now: Timestamp) {
        self.clock = self.clock.stopped(Stop::Held, now, &policy.calendar);
    }

    /// The last hold is lifted.
    pub fn release(&mut self, policy: &Policy, now: Timestamp) {
        self.clock = self.clock.released(Stop::Held, now, &policy.calendar);
    }

    /// A person has seen these failures and lets it go on. Failures not among them stay: it goes on
    /// only when none is left, and halts again at the next evaluation if they are too many.
    pub fn resume(&mut self, seen: &Acknowledged, policy: &Policy, now: Timestamp) {
        self.acknowledged.extend(seen.iter().copied());
        self.halted_by.retain(|failure| !seen.contains(failure));
        self.failed.retain(|_, failure| !seen.contains(failure));
        if self.halted_by.is_empty() {
            self.clock = self.clock.released(Stop::Halted, now, &policy.calendar);
        }
    }

    /// Counts the time up to `now` under the old policy, before a new version of it applies.
    pub fn settle(&mut self, policy: &Policy, now: Timestamp) {
        self.clock = self.clock.settled(now, &policy.calendar);
    }

    /// Judges every open ring, halts, stops for blindness or opens the next ring. `rings` holds the
    /// members of each ring of the policy, in the policy's order; missing ones are empty.
    pub fn evaluate(
        &mut self,
        policy: &Policy,
        rings: &[Vec<Member>],
        now: Timestamp,
    ) -> Evaluation {
        let rings = rings.iter().map(|members| (members.as_slice(), Rest::default()));
        self.evaluate_rings(policy, rings, now)
    }

    /// The same with only some clusters of each ring listed.
    pub fn evaluate_musters(
        &mut self,
        policy: &Policy,
        rings: &[Muster],
        now: Timestamp,
    ) -> Evaluation {
        let rings = rings.iter().map(|ring| (ring.members.as_slice(), ring.rest));
        self.evaluate_rings(policy, rings, now)
    }

    fn evaluate_rings<'m>(
        &mut self,
        policy: &Policy,
        rings: impl Iterator<Item = (&'m [Member], Rest)>,
        now: Timestamp,
    ) -> Evaluation {
        let mut judgements = Vec::new();
        let nobody: (&[Member], Rest) = (&[], Rest::default());
        let rings = rings.chain(std::iter::repeat(nobody));
        for (ring, (members, rest)) in policy.rings.iter().take(self.opened.len()).zip(rings) {
            let members = self.remembered(members);
            judgements.push(judge_muster(&ring.gates, &rest, &members, &self.acknowledged, now));
        }
        let new_failures = self.take_failures(&judgements, policy, now);
        let calendar = &policy.calendar;
        self.clock = if judgements.iter().any(|judgement| judgement.blind().is_some()) {
            self.clock.stopped(Stop::Blind, now, calendar)
        } else {
            self.clock.released(Stop::Blind, now, calendar)
        };
        let passed = judgements.last().is_some_and(|last| last.decision == Decision::Advance);
        let next = policy.rings.get(self.opened.len());
        let is_next = next.is_some_and(|next| !self.needs_approval(next));
        let may_open = self.clock.stops().is_empty() && now >= self.clock.starts_at();
        let opened = (passed && is_next && may_open).then(|| {
            self.opened.push(self.clock.running(now, calendar));
            self.opened.len() - 1
        });
        Evaluation { judgements, opened, new_failures }
    }

    /// The members of a ring, with the failures that were judged before; new ones are kept.
    fn remembered<'m>(&mut self, members: &'m [Member]) -> Cow<'m, [Member]> {
        for member in members {
            if let ClusterState::Failed { why, at } = member.judged_state() {
                let failure = Failure { cluster: member.cluster, why, at };
                if !self.acknowledged.contains(&failure) {
                    self.failed.entry(member.cluster).or_insert(failure);
                }
            }
        }
        let mut judged = Cow::Borrowed(members);
        if !self.failed.is_empty() {
            for member in judged.to_mut() {
                let has_failed = matches!(member.judged_state(), ClusterState::Failed { .. });
                let before = self.failed.get(&member.cluster).filter(|_| !has_failed);
                if let Some(Failure { why, at, .. }) = before.copied() {
                    member.state = ClusterState::Failed { why, at };
                }
            }
        }
        judged
    }

    fn take_failures(
        &mut self,
        judgements: &[Judgement],
        policy: &Policy,
        now: Timestamp,
    ) -> Vec<Failure> {
        let mut new = Vec::new();
        for judgement in judgements {
            if let Decision::Halt { failures, .. } = &judgement.decision {
                new.extend(failures.iter().copied().filter(|f| self.halted_by.insert(*f)));
            }
        }
        if !self.halted_by.is_empty() {
            self.clock = self.clock.stopped(Stop::Halted, now, &policy.calendar);
        }
        new
    }

    /// The share of a ring that is open at `now`; nothing of a ring that has not opened, and
    /// nothing before the start. It never falls.
    pub fn share(&self, policy: &Policy, ring: usize, now: Timestamp) -> Share {
        let started = now >= self.clock.starts_at() || !self.clock_is_at_zero(policy, now);
        match (self.opened.get(ring), policy.rings.get(ring)) {
            (Some(opened), Some(ring)) if started && !self.needs_approval(ring) => {
                let running = self.clock.running(now, &policy.calendar);
                ring.curve.share_at(running.saturating_sub(*opened))
            }
            (Some(_) | None, Some(_) | None) => Share::NONE,
        }
    }

    /// When a ring will have been open for so long, as things stand; `None` while it is closed or
    /// the clock stands still, and when that is too far off to say.
    pub fn reaches(
        &self,
        policy: &Policy,
        ring: usize,
        open_for: SignedDuration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let opened = self.opened.get(ring)?;
        self.clock.reaches(opened.saturating_add(open_for), now, &policy.calendar)
    }

    fn clock_is_at_zero(&self, policy: &Policy, now: Timestamp) -> bool {
        self.clock.running(now, &policy.calendar) == SignedDuration::ZERO
    }

    /// Whether the curve has come to a cluster. Once true it stays true for this release: holds,
    /// halts and windows keep it from being granted, and not from its turn.
    pub fn is_eligible(&self, policy: &Policy, position: &Position, now: Timestamp) -> bool {
        position.place < self.share(policy, position.ring, now)
    }

    /// Every reason why a cluster may not be granted at `now`, and until when.
    pub fn answer(&self, asking: &Asking<'_>, now: Timestamp) -> Answer {
        let Asking { policy, position, labels, load, judgements } = *asking;
        let mut reasons = self.stops(judgements, now);
        match position {
            None => reasons.push(WhyNot::NoRing),
            Some(position) => {
                reasons.extend(self.why_not_its_turn(policy, position, judgements, now));
            }
        }
        match policy.calendar.opening(now) {
            Opening::Open => {}
            Opening::OutsideWindows { opens_at } => {
                reasons.push(WhyNot::OutsideWindows { opens_at });
            }
            Opening::Frozen { reason, opens_at } => {
                reasons.push(WhyNot::Frozen { reason, opens_at });
            }
        }
        reasons.extend(policy.caps.why_not(load, labels, now));
        Answer::of(reasons)
    }

    fn stops(&self, judgements: &[Judgement], now: Timestamp) -> Vec<WhyNot> {
        let mut reasons = Vec::new();
        let starts_at = self.clock.starts_at();
        if now < starts_at {
            reasons.push(WhyNot::NotStarted { starts_at });
        }
        for stop in self.clock.stops() {
            reasons.push(match stop {
                Stop::Held => WhyNot::Held,
                Stop::Halted => {
                    let failures = u32::try_from(self.halted_by.len()).unwrap_or(u32::MAX);
                    WhyNot::Halted { failures }
                }
                Stop::Blind => match judgements.iter().find_map(Judgement::blind) {
                    Some(WaitReason::HealthUnknown { unknown, allowed, .. }) => {
                        WhyNot::HealthUnknown { unknown, allowed }
                    }
                    Some(_) | None => WhyNot::HealthUnknown { unknown: 0, allowed: 0 },
                },
            });
        }
        reasons
    }

    fn why_not_its_turn(
        &self,
        policy: &Policy,
        position: &Position,
        judgements: &[Judgement],
        now: Timestamp,
    ) -> Option<WhyNot> {
        let Some(ring) = policy.rings.get(position.ring) else { return Some(WhyNot::NoRing) };
        let Some(opened) = self.opened.get(position.ring) else {
            return Some(self.why_closed(policy, ring, position, judgements));
        };
        if self.needs_approval(ring) {
            return Some(WhyNot::NeedsApproval { ring: ring.name.clone() });
        }
        let open = self.share(policy, position.ring, now);
        if position.place < open {
            return None;
        }
        let first = ring.curve.first_open(position.place);
        let eligible_at = first.and_then(|first| {
            self.clock.reaches(opened.saturating_add(first), now, &policy.calendar)
        });
        let (ring, place) = (ring.name.clone(), position.place);
        Some(WhyNot::NotYet { ring, place, open, eligible_at })
    }

    fn why_closed(
        &self,
        policy: &Policy,
        ring: &Ring,
        position: &Position,
        judgements: &[Judgement],
    ) -> WhyNot {
        let last = self.opened.len() - 1;
        let behind = policy.rings.get(last).unwrap_or(ring).name.clone();
        let (mut waits_for, passes_at) = match judgements.get(last).map(|judged| &judged.decision) {
            Some(Decision::Wait { reasons, earliest_at }) => (reasons.clone(), *earliest_at),
            Some(Decision::Advance | Decision::Halt { .. }) | None => (Vec::new(), None),
        };
        // Time alone opens only the very next ring, and then its own curve must come to it.
        let approval = self.needs_approval(ring);
        if approval {
            waits_for.push(WaitReason::Approval);
        }
        let next = passes_at.filter(|_| position.ring == last + 1 && !approval);
        let opens_at =
            next.and_then(|at| policy.calendar.after(at, ring.curve.first_open(position.place)?));
        WhyNot::RingClosed { ring: ring.name.clone(), behind, waits_for, opens_at }
    }
}
