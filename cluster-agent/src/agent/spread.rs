//! Waits lengthened by chance, so that a fleet does not come to its hub in step.

use jiff::SignedDuration;

/// Between one and one and a half periods.
pub(super) fn jittered(period_ms: u64) -> SignedDuration {
    let mut bytes = [0_u8; 8];
    // Without randomness the pace is merely regular.
    let _ = getrandom::fill(&mut bytes);
    let extra_ms = u64::from_le_bytes(bytes) % (period_ms / 2).max(1);
    duration(period_ms.saturating_add(extra_ms))
}

/// The longest that [`jittered`] makes of a period.
pub(super) fn longest(period_ms: u64) -> SignedDuration {
    duration(period_ms.saturating_add(period_ms / 2))
}

fn duration(ms: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(ms).unwrap_or(60_000))
}
