//! Where boxes and lines stand; lengths in CSS pixels, the origin at the top left.

use super::edges::Drawn;
use crate::graph::Graph;

/// White around everything.
pub(super) const MARGIN: i64 = 28;
/// Height of a box.
pub(super) const BOX_HEIGHT: i64 = 30;
/// From one box to the next below it.
const ROW: i64 = 52;
/// Room for title, description and the lanes' names.
pub(super) const HEADER: i64 = 96;
/// Between two lanes, where lines run.
const GAP: i64 = 120;
/// Wide enough for a monospaced character of 13 px.
const CHARACTER: i64 = 8;
/// Text inside a box is at least this far from its border, left and right together.
const PADDING: i64 = 28;
/// Narrowest box: room for a word under it, on the left of the line to the next one.
const MIN_WIDTH: i64 = 112;
/// From a box's right border to the line that leads down from it.
const DOWN: i64 = 16;

/// All releases of one minor, one below the other.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) x: i64,
}

/// The place of one release: its left upper corner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    lane: usize,
    row: usize,
    pub(super) x: i64,
    pub(super) y: i64,
}

/// Where everything stands.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) lanes: Vec<Lane>,
    /// By node index.
    pub(super) places: Vec<Place>,
    pub(super) box_width: i64,
    /// Right end of the last lane, with room for its curves.
    pub(super) width: i64,
    /// Lower end of the longest lane.
    pub(super) bottom: i64,
}

/// A cubic curve.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    points: [(i64, i64); 4],
}

fn pixels(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Layout {
    /// Nodes are in version order, so each minor is one stretch of them.
    pub(super) fn new(graph: &Graph) -> Self {
        let longest = graph.nodes().iter().map(|node| node.version.to_string().len()).max();
        let box_width = (pixels(longest.unwrap_or(0)) * CHARACTER + PADDING).max(MIN_WIDTH);
        let mut lanes: Vec<Lane> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        let mut minor = None;
        let mut row = 0;
        for node in graph.nodes() {
            let version = node.version.semver();
            if minor.replace((version.major, version.minor)) == Some((version.major, version.minor))
            {
                row += 1;
            } else {
                let x = MARGIN + pixels(lanes.len()) * (box_width + GAP);
                lanes.push(Lane { name: format!("{}.{}", version.major, version.minor), x });
                row = 0;
            }
            let x = lanes.last().map_or(MARGIN, |lane| lane.x);
            let y = HEADER + pixels(row) * ROW;
            places.push(Place { lane: lanes.len(), row, x, y });
        }
        let lowest = places.iter().map(|place| place.y).max().unwrap_or(HEADER);
        let right = lanes.last().map_or(MARGIN, |lane| lane.x) + box_width;
        Self { lanes, places, box_width, width: right + GAP, bottom: lowest + BOX_HEIGHT }
    }

    /// The line of an edge. It touches its boxes, so that an arrow head ends on the border.
    pub(super) fn curve(&self, edge: &Drawn) -> Curve {
        let (from, to) = (self.places[edge.from], self.places[edge.to]);
        let (left, right) = (|place: Place| place.x, |place: Place| place.x + self.box_width);
        let middle = |place: Place| place.y + BOX_HEIGHT / 2;
        if from.lane == to.lane && to.row == from.row + 1 {
            let x = right(from) - DOWN;
            let (begin, end) = (from.y + BOX_HEIGHT, to.y);
            return Curve { points: [(x, begin), (x, begin), (x, end), (x, end)] };
        }
        if from.lane == to.lane {
            // Upgrades bow to the right, downgrades to the left.
            let bow = (16 + pixels(from.row.abs_diff(to.row)) * 6).min(GAP / 2);
            let (x, away) = if from.row < to.row { (right(from), bow) } else { (left(from), -bow) };
            let points = [
                (x, middle(from)),
                (x + away, middle(from)),
                (x + away, middle(to)),
                (x, middle(to)),
            ];
            return Curve { points };
        }
        let forward = from.lane < to.lane;
        let (begin, end, pull) = if forward {
            (right(from), left(to), GAP / 2)
        } else {
            (left(from), right(to), -GAP / 2)
        };
        // Lower than an upgrade between the same two, which would hide it.
        let middle = |place: Place| middle(place) + if forward { 0 } else { BOX_HEIGHT / 3 };
        let points = [
            (begin, middle(from)),
            (begin + pull, middle(from)),
            (end - pull, middle(to)),
            (end, middle(to)),
        ];
        Curve { points }
    }
}

impl Curve {
    /// As path data.
    pub(super) fn path(&self) -> String {
        let [a, b, c, d] = self.points;
        format!("M{} {}C{} {} {} {} {} {}", a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1)
    }

    /// A point a quarter of the way along, where lines to one target still run apart.
    pub(super) fn quarter(&self) -> (i64, i64) {
        let [a, b, c, d] = self.points;
        let at = |a: i64, b: i64, c: i64, d: i64| (27 * a + 27 * b + 9 * c + d) / 64;
        (at(a.0, b.0, c.0, d.0), at(a.1, b.1, c.1, d.1))
    }
}
