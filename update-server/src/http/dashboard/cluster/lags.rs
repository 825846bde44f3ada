//! Quorum and PLEG lag of one product before, while and after it rolled: figures and lines. Pure.
//!
//! The hub keeps a lag with every change of version, phase, unit or verdict, so a roll is drawn unit by
//! unit and a quiet month is a straight line.

use std::fmt::Write as _;

use channels::wire::{HealthSummary, Phase};
use jiff::Timestamp;

use crate::store::HistoryRow;

/// Width and height of the plane.
const FULL: u32 = 1000;

/// The figures of one lag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// When the newest roll was granted, or just before it began.
    pub(super) before: Option<u64>,
    /// The worst while it rolled.
    pub(super) during: Option<u64>,
    /// As last reported.
    pub(super) now: Option<u64>,
}

/// One drawing of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chart {
    /// Points of polylines; empty = nothing was measured.
    pub(super) quorum: String,
    pub(super) pleg: String,
    /// Left edge and width of every stretch in which a unit was out.
    pub(super) rolling: Vec<(u32, u32)>,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// At the top, milliseconds.
    pub(super) most_ms: u64,
}

/// The newest stretch of rows in which a unit was out, by index from the oldest: begin and end.
fn newest_roll(rows: &[&HistoryRow]) -> Option<(usize, usize)> {
    let last = rows.iter().rposition(|row| row.phase.is_rolling())?;
    // Between two units of one roll it waits; what ends a roll is that nothing is left to do.
    let before = rows.get(..last).unwrap_or_default();
    let idle = before.iter().rposition(|row| row.phase == Phase::Idle);
    let first = idle.map_or(0, |idle| idle.saturating_add(1));
    let offset = rows.get(first..=last)?.iter().position(|row| row.phase.is_rolling())?;
    Some((first.saturating_add(offset), last))
}

/// The figures of one lag; `rows` are oldest first.
pub(super) fn figures(
    rows: &[&HistoryRow],
    granted: Option<&HealthSummary>,
    now: Option<u64>,
    of_row: fn(&HistoryRow) -> Option<u64>,
    of_health: fn(&HealthSummary) -> Option<u64>,
) -> Figures {
    let roll = newest_roll(rows);
    let begin = roll.map_or(0, |(begin, _)| begin);
    let just_before =
        rows.get(..begin).unwrap_or_default().iter().rev().find_map(|row| of_row(row));
    let during = roll
        .and_then(|(begin, end)| rows.get(begin..=end)?.iter().filter_map(|row| of_row(row)).max());
    Figures { before: granted.and_then(of_health).or(just_before), during, now }
}

fn scaled(part: i128, whole: i128) -> u32 {
    let full = i128::from(FULL);
    let place = part.saturating_mul(full).checked_div(whole).unwrap_or(0);
    u32::try_from(place.clamp(0, full)).unwrap_or(0)
}

/// Draws both lags from the first row to now; `rows` are oldest first.
pub(super) fn draw(rows: &[&HistoryRow], health: &HealthSummary, now: Timestamp) -> Option<Chart> {
    let from = rows.first()?.at;
    let lags = |of: fn(&HistoryRow) -> Option<u64>, last: Option<u64>| {
        let mut points: Vec<(Timestamp, u64)> =
            rows.iter().filter_map(|row| Some((row.at, of(row)?))).collect();
        points.extend(last.map(|ms| (now, ms)));
        points
    };
    let quorum = lags(|row| row.quorum_lag_ms, health.quorum_lag_ms);
    let pleg = lags(|row| row.pleg_lag_ms, health.pleg_lag_ms);
    let most_ms = quorum.iter().chain(&pleg).map(|(_, ms)| *ms).max()?;
    if quorum.len().max(pleg.len()) < 2 || now <= from {
        return None;
    }
    let x = |at: Timestamp| {
        scaled(at.duration_since(from).as_millis(), now.duration_since(from).as_millis())
    };
    let line = |points: &[(Timestamp, u64)]| {
        let mut line = String::new();
        for (at, ms) in points {
            let y = FULL - scaled(i128::from(*ms), i128::from(most_ms.max(1)));
            // Writing to a string does not fail.
            let _ = write!(line, "{},{y} ", x(*at));
        }
        line.trim_end().to_owned()
    };
    let ends = rows.iter().skip(1).map(|row| row.at).chain([now]);
    let rolling = rows.iter().zip(ends).filter(|(row, _)| row.phase.is_rolling());
    Some(Chart {
        rolling: rolling.map(|(row, end)| (x(row.at), x(end).saturating_sub(x(row.at)))).collect(),
        quorum: line(&quorum),
        pleg: line(&pleg),
        from,
        to: now,
        most_ms,
    })
}

#[cfg(test)]
mod tests {
    use channels::wire::HealthVerdict;
    use jiff::SignedDuration;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap() + SignedDuration::from_mins(minutes)
    }

    fn row(minutes: i64, phase: Phase, quorum: Option<u64>) -> HistoryRow {
        HistoryRow {
            at: at(minutes),
            product: "acme/kafka".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            target: None,
            phase,
            unit: None,
            health: HealthVerdict::Healthy,
            quorum_lag_ms: quorum,
            pleg_lag_ms: None,
            seq: 1,
        }
    }

    fn rolls() -> Vec<HistoryRow> {
        vec![
            row(0, Phase::Mutate, Some(9_000)),
            row(5, Phase::Idle, Some(20)),
            row(60, Phase::Waiting, Some(10)),
            row(61, Phase::Mutate, Some(400)),
            row(62, Phase::Waiting, Some(800)),
            row(63, Phase::Soak, Some(50)),
            row(80, Phase::Idle, Some(15)),
        ]
    }

    fn quorum(granted: Option<&HealthSummary>) -> Figures {
        let rows = rolls();
        let rows: Vec<&HistoryRow> = rows.iter().collect();
        figures(&rows, granted, Some(12), |row| row.quorum_lag_ms, |health| health.quorum_lag_ms)
    }

    #[test]
    fn before_while_and_after_the_newest_roll_between_whose_units_it_may_wait() {
        let told = quorum(None);
        assert_eq!(told, Figures { before: Some(10), during: Some(800), now: Some(12) });
        let granted = HealthSummary { quorum_lag_ms: Some(7), ..HealthSummary::default() };
        assert_eq!(quorum(Some(&granted)).before, Some(7), "the gate's own baseline");
        let calm = [row(0, Phase::Idle, Some(5))];
        let calm: Vec<&HistoryRow> = calm.iter().collect();
        let told =
            figures(&calm, None, None, |row| row.quorum_lag_ms, |health| health.quorum_lag_ms);
        assert_eq!((told.during, told.now), (None, None));
    }

    #[test]
    fn lines_go_from_the_first_change_to_now_and_rolls_are_stretches() {
        let rows = rolls();
        let rows: Vec<&HistoryRow> = rows.iter().collect();
        let health = HealthSummary { quorum_lag_ms: Some(9), ..HealthSummary::default() };
        let chart = draw(&rows, &health, at(100)).unwrap();
        assert_eq!((chart.most_ms, chart.from, chart.to), (9_000, at(0), at(100)));
        assert!(chart.quorum.starts_with("0,0 50,998 ") && chart.quorum.ends_with("1000,999"));
        assert_eq!(chart.pleg, "");
        assert_eq!(chart.rolling, [(0, 50), (610, 10), (630, 170)]);
        assert_eq!(draw(&rows[..0], &health, at(100)), None);
        assert_eq!(draw(&rows, &HealthSummary::default(), at(0)), None, "no time has passed");
    }
}
