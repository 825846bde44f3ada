//! The `exec` driver: the operator's own commands, one per stage.
//!
//! A command outlives the agent. It runs in its own process group below a small shell that records
//! who runs it and how it ended in `<state>/steps/<step id>/<stage>/`, so an agent that was killed
//! finds it again by its step id. (Under systemd this needs `KillMode=process`; the default kills
//! the whole control group.) The shell sees the command only as its argument array.

mod checker;
mod finalizer;
mod hooks;
mod prune;
mod runner;
mod stage_dir;
mod template;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{DriverError, Stage, StepId, StepOrder, StepStatus};
pub use checker::{CheckOrder, Checker};
pub use finalizer::{FinalizeOrder, Finalizer};
pub use hooks::HookRunner;
use runner::{Run, Runner};
pub use template::{CommandTemplate, Purpose, TemplateError, TextTemplate};

/// Exit code of a stage that ran out of time (as `timeout(1)` reports it).
pub const EXIT_TIMED_OUT: i32 = 124;

/// Exit code of a stage whose end nobody saw: its shell was killed, or the machine restarted.
pub const EXIT_LOST: i32 = 125;

/// How much of a command's output is handed on: enough for a stack trace, small enough for a
/// report and the status page.
pub const LOG_TAIL_BYTES: usize = 8 * 1024;

/// A log longer than this is cut while its command runs, so that a chatty one cannot fill the disk.
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Of a stage that is over, this much of its log stays: [`STEPS_KEPT`] steps with four stages each
/// then take 200 MiB at most.
const LOG_KEPT_BYTES: u64 = 256 * 1024;

/// Between `SIGTERM` and `SIGKILL`: rolling.md §1.1 asks for at least 30 s for a controller's exit.
const KILL_GRACE: Duration = Duration::from_secs(30);

/// Steps whose files are kept; older ones are removed when a driver is opened and at every start.
const STEPS_KEPT: usize = 200;

/// One stage's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments.
    pub template: CommandTemplate,
    /// Additional environment.
    pub environment: BTreeMap<String, String>,
    /// How long it may run.
    pub timeout: Duration,
}

/// The commands of one pool, by stage.
pub type ExecCommands = BTreeMap<Stage, CommandSpec>;

/// Runs the operator's commands.
#[derive(Debug)]
pub struct ExecDriver {
    runner: Runner,
    commands: ExecCommands,
}

impl ExecDriver {
    /// A driver that keeps its files in `<state_dir>/steps`; removes what old steps left there.
    pub fn open(state_dir: &std::path::Path, commands: ExecCommands) -> Result<Self, DriverError> {
        Ok(Self { runner: Runner::open(state_dir)?, commands })
    }

    /// Sets the time between `SIGTERM` and `SIGKILL` of a stage that ran out of time (30 s unless
    /// set).
    #[must_use]
    pub fn with_kill_grace(mut self, kill_grace: Duration) -> Self {
        self.runner = self.runner.with_kill_grace(kill_grace);
        self
    }

    /// Whether the stage has a command.
    pub fn has_stage(&self, stage: Stage) -> bool {
        self.commands.contains_key(&stage)
    }

    /// Starts a stage unless it was started before; returns once the record of it is on disk. A
    /// start that nobody has claimed in time is withdrawn: its command will never run.
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        start_of_step(&self.runner, self.spec(stage)?, order, stage.as_str()).await
    }

    /// How a stage stands; ends it if it has run for longer than it may.
    pub async fn status(&self, step: &StepId, stage: Stage) -> Result<StepStatus, DriverError> {
        self.runner.status(step, stage.as_str(), self.spec(stage)?.timeout).await
    }

    fn spec(&self, stage: Stage) -> Result<&CommandSpec, DriverError> {
        self.commands.get(&stage).ok_or(DriverError::StageNotConfigured { stage })
    }
}

/// Starts one command of a step on a unit: a stage or a hook.
async fn start_of_step(
    runner: &Runner,
    spec: &CommandSpec,
    order: &StepOrder,
    name: &str,
) -> Result<(), DriverError> {
    let values = template::Values::of_step(order);
    let mut variables = values.variables()?;
    variables.extend(template::of_unit(order));
    variables.push(("FAIRWAY_STAGE".to_owned(), name.to_owned()));
    let run = Run { step: &order.step_id, name, spec, values: &values, variables };
    runner.start(run).await
}

#[cfg(test)]
mod tests;
