//! The agent without its I/O: memory, plan and the unit that is out, advanced by facts.
//!
//! Synchronous and deterministic. Every method that changes the memory says so in its [`Change`];
//! the shell writes the memory to disk *before* it runs the effects of that change (I10).

use std::collections::BTreeMap;

use channels::wire::{self, Measure, MeasureId, Measured};
use jiff::Timestamp;

use super::events::{DriverFacts, Moment, given, moment};
use crate::driver::{FinalizeOrder, StepId, StepOrder, StepStatus, Task};
use crate::gate::has_returned;
use crate::history::{BACK_ORDERED, Cause, History, Out, ProductHistory};
use crate::observation::{Observation, UnitKey};
use crate::phase::{Effect, Event, Illegal, Phase, elapsed_ms};
use crate::plan::{
    Ask, Known, Plan, Policy, RiskAnswers, Scene, Standing, Step, Targets, WaitingOn, calm_down,
    finalize_wanted, lease, note_calm, plan,
};
use crate::state::Approval;

/// The agent's mind.
#[derive(Debug)]
pub struct Core {
    /// What its owner allows.
    pub policy: Policy,
    /// What it remembers.
    pub history: History,
    /// What is known and verified.
    pub known: Known,
    /// Moves a person approved.
    pub approvals: Vec<Approval>,
    /// What the cluster's Prometheus said about risks.
    pub answers: RiskAnswers,
    /// What the hub wants measured, as of its last reply.
    pub measures: Vec<Measure>,
    /// What is known of that; `None` where no Prometheus can be asked.
    pub measured: Option<BTreeMap<MeasureId, Measured>>,
    /// What it was told, and for how long gates have held.
    pub standing: Standing,
    /// The cluster as last seen.
    pub observation: Option<Observation>,
    /// Where products want to go.
    pub targets: Targets,
    /// The last plan.
    pub plan: Option<Plan>,
    /// Why the unit that is out does not advance.
    pub current_wait: Option<wire::WaitingOn>,
    /// A word of the hub is needed before the unit that is out may be changed, or before the
    /// finalize step may run.
    pub wants_word: bool,
    evaluated_at: Option<Timestamp>,
    undecided_since: Option<Timestamp>,
    recovering: Option<u64>,
    pub(super) start_error: Option<String>,
}

/// What a method changed, and what the shell does about it once the memory is on disk.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use = "a change that is not persisted is forgotten by a crash"]
pub struct Change {
    /// The memory differs from what is on disk.
    pub persist: bool,
    /// The phase differs from what the hub knows.
    pub moved: bool,
    /// Stages and hooks to start.
    pub start: Vec<(StepOrder, Task)>,
    /// A finalize step to start.
    pub finalize: Option<FinalizeOrder>,
}

impl Change {
    pub(super) fn moved() -> Self {
        Self { persist: true, moved: true, ..Self::default() }
    }

    /// Both changes, in order.
    pub fn and(mut self, later: Self) -> Self {
        self.persist |= later.persist;
        self.moved |= later.moved;
        self.start.extend(later.start);
        self.finalize = later.finalize.or(self.finalize);
        self
    }
}

/// Why an event leaves the unit where it is, if it does.
fn waits_for(event: &Event, stays: bool) -> Option<wire::WaitingOn> {
    if let Event::NotReturned { why } | Event::NotHealthy { why } | Event::Progresses { why } =
        event
    {
        return Some(why.clone());
    }
    let Event::Refused { why } = event else { return None };
    stays.then(|| why.clone())
}

impl Core {
    /// The mind of an agent that wakes up with `history`.
    pub fn new(policy: Policy, history: History) -> Self {
        let mut history = history.understood();
        for (product, settings) in &policy.products {
            history
                .products
                .entry(product.clone())
                .or_insert_with(|| ProductHistory::new(settings.initial_version.clone()));
        }
        if let Some(out) = &mut history.out {
            out.phase = out.phase.clone().woken();
        }
        Self {
            policy,
            history,
            known: Known::new(),
            approvals: vec![],
            answers: RiskAnswers::default(),
            measures: Vec::new(),
            measured: None,
            standing: Standing::default(),
            observation: None,
            targets: Targets::new(),
            plan: None,
            current_wait: None,
            wants_word: false,
            evaluated_at: None,
            undecided_since: None,
            recovering: None,
            start_error: None,
        }
    }

    /// Takes in an observation.
    pub fn observe(&mut self, observation: Observation, now: Timestamp) -> Change {
        let clock_went_back = self.history.not_after(now);
        if let Some(out) = &mut self.history.out
            && let Some(leader) =
                observation.quorums.get(&out.order.key.product).and_then(|q| q.leader.as_ref())
        {
            if out.phase.is_changed() {
                out.leadership.note(Some(leader));
            } else {
                // Elections before the change are not of the step's making.
                out.leadership.leader = Some(leader.clone());
            }
        }
        let epoch = self.note_epoch(&observation);
        let returned = self.note_return(&observation);
        let calm = note_calm(&mut self.history, &observation);
        let persist = calm || epoch || returned || clock_went_back;
        self.retarget(now);
        self.standing.note(&self.targets, &self.policy, &self.history, &observation, now);
        self.observation = Some(observation);
        Change { persist, ..Change::default() }
    }

    /// A soak that began before the voters agreed on an epoch takes the first they agree on.
    fn note_epoch(&mut self, observation: &Observation) -> bool {
        let Some(out) = &mut self.history.out else { return false };
        if !matches!(out.phase, Phase::Soak { .. }) || out.before.epoch_at_soak.is_some() {
            return false;
        }
        out.before.note_soak(&out.order.key, observation);
        out.before.epoch_at_soak.is_some()
    }

    /// A voter whose return was not seen (it changed by itself, or was there already) has to reach
    /// the first leader's offset known since. Without one it would race the leader for ever: a page
    /// that is read a moment earlier is a record behind.
    fn note_return(&mut self, observation: &Observation) -> bool {
        let Some(out) = &mut self.history.out else { return false };
        let awaited = matches!(out.phase, Phase::AwaitHealth { .. } | Phase::Soak { .. });
        if !awaited || out.before.leader_offset_at_return.is_some() {
            return false;
        }
        let (key, version) = (&out.order.key, &out.order.component.version);
        if has_returned(key, version, &out.before, observation).is_empty() {
            out.before.note_return(key, observation);
        }
        out.before.leader_offset_at_return.is_some()
    }

    /// The stage or hook whose status the phase of the unit that is out depends on.
    pub fn awaited_task(&self) -> Option<(&StepOrder, Task)> {
        let out = self.history.out.as_ref()?;
        Some((&out.order, out.phase.task()?))
    }

    /// Advances the unit that is out by what its driver and the observation say.
    pub fn advance(
        &mut self,
        driver: &DriverFacts,
        now: Timestamp,
    ) -> Result<Change, Box<Illegal>> {
        self.wants_word = false;
        let Some(observation) = &self.observation else { return Ok(Change::default()) };
        let Some(out) = &self.history.out else { return Ok(Change::default()) };
        // Evidence is counted per probe: an observation that was judged is not judged again.
        let judged = out.phase.task().is_none() && self.evaluated_at == Some(observation.at);
        if judged {
            return Ok(Change::default());
        }
        let moment = moment(&self.scene(observation, now), out, driver);
        let timings = self.policy.timings.step(out.role());
        let before = out.phase.clone();
        let seen_at = observation.at;
        let given = given(out, driver);
        let recovering = observation.units.get(out.key()).and_then(|unit| unit.recovering);
        let moment = self.recovered_some(recovering, moment, &before);
        let Some(event) = self.decided(moment, &before, timings.await_health_ms, now) else {
            return Ok(Change::default());
        };
        let (phase, mut effects) = before.clone().step(event.clone(), now, &timings, given)?;
        if let Some(why) = self.only_for_the_holder(&event, &effects, now) {
            self.current_wait = Some(why);
            return Ok(Change::default());
        }
        self.evaluated_at = Some(seen_at);
        self.current_wait = waits_for(&event, phase == before);
        let seen = self.note_change(&before, driver);
        let unstarted = event == Event::NotStarted;
        let counted = before.task().map_or_else(Change::default, |stage| {
            self.count_starts(stage, unstarted, driver, &mut effects, now)
        });
        Ok(seen.and(counted).and(self.enter(&before, phase, effects, now)))
    }

    /// Remembers that the change of the unit that is out was seen to run or to have ended.
    fn note_change(&mut self, phase: &Phase, driver: &DriverFacts) -> Change {
        let seen = match &driver.status {
            Some(StepStatus::Running { .. } | StepStatus::Finished { .. }) => true,
            Some(StepStatus::Absent) | None => false,
        };
        let persist = matches!(phase, Phase::Mutate { .. })
            && seen
            && self.history.out.as_mut().is_some_and(Out::note_change);
        Change { persist, ..Change::default() }
    }

    /// An agent that lost the lease in mid-step starts nothing and drops nothing (I13): the event
    /// stands over until it has the lease again. Says what it waits for.
    fn only_for_the_holder(
        &self,
        event: &Event,
        effects: &[Effect],
        now: Timestamp,
    ) -> Option<wire::WaitingOn> {
        let starts = effects.iter().any(|effect| matches!(effect, Effect::Start(_)));
        let scene = self.scene(self.observation.as_ref()?, now);
        lease(&scene)
            .filter(|_| starts || matches!(event, Event::Refused { .. }))
            .map(|why| why.to_wire())
    }

    /// What a decision at `now` depends on.
    pub(crate) fn scene<'a>(&'a self, observation: &'a Observation, now: Timestamp) -> Scene<'a> {
        Scene {
            observation,
            targets: &self.targets,
            policy: &self.policy,
            history: &self.history,
            standing: &self.standing,
            now,
        }
    }

    /// A broker that recovers its logs may take as long as it likes while there is less and less
    /// left: each change of what is left begins its deadline anew.
    fn recovered_some(&mut self, left: Option<u64>, moment: Moment, phase: &Phase) -> Moment {
        let moved = left.is_some() && left != self.recovering;
        self.recovering = left;
        let awaited = matches!(phase, Phase::AwaitReturn { .. } | Phase::AwaitHealth { .. });
        if let Moment::Event(Event::NotReturned { why } | Event::NotHealthy { why }) = &moment
            && moved
            && awaited
        {
            return Moment::Event(Event::Progresses { why: why.clone() });
        }
        moment
    }

    /// The event of the moment. What waits says why, and before the change it does not wait for
    /// ever: a drained unit is missed.
    fn decided(
        &mut self,
        moment: Moment,
        phase: &Phase,
        limit_ms: u64,
        now: Timestamp,
    ) -> Option<Event> {
        self.wants_word = matches!(moment, Moment::NeedsWord(_));
        let why = match moment {
            Moment::Quiet => return None,
            Moment::Event(event) => {
                self.undecided_since = None;
                return Some(event);
            }
            Moment::Waits(why) | Moment::NeedsWord(why) => why,
        };
        // A clock that went back begins the wait again.
        let since = self.undecided_since.filter(|since| *since <= now).unwrap_or(now);
        self.undecided_since = Some(since);
        let why = wire::WaitingOn { since: Some(since), ..why };
        if phase.is_changed() || elapsed_ms(since, now) <= limit_ms {
            self.current_wait = Some(why);
            return None;
        }
        self.undecided_since = None;
        let message = format!("still not known after {} s: {}", limit_ms / 1000, why.message);
        Some(Event::Refused { why: wire::WaitingOn { message, ..why } })
    }

    /// Carries a step's outcome into the memory.
    pub(super) fn enter(
        &mut self,
        before: &Phase,
        phase: Phase,
        effects: Vec<Effect>,
        now: Timestamp,
    ) -> Change {
        let mut change = Change { persist: !before.differs_little(&phase), ..Change::default() };
        change.moved = phase.wire() != before.wire();
        for effect in effects {
            match effect {
                Effect::Start(stage) => {
                    let order = self.history.out.as_ref().map(|out| out.order.clone());
                    change.start.extend(order.map(|order| (order, stage)));
                }
                Effect::Pause(why) => {
                    change = change.and(self.pause(why, now));
                }
                Effect::Fail(failed, why) => {
                    change = change.and(self.fail(failed, why, now));
                }
            }
        }
        let Some(out) = &mut self.history.out else { return change };
        if let Some(observation) = &self.observation {
            note_passage(out, observation, before, &phase);
        }
        let ended = matches!(phase, Phase::Done | Phase::Dropped { .. });
        let key = out.order.key.clone();
        let calm = is_calm(before, &phase);
        if !before.is_changed() && phase.is_changed() && out.order.attempt <= 1 {
            // The calm that `resume` owed was seen; a step that was refused has not used it up.
            self.history.baseline_owed_since = None;
        }
        let changes_unit = phase.is_changed() && out.cause == Cause::Planned;
        out.phase = phase;
        if changes_unit
            && let Some(record) = self.history.products.get_mut(&key.product)
            && let Some(roll) = &mut record.roll
        {
            roll.touched = true;
        }
        if calm && let Some(observation) = &self.observation {
            calm_down(&mut self.history, &key, observation);
        }
        if ended {
            self.end(now);
            change = change.and(Change::moved());
        }
        change
    }

    fn end(&mut self, now: Timestamp) {
        self.history.end_step(now);
        self.current_wait = None;
        self.undecided_since = None;
        // What held while the unit was out proves nothing for the next one.
        self.standing.watch.clear();
    }

    /// Plans, and carries the next step into the memory. `step` names the step, should one begin.
    pub fn decide(&mut self, step: StepId, now: Timestamp) -> (Change, Option<Ask>) {
        let Some(made) = self.planned(now) else { return (Change::default(), None) };
        let ask = made.ask.clone();
        let next = made.next.clone();
        let begins = next.is_some();
        if self.history.out.is_none() {
            let mut reasons = made.waiting_on.values().flatten();
            self.wants_word = reasons.any(|why| matches!(why, WaitingOn::HubWord { .. }));
        }
        self.plan = Some(made);
        let change = match next {
            None => Change::default(),
            Some(Step::Complete { product, goal }) => self.arrive(&product, *goal, now),
            Some(Step::Finalize { product, approval }) => {
                self.begin_finalize(&product, approval, step, now)
            }
            Some(Step::Adopt(stray)) => self.adopt(stray, step, now),
            Some(Step::TakeOut(outdated)) => self.take_out(outdated, step, now),
        };
        if begins {
            // What is reported about the step must know of it.
            self.plan_only(now);
        }
        (change, ask)
    }

    /// Plans without beginning anything.
    pub fn plan_only(&mut self, now: Timestamp) {
        self.plan = self.planned(now);
    }

    fn planned(&self, now: Timestamp) -> Option<Plan> {
        let observation = self.observation.as_ref()?;
        Some(plan(&self.scene(observation, now)))
    }

    /// Whether something moves, or would as soon as its gates hold: then probes are fast. What
    /// waits for a person or the hub is looked at slowly.
    pub fn is_engaged(&self) -> bool {
        let Some(plan) = &self.plan else { return true };
        let patient = |why: &WaitingOn| {
            matches!(
                why,
                WaitingOn::Paused { .. }
                    | WaitingOn::LocalHold { .. }
                    | WaitingOn::HubHold { .. }
                    | WaitingOn::HubWait { .. }
                    | WaitingOn::HubUnreachable { .. }
                    | WaitingOn::Disowned { .. }
                    | WaitingOn::GrantUnfit { .. }
                    | WaitingOn::Lease { .. }
                    | WaitingOn::QuorumChange { .. }
                    | WaitingOn::MetricNames { .. }
                    | WaitingOn::Window { .. }
                    | WaitingOn::Freeze { .. }
                    | WaitingOn::WindowTooShort { .. }
                    | WaitingOn::PoolPaused { .. }
                    | WaitingOn::StepRefused { left_ms: 1.., .. }
            )
        };
        let waits = |key: &UnitKey| {
            plan.waiting_on.get(&key.product).is_some_and(|why| why.iter().any(patient))
        };
        let finalizes = self.observation.as_ref().is_some_and(|seen| {
            // Windows are no matter of seconds, but a finalize step is rare, and soon over.
            self.history.pause.is_none() && finalize_wanted(&self.scene(seen, seen.at))
        });
        self.history.out.is_some()
            || finalizes
            || plan.picked.as_ref().is_some_and(|key| !waits(key))
    }
}

/// Whether the unit is as it is meant to be from here on. What it is like when its soak ends counts:
/// whatever befalls it while a last hook runs is found to be a change by itself, and soaked. What is
/// ordered back goes from where it stands; it did not come there by itself.
fn is_calm(before: &Phase, phase: &Phase) -> bool {
    let soaked =
        matches!(before, Phase::Soak { .. }) && matches!(phase, Phase::Done | Phase::After { .. });
    soaked || matches!(phase, Phase::Dropped { why } if why.gate == BACK_ORDERED)
}

/// What is remembered of the cluster as a phase begins.
fn note_passage(out: &mut Out, observation: &Observation, before: &Phase, phase: &Phase) {
    let key = &out.order.key;
    match (before.wire(), phase.wire()) {
        (wire::Phase::AwaitReturn, wire::Phase::AwaitHealth) => {
            out.before.note_return(key, observation);
        }
        (from, wire::Phase::Soak) if from != wire::Phase::Soak => {
            out.before.note_soak(key, observation);
        }
        (from, wire::Phase::Mutate) if from != wire::Phase::Mutate => {
            if !out.is_touched() {
                out.before.renew(key, observation);
            }
            out.leadership.begin_change(&key.unit);
        }
        _ => {}
    }
}
