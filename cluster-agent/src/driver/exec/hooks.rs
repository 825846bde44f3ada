//! Hooks: the owner's commands around each step on a unit, whatever driver changes it.

use std::collections::BTreeMap;
use std::path::Path;

use super::runner::Runner;
use super::{CommandSpec, start_of_step};
use crate::driver::{DriverError, StepId, StepOrder, StepStatus, Task};

/// Runs the hooks of one pool.
#[derive(Debug)]
pub struct HookRunner {
    runner: Runner,
    commands: BTreeMap<Task, CommandSpec>,
}

impl HookRunner {
    /// Hooks that keep their files beside those of stages, in `<state_dir>/steps`.
    pub fn open(
        state_dir: &Path,
        commands: BTreeMap<Task, CommandSpec>,
    ) -> Result<Self, DriverError> {
        Ok(Self { runner: Runner::open(state_dir)?, commands })
    }

    /// Whether there is a command for it.
    pub fn has(&self, task: Task) -> bool {
        self.commands.contains_key(&task)
    }

    /// Starts a hook unless it was started before.
    pub async fn start(&self, order: &StepOrder, task: Task) -> Result<(), DriverError> {
        start_of_step(&self.runner, self.spec(task)?, order, task.as_str()).await
    }

    /// How a hook stands; ends it if it has run for longer than it may.
    pub async fn status(&self, step: &StepId, task: Task) -> Result<StepStatus, DriverError> {
        self.runner.status(step, task.as_str(), self.spec(task)?.timeout).await
    }

    fn spec(&self, task: Task) -> Result<&CommandSpec, DriverError> {
        self.commands.get(&task).ok_or(DriverError::HookNotConfigured { task })
    }
}
