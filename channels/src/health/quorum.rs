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

/// Whether the leader's page can be of this moment.
///
/// Every lag is measured against that page, so one that is served again and again would make the
/// whole quorum look well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaderPage {
    /// Nothing speaks against it.
    Current,
    /// It names an offset that another voter of the same epoch had passed a probe earlier. A
    /// leader's log is never behind a follower's, and never goes back within its epoch.
    Behind {
        /// What the leader's page says.
        offset: i64,
        /// What another voter held before that page was asked for.
        follower_offset: i64,
    },
    /// Its offset has not moved for the commit window, although an idle leader appends all the
    /// time.
    Still {
        /// For how long, milliseconds.
        for_ms: u64,
    },
}

/// The leader's log end offsets over the last minutes, of one epoch.
#[derive(Debug, Clone, Default)]
pub struct QuorumTracker {
    epoch: Option<u64>,
    ring: VecDeque<(Timestamp, i64)>,
    /// Offset of the leader's last page, and since when pages say so.
    still: Option<(i64, Timestamp)>,
    /// Epoch and highest offset of the followers at the probe before.
    passed: Option<(u64, i64)>,
}

impl QuorumTracker {
    /// An empty ring: every lag is unknown.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the confirmed leader of `epoch` said at `at` (when its page was asked for), and
    /// says whether that page can be of this moment. The offset of a page that cannot is no
    /// measure: the ring is empty after it, so lags are unknown.
    ///
    /// The ring starts over when the epoch changes, when the offset goes back within an epoch (a
    /// stale page) and when the agent's clock goes back.
    pub fn leader(
        &mut self,
        at: Timestamp,
        epoch: u64,
        offset: i64,
        limits: &QuorumLimits,
    ) -> LeaderPage {
        let same_epoch = self.epoch == Some(epoch);
        let continues = same_epoch
            && self.ring.back().is_none_or(|&(last_at, last)| last_at <= at && last <= offset);
        if !continues {
            self.ring.clear();
        }
        self.epoch = Some(epoch);
        let since = match self.still {
            Some((last, since)) if same_epoch && last == offset && since <= at => since,
            Some(_) | None => at,
        };
        self.still = Some((offset, since));
        let page = self.judge(epoch, offset, elapsed_ms(since, at), limits);
        if page != LeaderPage::Current {
            self.ring.clear();
            return page;
        }
        self.ring.push_back((at, offset));
        while self.ring.len() > RING_MAX
            || self.ring.front().is_some_and(|&(oldest, _)| elapsed_ms(oldest, at) > limits.ring_ms)
        {
            self.ring.pop_front();
        }
        page
    }

    fn judge(&self, epoch: u64, offset: i64, for_ms: u64, limits: &QuorumLimits) -> LeaderPage {
        match self.passed {
            Some((of_epoch, follower_offset)) if of_epoch == epoch && follower_offset > offset => {
                LeaderPage::Behind { offset, follower_offset }
            }
            Some(_) | None => match limits.commit_window_ms {
                Some(limit_ms) if for_ms >= limit_ms => LeaderPage::Still { for_ms },
                Some(_) | None => LeaderPage::Current,
            },
        }
    }

    /// Takes in the highest log end offset of the followers of one probe, with the epoch their
    /// logs end in: the leader must have reached it at the next probe. Compared with the leader of
    /// the *same* probe it would prove nothing, because followers are asked after the leader.
    pub fn followers(&mut self, passed: Option<(u64, i64)>) {
        self.passed = passed;
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
