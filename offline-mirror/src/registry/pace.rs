//! Speed of transfers: the limit a person set for all of them together, and the least that a
//! registry must reach. The decisions are pure; `now` is handed in.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Waiting after which speed is judged; a fresh connection may crawl for as long.
const WINDOW: Duration = Duration::from_secs(30);
/// Slower than this, a layer takes days: someone holds us rather than serves us.
pub(super) const BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// How much may go at once after a pause, in time at the full rate.
const BURST: Duration = Duration::from_millis(250);
const NANOS: u128 = 1_000_000_000;

/// A byte rate (token bucket): each transfer takes what it moved and waits as long as it is told.
#[derive(Debug)]
pub struct TokenBucket {
    bytes_per_second: NonZeroU64,
    /// When everything taken until now is paid for.
    paid: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(bytes_per_second: NonZeroU64, now: Instant) -> Self {
        Self { bytes_per_second, paid: now.checked_sub(BURST).unwrap_or(now) }
    }

    /// Takes `bytes`; answers how long to wait before moving more.
    pub fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        let nanos = u128::from(bytes) * NANOS / u128::from(self.bytes_per_second.get());
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        self.paid = self.paid.max(earliest) + cost;
        self.paid.saturating_duration_since(now)
    }
}

/// The byte rate that all transfers of a process share, over however many registries.
#[derive(Debug, Default)]
pub struct Traffic {
    bucket: Option<Mutex<TokenBucket>>,
    /// Time that went into work of our own on the thread that receives, in nanoseconds.
    apart: AtomicU64,
}

impl Traffic {
    /// No limit.
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// At most so many bytes per second, both directions together.
    pub fn limited(bytes_per_second: NonZeroU64) -> Self {
        let bucket = TokenBucket::new(bytes_per_second, Instant::now());
        Self { bucket: Some(Mutex::new(bucket)), ..Self::default() }
    }

    /// Does work of our own that keeps every transfer from receiving, such as writing to a disk that
    /// is slower than the network. No registry is slow because of it.
    pub(super) fn apart<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.apart.fetch_add(nanos, Ordering::Relaxed);
        done
    }

    /// Begins to wait for the other side.
    pub(super) fn wait(&self) -> Waiting<'_> {
        Waiting { traffic: self, since: Instant::now(), apart: self.apart.load(Ordering::Relaxed) }
    }

    /// Counts `bytes` as moved and waits until more may be.
    pub(super) async fn moved(&self, bytes: usize) {
        let Some(bucket) = &self.bucket else { return };
        let wait = {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(u64::try_from(bytes).unwrap_or(u64::MAX), Instant::now())
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Measures how long the other side alone is waited for.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    traffic: &'a Traffic,
    since: Instant,
    apart: u64,
}

impl Waiting<'_> {
    /// Until now, without what [`Traffic::apart`] took.
    pub(super) fn elapsed(&self) -> Duration {
        let apart = self.traffic.apart.load(Ordering::Relaxed).saturating_sub(self.apart);
        self.since.elapsed().saturating_sub(Duration::from_nanos(apart))
    }
}

/// Too few bytes for the time waited for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooSlow {
    pub(super) received: u64,
    pub(super) waited: Duration,
}

/// Watches one answer, window by window: one that began fast may not trickle later. Only waiting
/// for the other side counts, not what we spend on writing or on the limit above.
#[derive(Debug, Default)]
pub(super) struct Pace {
    received: u64,
    waited: Duration,
}

impl Pace {
    /// `bytes` came after `waited`.
    pub(super) fn received(&mut self, bytes: u64, waited: Duration) -> Result<(), TooSlow> {
        self.received = self.received.saturating_add(bytes);
        self.waited = self.waited.saturating_add(waited);
        if self.waited < WINDOW {
            return Ok(());
        }
        let least = self.waited.as_secs().saturating_mul(BYTES_PER_SECOND_MIN);
        let seen = std::mem::take(self);
        if seen.received < least {
            return Err(TooSlow { received: seen.received, waited: seen.waited });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(rate: u64, now: Instant) -> TokenBucket {
        TokenBucket::new(NonZeroU64::new(rate).unwrap(), now)
    }

    #[test]
    fn a_second_of_bytes_takes_a_second_less_the_burst() {
        let now = Instant::now();
        let mut bucket = bucket(1000, now);
        assert_eq!(bucket.take(250, now), Duration::ZERO, "the burst");
        assert_eq!(bucket.take(1000, now), Duration::from_secs(1));
        assert_eq!(bucket.take(500, now), Duration::from_millis(1500), "debts add up");
        let later = now + Duration::from_mins(1);
        assert_eq!(bucket.take(250, later), Duration::ZERO);
        assert_eq!(bucket.take(100, later), Duration::from_millis(100), "pauses save no more");
    }

    #[test]
    fn a_trickle_is_too_slow_but_a_slow_start_is_not() {
        let mut pace = Pace::default();
        assert_eq!(pace.received(1, Duration::from_secs(29)), Ok(()));
        let slow = pace.received(1, Duration::from_secs(1)).unwrap_err();
        assert_eq!(slow, TooSlow { received: 2, waited: WINDOW });
    }

    #[test]
    fn bytes_of_an_earlier_window_do_not_excuse_a_later_one() {
        let mut pace = Pace::default();
        assert_eq!(pace.received(1 << 30, WINDOW), Ok(()));
        assert!(pace.received(10, WINDOW).is_err());
    }
}
