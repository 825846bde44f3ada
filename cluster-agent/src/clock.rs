//! The one place of the process that reads the wall clock; everything else takes `now`.

use jiff::Timestamp;

/// The time by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "the process's one reading of the wall clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
