//! A card for each graph: how many are on its head, how far the others are, and the worst lags.

use channels::wire::{DriftTotals, HealthAnswer, LagRow};
use jiff::Timestamp;

use super::super::words::{self, Tone};
use super::rows::href;

/// Width of a full bar in the drawings' own unit.
const FULL: u64 = 1000;

/// One graph.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) channel: String,
    pub(super) arch: String,
    pub(super) head: Option<String>,
    pub(super) share: String,
    pub(super) share_text: String,
    pub(super) stack: Vec<Part>,
    pub(super) stack_label: String,
    pub(super) counts: Vec<Count>,
    /// Half of them, and nineteen of twenty, are at most so many days behind.
    pub(super) age: Option<(u64, u64)>,
    pub(super) lags: Vec<WorstLag>,
}

/// A part of a bar.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) tone: Tone,
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) label: String,
}

/// A number and what it counts.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) tone: Tone,
    pub(super) label: &'static str,
    pub(super) value: u64,
}

/// The worst lag of its kind.
#[derive(Debug, Clone)]
pub(super) struct WorstLag {
    pub(super) kind: &'static str,
    pub(super) value: String,
    pub(super) unit: String,
    pub(super) cluster: String,
    pub(super) href: String,
    pub(super) verdict: String,
    /// For how long, where the cluster says so.
    pub(super) since: Option<String>,
}

impl WorstLag {
    pub(super) fn of(kind: &'static str, row: &LagRow, now: Timestamp) -> Self {
        Self {
            kind,
            value: words::lag(row.lag_ms),
            unit: row.unit.as_ref().map(ToString::to_string).unwrap_or_default(),
            cluster: row.name.clone(),
            href: href(row.cluster),
            verdict: row.verdict.as_str().to_owned(),
            since: row.since.map(|since| {
                let seconds = now.as_second().saturating_sub(since.as_second());
                words::span(u64::try_from(seconds).unwrap_or(0))
            }),
        }
    }
}

/// The card of a graph.
pub(super) fn card(totals: &DriftTotals, health: &HealthAnswer, now: Timestamp) -> Card {
    let shares = [
        (Tone::Good, "current", totals.current),
        (Tone::Move, "behind", totals.behind),
        (Tone::Warn, "stranded", totals.stranded),
        (Tone::Bad, "off graph", totals.off_graph),
        (Tone::Mute, "silent", totals.silent),
    ];
    let plain = |label, value| Count { tone: Tone::Plain, label, value };
    let mut counts = vec![plain("active", totals.active)];
    counts.extend(shares.map(|(tone, label, value)| Count { tone, label, value }));
    counts.extend([plain("rolling", totals.rolling), plain("stopped", totals.stopped)]);
    if totals.eol > 0 {
        counts.push(Count { tone: Tone::Warn, label: "past end of life", value: totals.eol });
    }
    let share_text = format!("{} of {} on the head", totals.current, totals.active);
    Card {
        channel: totals.channel.to_string(),
        arch: totals.arch.to_string(),
        head: totals.head.as_ref().map(ToString::to_string),
        share: match percent(totals.current, totals.active) {
            Some(percent) => format!("{percent} %"),
            None => "–".to_owned(),
        },
        stack: stack(&shares),
        stack_label: format!("{share_text}; {} silent", totals.silent),
        share_text,
        counts,
        age: totals.spread.age_days_p50.zip(totals.spread.age_days_p95),
        lags: lags(totals, health, now),
    }
}

/// Those of the card's channel; health does not tell architectures apart.
fn lags(totals: &DriftTotals, health: &HealthAnswer, now: Timestamp) -> Vec<WorstLag> {
    let mut groups = health.lags.iter();
    let group = groups.find(|g| g.product == totals.product && g.channel == totals.channel);
    let Some(group) = group else { return Vec::new() };
    let worst = [("quorum lag", group.quorum_lag.first()), ("PLEG lag", group.pleg_lag.first())];
    worst.into_iter().filter_map(|(kind, row)| Some(WorstLag::of(kind, row?, now))).collect()
}

/// Rounded down: 100 % means every one.
pub(super) fn percent(part: u64, whole: u64) -> Option<u64> {
    part.saturating_mul(100).checked_div(whole)
}

/// Parts side by side, together [`FULL`] wide.
fn stack(shares: &[(Tone, &'static str, u64)]) -> Vec<Part> {
    let whole: u64 = shares.iter().map(|(_, _, value)| value).sum();
    let edge = |value: u64| value.saturating_mul(FULL).checked_div(whole).unwrap_or(0);
    let mut before = 0;
    let mut parts = Vec::new();
    for (tone, label, value) in shares.iter().filter(|(_, _, value)| *value > 0) {
        let (x, end) = (edge(before), edge(before + value));
        parts.push(Part { tone: *tone, x, width: end - x, label: format!("{value} {label}") });
        before += value;
    }
    parts
}
