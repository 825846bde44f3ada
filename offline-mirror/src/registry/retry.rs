//! How often and after how long a request is tried again. Pure; the jitter is handed in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Tries of one request. With the waits between them they span about a minute: a registry that
/// restarts is back by then.
pub(super) const TRIES_MAX: u32 = 7;
/// Tries at a registry that never answered in this run: its address is more likely to be wrong than
/// it is to restart just now, and whoever mistyped it sits there and waits.
const TRIES_UNANSWERED_MAX: u32 = 3;
/// First wait; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// Longest wait that we choose ourselves.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest wait that a registry may ask of us; who asks for more is asked again by a later run.
const WAIT_ASKED_MAX: Duration = Duration::from_mins(3);

/// Where chance comes from; tests hand in their own.
#[derive(Clone)]
pub struct Jitter(Arc<dyn Fn() -> u32 + Send + Sync>);

impl Jitter {
    /// Of a function that answers any number, each as likely as every other.
    pub fn new(next: impl Fn() -> u32 + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }
}

impl Default for Jitter {
    /// Chance of the operating system.
    fn default() -> Self {
        Self::new(|| uuid::Uuid::new_v4().as_fields().0)
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}

/// Counts the tries of one thing.
#[derive(Debug)]
pub(super) struct Retry {
    failed: u32,
    tries: u32,
    jitter: Jitter,
}

impl Retry {
    pub(super) fn new(jitter: Jitter) -> Self {
        Self { failed: 0, tries: TRIES_MAX, jitter }
    }

    /// What is tried never answered until now.
    pub(super) fn is_unanswered(&mut self) {
        self.tries = TRIES_UNANSWERED_MAX;
    }

    /// What was tried got somewhere, so it counts from the beginning.
    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }

    /// After another failure: how long to wait before the next try, or none to give up. `asked` is
    /// what the registry said; less than that is not waited, and more than the bound not either.
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        if self.failed >= self.tries || asked.is_some_and(|asked| asked > WAIT_ASKED_MAX) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(self.failed.saturating_sub(1));
        let most = WAIT_FIRST.saturating_mul(doubled).min(WAIT_MAX);
        // Between half of it and all of it: many clients that failed together come back apart.
        let half = most / 2;
        let share = u64::from((self.jitter.0)());
        let span = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        let own = half + Duration::from_millis(span.saturating_mul(share) >> 32);
        Some(own.max(asked.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_half_and_end() {
        for (chance, lowest) in [(0, true), (u32::MAX, false)] {
            let mut retry = Retry::new(Jitter::new(move || chance));
            let waits: Vec<_> = std::iter::from_fn(|| retry.wait(None)).collect();
            assert_eq!(waits.len(), 6);
            for (n, wait) in waits.iter().enumerate() {
                let most = Duration::from_millis(500 << n).min(WAIT_MAX);
                assert!(*wait >= most / 2 && *wait <= most);
                assert_eq!(*wait == most / 2, lowest);
            }
        }
    }

    #[test]
    fn a_registry_may_ask_for_minutes_but_not_for_hours() {
        let mut retry = Retry::new(Jitter::new(|| 0));
        assert_eq!(retry.wait(Some(Duration::from_secs(100))), Some(Duration::from_secs(100)));
        assert_eq!(retry.wait(Some(Duration::from_hours(1))), None);
        retry.reset();
        retry.is_unanswered();
        assert_eq!(retry.wait(Some(Duration::ZERO)), Some(Duration::from_millis(250)));
        assert!(retry.wait(None).is_some());
        assert_eq!(retry.wait(None), None);
    }
}
