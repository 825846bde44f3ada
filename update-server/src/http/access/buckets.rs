//! Rate limits in bounded memory: the generic cell rate algorithm over a fixed table.
//!
//! Each caller has the time at which its allowance is whole again; a request moves that time on,
//! and is refused if it would lie too far ahead. The table has a place for so many callers and no
//! more: a new one takes the place of whoever's allowance is whole soonest, which is as good as
//! forgetting nobody while fewer than that are active at once.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Sets of the table; with [`WAYS`] places of 16 bytes each it takes 256 kB.
const SETS: u64 = 4_096;
/// Places that one caller may have.
const WAYS: usize = 4;
/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// So many times …
    pub per_period: u32,
    /// … in so many seconds.
    pub period_s: u32,
    /// So many at once, 1 or more.
    pub burst: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// 0 for nobody.
    key: u64,
    /// When the allowance is whole again, microseconds since 1970.
    whole_at_us: i64,
}

/// The table.
#[derive(Debug)]
pub struct Buckets {
    /// Keyed with a secret of the process, so that nobody picks a neighbour.
    hasher: RandomState,
    places: Mutex<Vec<[Place; WAYS]>>,
    /// Between two requests at the steady pace.
    each_us: i64,
    /// How far ahead the time may lie.
    ahead_us: i64,
}

impl Buckets {
    /// An empty table.
    pub fn new(pace: Pace) -> Self {
        let each_us = i64::from(pace.period_s) * SECOND_US / i64::from(pace.per_period.max(1));
        let sets = usize::try_from(SETS).unwrap_or(1);
        Self {
            hasher: RandomState::new(),
            places: Mutex::new(vec![[Place::default(); WAYS]; sets]),
            each_us,
            ahead_us: each_us.saturating_mul(i64::from(pace.burst)),
        }
    }

    /// Counts one request; the error is the wait in whole seconds, 1 or more.
    pub fn take(&self, who: &impl Hash, now: Timestamp) -> Result<(), u64> {
        self.ask(who, now, true)
    }

    /// Whether one would be let through now.
    pub fn look(&self, who: &impl Hash, now: Timestamp) -> Result<(), u64> {
        self.ask(who, now, false)
    }

    fn ask(&self, who: &impl Hash, now: Timestamp, counts: bool) -> Result<(), u64> {
        let key = self.hasher.hash_one(who).max(1);
        let set = usize::try_from(key % SETS).unwrap_or(0);
        let now_us = now.as_microsecond();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ways) = places.get_mut(set) else { return Ok(()) };
        let known = ways.iter().position(|place| place.key == key);
        let before = known.and_then(|way| ways.get(way)).map_or(0, |place| place.whole_at_us);
        // A time that no request can have left is from before the clock was set back.
        let before = if before.saturating_sub(now_us) > self.ahead_us { 0 } else { before };
        let after = before.max(now_us).saturating_add(self.each_us);
        let too_far = after.saturating_sub(now_us).saturating_sub(self.ahead_us);
        if too_far > 0 {
            let wait_s = too_far.saturating_add(SECOND_US - 1) / SECOND_US;
            return Err(u64::try_from(wait_s).unwrap_or(1).max(1));
        }
        if counts {
            let place = match known {
                Some(way) => ways.get_mut(way),
                None => ways.iter_mut().min_by_key(|place| place.whole_at_us),
            };
            if let Some(place) = place {
                *place = Place { key, whole_at_us: after };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_ms(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_steady_pace() {
        let buckets = Buckets::new(Pace { per_period: 10, period_s: 1, burst: 5 });
        let passed = |ms| (0..20).filter(|_| buckets.take(&"a", at_ms(ms)).is_ok()).count();
        assert_eq!(passed(0), 5);
        assert_eq!(passed(100), 1);
        assert_eq!(passed(350), 2);
        assert_eq!(passed(60_000), 5, "no more than a burst is saved up");
    }

    #[test]
    fn the_wait_is_told_and_is_enough() {
        let buckets = Buckets::new(Pace { per_period: 1, period_s: 60, burst: 2 });
        buckets.take(&1, at_ms(0)).unwrap();
        buckets.take(&1, at_ms(0)).unwrap();
        assert_eq!(buckets.look(&1, at_ms(0)), Err(60));
        assert_eq!(buckets.take(&1, at_ms(30_000)), Err(30));
        assert_eq!(buckets.take(&1, at_ms(60_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_nobody() {
        let buckets = Buckets::new(Pace { per_period: 1, period_s: 1, burst: 1 });
        buckets.take(&1, at_ms(3_600_000)).unwrap();
        assert_eq!(buckets.take(&1, at_ms(0)), Ok(()));
    }

    #[test]
    fn many_callers_do_not_make_the_table_grow_nor_free_a_busy_one() {
        let buckets = Buckets::new(Pace { per_period: 1, period_s: 60, burst: 100 });
        for _ in 0..100 {
            buckets.take(&"busy", at_ms(0)).unwrap();
        }
        for passing in 0..50_000_u32 {
            buckets.take(&passing, at_ms(0)).unwrap();
        }
        assert!(buckets.take(&"busy", at_ms(0)).is_err());
        assert_eq!(buckets.places.lock().unwrap().len(), 4_096);
    }
}
