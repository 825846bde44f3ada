//! Beside the stages of a step: what its driver waits for, and telling what rolls by itself that the
//! roll is paused.

use std::collections::BTreeMap;

use channels::names::{PoolName, ProductRef};
use channels::wire::WaitingOn;

use super::links::chain;
use crate::driver::{PoolDriver, StepOrder, StepStatus, Task};

/// Drivers by product and pool.
type Drivers = BTreeMap<(ProductRef, PoolName), PoolDriver>;

/// Whom a pause was told.
#[derive(Debug, Default)]
pub(super) struct Supervision {
    paused: Option<(StepOrder, PoolName)>,
}

impl Supervision {
    /// Tells the driver of the unit that is out how the roll stands. A step that ended while it was
    /// paused is told as well when the pause is over.
    pub(super) async fn follow(
        &mut self,
        drivers: &Drivers,
        out: Option<(StepOrder, PoolName)>,
        paused: bool,
    ) {
        if !paused
            && let Some((order, pool)) = self.paused.take_if(|told| Some(&*told) != out.as_ref())
            && !tell(drivers, &order, &pool, false).await
        {
            self.paused = Some((order, pool));
        }
        let Some((order, pool)) = out else { return };
        let told = tell(drivers, &order, &pool, paused).await;
        if paused {
            self.paused = Some((order, pool));
        } else if told && self.paused.as_ref().is_some_and(|(of, _)| of.step_id == order.step_id) {
            self.paused = None;
        }
    }
}

/// Whether it could be told, or there is nobody to tell.
async fn tell(drivers: &Drivers, order: &StepOrder, pool: &PoolName, paused: bool) -> bool {
    let place = (order.key.product.clone(), pool.clone());
    let Some(driver) = drivers.get(&place) else { return true };
    match driver.driver.supervise(order, paused).await {
        Ok(()) => true,
        Err(error) => {
            let why = chain(&error);
            tracing::warn!(unit = %order.key, paused, error = why, "cannot tell the driver");
            false
        }
    }
}

/// What a stage that runs waits for, if its driver says so.
pub(super) fn stage_waits(order: &StepOrder, task: Task, status: &StepStatus) -> Option<WaitingOn> {
    let StepStatus::Running { since, detail: Some(detail) } = status else { return None };
    Some(WaitingOn {
        gate: task.as_str().to_owned(),
        unit: Some(order.key.unit.clone()),
        message: detail.clone(),
        observed: None,
        limit: None,
        since: Some(*since),
    })
}
