//! How stages end that are done within one call.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::driver::{LOG_TAIL_BYTES, StepId, StepStatus};

/// Outcomes of checks, by step. A check changes nothing, so an agent that was restarted finds none
/// and checks again.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    last: Mutex<Option<(StepId, StepStatus)>>,
}

impl Outcomes {
    /// Keeps the outcome of a step's check; one unit is out at a time, so one is enough.
    pub(crate) fn put(&self, step: StepId, status: StepStatus) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((step, status));
    }

    /// The outcome of that step's check.
    pub(crate) fn of(&self, step: &StepId) -> StepStatus {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, status)) if of == step => status.clone(),
            Some(_) | None => StepStatus::Absent,
        }
    }
}

/// A stage that has ended, and what there is to say about it.
pub(crate) fn ended(exit_code: i32, said: String) -> StepStatus {
    let mut log_tail = said;
    if log_tail.len() > LOG_TAIL_BYTES {
        let cut = (0..=LOG_TAIL_BYTES).rev().find(|&at| log_tail.is_char_boundary(at));
        log_tail.truncate(cut.unwrap_or(0));
    }
    StepStatus::Finished { exit_code, log_tail }
}

/// A stage that goes on, and what it waits for.
pub(crate) fn running(since: Timestamp, detail: String) -> StepStatus {
    tracing::debug!(detail, "stage goes on");
    StepStatus::Running { since }
}
