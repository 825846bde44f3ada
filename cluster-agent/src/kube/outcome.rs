//! How a stage stands, said by drivers whose stages are calls of the API.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::driver::{LOG_TAIL_BYTES, StepId, StepStatus};
use crate::phase::elapsed_ms;

/// Checks are made, and refused evictions tried again, at most this often (rolling.md §5.1).
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(5);

/// What was found for a step a moment ago and is not asked for again at once. An agent that was
/// restarted remembers nothing and asks.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    good_for: Duration,
    last: Mutex<Option<(StepId, Instant, T)>>,
}

impl<T: Clone> Recent<T> {
    /// Remembers what was found for so long.
    pub(crate) fn new(good_for: Duration) -> Self {
        Self { good_for, last: Mutex::new(None) }
    }

    /// Keeps what was found; one unit is out at a time, so one is enough.
    pub(crate) fn put(&self, step: StepId, found: T) {
        let kept = (step, Instant::now(), found);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }

    /// What was found for that step, if it is fresh.
    pub(crate) fn of(&self, step: StepId) -> Option<T> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, at, found) = last.as_ref()?;
        (*of == step && at.elapsed() < self.good_for).then(|| found.clone())
    }
}

/// How far a rollout is, the most telling figure first; it gets on when this grows.
pub(crate) type Reached = [i64; 3];

/// When a step last got on. A restarted agent begins to count again, which only makes it patient.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    best: Mutex<Option<(StepId, Reached, Timestamp)>>,
}

impl Progress {
    /// Takes in how far a step is; says since when it has not been further, milliseconds. What
    /// falls back and comes again does not get on.
    pub(crate) fn still_for_ms(&self, step: StepId, reached: Reached, now: Timestamp) -> u64 {
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        match &*best {
            // A clock that went back begins the wait again.
            Some((of, most, since)) if *of == step && reached <= *most && *since <= now => {
                elapsed_ms(*since, now)
            }
            Some(_) | None => {
                *best = Some((step, reached, now));
                0
            }
        }
    }
}

/// A stage that has ended, and what there is to say about it.
pub(crate) fn ended(exit_code: i32, mut said: String) -> StepStatus {
    if said.len() > LOG_TAIL_BYTES {
        let cut = (0..=LOG_TAIL_BYTES).rev().find(|&at| said.is_char_boundary(at));
        said.truncate(cut.unwrap_or(0));
    }
    StepStatus::Finished { exit_code, log_tail: said }
}

/// A stage that goes on, and what it waits for.
pub(crate) fn running(since: Timestamp, detail: String) -> StepStatus {
    StepStatus::Running { since, detail: Some(detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_back_and_comes_again_does_not_get_on() {
        let at = |s: i64| Timestamp::from_second(1_000 + s).unwrap();
        let (progress, step) = (Progress::default(), StepId::new());
        assert_eq!(progress.still_for_ms(step, [1, 0, 3], at(0)), 0);
        assert_eq!(progress.still_for_ms(step, [1, 0, 2], at(5)), 5_000);
        assert_eq!(progress.still_for_ms(step, [1, 0, 3], at(9)), 9_000);
        assert_eq!(progress.still_for_ms(step, [2, 0, 1], at(10)), 0);
        assert_eq!(progress.still_for_ms(step, [2, 0, 1], at(12)), 2_000);
        assert_eq!(progress.still_for_ms(StepId::new(), [2, 0, 1], at(30)), 0);
    }

    #[test]
    fn what_was_found_is_told_only_to_the_step_it_is_about_and_only_while_it_is_fresh() {
        let (recent, step) = (Recent::new(Duration::from_hours(1)), StepId::new());
        assert_eq!(recent.of(step), None);
        recent.put(step, "no");
        assert_eq!(recent.of(step), Some("no"));
        assert_eq!(recent.of(StepId::new()), None);
        let stale = Recent::new(Duration::ZERO);
        stale.put(step, "no");
        assert_eq!(stale.of(step), None);
    }

    #[test]
    fn a_long_answer_is_cut_between_characters() {
        let StepStatus::Finished { log_tail, .. } = ended(1, "ä".repeat(LOG_TAIL_BYTES)) else {
            panic!("it has ended");
        };
        assert_eq!(log_tail.len(), LOG_TAIL_BYTES);
    }
}
