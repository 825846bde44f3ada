//! Lag formulas and the verdicts they give: `KRaft` quorum lag, commit progress and PLEG lag.
//!
//! Pure values fed by the agent's probes, so that agent, simulator and tests share one arithmetic.
//! Nothing here scrapes, waits or reads a clock; a figure that cannot be told is unknown, never 0.

mod commit;
mod pleg;
mod quorum;
mod relists;

pub use commit::{CommitProgress, CommitTracker};
pub use pleg::{PlegColour, PlegLimits, PlegReading, PlegSample, PlegTracker};
pub use quorum::{Lag, LeaderPage, QuorumLimits, QuorumTracker};
pub use relists::{Bucket, Relists};

use jiff::Timestamp;

/// Milliseconds from `from` to `to`; 0 if `to` is not later.
pub fn elapsed_ms(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond().saturating_sub(from.as_millisecond())).unwrap_or(0)
}

#[cfg(test)]
mod tests;
