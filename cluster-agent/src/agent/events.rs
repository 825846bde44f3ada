//! What happened to the unit that is out: reality turned into one event of its phase.
//!
//! Pure. Driver status and observation come in; the phase machine decides what follows.

use std::collections::BTreeSet;

use channels::wire::{self, Action, HealthVerdict, Role};

use crate::driver::{EXIT_LOST, StepStatus, Task};
use crate::gate::{Blocker, back_and_healthy, has_returned, still_soaking_well, stop_conditions};
use crate::history::{Cause, Out};
use crate::observation::Finding;
use crate::phase::{Event, Given, Phase, Quiesce, elapsed_ms};
use crate::plan::{
    Scene, WaitingOn, disowned, finding_to_wire, go_blockers, heard_lately, local_hold, plain,
    quorum_change,
};

/// Lags and relist counts need this long to be known again after the agent started.
const WAKING_MS: u64 = 30_000;

/// What the driver of the unit that is out has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverFacts {
    /// Stages it has, and hooks of its pool.
    pub tasks: BTreeSet<Task>,
    /// How the phase's stage stands, if the phase has one and the driver too.
    pub status: Option<StepStatus>,
}

/// What is given for a step. What changed by itself was not prepared, and is not cleaned up after.
pub(super) fn given(out: &Out, driver: &DriverFacts) -> Given {
    let planned = out.cause == Cause::Planned;
    let has = |task| planned && driver.tasks.contains(&task);
    Given { before: has(Task::Before), after: has(Task::After), changed: out.is_touched() }
}

/// What there is to say about the unit that is out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Moment {
    /// Its phase takes this.
    Event(Event),
    /// More probes will tell; until then this is why nothing happens.
    Waits(wire::WaitingOn),
    /// A word of the hub is needed before it may go on.
    NeedsWord(wire::WaitingOn),
    /// Nothing.
    Quiet,
}

/// The event of the moment, or what it waits for.
pub(super) fn moment(scene: &Scene<'_>, out: &Out, driver: &DriverFacts) -> Moment {
    if scene.history.pause.is_none()
        && let Some(why) = stop(scene, out)
    {
        return Moment::Event(Event::Stop { why });
    }
    match &out.phase {
        Phase::Preflight { .. } => preflight(scene, out, driver),
        Phase::Before { .. } | Phase::Quiesce { .. } => quiesce(scene, out, driver),
        Phase::Mutate { .. } => {
            driver.status.as_ref().map_or(Moment::Quiet, |s| Moment::Event(change_event(out, s)))
        }
        // It was not quiesced either.
        Phase::Undo { .. } if out.cause == Cause::Adopted => Moment::Event(ended_well()),
        Phase::Undo { .. } | Phase::Restore { .. } | Phase::After { .. } => {
            Moment::Event(match &driver.status {
                Some(status) => stage_event(status),
                None => ended_well(),
            })
        }
        Phase::AwaitReturn { .. } => Moment::Event(match first(&returned(scene, out), out) {
            None => Event::Returned,
            Some(why) => Event::NotReturned { why },
        }),
        Phase::AwaitHealth { .. } => Moment::Event(await_health(scene, out)),
        Phase::Soak { .. } => soak(scene, out),
        Phase::Done | Phase::Dropped { .. } => Moment::Quiet,
    }
}

fn refused(why: &WaitingOn) -> Moment {
    Moment::Event(Event::Refused { why: why.to_wire() })
}

fn quiesce(scene: &Scene<'_>, out: &Out, driver: &DriverFacts) -> Moment {
    if let Some(event) = unless_succeeded(driver.status.as_ref()) {
        return Moment::Event(event);
    }
    go_if_granted(scene, out, driver)
}

/// The stop table, and elections that the step may not have caused.
fn stop(scene: &Scene<'_>, out: &Out) -> Option<wire::WaitingOn> {
    let found = stop_conditions(Some(out.key()), scene.observation, &scene.policy.gate);
    if let Some(blocker) = found.first() {
        return Some(finding_to_wire(blocker, None));
    }
    let seen = &out.leadership;
    (out.phase.is_changed() && seen.changes > seen.allowed()).then(|| {
        let message = format!(
            "the quorum's leader changed {} times during the step, {} allowed",
            seen.changes,
            seen.allowed()
        );
        wire::WaitingOn {
            gate: "unexpected_election".to_owned(),
            unit: seen.leader.clone(),
            message,
            observed: Some(f64::from(seen.changes)),
            limit: Some(f64::from(seen.allowed())),
            since: Some(scene.now),
        }
    })
}

fn preflight(scene: &Scene<'_>, out: &Out, driver: &DriverFacts) -> Moment {
    let Some(unit) = scene.observation.units.get(out.key()) else { return Moment::Quiet };
    let runs = unit.version.as_deref().map(plain);
    if runs == Some(plain(&out.order.component.version)) {
        return Moment::Event(Event::AlreadyThere);
    }
    if driver.status == Some(StepStatus::Absent)
        && let Some(why) = pause_or_hold(scene, out)
    {
        // I13: a stop starts nothing, not even a check.
        return refused(&why);
    }
    let commanded = driver.tasks.contains(&Task::Preflight);
    if commanded && let Some(event) = unless_succeeded(driver.status.as_ref()) {
        return Moment::Event(event);
    }
    let lapsed = out.grant_expires_at.filter(|at| scene.now >= *at);
    if let Some(at) = lapsed.filter(|_| !out.is_touched()) {
        // Nothing was done yet: a new step with a new grant costs nothing.
        return refused(&WaitingOn::GrantExpired { at });
    }
    go_if_granted(scene, out, driver)
}

/// A step that was tried again, or whose drain took long, may have outlasted its grant.
fn go_if_granted(scene: &Scene<'_>, out: &Out, driver: &DriverFacts) -> Moment {
    match leave(scene, out) {
        Leave::Holds => cleared(scene, out, driver),
        Leave::Unknown(why) => Moment::NeedsWord(why.to_wire()),
        Leave::Lapsed(why) => refused(&why),
    }
}

/// Whether the hub's leave for the step still counts after a drain.
enum Leave {
    Holds,
    /// The grant has lapsed, and the agent does not know whether its hub still answers.
    Unknown(WaitingOn),
    Lapsed(WaitingOn),
}

/// A drain may outlast its grant. If the hub has answered a report of the last moments that is no
/// harm, because a hold would have been heard; an answer from before says nothing about now, and an
/// agent that is cut off has no leave to change anything any more.
fn leave(scene: &Scene<'_>, out: &Out) -> Leave {
    match out.grant_expires_at.filter(|at| scene.now >= *at) {
        None => Leave::Holds,
        Some(at) if scene.standing.hub_error.is_some() => {
            Leave::Lapsed(WaitingOn::GrantExpired { at })
        }
        Some(_) if heard_lately(scene) => Leave::Holds,
        Some(at) => Leave::Unknown(WaitingOn::GrantExpired { at }),
    }
}

/// Every gate once more: right before anything is changed, and again after a drain.
fn cleared(scene: &Scene<'_>, out: &Out, driver: &DriverFacts) -> Moment {
    let waits = || pause_or_hold(scene, out).into_iter().chain(go_blockers(scene, out.key()));
    let passes = |why: &WaitingOn| will_tell(scene, why) || moved_by_drain(scene, out, why);
    if let Some(why) = waits().find(|why| !passes(why)) {
        return refused(&why);
    }
    if let Some(why) = waits().next() {
        return Moment::Waits(why.to_wire());
    }
    let quiesce =
        if driver.tasks.contains(&Task::Quiesce) { Quiesce::Present } else { Quiesce::Absent };
    Moment::Event(Event::Cleared { quiesce })
}

/// Whether more probes will tell; nothing has been changed yet, so waiting for them is safe (the
/// core bounds the wait). An agent that was restarted in a drain must not undo it because its lags are not known again yet.
fn will_tell(scene: &Scene<'_>, why: &WaitingOn) -> bool {
    let soon = matches!(why, WaitingOn::GateOnce { .. } | WaitingOn::ObservationOld { .. });
    let unknown = matches!(why, WaitingOn::PageUnproved { .. })
        || matches!(why, WaitingOn::Unsafe { finding, .. }
            if finding.verdict() == HealthVerdict::Unknown);
    soon || unknown && is_waking(scene)
}

/// Whether it may be the doing of the drain that is over: what it moved is away until it has started
/// on another node. Taking the drain back would bring it down once more at every attempt, so it is
/// waited for, as long as for anything else that more probes will tell.
fn moved_by_drain(scene: &Scene<'_>, out: &Out, why: &WaitingOn) -> bool {
    if out.role() != Role::Node || !matches!(out.phase, Phase::Quiesce { .. }) {
        return false;
    }
    let WaitingOn::Unsafe { about_unit, finding, .. } = why else { return false };
    let Some(name) = about_unit else {
        // Of a quorum or of brokers; alerts, budgets and the like were not brought about.
        return !scene.observation.gates.iter().any(|gate| gate.finding == *finding);
    };
    let mut units = scene.observation.units.iter();
    units.all(|(key, unit)| key.unit != *name || unit.role != Role::Node)
}

/// Whether the agent has started so recently that what needs several probes cannot be known.
fn is_waking(scene: &Scene<'_>) -> bool {
    scene.standing.awake_since.is_none_or(|at| elapsed_ms(at, scene.now) < WAKING_MS)
}

/// I13: a pause, a local hold, a hold of the hub or its refusal of our key stops a step that has changed nothing.
fn pause_or_hold(scene: &Scene<'_>, out: &Out) -> Option<WaitingOn> {
    if let Some(pause) = &scene.history.pause {
        return Some(WaitingOn::Paused { why: pause.why.clone(), since: pause.at });
    }
    if let Some(stop) = local_hold(scene, &out.key().product).or_else(|| quorum_change(scene)) {
        return Some(stop);
    }
    if out.grant_expires_at.is_none() || out.cause == Cause::Adopted {
        return None;
    }
    if let Some(disowned) = disowned(scene) {
        return Some(disowned);
    }
    let heard = scene.standing.directives.get(&out.key().product)?;
    let directive = &heard.directive;
    (directive.action == Action::Hold && heard.at > out.before.at).then(|| {
        let message = directive.reasons.first().map_or("held", |r| r.message.as_str()).to_owned();
        WaitingOn::HubHold { code: "held".to_owned(), message }
    })
}

/// The stage's event, unless the stage has ended well.
fn unless_succeeded(status: Option<&StepStatus>) -> Option<Event> {
    match status {
        Some(StepStatus::Finished { exit_code: 0, .. }) | None => None,
        Some(other) => Some(stage_event(other)),
    }
}

fn ended_well() -> Event {
    Event::Finished { exit_code: 0, log_tail: String::new() }
}

/// How the change stands. One that was seen and of which its driver knows nothing any more (its Job
/// was deleted) was not "not started": the unit may be half changed, and a person looks.
fn change_event(out: &Out, status: &StepStatus) -> Event {
    if *status == StepStatus::Absent && out.is_change_seen() {
        let log_tail = "its driver knows nothing of it any more".to_owned();
        return Event::Finished { exit_code: EXIT_LOST, log_tail };
    }
    stage_event(status)
}

fn stage_event(status: &StepStatus) -> Event {
    match status {
        StepStatus::Absent => Event::NotStarted,
        StepStatus::Running { .. } => Event::Running,
        StepStatus::Finished { exit_code, log_tail } => {
            Event::Finished { exit_code: *exit_code, log_tail: log_tail.clone() }
        }
    }
}

fn returned(scene: &Scene<'_>, out: &Out) -> Vec<Blocker> {
    has_returned(out.key(), &out.order.component.version, &out.before, scene.observation)
}

fn await_health(scene: &Scene<'_>, out: &Out) -> Event {
    if let Some(why) = first(&returned(scene, out), out) {
        return Event::NotReturned { why };
    }
    let expected = &out.order.component.version;
    let found =
        back_and_healthy(out.key(), expected, &out.before, scene.observation, &scene.policy.gate);
    match first(&found, out) {
        None => Event::Healthy,
        Some(why) => Event::NotHealthy { why },
    }
}

fn soak(scene: &Scene<'_>, out: &Out) -> Moment {
    let expected = &out.order.component.version;
    let found =
        still_soaking_well(out.key(), expected, &out.before, scene.observation, &scene.policy.gate);
    // An election while everyone should be calm means something else is wrong: a person looks.
    let election = found.iter().find(|(_, f)| matches!(f, Finding::EpochChanged { .. }));
    if let (Some(blocker), None) = (election, &scene.history.pause) {
        return Moment::Event(Event::Stop { why: finding_to_wire(blocker, None) });
    }
    let unknown = found.iter().all(|(_, finding)| finding.verdict() == HealthVerdict::Unknown);
    match first(&found, out) {
        None => Moment::Event(Event::Healthy),
        // A restarted agent cannot tell yet; that is no break of the soak, and no part of it.
        Some(why) if unknown && is_waking(scene) => Moment::Waits(why),
        Some(why) => Moment::Event(Event::NotHealthy { why }),
    }
}

fn first(found: &[Blocker], out: &Out) -> Option<wire::WaitingOn> {
    let blocker = found.first()?;
    let own = blocker.0.as_ref() == Some(&out.key().unit);
    Some(finding_to_wire(blocker, own.then(|| out.role())))
}
