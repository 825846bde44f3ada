//! What carries out the steps of one pool: its driver, and its owner's hooks around it.

use super::exec::HookRunner;
use super::{Driver, DriverError, Pass, StepOrder, StepStatus, Task};

/// The driver of a pool with its hooks.
#[derive(Debug)]
pub struct PoolDriver {
    /// Changes units.
    pub driver: Driver,
    /// Runs before and after; knows no command if the pool has none.
    pub hooks: HookRunner,
}

impl PoolDriver {
    /// Starts a stage or a hook of a step; idempotent per step and task.
    pub async fn start(&self, order: &StepOrder, task: Task) -> Result<(), DriverError> {
        match task.stage() {
            Some(stage) => self.driver.start(order, stage).await,
            None => self.hooks.start(order, task).await,
        }
    }

    /// How a stage or hook stands; poll while it runs. What has begun ends in any case; `pass` is
    /// about what would still begin.
    pub async fn status(
        &self,
        order: &StepOrder,
        task: Task,
        pass: Pass,
    ) -> Result<StepStatus, DriverError> {
        match task.stage() {
            Some(stage) => self.driver.status(order, stage, pass).await,
            None => self.hooks.status(&order.step_id, task).await,
        }
    }

    /// Whether the task does anything; starting one that does not is an error.
    pub fn has(&self, task: Task) -> bool {
        task.stage().map_or_else(|| self.hooks.has(task), |stage| self.driver.has_stage(stage))
    }
}
