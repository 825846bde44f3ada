//! How a stage stands, said by drivers whose stages are calls of the API, and the two stages that
//! most of them have.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::driver::{DriverError, LOG_TAIL_BYTES, Stage, StepId, StepStatus};
use crate::phase::elapsed_ms;

use super::KubeError;

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

    /// Forgets it: something was done since.
    pub(crate) fn forget(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What was found for that step, if it is fresh.
    pub(crate) fn of(&self, step: StepId) -> Option<T> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, at, found) = last.as_ref()?;
        (*of == step && at.elapsed() < self.good_for).then(|| found.clone())
    }
}

/// The stages of a driver that checks before it changes and leaves the rest to a controller.
///
/// Each stage is begun only if it is the one that is asked for.
#[derive(Debug)]
pub(crate) struct Stages {
    checks: Recent<StepStatus>,
}

impl Stages {
    /// Nothing has been checked yet.
    pub(crate) fn new() -> Self {
        Self { checks: Recent::new(ASK_EVERY) }
    }

    /// Begins the change; a check is made in [`Self::status`].
    pub(crate) async fn start<F>(
        &self,
        stage: Stage,
        change: impl FnOnce() -> F,
    ) -> Result<(), DriverError>
    where
        F: Future<Output = Result<(), DriverError>>,
    {
        match stage {
            Stage::Preflight => Ok(()),
            Stage::Mutate => change().await,
            Stage::Quiesce | Stage::Restore => Err(DriverError::StageNotConfigured { stage }),
        }
    }

    /// What the check has found, made again only when that is old, or how the change stands.
    pub(crate) async fn status<C, L>(
        &self,
        step: StepId,
        stage: Stage,
        check: impl FnOnce() -> C,
        look: impl FnOnce() -> L,
    ) -> Result<StepStatus, DriverError>
    where
        C: Future<Output = Result<StepStatus, DriverError>>,
        L: Future<Output = Result<StepStatus, KubeError>>,
    {
        match stage {
            Stage::Preflight => {
                if let Some(checked) = self.checks.of(step) {
                    return Ok(checked);
                }
                let checked = check().await?;
                self.checks.put(step, checked.clone());
                Ok(checked)
            }
            Stage::Mutate => Ok(look().await?),
            Stage::Quiesce | Stage::Restore => Err(DriverError::StageNotConfigured { stage }),
        }
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
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::Relaxed;

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

    #[tokio::test]
    async fn a_check_is_made_once_while_it_is_fresh_and_a_change_is_looked_at_every_time() {
        let (stages, step) = (Stages::new(), StepId::new());
        let (checks, looks) = (AtomicU32::new(0), AtomicU32::new(0));
        let ask = async |of, stage| {
            let check = async || Ok(ended(0, checks.fetch_add(1, Relaxed).to_string()));
            let look = async || Ok(ended(0, looks.fetch_add(1, Relaxed).to_string()));
            stages.status(of, stage, check, look).await
        };
        for said in ["0", "0"] {
            let status = ask(step, Stage::Preflight).await.unwrap();
            assert_eq!(status, ended(0, said.to_owned()));
        }
        let other = ask(StepId::new(), Stage::Preflight).await.unwrap();
        assert_eq!(other, ended(0, "1".to_owned()));
        for said in ["0", "1"] {
            let status = ask(step, Stage::Mutate).await.unwrap();
            assert_eq!(status, ended(0, said.to_owned()));
        }
        assert!(matches!(
            ask(step, Stage::Quiesce).await,
            Err(DriverError::StageNotConfigured { stage: Stage::Quiesce })
        ));
        let restored = stages.start(Stage::Restore, async || panic!("not begun")).await;
        assert!(matches!(restored, Err(DriverError::StageNotConfigured { .. })));
        stages.start(Stage::Preflight, async || panic!("not begun")).await.unwrap();
    }

    #[test]
    fn a_long_answer_is_cut_between_characters() {
        let StepStatus::Finished { log_tail, .. } = ended(1, "ä".repeat(LOG_TAIL_BYTES)) else {
            panic!("it has ended");
        };
        assert_eq!(log_tail.len(), LOG_TAIL_BYTES);
    }
}
