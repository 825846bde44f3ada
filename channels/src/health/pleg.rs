//! PLEG lag of one kubelet (rolling.md §4.2).
//!
//! A relist is observed only when it returns, so the histogram alone is blind to one that hangs.
//! The lag is therefore the largest of three: the p99 of relists, the time since the number of
//! relists moved (agent's clock), and the age of the last relist the kubelet reports (its clock).

use std::collections::VecDeque;

use jiff::Timestamp;

use super::elapsed_ms;
use super::relists::{Relists, p99_s, relists_between};

/// Snapshots closer together than this are not kept: a percentile over five minutes needs no
/// finer grain, and a hundred nodes probed fast must not cost megabytes.
const SNAPSHOT_EVERY_MS: u64 = 5_000;

/// Limits of the PLEG signals; the defaults are the figures of rolling.md §4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlegLimits {
    /// Window of the p99. 300 000.
    pub window_ms: u64,
    /// Relists needed before a p99 is trusted. 20.
    pub min_relists: u32,
    /// Generic relist period: a stall shorter than this is none. 1000.
    pub period_ms: u64,
    /// Slack of the kubelet's own `last_seen` (whole seconds, a start time). 3000.
    pub last_seen_slack_ms: u64,
    /// Below this the node is green. 1000.
    pub green_ms: u64,
    /// At or above this for [`PlegLimits::red_probes`] probes it is red. 10 000.
    pub red_ms: u64,
    /// Probes in a row that make it red. 2.
    pub red_probes: u32,
    /// A stall this long is red at once. 30 000.
    pub stall_red_ms: u64,
    /// A lag this long is beyond red: 60 s before the kubelet itself reports `NotReady`. 120 000.
    pub hard_ms: u64,
    /// Added to stall limits and slack where the evented PLEG relists every 300 s only. 300 000.
    pub evented_extra_ms: u64,
}

impl Default for PlegLimits {
    fn default() -> Self {
        Self {
            window_ms: 300_000,
            min_relists: 20,
            period_ms: 1000,
            last_seen_slack_ms: 3000,
            green_ms: 1000,
            red_ms: 10_000,
            red_probes: 2,
            stall_red_ms: 30_000,
            hard_ms: 120_000,
            evented_extra_ms: 300_000,
        }
    }
}

impl PlegLimits {
    pub(super) fn min_relists_f64(&self) -> f64 {
        f64::from(self.min_relists)
    }
}

/// One probe of a kubelet.
#[derive(Debug, Clone, PartialEq)]
pub struct PlegSample {
    /// When the page was received (agent's clock).
    pub at: Timestamp,
    /// Time since the probe before, or the probe period; the grain of the stall, milliseconds.
    pub probe_ms: u64,
    /// Kubelet's clock minus agent's clock, from the HTTP `Date` header; 0 if there was none.
    pub clock_offset_ms: i64,
    /// Unix start time of the process, seconds.
    pub process_start: Option<f64>,
    /// Relist durations.
    pub relists: Relists,
    /// `kubelet_pleg_last_seen_seconds`, if exported.
    pub last_seen_s: Option<f64>,
    /// Dropped pod events since the process started, if exported.
    pub discards: Option<f64>,
    /// Whether the evented PLEG is connected.
    pub evented: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlegColour {
    /// Below the green limit.
    Green,
    /// Not known (too few relists).
    Unknown,
    /// No new step.
    Amber,
    /// Stop the roll.
    Red,
    /// The kubelet is about to report `NotReady`.
    Hard,
}

/// What one probe says, with what was known before.
#[derive(Debug, Clone, PartialEq)]
pub struct PlegReading {
    /// The PLEG lag; `None` = unknown.
    pub lag_ms: Option<u64>,
    /// 99th percentile of relists in the window; `None` below the needed number.
    pub p99_ms: Option<u64>,
    /// Time since the number of relists moved, raw.
    pub stall_ms: u64,
    /// The stall beyond what period and probing explain.
    pub stall_excess_ms: u64,
    /// Age of the last relist beyond the kubelet's own slack, if it reports one.
    pub age_excess_ms: Option<u64>,
    /// The stall limit that applies (evented or not).
    pub stall_limit_ms: u64,
    /// Relists in the window.
    pub relists_in_window: u64,
    /// Relists since the process started.
    pub relists_since_start: u64,
    /// Pod events dropped since the probe before.
    pub new_discards: u64,
    /// The p99 of the last green probe of an earlier process, else of the last green probe.
    pub baseline_p99_ms: Option<u64>,
    /// The verdict.
    pub colour: PlegColour,
}

/// What is remembered of one kubelet between probes.
#[derive(Debug, Clone, Default)]
pub struct PlegTracker {
    /// `None` as counts = the process start, where all counts are zero.
    snapshots: VecDeque<(Timestamp, Option<Relists>)>,
    last: Option<PlegSample>,
    count_moved_at: Option<Timestamp>,
    high_probes: u32,
    green_p99_ms: Option<u64>,
    earlier_p99_ms: Option<u64>,
}

impl PlegTracker {
    /// Nothing observed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a probe and says what it means; `None` if its counts cannot be (not finite, negative,
    /// buckets not cumulative).
    pub fn record(&mut self, sample: PlegSample, limits: &PlegLimits) -> Option<PlegReading> {
        let unreal = |figure: Option<f64>| figure.is_some_and(|value| !value.is_finite());
        let unsound = !sample.relists.is_sound();
        if unsound || unreal(sample.last_seen_s) || unreal(sample.discards) {
            return None;
        }
        self.note_reset(&sample);
        let moved = self
            .last
            .as_ref()
            .is_none_or(|last| last.relists.count().total_cmp(&sample.relists.count()).is_ne());
        if moved || self.count_moved_at.is_none_or(|at| at > sample.at) {
            self.count_moved_at = Some(sample.at);
        }
        self.trim(sample.at, limits);
        let mut reading = self.read(&sample, limits);
        self.high_probes = match reading.lag_ms {
            Some(lag) if lag >= limits.red_ms => self.high_probes.saturating_add(1),
            Some(_) | None => 0,
        };
        reading.colour = self.colour(&reading, limits);
        if reading.colour == PlegColour::Green {
            self.green_p99_ms = reading.p99_ms;
        }
        reading.baseline_p99_ms = self.earlier_p99_ms.or(self.green_p99_ms);
        self.keep(sample);
        Some(reading)
    }

    /// A restart: deltas count from zero again, and the p99 so far becomes the baseline.
    fn note_reset(&mut self, sample: &PlegSample) {
        let Some(last) = &self.last else { return };
        let restarted = match (last.process_start, sample.process_start) {
            (Some(old), Some(new)) => old.total_cmp(&new).is_ne(),
            (None, _) | (_, None) => false,
        };
        if restarted || last.relists.was_reset_by(&sample.relists) {
            let at = last.at;
            self.snapshots.clear();
            self.snapshots.push_back((at, None));
            self.earlier_p99_ms = self.green_p99_ms.take().or(self.earlier_p99_ms);
            self.last = None;
            self.high_probes = 0;
        }
    }

    fn trim(&mut self, now: Timestamp, limits: &PlegLimits) {
        while self.snapshots.front().is_some_and(|&(at, _)| elapsed_ms(at, now) > limits.window_ms)
        {
            self.snapshots.pop_front();
        }
        // The agent's clock went back: deltas over negative time mean nothing.
        if self.snapshots.back().is_some_and(|&(at, _)| at > now) {
            self.snapshots.clear();
        }
    }

    fn keep(&mut self, sample: PlegSample) {
        let due = self
            .snapshots
            .back()
            .is_none_or(|&(at, _)| elapsed_ms(at, sample.at) >= SNAPSHOT_EVERY_MS);
        if due {
            self.snapshots.push_back((sample.at, Some(sample.relists.clone())));
        }
        self.last = Some(sample);
    }

    fn read(&self, sample: &PlegSample, limits: &PlegLimits) -> PlegReading {
        let (p99_ms, in_window) = match self.snapshots.front() {
            None => (summary_only_p99(&sample.relists, limits), 0.0),
            Some((_, older)) => (
                p99_s(older.as_ref(), &sample.relists, limits),
                relists_between(older.as_ref(), &sample.relists),
            ),
        };
        let p99_ms = p99_ms.map(|seconds| whole(seconds * 1000.0));
        let extra_ms = if sample.evented { limits.evented_extra_ms } else { 0 };
        let stall_ms = self.count_moved_at.map_or(0, |at| elapsed_ms(at, sample.at));
        let explained_ms =
            limits.period_ms.saturating_add(sample.probe_ms).saturating_add(extra_ms);
        let stall_excess_ms = stall_ms.saturating_sub(explained_ms);
        let slack_ms = limits.last_seen_slack_ms.saturating_add(extra_ms);
        let age_excess_ms = age_ms(sample).map(|age| age.saturating_sub(slack_ms));
        let unseen_ms = stall_excess_ms.max(age_excess_ms.unwrap_or(0));
        let lag_ms = match p99_ms {
            Some(p99) => Some(p99.max(unseen_ms)),
            // Without a p99 only a lag that is bad by itself is known.
            None if unseen_ms >= limits.green_ms => Some(unseen_ms),
            None => None,
        };
        let dropped = |s: &PlegSample| s.discards.unwrap_or(0.0);
        PlegReading {
            lag_ms,
            p99_ms,
            stall_ms,
            stall_excess_ms,
            age_excess_ms,
            stall_limit_ms: limits.stall_red_ms.saturating_add(extra_ms),
            relists_in_window: whole(in_window),
            relists_since_start: whole(sample.relists.count()),
            new_discards: self
                .last
                .as_ref()
                .map_or(0, |last| whole((dropped(sample) - dropped(last)).ceil())),
            baseline_p99_ms: None,
            colour: PlegColour::Unknown,
        }
    }

    fn colour(&self, reading: &PlegReading, limits: &PlegLimits) -> PlegColour {
        let stalled = reading.stall_ms >= reading.stall_limit_ms;
        match reading.lag_ms {
            Some(lag) if lag >= limits.hard_ms => PlegColour::Hard,
            _ if stalled || reading.new_discards > 0 => PlegColour::Red,
            Some(_) if self.high_probes >= limits.red_probes => PlegColour::Red,
            Some(lag) if lag >= limits.green_ms => PlegColour::Amber,
            Some(_) => PlegColour::Green,
            None => PlegColour::Unknown,
        }
    }
}

/// A summary needs no earlier probe: its window is the kubelet's own.
fn summary_only_p99(relists: &Relists, limits: &PlegLimits) -> Option<f64> {
    match relists {
        Relists::Summary { .. } => p99_s(None, relists, limits),
        Relists::Histogram { .. } => None,
    }
}

/// Age of the last relist by the kubelet's own clock, milliseconds.
fn age_ms(sample: &PlegSample) -> Option<u64> {
    let last_seen_s = sample.last_seen_s?;
    let kubelet_now_ms = sample.at.as_millisecond().saturating_add(sample.clock_offset_ms);
    Some(whole(signed(kubelet_now_ms) - last_seen_s * 1000.0))
}

/// Rounds to whole milliseconds or counts; `NaN` and negatives become 0, large ones saturate.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, which is what is wanted here"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "unix milliseconds stay below 2^53 for 285 000 years"
)]
fn signed(value: i64) -> f64 {
    value as f64
}
