//! The legal moves: what each phase makes of each event.

use channels::wire;
use jiff::Timestamp;

use super::{
    Effect, Event, Hooks, Illegal, Phase, Quiesce, Retry, SOAK_BREAKS_MAX, SOAK_GAP_MS_MAX,
    StepTimings, Stepped, elapsed_ms, number,
};
use crate::driver::Task;

pub(super) fn step(
    phase: Phase,
    event: Event,
    now: Timestamp,
    timings: &StepTimings,
    hooks: Hooks,
) -> Stepped {
    match (phase, event) {
        (phase, Event::Stop { why }) => Ok(stop(phase, why)),
        (phase, Event::Resumed { retry }) => Ok(resume(phase, retry, now, hooks)),
        (
            phase @ (Phase::Preflight { .. }
            | Phase::Before { .. }
            | Phase::Quiesce { .. }
            | Phase::Undo { .. }),
            event,
        ) => before_change(phase, event, now, hooks),
        (phase @ (Phase::Mutate { .. } | Phase::Restore { .. }), event) => {
            commanded(phase, event, now, hooks)
        }
        (
            phase @ (Phase::AwaitReturn { .. } | Phase::AwaitHealth { .. } | Phase::Soak { .. }),
            event,
        ) => observed(phase, event, now, timings, hooks),
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
fn stop(phase: Phase, why: wire::WaitingOn) -> (Phase, Vec<Effect>) {
    let pause = Effect::Pause(why.clone());
    if let Phase::Preflight { quiesced: false, prepared: false, .. } = phase {
        return (Phase::Dropped { why }, vec![pause]);
    }
    // A hook or quiesce that still runs is undone when it has ended: its end is refused while paused.
    (phase, vec![pause])
}

fn resume(phase: Phase, retry: Retry, now: Timestamp, hooks: Hooks) -> (Phase, Vec<Effect>) {
    match (phase, retry) {
        (Phase::Mutate { quiesced, .. } | Phase::AwaitReturn { quiesced, .. }, Retry::Again) => {
            (back_to_preflight(quiesced, hooks, now), vec![])
        }
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
fn back_to_preflight(quiesced: bool, hooks: Hooks, now: Timestamp) -> Phase {
    Phase::Preflight { since: now, quiesced, prepared: hooks.before }
}

fn quiesce_or_mutate(quiesce: Quiesce, quiesced: bool, now: Timestamp) -> (Phase, Vec<Effect>) {
    match quiesce {
        Quiesce::Present => (Phase::Quiesce { since: now }, vec![Effect::Start(Task::Quiesce)]),
        Quiesce::Absent => {
            (Phase::Mutate { since: now, quiesced }, vec![Effect::Start(Task::Mutate)])
        }
    }
}

fn before_change(phase: Phase, event: Event, now: Timestamp, hooks: Hooks) -> Stepped {
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
            Ok(drop_step(quiesced, prepared, why, now, hooks))
        }
        (Phase::Preflight { quiesced, prepared, .. }, Event::Refused { why }) => {
            Ok(drop_step(quiesced, prepared, why, now, hooks))
        }
        (Phase::Preflight { prepared: false, .. }, Event::Cleared { .. }) if hooks.before => {
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
            Ok(drop_step(false, false, why, now, hooks))
        }
        (Phase::Before { .. }, Event::Refused { why }) => {
            Ok(drop_step(false, true, why, now, hooks))
        }
        (Phase::Before { .. }, Event::Cleared { quiesce }) => {
            Ok(quiesce_or_mutate(quiesce, false, now))
        }
        (Phase::Quiesce { .. }, Event::NotStarted) => stays(back_to_preflight(false, hooks, now)),
        (Phase::Quiesce { .. }, Event::Finished { exit_code, log_tail }) => {
            let why = command_failed("quiesce", exit_code, &log_tail, now);
            Ok(drop_step(true, hooks.before, why, now, hooks))
        }
        (Phase::Quiesce { .. }, Event::Refused { why }) => {
            Ok(drop_step(true, hooks.before, why, now, hooks))
        }
        (Phase::Quiesce { .. }, Event::Cleared { .. }) => {
            Ok((Phase::Mutate { since: now, quiesced: true }, vec![Effect::Start(Task::Mutate)]))
        }
        (phase, event) => undo(phase, event, now, hooks),
    }
}

fn undo(phase: Phase, event: Event, now: Timestamp, hooks: Hooks) -> Stepped {
    match (phase, event) {
        (phase @ Phase::Undo { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Task::Restore)]))
        }
        (Phase::Undo { why, .. }, Event::Finished { exit_code: 0, .. }) => {
            Ok(drop_step(false, hooks.before, why, now, hooks))
        }
        (phase @ Phase::Undo { .. }, Event::Finished { exit_code, log_tail }) => {
            Ok(pauses(phase, "restore", exit_code, &log_tail, now))
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
    hooks: Hooks,
) -> (Phase, Vec<Effect>) {
    if quiesced {
        (Phase::Undo { since: now, why }, vec![Effect::Start(Task::Restore)])
    } else if prepared && hooks.after {
        run_after(Some(why), now)
    } else {
        (Phase::Dropped { why }, vec![])
    }
}

/// Stays where it is: a command that failed is a person's business.
fn pauses(
    phase: Phase,
    stage: &str,
    exit_code: i32,
    log_tail: &str,
    now: Timestamp,
) -> (Phase, Vec<Effect>) {
    (phase, vec![Effect::Pause(command_failed(stage, exit_code, log_tail, now))])
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
            Ok(pauses(phase, "after", exit_code, &log_tail, now))
        }
        (phase, event) => illegal(phase, event),
    }
}

fn commanded(phase: Phase, event: Event, now: Timestamp, hooks: Hooks) -> Stepped {
    match (phase, event) {
        (phase, Event::Running) => stays(phase),
        // Time may have passed since the gates held: they are asked again.
        (Phase::Mutate { quiesced, .. }, Event::NotStarted) => {
            stays(back_to_preflight(quiesced, hooks, now))
        }
        (Phase::Mutate { quiesced, .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::AwaitReturn { since: now, quiesced })
        }
        (phase @ Phase::Mutate { .. }, Event::Finished { exit_code, log_tail }) => {
            Ok(pauses(phase, "mutate", exit_code, &log_tail, now))
        }
        (phase @ Phase::Restore { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Task::Restore)]))
        }
        (Phase::Restore { breaks, .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::soaking(now, breaks))
        }
        (phase @ Phase::Restore { .. }, Event::Finished { exit_code, log_tail }) => {
            Ok(pauses(phase, "restore", exit_code, &log_tail, now))
        }
        (phase, event) => illegal(phase, event),
    }
}

fn observed(
    phase: Phase,
    event: Event,
    now: Timestamp,
    timings: &StepTimings,
    hooks: Hooks,
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
            Ok(overdue(phase, since, timings.await_return_ms, "return_overdue", &why, now))
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
            Ok(overdue(phase, since, timings.await_health_ms, "health_overdue", &why, now))
        }
        (Phase::Soak { since, breaks, watched_ms, last_probe }, Event::Healthy) => {
            let gap_ms = last_probe.map_or(0, |last| elapsed_ms(last, now));
            let watched_ms = watched_ms.saturating_add(gap_ms.min(SOAK_GAP_MS_MAX));
            if watched_ms >= timings.soak_ms {
                return Ok(if hooks.after { run_after(None, now) } else { (Phase::Done, vec![]) });
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

/// Pauses a phase that has waited longer than it may; the unit stays out.
fn overdue(
    phase: Phase,
    since: Timestamp,
    limit_ms: u64,
    gate: &str,
    why: &wire::WaitingOn,
    now: Timestamp,
) -> (Phase, Vec<Effect>) {
    let waited_ms = elapsed_ms(since, now);
    if waited_ms <= limit_ms {
        return (phase, vec![]);
    }
    let seconds = limit_ms / 1000;
    let pause = wire::WaitingOn {
        gate: gate.to_owned(),
        unit: why.unit.clone(),
        message: format!("still not ready after {seconds} s: {}", why.message),
        observed: Some(number(waited_ms)),
        limit: Some(number(limit_ms)),
        since: Some(since),
    };
    (phase, vec![Effect::Pause(pause)])
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
