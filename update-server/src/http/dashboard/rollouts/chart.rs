//! The course of a rollout as lines on a plane, and the same figures as rows of a table.
//!
//! Pure. The plane is 1000 by 1000 and stretched to its box, so all words stand beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use crate::rollout::{Course, DonePoint, OpenPoint};

/// Width and height of the plane.
const FULL: u32 = 1000;

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chart {
    /// Points of polylines, as SVG has them; empty = no such line.
    pub(super) planned: String,
    pub(super) started: String,
    pub(super) done: String,
    pub(super) expected: String,
    /// Where now is.
    pub(super) now: u32,
    /// Left and right end of the plane.
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Clusters at the top.
    pub(super) most: u32,
    pub(super) rows: Vec<Row>,
}

/// One moment; a figure is absent where its line has no point.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at: Timestamp,
    pub(super) planned: Option<u32>,
    pub(super) started: Option<u32>,
    pub(super) done: Option<u32>,
    pub(super) expected: Option<u32>,
}

/// `part` of `whole` on the plane's scale.
fn scaled(part: i128, whole: i128) -> u32 {
    let full = i128::from(FULL);
    let place = part.saturating_mul(full).checked_div(whole).unwrap_or(0);
    u32::try_from(place.clamp(0, full)).unwrap_or(0)
}

/// From times and clusters to places.
struct Plane {
    from: Timestamp,
    to: Timestamp,
    most: u32,
}

impl Plane {
    fn x(&self, at: Timestamp) -> u32 {
        let millis = |at: Timestamp| at.duration_since(self.from).as_millis();
        scaled(millis(at), millis(self.to))
    }

    /// Downwards, as SVG has it.
    fn y(&self, clusters: u32) -> u32 {
        FULL - scaled(clusters.into(), self.most.into())
    }

    /// A line that is straight from point to point.
    fn straight(&self, points: &[OpenPoint]) -> String {
        let mut line = String::new();
        for point in points {
            // Writing to a string does not fail.
            let _ = write!(line, "{},{} ", self.x(point.at), self.y(point.clusters));
        }
        line.trim_end().to_owned()
    }

    /// A line of counts: what was counted stays until more is.
    fn steps(&self, points: &[DonePoint], count: fn(&DonePoint) -> u32) -> String {
        let mut line = String::new();
        let mut before: Option<u32> = None;
        for point in points {
            let (x, y) = (self.x(point.at), self.y(count(point)));
            if let Some(before) = before.filter(|before| *before != y) {
                let _ = write!(line, "{x},{before} ");
            }
            let _ = write!(line, "{x},{y} ");
            before = Some(y);
        }
        line.trim_end().to_owned()
    }
}

/// Draws a course; nothing if there is nobody to go.
pub(super) fn draw(course: &Course) -> Option<Chart> {
    let times = || {
        let open = course.planned.iter().chain(&course.expected).map(|point| point.at);
        open.chain(course.actual.iter().map(|point| point.at))
    };
    let (from, to) = (times().min()?, times().max()?);
    let started = course.actual.iter().map(|point| point.started).max().unwrap_or(0);
    let most = course.clusters.max(started);
    if most == 0 || from == to {
        return None;
    }
    let plane = Plane { from, to, most };
    Some(Chart {
        planned: plane.straight(&course.planned),
        started: plane.steps(&course.actual, |point| point.started),
        done: plane.steps(&course.actual, |point| point.done),
        expected: plane.straight(&course.expected),
        now: plane.x(course.at),
        from,
        to,
        most,
        rows: rows(course),
    })
}

/// Every point of every line, in order of time.
fn rows(course: &Course) -> Vec<Row> {
    let mut rows: BTreeMap<Timestamp, Row> = BTreeMap::new();
    let mut row = |at: Timestamp, set: &dyn Fn(&mut Row)| {
        set(rows.entry(at).or_insert(Row { at, ..Row::default() }));
    };
    for point in &course.planned {
        row(point.at, &|row| row.planned = Some(point.clusters));
    }
    for point in &course.actual {
        row(point.at, &|row| (row.started, row.done) = (Some(point.started), Some(point.done)));
    }
    for point in &course.expected {
        row(point.at, &|row| row.expected = Some(point.clusters));
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap() + SignedDuration::from_hours(hours)
    }

    fn open(hours: i64, clusters: u32) -> OpenPoint {
        OpenPoint { at: at(hours), clusters }
    }

    fn course() -> Course {
        Course {
            at: at(5),
            clusters: 100,
            planned: vec![open(0, 0), open(10, 100)],
            actual: vec![
                DonePoint { at: at(0), started: 0, done: 0 },
                DonePoint { at: at(2), started: 10, done: 0 },
                DonePoint { at: at(5), started: 10, done: 5 },
            ],
            expected: vec![open(5, 40), open(20, 100)],
            all_open_at: Some(at(20)),
            done_at: Some(at(21)),
        }
    }

    #[test]
    fn lines_fill_the_plane_and_counts_are_steps() {
        let chart = draw(&course()).unwrap();
        assert_eq!(chart.planned, "0,1000 500,0");
        assert_eq!(chart.expected, "250,600 1000,0");
        assert_eq!(chart.started, "0,1000 100,1000 100,900 250,900");
        assert_eq!(chart.done, "0,1000 100,1000 250,1000 250,950");
        assert_eq!((chart.now, chart.from, chart.to, chart.most), (250, at(0), at(20), 100));
    }

    #[test]
    fn the_table_has_every_point_once() {
        let rows = draw(&course()).unwrap().rows;
        let told: Vec<_> =
            rows.iter().map(|row| (row.planned, row.started, row.done, row.expected)).collect();
        assert_eq!(
            told,
            [
                (Some(0), Some(0), Some(0), None),
                (None, Some(10), Some(0), None),
                (None, Some(10), Some(5), Some(40)),
                (Some(100), None, None, None),
                (None, None, None, Some(100)),
            ]
        );
    }

    #[test]
    fn more_starts_than_members_stay_inside_and_nobody_is_no_chart() {
        let mut course = course();
        course.clusters = 5;
        assert_eq!(draw(&course).unwrap().most, 10);
        course.clusters = 0;
        course.actual.clear();
        assert_eq!(draw(&course), None);
    }
}
