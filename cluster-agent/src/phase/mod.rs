//! The phases one unit passes while it is out, and the only legal moves between them.
//!
//! Pure: [`Phase::step`] takes an event and the time and returns the next phase with the effects
//! that lead into it. The caller persists the phase first and runs the effects second, so after a
//! crash the phase on disk is never behind what was done. Nothing here reads a metric, starts a
//! command or knows a second unit.
//!
//! ```text
//! Preflight ─▶ Before ─▶ Quiesce ─▶ Mutate ─▶ AwaitReturn ─▶ AwaitHealth ─▶ Restore ─▶ Soak ─▶ After ─▶ Done
//!     │          │          │                                    ▲                       │
//!     ▼          ▼          ▼                                    └───────────────────────┘
//!  Dropped ◀── After ◀──  Undo                              (health lost, a bounded number of times)
//! ```
//! Undo and what follows it are for units that no attempt has changed, and for those that a person
//! sends elsewhere (`Event::Left`).
//!
//! `Before` and `After` are the owner's hooks; a pool without them skips them. Whenever `before` has
//! ended well `after` runs too, also when the step is dropped in between.

use channels::wire;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::driver::Task;

mod event;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use table::command_failed;

pub use event::{Effect, Event, Failed, Given, Illegal, Quiesce, Retry, StepTimings};

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
        /// Whether the hook before it has (after a crash).
        #[serde(default)]
        prepared: bool,
    },
    /// The owner's hook runs before anything is done to the unit.
    Before {
        /// Since when.
        since: Timestamp,
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
    /// The owner's hook runs because everything else is over.
    After {
        /// Since when.
        since: Timestamp,
        /// Why the step is dropped; `None` = it is done.
        dropped: Option<wire::WaitingOn>,
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
        Self::Preflight { since: now, quiesced: false, prepared: false }
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
            | Self::Before { .. }
            | Self::Quiesce { .. }
            | Self::Undo { .. }
            | Self::Mutate { .. }
            | Self::AwaitReturn { .. }
            | Self::Restore { .. }
            | Self::After { .. }
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

    /// Its name on the wire; undoing counts as quiesce, restoring as the wait for health, hooks as
    /// the phase beside them.
    pub fn wire(&self) -> wire::Phase {
        match self {
            Self::Preflight { .. } | Self::Before { .. } => wire::Phase::Preflight,
            Self::Quiesce { .. } | Self::Undo { .. } | Self::After { dropped: Some(_), .. } => {
                wire::Phase::Quiesce
            }
            Self::Mutate { .. } => wire::Phase::Mutate,
            Self::AwaitReturn { .. } => wire::Phase::AwaitReturn,
            Self::AwaitHealth { .. } | Self::Restore { .. } => wire::Phase::AwaitHealth,
            Self::Soak { .. } | Self::After { dropped: None, .. } => wire::Phase::Soak,
            Self::Done | Self::Dropped { .. } => wire::Phase::Idle,
        }
    }

    /// Since when it is in this phase; `None` once nothing is out.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Preflight { since, .. }
            | Self::Before { since }
            | Self::Quiesce { since }
            | Self::After { since, .. }
            | Self::Undo { since, .. }
            | Self::Mutate { since, .. }
            | Self::AwaitReturn { since, .. }
            | Self::AwaitHealth { since, .. }
            | Self::Restore { since, .. }
            | Self::Soak { since, .. } => Some(*since),
            Self::Done | Self::Dropped { .. } => None,
        }
    }

    /// The stage of the driver, or the hook, that this phase waits for.
    pub fn task(&self) -> Option<Task> {
        match self {
            Self::Preflight { .. } => Some(Task::Preflight),
            Self::Before { .. } => Some(Task::Before),
            Self::Quiesce { .. } => Some(Task::Quiesce),
            Self::Mutate { .. } => Some(Task::Mutate),
            Self::Undo { .. } | Self::Restore { .. } => Some(Task::Restore),
            Self::After { .. } => Some(Task::After),
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
            | Self::After { dropped: None, .. }
            | Self::Soak { .. } => true,
            Self::Preflight { .. }
            | Self::Before { .. }
            | Self::Quiesce { .. }
            | Self::Undo { .. }
            | Self::After { dropped: Some(_), .. }
            | Self::Done
            | Self::Dropped { .. } => false,
        }
    }

    /// Advances by one event; the caller persists the phase, then runs the effects.
    pub fn step(
        self,
        event: Event,
        now: Timestamp,
        timings: &StepTimings,
        given: Given,
    ) -> Stepped {
        table::step(self, event, now, timings, given)
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
