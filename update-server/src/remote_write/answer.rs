//! What a receiver's answer means for the request (remote-write 1.0, "Retries & Backoff").

use std::time::Duration;

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait of ours.
const LAST_WAIT: Duration = Duration::from_mins(1);
/// Longest wait a receiver may ask for: one that names a day has made a mistake.
const ASKED_WAIT_MAX: Duration = Duration::from_mins(10);
/// Doublings until the longest wait.
const DOUBLINGS_MAX: u32 = 6;

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It was taken.
    Sent,
    /// It was refused for good.
    GiveUp,
    /// Again, after a wait.
    Retry(Duration),
}

/// After a status; `failures` is how often this request failed before, `retry_after` the header.
pub(super) fn after_status(status: u16, retry_after: Option<&str>, failures: u32) -> Next {
    match status {
        200..=299 => Next::Sent,
        429 | 500..=599 => {
            // A date would need this machine's clock and the receiver's to agree.
            let asked = retry_after.and_then(|text| text.trim().parse().ok());
            let asked = asked.map(Duration::from_secs).unwrap_or_default().min(ASKED_WAIT_MAX);
            Next::Retry(wait(failures).max(asked))
        }
        _ => Next::GiveUp,
    }
}

/// The wait before the next attempt.
pub(super) fn wait(failures: u32) -> Duration {
    (FIRST_WAIT * (1 << failures.min(DOUBLINGS_MAX))).min(LAST_WAIT)
}
