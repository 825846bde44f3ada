//! The legal moves: what each phase makes of each event.

use channels::wire;
use jiff::Timestamp;

use super::{
    Effect, Event, Failed, Given, Illegal, Phase, Quiesce, Retry, SOAK_BREAKS_MAX, SOAK_GAP_MS_MAX,
    StepTimings, Stepped, elapsed_ms, number,
};
use crate::driver::Task;

pub(super) fn step(
    phase: Phase,
    event: Event,
    now: Timestamp,
    timings: &StepTimings,
    given: Given,
) -> Stepped {
    match (phase, event) {
        (phase, Event::Stop { why }) => Ok(stop(phase, why, given)),
        (phase, Event::Left { why }) => leave(phase, why, now),
        (phase, Event::Resumed { retry }) => Ok(resume(phase, retry, now, given)),
        (
            phase @ (Phase::Preflight { .. }
            | Phase::Before { .. }
            | Phase::Quiesce { .. }
            | Phase::Undo { .. }),
            event,
        ) => before_change(phase, event, now, given),
        (phase @ (Phase::Mutate { .. } | Phase::Restore { .. }), event) => {
            commanded(phase, event, now, given)
        }
        (
            phase @ (Phase::AwaitReturn { .. } | Phase::AwaitHealth { .. } | Phase::Soak { .. }),
            event,
        ) => observed(phase, event, now, timings, given),
        (phase @ Phase::After { .. }, event) => after(phase, event, now),
        (phase @ (Phase::Done | Phase::Dropped { .. }), event) => illegal(phase, event),
    }
}

fn illegal(phase: Phase, event: Event) -> Stepped {
    Err(Box::new(Illegal { phase, event }))
}

#[expect(clippy::unnecessary_wraps, reason = "an arm of a table whose other arms can fail")]
fn stays(phase: Phase) -> Stepped {
    Ok((phase, vec![]))
}

/// I13: a stop starts nothing new, undoes what can be undone safely, lets a restart complete.
fn stop(phase: Phase, why: wire::WaitingOn, given: Given) -> (Phase, Vec<Effect>) {
    let pause = Effect::Pause(why.clone());
    if let Phase::Preflight { quiesced: false, prepared: false, .. } = phase
        && !given.changed
    {
        return (Phase::Dropped { why }, vec![pause]);
    }
    // A hook or quiesce that still runs is undone when it has ended: its end is refused while paused.
    (phase, vec![pause])
}

/// A unit that is to go elsewhere leaves its step as it is. What quiesce did is undone: the next
/// step of the unit begins like any other.
fn leave(phase: Phase, why: wire::WaitingOn, now: Timestamp) -> Stepped {
    let quiesced = match &phase {
        Phase::Preflight { quiesced, .. }
        | Phase::Mutate { quiesced, .. }
        | Phase::AwaitReturn { quiesced, .. }
        | Phase::AwaitHealth { quiesced, .. } => *quiesced,
        Phase::Quiesce { .. } => true,
        Phase::Soak { .. } => false,
        Phase::Before { .. }
        | Phase::Undo { .. }
        | Phase::Restore { .. }
        | Phase::After { .. }
        | Phase::Done
        | Phase::Dropped { .. } => return illegal(phase, Event::Left { why }),
    };
    let effects = if quiesced { vec![Effect::Start(Task::Restore)] } else { vec![] };
    Ok((Phase::Undo { since: now, why }, effects))
}

fn resume(phase: Phase, retry: Retry, now: Timestamp, given: Given) -> (Phase, Vec<Effect>) {
    match (phase, retry) {
        (Phase::Mutate { quiesced, .. } | Phase::AwaitReturn { quiesced, .. }, Retry::Again) => {
            (back_to_preflight(quiesced, given, now), vec![])
        }
        (Phase::Preflight { quiesced, prepared, .. }, Retry::Again) => {
            (Phase::Preflight { since: now, quiesced, prepared }, vec![])
        }
        (Phase::Quiesce { .. }, Retry::Again) => (back_to_preflight(true, given, now), vec![]),
        (Phase::After { dropped, .. }, Retry::Again) => run_after(dropped, now),
        (Phase::Undo { why, .. }, Retry::Again) => {
            (Phase::Undo { since: now, why }, vec![Effect::Start(Task::Restore)])
        }
        (Phase::Restore { .. }, Retry::Again) => {
            (Phase::Restore { since: now, breaks: 0 }, vec![Effect::Start(Task::Restore)])
        }
        (Phase::AwaitReturn { quiesced, .. }, Retry::GoOn) => {
            (Phase::AwaitReturn { since: now, quiesced }, vec![])
        }
        (Phase::AwaitHealth { quiesced, .. }, _) => {
            (Phase::AwaitHealth { since: now, quiesced, green_probes: 0, breaks: 0 }, vec![])
        }
        (Phase::Soak { .. }, _) => (Phase::soaking(now, 0), vec![]),
        (phase, _) => (phase, vec![]),
    }
}

/// Gates are asked again; what the step has already run is remembered.
fn back_to_preflight(quiesced: bool, given: Given, now: Timestamp) -> Phase {
    Phase::Preflight { since: now, quiesced, prepared: given.before }
}

fn quiesce_or_mutate(quiesce: Quiesce, quiesced: bool, now: Timestamp) -> (Phase, Vec<Effect>) {
    match quiesce {
        Quiesce::Present => (Phase::Quiesce { since: now }, vec![Effect::Start(Task::Quiesce)]),
        Quiesce::Absent => {
            (Phase::Mutate { since: now, quiesced }, vec![Effect::Start(Task::Mutate)])
        }
    }
}

fn before_change(phase: Phase, event: Event, now: Timestamp, given: Given) -> Stepped {
    match (phase, event) {
        (phase, event) if given.changed && !matches!(phase, Phase::Undo { .. }) => {
            prepare_again(phase, event, now, given)
        }
        (phase, event) => prepare(phase, event, now, given),
    }
}

/// Before the next attempt at a unit that was changed: what says no is waited for or pauses.
fn prepare_again(phase: Phase, event: Event, now: Timestamp, given: Given) -> Stepped {
    match (phase, event) {
        (phase, Event::Refused { .. }) => stays(phase),
        (phase, Event::Finished { exit_code, log_tail }) if exit_code != 0 => {
            let stage = phase.task().map_or("preflight", Task::as_str);
            Ok(fails(phase, Failed::Prepare, stage, exit_code, &log_tail, now))
        }
        (phase, event) => prepare(phase, event, now, given),
    }
}

fn prepare(phase: Phase, event: Event, now: Timestamp, given: Given) -> Stepped {
    match (phase, event) {
        // A stage that ended well still needs its gates: `Cleared` or `Refused` follows.
        (phase, Event::Running)
        | (
            phase @ (Phase::Preflight { .. } | Phase::Before { .. } | Phase::Quiesce { .. }),
            Event::Finished { exit_code: 0, .. },
        ) => stays(phase),
        (phase @ Phase::Preflight { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Task::Preflight)]))
        }
        (Phase::Preflight { quiesced, prepared, .. }, Event::Finished { exit_code, log_tail }) => {
            let why = command_failed("preflight", exit_code, &log_tail, now);
            Ok(drop_step(quiesced, prepared, why, now, given))
        }
        (Phase::Preflight { quiesced, prepared, .. }, Event::Refused { why }) => {
            Ok(drop_step(quiesced, prepared, why, now, given))
        }
        (Phase::Preflight { prepared: false, .. }, Event::Cleared { .. }) if given.before => {
            Ok((Phase::Before { since: now }, vec![Effect::Start(Task::Before)]))
        }
        (Phase::Preflight { quiesced, .. }, Event::Cleared { quiesce }) => {
            Ok(quiesce_or_mutate(quiesce, quiesced, now))
        }
        (Phase::Preflight { quiesced, .. }, Event::AlreadyThere) => {
            let back = Phase::AwaitHealth { since: now, quiesced, green_probes: 0, breaks: 0 };
            stays(back)
        }
        (phase @ (Phase::Before { .. } | Phase::Quiesce { .. }), Event::AlreadyThere) => {
            let quiesced = matches!(phase, Phase::Quiesce { .. });
            stays(Phase::AwaitHealth { since: now, quiesced, green_probes: 0, breaks: 0 })
        }
        (Phase::Before { .. }, Event::NotStarted) => stays(Phase::first(now)),
        // A hook that failed has nothing to be undone by its counterpart.
        (Phase::Before { .. }, Event::Finished { exit_code, log_tail }) => {
            let why = command_failed("before", exit_code, &log_tail, now);
            Ok(drop_step(false, false, why, now, given))
        }
        (Phase::Before { .. }, Event::Refused { why }) => {
            Ok(drop_step(false, true, why, now, given))
        }
        (Phase::Before { .. }, Event::Cleared { quiesce }) => {
            Ok(quiesce_or_mutate(quiesce, false, now))
        }
        (Phase::Quiesce { .. }, Event::NotStarted) => stays(back_to_preflight(false, given, now)),
        (Phase::Quiesce { .. }, Event::Finished { exit_code, log_tail }) => {
            let why = command_failed("quiesce", exit_code, &log_tail, now);
            Ok(drop_step(true, given.before, why, now, given))
        }
        (Phase::Quiesce { .. }, Event::Refused { why }) => {
            Ok(drop_step(true, given.before, why, now, given))
        }
        (Phase::Quiesce { .. }, Event::Cleared { .. }) => {
            Ok((Phase::Mutate { since: now, quiesced: true }, vec![Effect::Start(Task::Mutate)]))
        }
        (phase, event) => undo(phase, event, now, given),
    }
}

fn undo(phase: Phase, event: Event, now: Timestamp, given: Given) -> Stepped {
    match (phase, event) {
        (phase @ Phase::Undo { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Task::Restore)]))
        }
        (Phase::Undo { why, .. }, Event::Finished { exit_code: 0, .. }) => {
            Ok(drop_step(false, given.before, why, now, given))
        }
        (phase @ Phase::Undo { .. }, Event::Finished { exit_code, log_tail }) => {
            Ok(fails(phase, Failed::Restore, "restore", exit_code, &log_tail, now))
        }
        (phase, event) => illegal(phase, event),
    }
}

/// Leaves a step before its change, undoing the quiesce if there was one, and letting the hook
/// follow if its counterpart ran.
fn drop_step(
    quiesced: bool,
    prepared: bool,
    why: wire::WaitingOn,
    now: Timestamp,
    given: Given,
) -> (Phase, Vec<Effect>) {
    if quiesced {
        (Phase::Undo { since: now, why }, vec![Effect::Start(Task::Restore)])
    } else if prepared && given.after {
        run_after(Some(why), now)
    } else {
        (Phase::Dropped { why }, vec![])
    }
}

/// Stays where it is: a command that failed is a person's business.
fn fails(
    phase: Phase,
    failed: Failed,
    stage: &str,
    exit_code: i32,
    log_tail: &str,
    now: Timestamp,
) -> (Phase, Vec<Effect>) {
    (phase, vec![Effect::Fail(failed, command_failed(stage, exit_code, log_tail, now))])
}

fn run_after(dropped: Option<wire::WaitingOn>, now: Timestamp) -> (Phase, Vec<Effect>) {
    (Phase::After { since: now, dropped }, vec![Effect::Start(Task::After)])
}

fn after(phase: Phase, event: Event, now: Timestamp) -> Stepped {
    match (phase, event) {
        (phase, Event::Running) => stays(phase),
        (phase @ Phase::After { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Task::After)]))
        }
        (Phase::After { dropped: None, .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::Done)
        }
        (Phase::After { dropped: Some(why), .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::Dropped { why })
        }
        (phase @ Phase::After { .. }, Event::Finished { exit_code, log_tail }) => {
            Ok(fails(phase, Failed::After, "after", exit_code, &log_tail, now))
        }
        (phase, event) => illegal(phase, event),
    }
}

fn commanded(phase: Phase, event: Event, now: Timestamp, given: Given) -> Stepped {
    match (phase, event) {
        (phase, Event::Running) => stays(phase),
        // Time may have passed since the gates held: they are asked again.
        (Phase::Mutate { quiesced, .. }, Event::NotStarted) => {
            stays(back_to_preflight(quiesced, given, now))
        }
        (Phase::Mutate { quiesced, .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::AwaitReturn { since: now, quiesced })
        }
        (phase @ Phase::Mutate { .. }, Event::Finished { exit_code, log_tail }) => {
            Ok(fails(phase, Failed::Change, "mutate", exit_code, &log_tail, now))
        }
        (phase @ Phase::Restore { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Task::Restore)]))
        }
        (Phase::Restore { breaks, .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::soaking(now, breaks))
        }
        (phase @ Phase::Restore { .. }, Event::Finished { exit_code, log_tail }) => {
            Ok(fails(phase, Failed::Restore, "restore", exit_code, &log_tail, now))
        }
        (phase, event) => illegal(phase, event),
    }
}

fn observed(
    phase: Phase,
    event: Event,
    now: Timestamp,
    timings: &StepTimings,
    given: Given,
) -> Stepped {
    match (phase, event) {
        (Phase::AwaitReturn { quiesced, .. }, Event::Returned) => {
            stays(Phase::AwaitHealth { since: now, quiesced, green_probes: 0, breaks: 0 })
        }
        (Phase::AwaitReturn { quiesced, .. }, Event::Progresses { .. }) => {
            stays(Phase::AwaitReturn { since: now, quiesced })
        }
        (Phase::AwaitHealth { quiesced, breaks, .. }, Event::Progresses { .. }) => {
            stays(Phase::AwaitHealth { since: now, quiesced, green_probes: 0, breaks })
        }
        (phase @ Phase::AwaitReturn { since, .. }, Event::NotReturned { why }) => {
            let limit_ms = timings.await_return_ms;
            let effect = overdue(since, limit_ms, "return_overdue", &why, now);
            let effect = effect.map(|why| Effect::Fail(Failed::Return, why));
            Ok((phase, effect.into_iter().collect()))
        }
        (Phase::AwaitHealth { since, quiesced, green_probes, breaks }, Event::Healthy) => {
            let green_probes = green_probes.saturating_add(1);
            if green_probes < timings.green_probes {
                return stays(Phase::AwaitHealth { since, quiesced, green_probes, breaks });
            }
            if quiesced {
                let restore = Phase::Restore { since: now, breaks };
                return Ok((restore, vec![Effect::Start(Task::Restore)]));
            }
            stays(Phase::soaking(now, breaks))
        }
        (
            Phase::AwaitHealth { since, quiesced, breaks, .. },
            Event::NotHealthy { why } | Event::NotReturned { why },
        ) => {
            let phase = Phase::AwaitHealth { since, quiesced, green_probes: 0, breaks };
            let late = overdue(since, timings.await_health_ms, "health_overdue", &why, now);
            Ok((phase, late.map(Effect::Pause).into_iter().collect()))
        }
        (Phase::Soak { since, breaks, watched_ms, last_probe }, Event::Healthy) => {
            let gap_ms = last_probe.map_or(0, |last| elapsed_ms(last, now));
            let watched_ms = watched_ms.saturating_add(gap_ms.min(SOAK_GAP_MS_MAX));
            if watched_ms >= timings.soak_ms {
                return Ok(if given.after { run_after(None, now) } else { (Phase::Done, vec![]) });
            }
            stays(Phase::Soak { since, breaks, watched_ms, last_probe: Some(now) })
        }
        (Phase::Soak { breaks, .. }, Event::NotHealthy { why } | Event::NotReturned { why }) => {
            let breaks = breaks.saturating_add(1);
            let back = Phase::AwaitHealth { since: now, quiesced: false, green_probes: 0, breaks };
            if breaks <= SOAK_BREAKS_MAX {
                return stays(back);
            }
            let message = format!("lost its health {breaks} times while soaking: {}", why.message);
            let pause = wire::WaitingOn { gate: "soak_broken".to_owned(), message, ..why };
            Ok((back, vec![Effect::Pause(pause)]))
        }
        (phase, event) => illegal(phase, event),
    }
}

/// The pause of a phase that has waited longer than it may; the unit stays out.
fn overdue(
    since: Timestamp,
    limit_ms: u64,
    gate: &str,
    why: &wire::WaitingOn,
    now: Timestamp,
) -> Option<wire::WaitingOn> {
    let waited_ms = elapsed_ms(since, now);
    if waited_ms <= limit_ms {
        return None;
    }
    let seconds = limit_ms / 1000;
    Some(wire::WaitingOn {
        gate: gate.to_owned(),
        unit: why.unit.clone(),
        message: format!("still not ready after {seconds} s: {}", why.message),
        observed: Some(number(waited_ms)),
        limit: Some(number(limit_ms)),
        since: Some(since),
    })
}

/// The longest piece of a command's output that is put into a reason. Its last line is at the end:
/// a report cuts messages at 400 characters, so there must be room for what stands before it.
const OUTPUT_IN_REASON_CHARS: usize = 200;

/// A command that ended badly, with the end of what it printed.
pub(crate) fn command_failed(
    stage: &str,
    exit_code: i32,
    log_tail: &str,
    now: Timestamp,
) -> wire::WaitingOn {
    let trimmed = log_tail.trim();
    let skip = trimmed.chars().count().saturating_sub(OUTPUT_IN_REASON_CHARS);
    let tail: String = trimmed.chars().skip(skip).collect();
    let said = if tail.is_empty() { "it printed nothing".to_owned() } else { tail };
    wire::WaitingOn {
        gate: format!("{stage}_failed"),
        unit: None,
        message: format!("the {stage} command ended with code {exit_code}: {said}"),
        observed: Some(f64::from(exit_code)),
        limit: Some(0.0),
        since: Some(now),
    }
}
