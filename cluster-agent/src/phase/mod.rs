//! The phases one unit passes while it is out, and the only legal moves between them.
//!
//! Pure: [`Phase::step`] takes an event and the time and returns the next phase with the effects
//! that lead into it. The caller persists the phase first and runs the effects second, so after a
//! crash the phase on disk is never behind what was done. Nothing here reads a metric, starts a
//! command or knows a second unit.
//!
//! ```text
//! Preflight ─▶ Quiesce ─▶ Mutate ─▶ AwaitReturn ─▶ AwaitHealth ─▶ Restore ─▶ Soak ─▶ Done
//!     │           │                                    ▲                       │
//!     ▼           ▼                                    └───────────────────────┘
//!  Dropped ◀──  Undo                              (health lost, a bounded number of times)
//! ```

use channels::wire;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::driver::Stage;

mod event;
#[cfg(test)]
mod tests;

pub use event::{Effect, Event, Illegal, Quiesce, Retry, StepTimings};

/// How often a unit may lose its health while it soaks before a person is asked. Once can be a
/// late rebalance, twice a slow cache; more is a unit that does not hold.
pub const SOAK_BREAKS_MAX: u32 = 2;

/// The most that one healthy probe adds to a soak (milliseconds): nobody knows what happened in a
/// longer gap, be it a slow probe, a clock that jumped or an agent that stood still.
pub const SOAK_GAP_MS_MAX: u64 = 10_000;

/// A soak's progress is written this often (milliseconds): a crash loses no more of it, and a
/// probe is not a flush.
const SOAK_WRITTEN_EVERY_MS: u64 = 10_000;

/// Where the unit that is out stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has been changed yet (or only quiesced): commands and gates are checked once more.
    Preflight {
        /// Since when.
        since: Timestamp,
        /// Whether the quiesce stage of this step has already run (after a crash).
        quiesced: bool,
    },
    /// The unit is being drained or otherwise made ready to go.
    Quiesce {
        /// Since when.
        since: Timestamp,
    },
    /// What quiesce did is being undone, because the step was refused before the change.
    Undo {
        /// Since when.
        since: Timestamp,
        /// Why the step was refused.
        why: wire::WaitingOn,
    },
    /// The unit is being changed.
    Mutate {
        /// Since when.
        since: Timestamp,
        /// Whether something has to be restored afterwards.
        quiesced: bool,
    },
    /// The change was made; the unit has not yet answered with the new version.
    AwaitReturn {
        /// Since when.
        since: Timestamp,
        /// Whether something has to be restored afterwards.
        quiesced: bool,
    },
    /// The unit answers with the new version; its health is not yet proved.
    AwaitHealth {
        /// Since when.
        since: Timestamp,
        /// Whether something has to be restored afterwards.
        quiesced: bool,
        /// Consecutive probes that were green.
        green_probes: u32,
        /// How often the health was lost again while soaking.
        breaks: u32,
    },
    /// What quiesce did is being undone, because the unit is healthy.
    Restore {
        /// Since when.
        since: Timestamp,
        /// How often the health was lost again while soaking.
        breaks: u32,
    },
    /// Healthy and back in service; watched before the next unit may go.
    Soak {
        /// Since when.
        since: Timestamp,
        /// How often the health was lost again while soaking.
        breaks: u32,
        /// For how long it was seen healthy, milliseconds; time without probes is no part of it.
        #[serde(default)]
        watched_ms: u64,
        /// The last healthy probe of this process.
        #[serde(default)]
        last_probe: Option<Timestamp>,
    },
    /// The unit runs the new version and has soaked; nothing is out.
    Done,
    /// The step was refused before anything was changed; nothing is out.
    Dropped {
        /// Why.
        why: wire::WaitingOn,
    },
}

/// The next phase, and what leads into it.
pub type Stepped = Result<(Phase, Vec<Effect>), Box<Illegal>>;

impl Phase {
    /// The first phase of a step.
    pub fn first(now: Timestamp) -> Self {
        Self::Preflight { since: now, quiesced: false }
    }

    /// The phase in which a unit that changed by itself is watched.
    pub fn adopted(now: Timestamp) -> Self {
        Self::AwaitHealth { since: now, quiesced: false, green_probes: 0, breaks: 0 }
    }

    /// A soak that begins: nothing of it was watched yet.
    fn soaking(now: Timestamp, breaks: u32) -> Self {
        Self::Soak { since: now, breaks, watched_ms: 0, last_probe: None }
    }

    /// The phase as an agent finds it that has just started: nobody looked while it was away, so
    /// probes in a row begin anew and a soak goes on from where it was last watched.
    #[must_use]
    pub fn woken(self) -> Self {
        match self {
            Self::AwaitHealth { since, quiesced, breaks, .. } => {
                Self::AwaitHealth { since, quiesced, green_probes: 0, breaks }
            }
            Self::Soak { since, breaks, watched_ms, .. } => {
                Self::Soak { since, breaks, watched_ms, last_probe: None }
            }
            phase @ (Self::Preflight { .. }
            | Self::Quiesce { .. }
            | Self::Undo { .. }
            | Self::Mutate { .. }
            | Self::AwaitReturn { .. }
            | Self::Restore { .. }
            | Self::Done
            | Self::Dropped { .. }) => phase,
        }
    }

    /// Whether a crash may forget the difference to `next`: a little of a soak's progress.
    pub fn differs_little(&self, next: &Self) -> bool {
        match (self, next) {
            (
                Self::Soak { since, breaks, watched_ms, .. },
                Self::Soak { since: since_next, breaks: breaks_next, watched_ms: next_ms, .. },
            ) => {
                (since, breaks) == (since_next, breaks_next)
                    && watched_ms / SOAK_WRITTEN_EVERY_MS == next_ms / SOAK_WRITTEN_EVERY_MS
            }
            (before, next) => before == next,
        }
    }

    /// Its name on the wire; undoing counts as quiesce, restoring as the wait for health.
    pub fn wire(&self) -> wire::Phase {
        match self {
            Self::Preflight { .. } => wire::Phase::Preflight,
            Self::Quiesce { .. } | Self::Undo { .. } => wire::Phase::Quiesce,
            Self::Mutate { .. } => wire::Phase::Mutate,
            Self::AwaitReturn { .. } => wire::Phase::AwaitReturn,
            Self::AwaitHealth { .. } | Self::Restore { .. } => wire::Phase::AwaitHealth,
            Self::Soak { .. } => wire::Phase::Soak,
            Self::Done | Self::Dropped { .. } => wire::Phase::Idle,
        }
    }

    /// Since when it is in this phase; `None` once nothing is out.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Preflight { since, .. }
            | Self::Quiesce { since }
            | Self::Undo { since, .. }
            | Self::Mutate { since, .. }
            | Self::AwaitReturn { since, .. }
            | Self::AwaitHealth { since, .. }
            | Self::Restore { since, .. }
            | Self::Soak { since, .. } => Some(*since),
            Self::Done | Self::Dropped { .. } => None,
        }
    }

    /// The driver stage that this phase waits for.
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Self::Preflight { .. } => Some(Stage::Preflight),
            Self::Quiesce { .. } => Some(Stage::Quiesce),
            Self::Mutate { .. } => Some(Stage::Mutate),
            Self::Undo { .. } | Self::Restore { .. } => Some(Stage::Restore),
            Self::AwaitReturn { .. }
            | Self::AwaitHealth { .. }
            | Self::Soak { .. }
            | Self::Done
            | Self::Dropped { .. } => None,
        }
    }

    /// Whether the unit may already run something else than before.
    pub fn is_changed(&self) -> bool {
        match self {
            Self::Mutate { .. }
            | Self::AwaitReturn { .. }
            | Self::AwaitHealth { .. }
            | Self::Restore { .. }
            | Self::Soak { .. } => true,
            Self::Preflight { .. }
            | Self::Quiesce { .. }
            | Self::Undo { .. }
            | Self::Done
            | Self::Dropped { .. } => false,
        }
    }

    /// Advances by one event; the caller persists the phase, then runs the effects.
    pub fn step(self, event: Event, now: Timestamp, timings: &StepTimings) -> Stepped {
        match (self, event) {
            (phase, Event::Stop { why }) => Ok(stop(phase, why)),
            (phase, Event::Resumed { retry }) => Ok(resume(phase, retry, now)),
            (
                phase @ (Self::Preflight { .. } | Self::Quiesce { .. } | Self::Undo { .. }),
                event,
            ) => before_change(phase, event, now),
            (phase @ (Self::Mutate { .. } | Self::Restore { .. }), event) => {
                commanded(phase, event, now)
            }
            (
                phase @ (Self::AwaitReturn { .. } | Self::AwaitHealth { .. } | Self::Soak { .. }),
                e,
            ) => observed(phase, e, now, timings),
            (phase @ (Self::Done | Self::Dropped { .. }), event) => illegal(phase, event),
        }
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
    if let Phase::Preflight { quiesced: false, .. } = phase {
        return (Phase::Dropped { why }, vec![pause]);
    }
    // A quiesce that still runs is undone when it has ended: its end is refused while paused.
    (phase, vec![pause])
}

fn resume(phase: Phase, retry: Retry, now: Timestamp) -> (Phase, Vec<Effect>) {
    match (phase, retry) {
        (Phase::Mutate { quiesced, .. } | Phase::AwaitReturn { quiesced, .. }, Retry::Again) => {
            (Phase::Preflight { since: now, quiesced }, vec![])
        }
        (Phase::Undo { why, .. }, Retry::Again) => {
            (Phase::Undo { since: now, why }, vec![Effect::Start(Stage::Restore)])
        }
        (Phase::Restore { .. }, Retry::Again) => {
            (Phase::Restore { since: now, breaks: 0 }, vec![Effect::Start(Stage::Restore)])
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

fn before_change(phase: Phase, event: Event, now: Timestamp) -> Stepped {
    match (phase, event) {
        // A stage that ended well still needs its gates: `Cleared` or `Refused` follows.
        (phase, Event::Running)
        | (
            phase @ (Phase::Preflight { .. } | Phase::Quiesce { .. }),
            Event::Finished { exit_code: 0, .. },
        ) => stays(phase),
        (phase @ Phase::Preflight { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Stage::Preflight)]))
        }
        (Phase::Preflight { quiesced, .. }, Event::Finished { exit_code, log_tail }) => {
            let why = command_failed("preflight", exit_code, &log_tail, now);
            Ok(drop_step(quiesced, why, now))
        }
        (Phase::Preflight { quiesced, .. }, Event::Refused { why }) => {
            Ok(drop_step(quiesced, why, now))
        }
        (Phase::Preflight { .. }, Event::Cleared { quiesce: Quiesce::Present }) => {
            Ok((Phase::Quiesce { since: now }, vec![Effect::Start(Stage::Quiesce)]))
        }
        (Phase::Preflight { quiesced, .. }, Event::Cleared { quiesce: Quiesce::Absent }) => {
            Ok((Phase::Mutate { since: now, quiesced }, vec![Effect::Start(Stage::Mutate)]))
        }
        (Phase::Preflight { quiesced, .. }, Event::AlreadyThere) => {
            let back = Phase::AwaitHealth { since: now, quiesced, green_probes: 0, breaks: 0 };
            stays(back)
        }
        (Phase::Quiesce { .. }, Event::NotStarted) => {
            stays(Phase::Preflight { since: now, quiesced: false })
        }
        (Phase::Quiesce { .. }, Event::Finished { exit_code, log_tail }) => {
            let why = command_failed("quiesce", exit_code, &log_tail, now);
            Ok(drop_step(true, why, now))
        }
        (Phase::Quiesce { .. }, Event::Refused { why }) => Ok(drop_step(true, why, now)),
        (Phase::Quiesce { .. }, Event::Cleared { .. }) => {
            Ok((Phase::Mutate { since: now, quiesced: true }, vec![Effect::Start(Stage::Mutate)]))
        }
        (phase @ Phase::Undo { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Stage::Restore)]))
        }
        (Phase::Undo { why, .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::Dropped { why })
        }
        (phase @ Phase::Undo { .. }, Event::Finished { exit_code, log_tail }) => {
            let pause = Effect::Pause(command_failed("restore", exit_code, &log_tail, now));
            Ok((phase, vec![pause]))
        }
        (phase, event) => illegal(phase, event),
    }
}

/// Leaves a step before its change, undoing the quiesce if there was one.
fn drop_step(quiesced: bool, why: wire::WaitingOn, now: Timestamp) -> (Phase, Vec<Effect>) {
    if quiesced {
        (Phase::Undo { since: now, why }, vec![Effect::Start(Stage::Restore)])
    } else {
        (Phase::Dropped { why }, vec![])
    }
}

fn commanded(phase: Phase, event: Event, now: Timestamp) -> Stepped {
    match (phase, event) {
        (phase, Event::Running) => stays(phase),
        // Time may have passed since the gates held: they are asked again.
        (Phase::Mutate { quiesced, .. }, Event::NotStarted) => {
            stays(Phase::Preflight { since: now, quiesced })
        }
        (Phase::Mutate { quiesced, .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::AwaitReturn { since: now, quiesced })
        }
        (phase @ Phase::Mutate { .. }, Event::Finished { exit_code, log_tail }) => {
            let pause = Effect::Pause(command_failed("mutate", exit_code, &log_tail, now));
            Ok((phase, vec![pause]))
        }
        (phase @ Phase::Restore { .. }, Event::NotStarted) => {
            Ok((phase, vec![Effect::Start(Stage::Restore)]))
        }
        (Phase::Restore { breaks, .. }, Event::Finished { exit_code: 0, .. }) => {
            stays(Phase::soaking(now, breaks))
        }
        (phase @ Phase::Restore { .. }, Event::Finished { exit_code, log_tail }) => {
            let pause = Effect::Pause(command_failed("restore", exit_code, &log_tail, now));
            Ok((phase, vec![pause]))
        }
        (phase, event) => illegal(phase, event),
    }
}

fn observed(phase: Phase, event: Event, now: Timestamp, timings: &StepTimings) -> Stepped {
    match (phase, event) {
        (Phase::AwaitReturn { quiesced, .. }, Event::Returned) => {
            stays(Phase::AwaitHealth { since: now, quiesced, green_probes: 0, breaks: 0 })
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
                return Ok((restore, vec![Effect::Start(Stage::Restore)]));
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
                return stays(Phase::Done);
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

fn command_failed(stage: &str, exit_code: i32, log_tail: &str, now: Timestamp) -> wire::WaitingOn {
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

/// Milliseconds from `since` to `now`; 0 if the clock went back.
pub fn elapsed_ms(since: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond().saturating_sub(since.as_millisecond())).unwrap_or(0)
}

/// A count as a number for a report; exact below 2^53.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "figures for people")]
pub fn number(count: u64) -> f64 {
    count as f64
}
