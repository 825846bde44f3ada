//! When something is due by a clock that may be set.
//!
//! Pure but for the jitter. A stored time further ahead than its own period was written before the
//! clock went back: it is due now, instead of in an hour.

use jiff::{SignedDuration, Timestamp};

/// Whether the time that was stored as `at`, at most `longest` ahead, has come.
pub(super) fn is_due(at: Timestamp, longest: SignedDuration, now: Timestamp) -> bool {
    now >= at || at > later(now, longest)
}

/// `at` plus `by`, or `at` at the end of time.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(at)
}

/// Between one and one and a half periods, so that a fleet does not poll in step.
pub(super) fn jittered(period_ms: u64) -> SignedDuration {
    let mut bytes = [0_u8; 8];
    // Without randomness the pace is merely regular.
    let _ = getrandom::fill(&mut bytes);
    let extra_ms = u64::from_le_bytes(bytes) % (period_ms / 2).max(1);
    duration_ms(period_ms.saturating_add(extra_ms))
}

/// The longest that [`jittered`] says.
pub(super) fn jittered_max(period_ms: u64) -> SignedDuration {
    duration_ms(period_ms.saturating_add(period_ms / 2))
}

fn duration_ms(ms: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(ms).unwrap_or(60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_time_that_was_stored_before_the_clock_went_back_is_due() {
        let longest = jittered_max(120_000);
        assert!(!is_due(at(1_180), longest, at(1_000)));
        assert!(is_due(at(1_180), longest, at(1_180)));
        assert!(is_due(at(1_181), longest, at(1_000)), "no period is as long");
        assert!(jittered(120_000) <= longest);
    }
}
