//! The simulator's clock.

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "the simulator's one look at the clock")]
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
