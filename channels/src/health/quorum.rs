//! Quorum lag as the age at which a voter was last caught up (rolling.md §1.4).
//!
//! An offset difference says nothing without the append rate: 24 records are noise at 2/s and
//! 50 ms at 500/s. The age since the voter held everything the leader had is the figure Kafka
//! itself uses, and it needs only the agent's clock.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::elapsed_ms;

/// Probes kept at most; ten minutes at the fastest probe period (0.5 s) are 1200.
const RING_MAX: usize = 2400;

/// Limits of the quorum's signals; the defaults are Kafka's own timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumLimits {
    /// `controller.quorum.fetch.timeout.ms`: a voter that lags this much has stalled. 2000.
    pub fetch_timeout_ms: u64,
    /// How long leader offsets are kept. 600 000.
    pub ring_ms: u64,
    /// The high watermark must move within this time; `None` only where
    /// `metadata.max.idle.interval.ms=0`. 5000.
    pub commit_window_ms: Option<u64>,
    /// Limit of a follower's `LastAppliedRecordLagMs`, a slow witness that needs NTP; `None` =
    /// do not look at it. 3000.
    pub applied_lag_ms: Option<u64>,
}

impl Default for QuorumLimits {
    fn default() -> Self {
        Self {
            fetch_timeout_ms: 2000,
            ring_ms: 600_000,
            commit_window_ms: Some(5000),
            applied_lag_ms: Some(3000),
        }
    }
}

impl QuorumLimits {
    /// Slowest probe period at which a lag of the fetch timeout can be told from sampling noise.
    const EXACT_PROBE_MS: u64 = 660;

    /// The lag at which a voter counts as stalled when probed every `probe_ms`.
    pub fn lag_limit_ms(&self, probe_ms: u64) -> u64 {
        if probe_ms <= Self::EXACT_PROBE_MS {
            self.fetch_timeout_ms
        } else {
            self.fetch_timeout_ms.saturating_add(probe_ms)
        }
    }
}

/// How far behind a voter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// It held everything the leader had this long ago, milliseconds.
    Known(u64),
    /// It has not passed any observed leader offset yet: at least this long, milliseconds, if the
    /// leader was observed in this epoch at all.
    Unknown {
        /// Time since the oldest leader offset in the ring, all of which the voter lacks.
        at_least_ms: Option<u64>,
    },
}

impl Lag {
    /// The lag, if known.
    pub fn known_ms(self) -> Option<u64> {
        match self {
            Self::Known(ms) => Some(ms),
            Self::Unknown { .. } => None,
        }
    }
}

/// The leader's log end offsets over the last minutes, of one epoch.
#[derive(Debug, Clone, Default)]
pub struct QuorumTracker {
    epoch: Option<u64>,
    ring: VecDeque<(Timestamp, i64)>,
}

impl QuorumTracker {
    /// An empty ring: every lag is unknown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the confirmed leader of `epoch` said at `at` (when its page was asked for).
    ///
    /// The ring starts over when the epoch changes, when the offset goes back within an epoch (a
    /// stale page) and when the agent's clock goes back.
    pub fn leader(&mut self, at: Timestamp, epoch: u64, offset: i64, limits: &QuorumLimits) {
        let continues = self.epoch == Some(epoch)
            && self.ring.back().is_none_or(|&(last_at, last)| last_at <= at && last <= offset);
        if !continues {
            self.ring.clear();
        }
        self.epoch = Some(epoch);
        self.ring.push_back((at, offset));
        while self.ring.len() > RING_MAX
            || self.ring.front().is_some_and(|&(oldest, _)| elapsed_ms(oldest, at) > limits.ring_ms)
        {
            self.ring.pop_front();
        }
    }

    /// The epoch of the ring.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// The newest leader offset.
    pub fn newest_offset(&self) -> Option<i64> {
        self.ring.back().map(|&(_, offset)| offset)
    }

    /// Lag of a voter in `epoch` whose log ended at `offset` at `now`.
    pub fn lag(&self, epoch: u64, offset: i64, now: Timestamp) -> Lag {
        if self.epoch != Some(epoch) {
            return Lag::Unknown { at_least_ms: None };
        }
        let passed = self.ring.iter().rev().find(|&&(_, leader)| leader <= offset);
        match passed {
            Some(&(caught_up_at, _)) => Lag::Known(elapsed_ms(caught_up_at, now)),
            None => Lag::Unknown {
                at_least_ms: self.ring.front().map(|&(oldest, _)| elapsed_ms(oldest, now)),
            },
        }
    }
}
