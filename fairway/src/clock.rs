//! The one place where the command line reads the clock.

use jiff::Timestamp;

/// The wall clock, read once per command and passed down.
#[expect(clippy::disallowed_methods, reason = "the shell of this process reads the clock here")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
