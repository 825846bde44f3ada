//! The one place where this process reads the clock; everything else takes `now`.

use jiff::Timestamp;

/// The hub's time. Agents' clocks are only ever recorded as skew.
#[expect(clippy::disallowed_methods, reason = "the hub's only clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
