//! Drivers: how a step that the planner chose is carried out on one unit.
//!
//! A driver starts stages and says how they stand. It never decides that a unit may move, never
//! judges health (evidence comes from metrics), and never takes a command from a signed document:
//! documents supply versions and digests, local configuration supplies everything else.

mod exec;
mod order;
mod pool;
pub(crate) mod process;
mod simulated;

use std::io;
use std::path::PathBuf;

pub use exec::{CheckOrder, Checker, FinalizeOrder, Finalizer, HookRunner};
pub use exec::{CommandSpec, EXIT_LOST, EXIT_TIMED_OUT, ExecCommands, ExecDriver, LOG_TAIL_BYTES};
pub use exec::{CommandTemplate, Purpose, TemplateError};
pub use order::{Stage, StepId, StepOrder, StepStatus, Task, UnitKey};
pub use pool::PoolDriver;
pub use simulated::{SimulatedDriver, SimulatedStep};

/// Every way of changing a unit that this agent knows.
#[derive(Debug)]
pub enum Driver {
    /// Commands of the operator's, one per stage.
    Exec(ExecDriver),
    /// A simulated cluster of [`crate::sim`], over HTTP.
    Simulated(SimulatedDriver),
}

impl Driver {
    /// Starts a stage of a step.
    ///
    /// Idempotent per step and stage: a second start of a running or finished stage does nothing,
    /// also after the agent was killed in between.
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        match self {
            Self::Exec(driver) => driver.start(order, stage).await,
            Self::Simulated(driver) => driver.start(order, stage).await,
        }
    }

    /// How a stage stands. Polling is what enforces a stage's timeout, so poll while it runs.
    pub async fn status(&self, step: &StepId, stage: Stage) -> Result<StepStatus, DriverError> {
        match self {
            Self::Exec(driver) => driver.status(step, stage).await,
            Self::Simulated(driver) => driver.status(step, stage).await,
        }
    }

    /// Whether the stage does anything; starting one that does not is an error.
    pub fn has_stage(&self, stage: Stage) -> bool {
        match self {
            Self::Exec(driver) => driver.has_stage(stage),
            Self::Simulated(_) => stage == Stage::Mutate,
        }
    }
}

/// Why a driver could not do as told.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The stage has no command or no meaning for this driver.
    #[error("stage {stage} is not configured for this driver")]
    StageNotConfigured {
        /// The stage.
        stage: Stage,
    },
    /// The pool has no such hook.
    #[error("hook {task} is not configured for this pool")]
    HookNotConfigured {
        /// The hook.
        task: Task,
    },
    /// A value that would be put into a command holds characters a command must not see.
    #[error("refused to run a command with {placeholder}={value:?}: {why}")]
    UnsafeValue {
        /// Which placeholder it is for.
        placeholder: &'static str,
        /// The value, cut to a printable length.
        value: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A file of a step could not be read, written or removed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The verb: resolve, read, write, create, lock or remove.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of a step holds something else than this version writes.
    #[error("{} is damaged: {why}; remove its directory to run the stage again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The shell around a command could not be started.
    #[error("cannot start {program:?}")]
    Spawn {
        /// The configured program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A process group that ran out of time could not be signalled.
    #[error("cannot signal process group {group}")]
    Kill {
        /// The group's id.
        group: i32,
        /// What the system said.
        source: io::Error,
    },
    /// The background thread that does file work ended early.
    #[error("the thread that handles a step's files ended early")]
    Thread,
    /// A request to a simulated cluster failed.
    #[error("{url} does not answer")]
    Request {
        /// What was asked.
        url: String,
        /// What the client said.
        source: reqwest::Error,
    },
    /// A simulated cluster said no.
    #[error("{url} answered {status}: {body}")]
    Refused {
        /// What was asked.
        url: String,
        /// HTTP status.
        status: u16,
        /// Start of the body.
        body: String,
    },
}
