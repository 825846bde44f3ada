//! Whether a metadata quorum commits: its high watermark must move (rolling.md §1.1).
//!
//! The active controller appends a no-op twice a second on an idle cluster, so a high watermark
//! that stands still for seconds means that nothing can be committed.

use jiff::Timestamp;

use super::elapsed_ms;

/// What the high watermark says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CommitProgress {
    /// Not observed for long enough.
    #[default]
    Unknown,
    /// It moved inside the window.
    Moving,
    /// It has not moved for this long, milliseconds.
    Stalled {
        /// Time since it last moved, or since it was first seen.
        for_ms: u64,
    },
}

/// The highest high watermark over all voters, and when it last moved.
#[derive(Debug, Clone, Default)]
pub struct CommitTracker {
    epoch: Option<u64>,
    highest: Option<i64>,
    first_seen: Option<Timestamp>,
    moved_at: Option<Timestamp>,
}

impl CommitTracker {
    /// Nothing observed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the highest high watermark of one probe. Negative ones (just after an election) say
    /// nothing. A lower one is believed only in a new epoch, where a cluster may start over.
    pub fn record(&mut self, at: Timestamp, epoch: Option<u64>, high_watermark: i64) {
        if high_watermark < 0 {
            return;
        }
        self.first_seen.get_or_insert(at);
        match self.highest {
            None => self.highest = Some(high_watermark),
            Some(highest) if high_watermark > highest => {
                self.highest = Some(high_watermark);
                self.moved_at = Some(at);
            }
            Some(highest) if high_watermark < highest && epoch != self.epoch => {
                self.highest = Some(high_watermark);
            }
            Some(_) => {}
        }
        self.epoch = epoch.or(self.epoch);
    }

    /// The highest high watermark seen.
    pub fn highest(&self) -> Option<i64> {
        self.highest
    }

    /// Whether it moved inside the last `window_ms`.
    pub fn progress(&self, now: Timestamp, window_ms: u64) -> CommitProgress {
        let (Some(first_seen), moved_at) = (self.first_seen, self.moved_at) else {
            return CommitProgress::Unknown;
        };
        let still_ms = elapsed_ms(moved_at.unwrap_or(first_seen), now);
        match (moved_at, still_ms < window_ms) {
            (Some(_), true) => CommitProgress::Moving,
            (None, true) => CommitProgress::Unknown,
            (_, false) => CommitProgress::Stalled { for_ms: still_ms },
        }
    }
}
