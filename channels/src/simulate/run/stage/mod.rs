//! One run's state, and what one step does to it.

mod ask;
mod hear;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Variant;
use super::record::{RingTale, Sample, Tale};
use crate::rollout::{
    Attempt, ClusterState, Decision, HealthGate, Interruptions, Judgement, Load, Member, Period,
    Policy, Rollout, Stop,
};
use crate::simulate::cast::{Cast, Player, count};
use crate::simulate::fault::{Fault, Kind};
use crate::simulate::report::Ending;

/// A cluster that began.
struct Rolling {
    index: usize,
    attempt: Attempt,
    left: SignedDuration,
}

/// One ring's clusters by what they do; indices are into the cast's ring.
#[derive(Default)]
struct Lane {
    /// How many the curve has come to; they are the first ones.
    reached: usize,
    /// Those that were reached and not granted, in order.
    waiting: Vec<usize>,
    rolling: Vec<Rolling>,
}

pub(super) struct Stage<'r, 'f> {
    policy: &'r Policy,
    cast: &'r Cast<'f>,
    faults: &'r [Fault],
    variant: Variant,
    step: Period,
    rollout: Rollout,
    load: Load,
    /// What the judge sees, by ring, in the cast's order.
    members: Vec<Vec<Member>>,
    lanes: Vec<Lane>,
    judgements: Vec<Judgement>,
    interruptions: Interruptions,
    /// When the health of which clusters changes by itself.
    due: BTreeMap<Timestamp, Vec<(usize, usize)>>,
    /// Faults by number that blind the hub just now, one bit each.
    blind: u32,
    hub_up: bool,
    /// Whether upgrades went on since the last step.
    moving: bool,
    /// Whether rings must be judged anew.
    dirty: bool,
    changed_at: Timestamp,
    now: Timestamp,
    after: SignedDuration,
    sample: Sample,
    tale: Tale,
}

impl<'r, 'f> Stage<'r, 'f> {
    pub(super) fn new(
        policy: &'r Policy,
        cast: &'r Cast<'f>,
        faults: &'r [Fault],
        step: Period,
        starts_at: Timestamp,
        variant: Variant,
    ) -> Self {
        let member = |player: &Player<'_>| Member {
            cluster: player.member.id,
            state: ClusterState::NotStarted,
            health: HealthGate::Pass,
        };
        let mut tale = Tale::new(starts_at);
        tale.rings = cast
            .rings
            .iter()
            .map(|ring| RingTale { clusters: count(ring.len()), ..RingTale::default() })
            .collect();
        let mut stage = Self {
            policy,
            cast,
            faults,
            variant,
            step,
            rollout: approved(policy, starts_at),
            load: Load::default(),
            members: cast.rings.iter().map(|ring| ring.iter().map(member).collect()).collect(),
            lanes: cast.rings.iter().map(|_| Lane::default()).collect(),
            judgements: Vec::new(),
            interruptions: Interruptions::default(),
            due: BTreeMap::new(),
            blind: 0,
            hub_up: true,
            moving: false,
            dirty: true,
            changed_at: starts_at,
            now: starts_at,
            after: SignedDuration::ZERO,
            sample: Sample::default(),
            tale,
        };
        stage.opened(0);
        stage
    }

    /// Everything that happens at one time.
    pub(super) fn step(&mut self, now: Timestamp, after: SignedDuration) {
        let before = self.after;
        (self.now, self.after) = (now, after);
        self.rollout.settle(self.policy, now);
        self.people_act(before);
        if self.hub_up {
            self.reports_come_in();
            self.health_changes();
            self.judge();
            self.answer_those_who_ask();
        } else {
            self.hub_is_silent();
        }
        self.note_stops();
        self.sample.after = after;
        self.sample.stopped = !self.moving;
        self.tale.samples.push(self.sample);
    }

    /// Outages, holds and acknowledgements that the faults ask for.
    fn people_act(&mut self, before: SignedDuration) {
        let (mut down, mut held, mut blind) = (false, false, 0_u32);
        let mut resumed = false;
        for (number, fault) in (0_u32..).zip(self.faults) {
            match fault.kind() {
                Kind::Outage { span } => down |= span.includes(self.after),
                Kind::Hold { span } => held |= span.includes(self.after),
                // A gate that sees nothing wrong sees everybody.
                Kind::Blind { span, .. }
                    if span.includes(self.after) && self.variant != Variant::Unseen =>
                {
                    blind |= 1_u32.checked_shl(number).unwrap_or(0);
                }
                Kind::Resume { at } => {
                    let at = at.duration();
                    resumed |= at <= self.after && (at > before || self.after.is_zero());
                }
                Kind::Blind { .. }
                | Kind::Bad { .. }
                | Kind::Slow { .. }
                | Kind::Silent { .. }
                | Kind::Regress { .. } => {}
            }
        }
        self.hub_goes(!down);
        if held != self.rollout.clock().stops().contains(&Stop::Held) {
            if held {
                self.rollout.hold(self.policy, self.now);
            } else {
                self.rollout.release(self.policy, self.now);
            }
            self.happen(if held { "held" } else { "released" }, None);
        }
        if resumed {
            let seen = self.rollout.halted_by().clone();
            self.rollout.resume(&seen, self.policy, self.now);
            let detail = match seen.len() {
                1 => "1 failure acknowledged".to_owned(),
                failures => format!("{failures} failures acknowledged"),
            };
            self.happen("resumed", None);
            if let Some(last) = self.tale.happenings.last_mut() {
                last.detail = Some(detail);
            }
        }
        if blind != self.blind {
            self.blind = blind;
            self.look_at_everybody();
        }
    }

    fn hub_goes(&mut self, up: bool) {
        if up == self.hub_up {
            return;
        }
        self.hub_up = up;
        if up {
            end(&mut self.interruptions.hub_down, self.now);
        } else {
            begin(&mut self.interruptions.hub_down, self.now, oldest(&self.lanes));
        }
        self.happen(if up { "hub_back" } else { "hub_down" }, None);
    }

    /// Judges rings when anything changed, or when time alone may change the answer.
    fn judge(&mut self) {
        let due = |judgement: &Judgement| match &judgement.decision {
            Decision::Wait { earliest_at, .. } => earliest_at.is_some_and(|at| at <= self.now),
            Decision::Advance | Decision::Halt { .. } => false,
        };
        if !self.dirty && !self.judgements.iter().any(due) {
            return;
        }
        let was = self.rollout.clock().stops().clone();
        let evaluation = self.rollout.evaluate(self.policy, &self.members, self.now);
        self.judgements = evaluation.judgements;
        let stops = self.rollout.clock().stops().clone();
        // Whatever opened or stopped may open or stop more at the next look.
        self.dirty = evaluation.opened.is_some() || stops != was;
        self.note_judgements();
        if stops.contains(&Stop::Halted) && !was.contains(&Stop::Halted) {
            self.halted();
        }
        match (was.contains(&Stop::Blind), stops.contains(&Stop::Blind)) {
            (false, true) => self.happen("health_unknown", None),
            (true, false) => self.happen("health_known", None),
            (true, true) | (false, false) => {}
        }
        if let Some(ring) = evaluation.opened {
            self.opened(ring);
        }
    }

    fn note_judgements(&mut self) {
        for (index, judgement) in self.judgements.iter().enumerate() {
            let advances = judgement.decision == Decision::Advance;
            if let Some(ring) = self.tale.rings.get_mut(index)
                && advances
                && ring.passed_at.is_none()
            {
                ring.passed_at = Some(self.now);
                self.tale.happen(self.now, "ring_passed", Some(index));
            }
        }
    }

    fn halted(&mut self) {
        let tripped = self.judgements.iter().enumerate().find_map(|(ring, judgement)| {
            match &judgement.decision {
                Decision::Halt { trip, .. } => Some((ring, trip.to_string())),
                Decision::Advance | Decision::Wait { .. } => None,
            }
        });
        self.happen("halted", tripped.as_ref().map(|(ring, _)| *ring));
        if let Some(last) = self.tale.happenings.last_mut() {
            last.detail = tripped.map(|(_, trip)| trip);
        }
        if self.tale.first_halt_at.is_none() {
            self.tale.first_halt_at = Some(self.now);
            self.tale.at_halt = Some(self.tale.rings.clone());
        }
    }

    fn opened(&mut self, ring: usize) {
        if let Some(tale) = self.tale.rings.get_mut(ring) {
            tale.opened_at = Some(self.now);
        }
        self.happen("ring_opened", Some(ring));
    }

    fn happen(&mut self, code: &'static str, ring: Option<usize>) {
        self.tale.happen(self.now, code, ring);
        self.dirty = true;
        self.changed_at = self.now;
    }

    /// Remembers from when to when grants were not renewed.
    fn note_stops(&mut self) {
        let stopped = !self.rollout.clock().stops().is_empty();
        let known =
            self.interruptions.stopped.last().is_some_and(|(_, end)| *end == Timestamp::MAX);
        match (known, stopped) {
            (false, true) => {
                begin(&mut self.interruptions.stopped, self.now, oldest(&self.lanes));
            }
            (true, false) => end(&mut self.interruptions.stopped, self.now),
            (true, true) | (false, false) => {}
        }
        self.moving = self.hub_up && !stopped;
    }

    /// How the run ended, if it did.
    pub(super) fn ending(&self, idle: SignedDuration) -> Option<Ending> {
        // Of the plan only the curves are told, and those have come to everybody.
        if self.variant == Variant::Plan && self.sample.eligible == self.cast.size() {
            return Some(Ending::Converged);
        }
        let times = self.faults.iter().flat_map(Fault::times);
        let more_to_come = times.map(Period::duration).any(|at| at > self.after);
        if more_to_come || !self.hub_up {
            return None;
        }
        let stops = self.rollout.clock().stops();
        let settled = self.due.is_empty() && !self.somebody_will_fail_silently() && !self.dirty;
        let stopped = [(Stop::Halted, Ending::Halted), (Stop::Held, Ending::Held)];
        let stopped = stopped.into_iter().find(|(stop, _)| stops.contains(stop));
        if let Some((_, ending)) = stopped.filter(|_| settled) {
            return Some(ending);
        }
        let done = self.tale.rings.iter().all(|ring| ring.done == ring.clusters);
        if done && settled && !self.judgements.iter().any(is_a_matter_of_time) {
            return Some(Ending::Converged);
        }
        let open = self.policy.calendar.open_time(self.changed_at, self.now);
        (open > idle).then_some(Ending::Stuck)
    }

    fn somebody_will_fail_silently(&self) -> bool {
        let is_silent = |ring: usize, rolling: &Rolling| {
            self.player(ring, rolling.index).is_some_and(|player| self.is_silent(player))
        };
        self.lanes
            .iter()
            .enumerate()
            .any(|(ring, lane)| lane.rolling.iter().any(|rolling| is_silent(ring, rolling)))
    }

    pub(super) fn end(mut self, ending: Ending) -> Tale {
        self.tale.ending = ending;
        self.tale
    }

    fn player(&self, ring: usize, index: usize) -> Option<&'r Player<'f>> {
        self.cast.rings.get(ring)?.get(index)
    }

    fn is_silent(&self, player: &Player<'_>) -> bool {
        match self.variant {
            Variant::Actual | Variant::Unreadable => player.fate.silent,
            Variant::Plan | Variant::Unseen => false,
        }
    }
}

/// A rollout whose rings people approved beforehand: how long they take is nothing a policy says.
fn approved(policy: &Policy, starts_at: Timestamp) -> Rollout {
    let mut rollout = Rollout::starting_at(starts_at);
    for ring in policy.rings.iter().filter(|ring| ring.approval) {
        rollout.approve(policy, &ring.name, starts_at);
    }
    rollout
}

fn is_a_matter_of_time(judgement: &Judgement) -> bool {
    match &judgement.decision {
        Decision::Wait { earliest_at, .. } => earliest_at.is_some(),
        Decision::Advance | Decision::Halt { .. } => false,
    }
}

/// When the first of those on their way began.
fn oldest(lanes: &[Lane]) -> Option<Timestamp> {
    let rolling = lanes.iter().flat_map(|lane| &lane.rolling);
    rolling.filter_map(|rolling| rolling.attempt.began_at).min()
}

/// An interruption begins; those that touch nobody on their way are forgotten.
fn begin(gaps: &mut Vec<(Timestamp, Timestamp)>, now: Timestamp, oldest: Option<Timestamp>) {
    gaps.retain(|(_, end)| oldest.is_some_and(|oldest| oldest < *end));
    gaps.push((now, Timestamp::MAX));
}

fn end(gaps: &mut [(Timestamp, Timestamp)], now: Timestamp) {
    if let Some((_, end)) = gaps.last_mut() {
        *end = now;
    }
}
