//! What happens to a unit that is out, and what the caller does about it.

use channels::wire;
use serde::{Deserialize, Serialize};

use super::Phase;
use crate::driver::Task;

/// What happened to the unit that is out.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The driver has no record of this phase's stage: the agent died between persist and effect.
    NotStarted,
    /// The stage runs.
    Running,
    /// The stage ended.
    Finished {
        /// Its exit code; 0 is success.
        exit_code: i32,
        /// The end of what it printed.
        log_tail: String,
    },
    /// Every gate holds, and the grant is valid.
    Cleared {
        /// Whether the unit's driver has a quiesce stage.
        quiesce: Quiesce,
    },
    /// The unit already runs the expected version: there is nothing to change.
    AlreadyThere,
    /// A gate closed, or someone placed a hold, before the change.
    Refused {
        /// Which.
        why: wire::WaitingOn,
    },
    /// The unit answers with the expected version, in a new process.
    Returned,
    /// It does not, yet.
    NotReturned {
        /// What is missing.
        why: wire::WaitingOn,
    },
    /// It is not back or not healthy, but visibly on its way (a broker recovers its logs): the
    /// deadline begins anew.
    Progresses {
        /// What is missing.
        why: wire::WaitingOn,
    },
    /// Every sign of health is there in this probe.
    Healthy,
    /// One is not.
    NotHealthy {
        /// Which.
        why: wire::WaitingOn,
    },
    /// A stop condition of the cluster is met.
    Stop {
        /// Which.
        why: wire::WaitingOn,
    },
    /// A person resumed the roll.
    Resumed {
        /// Whether this unit's own step had failed and is to be tried again.
        retry: Retry,
    },
    /// A person resumed the roll, and what the step waits for will not come: the unit is to go
    /// elsewhere. The step ends as it is, and the planner chooses again.
    Left {
        /// Why.
        why: wire::WaitingOn,
    },
}

/// Whether a driver has a quiesce stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiesce {
    /// It has one.
    Present,
    /// It has none.
    Absent,
}

/// Whether a resumed step is tried again from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The step failed: again, under a new step id.
    Again,
    /// The cluster was unsafe, the step was not at fault: it goes on with renewed deadlines.
    GoOn,
}

/// What the caller does after it has persisted the new phase.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start a stage of the driver, or a hook (idempotent per step id and task).
    Start(Task),
    /// Stop the roll until a person resumes it; the unit stays out.
    Pause(wire::WaitingOn),
    /// The same, because the step itself failed.
    Fail(Failed, wire::WaitingOn),
}

/// What of a step failed, so that it is tried again when a person says `resume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failed {
    /// A command before the change, of a unit that an earlier attempt has changed.
    Prepare,
    /// The change.
    Change,
    /// The unit did not return in time.
    Return,
    /// Undoing the quiesce.
    Restore,
    /// The hook that follows.
    After,
    /// A stage could not be started.
    Start,
}

/// What is given for a step, whatever its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Given {
    /// The unit's pool has a hook before anything is done to a unit.
    pub before: bool,
    /// It has one when everything else is over.
    pub after: bool,
    /// An attempt has changed the unit: what is refused from then on waits or pauses, and is never
    /// undone, because half of a change is not put back into service.
    pub changed: bool,
}

/// Deadlines of one role (rolling.md §9), milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTimings {
    /// Longest wait for the unit to answer with its new version.
    pub await_return_ms: u64,
    /// Longest wait for its health after that.
    pub await_health_ms: u64,
    /// For how long it must be seen healthy before the next unit.
    pub soak_ms: u64,
    /// Consecutive green probes that make it healthy.
    pub green_probes: u32,
}

/// An event that the phase does not know: a defect of the caller, reported instead of guessed at.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("phase {phase:?} does not take event {event:?}")]
pub struct Illegal {
    /// The phase.
    pub phase: Phase,
    /// The event it does not take.
    pub event: Event,
}
