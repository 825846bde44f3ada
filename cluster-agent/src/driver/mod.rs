//! Drivers: how a step that the planner chose is carried out on one unit.
//!
//! A driver starts stages and says how they stand. It never decides that a unit may move, never
//! judges health (evidence comes from metrics), and never takes a command from a signed document:
//! documents supply versions and digests, local configuration supplies everything else.

mod exec;
mod kubernetes;
mod order;
mod pass;
mod pool;
pub(crate) mod process;
mod simulated;

use std::io;
use std::path::PathBuf;

use crate::kube::KubeError;

pub use exec::{CheckOrder, Checker, FinalizeOrder, Finalizer, HookRunner};
pub use exec::{CommandSpec, EXIT_LOST, EXIT_TIMED_OUT, ExecCommands, ExecDriver, LOG_TAIL_BYTES};
pub use exec::{CommandTemplate, Purpose, TemplateError, TextTemplate};
pub use kubernetes::{KubernetesDriver, NodeDriver};
pub use order::{Stage, StepId, StepOrder, StepStatus, Task, UnitKey};
pub use pass::Pass;
pub use pool::PoolDriver;
pub use simulated::{SimulatedDriver, SimulatedStep};

/// Every way of changing a unit that this agent knows.
#[derive(Debug)]
pub enum Driver {
    /// Commands of the operator's, one per stage.
    Exec(ExecDriver),
    /// A simulated cluster of [`crate::sim`], over HTTP.
    Simulated(SimulatedDriver),
    /// A Kubernetes cluster, through its API.
    Kubernetes(Box<KubernetesDriver>),
}

impl Driver {
    /// Starts a stage of a step.
    ///
    /// Idempotent per step and stage: a second start of a running or finished stage does nothing,
    /// also after the agent was killed in between.
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        // Boxed, because what talks to an API server at length would make every caller large.
        match self {
            Self::Exec(driver) => driver.start(order, stage).await,
            Self::Simulated(driver) => driver.start(order, stage).await,
            Self::Kubernetes(driver) => Box::pin(driver.start(order, stage)).await,
        }
    }

    /// How a stage stands. Polling is what enforces a stage's timeout and, in a Kubernetes cluster,
    /// what carries the stage on, if `pass` lets it; so poll while it runs.
    pub async fn status(
        &self,
        order: &StepOrder,
        stage: Stage,
        pass: Pass,
    ) -> Result<StepStatus, DriverError> {
        match self {
            Self::Exec(driver) => driver.status(&order.step_id, stage).await,
            Self::Simulated(driver) => driver.status(&order.step_id, stage).await,
            Self::Kubernetes(driver) => Box::pin(driver.status(order, stage, pass)).await,
        }
    }

    /// Whether the stage does anything; starting one that does not is an error.
    pub fn has_stage(&self, stage: Stage) -> bool {
        match self {
            Self::Exec(driver) => driver.has_stage(stage),
            Self::Simulated(_) => stage == Stage::Mutate,
            Self::Kubernetes(driver) => driver.has_stage(stage),
        }
    }

    /// Says that nothing is paused any more: pauses of this agent's on these units are taken back,
    /// whichever step they were for.
    pub async fn free(&self, units: &[UnitKey]) -> Result<(), DriverError> {
        match self {
            Self::Exec(_) | Self::Simulated(_) => Ok(()),
            Self::Kubernetes(driver) => Box::pin(driver.free(units)).await,
        }
    }

    /// Tells what rolls by itself that the roll is paused, or is not. Said again and again while a
    /// unit is out; what has been told is told once.
    pub async fn supervise(&self, order: &StepOrder, pause: bool) -> Result<(), DriverError> {
        match self {
            Self::Exec(_) | Self::Simulated(_) => Ok(()),
            Self::Kubernetes(driver) => Box::pin(driver.supervise(order, pause)).await,
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
    /// The Kubernetes API did not do as told.
    #[error("the Kubernetes API did not do it")]
    Kube {
        /// What was asked, and what it said.
        source: Box<KubeError>,
    },
    /// An image is to be named, and no registry is configured.
    #[error("no registry is configured for the image")]
    NoRegistry,
    /// A pool of a Kubernetes cluster, and no cluster.
    #[error("no Kubernetes API is configured")]
    NoCluster,
    /// The object to change is not there.
    #[error("there is no {unit}")]
    NoUnit {
        /// Its name.
        unit: String,
    },
    /// Only a node that the step itself cordoned is changed.
    #[error("{unit} is not cordoned for this step")]
    NotCordoned {
        /// Its name.
        unit: String,
    },
    /// Somebody else has the object in hand.
    #[error("{unit} is in the hands of {by}")]
    HeldByOther {
        /// Its name.
        unit: String,
        /// Who.
        by: String,
    },
    /// A local template cannot be used.
    #[error("the template {} cannot be used: {why}", path.display())]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl From<KubeError> for DriverError {
    fn from(source: KubeError) -> Self {
        Self::Kube { source: Box::new(source) }
    }
}
