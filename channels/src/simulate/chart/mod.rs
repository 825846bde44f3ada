//! A report as a picture: plain text for terminals, SVG for pages.

mod svg;
mod text;

pub use svg::svg;
pub use text::text;

use super::report::{CurvePoint, Report};
use crate::rollout::Period;

/// A length of time for people.
fn span(secs: u64) -> String {
    Period::from_secs(u32::try_from(secs).unwrap_or(u32::MAX)).to_string()
}

/// The point of the curve at or before a time.
fn point_at(report: &Report, after_s: u64) -> Option<&CurvePoint> {
    let after = report.curve.partition_point(|point| point.after_s <= after_s);
    report.curve.get(after.saturating_sub(1))
}

/// The time axis ends with the last point; it is never empty.
fn length_s(report: &Report) -> u64 {
    report.curve.last().map_or(0, |point| point.after_s).max(1)
}

/// A round distance between marks of a time axis, so that there are at most `marks`.
fn tick_s(length_s: u64, marks: u64) -> u64 {
    const ROUND: [u64; 13] = [
        600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 259_200, 604_800,
        1_209_600, 2_592_000,
    ];
    ROUND.into_iter().find(|tick| length_s / tick <= marks).unwrap_or(7_776_000)
}

/// What an event is called in a chart; `None` for those a chart does not mark.
fn mark(what: &str) -> Option<(char, &'static str)> {
    match what {
        "halted" => Some(('!', "halted")),
        "resumed" => Some(('>', "resumed")),
        "held" => Some(('=', "held")),
        "released" => Some(('>', "released")),
        "health_unknown" => Some(('?', "health unknown")),
        "hub_down" => Some(('x', "hub down")),
        "hub_back" => Some(('>', "hub back")),
        _ => None,
    }
}
