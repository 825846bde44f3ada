//! Where the releases and edges of a channel's picture stand; lengths in CSS pixels, the origin at
//! the top left.
//!
//! One lane per minor, the newest at the top; in a lane the releases in semver order from left to
//! right, the newest of all lanes below each other: releases that came out together stand together, so
//! most lines from lane to lane are short. Nothing depends on how many clusters run what but the size
//! of a node, so a picture that refreshes itself stays where it is.

use channels::graph::Graph;

/// Radius of a release that no cluster runs.
const EMPTY_RADIUS: i64 = 6;
/// Radius of a release with one cluster of very many.
const LEAST_RADIUS: i64 = 8;
/// Radius of the release with the most clusters.
pub(super) const MOST_RADIUS: i64 = 17;
/// Least distance of two releases' centres: the largest two and a gap for the line between them.
const STEP: i64 = 2 * MOST_RADIUS + 14;
/// Room for a lane's name before its first release.
const LEFT: i64 = 72;
/// Room for the same, and its end of life, after the last ones.
const RIGHT: i64 = 128;
/// Left of a name.
const MARGIN: i64 = 14;
/// Room above the first lane, where lines bow.
const TOP: i64 = 8;
/// Height of a lane: lines that bow, the releases, their labels and marks.
const LANE: i64 = 132;
/// From a lane's upper border to the centres of its releases.
const CENTRE: i64 = 72;
/// Highest bow of a line that passes over other releases.
const MOST_BOW: i64 = 48;
/// A character of a label, 12 px monospaced.
const CHARACTER: i64 = 8;
/// Between two labels.
const LABEL_GAP: i64 = 8;

/// All releases of one minor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    /// `4.13`
    pub(super) name: String,
    /// Its upper border.
    pub(super) y: i64,
    /// Where its name begins, before its first release.
    pub(super) name_x: i64,
    /// Node indices from `first` to before `end` are in it.
    pub(super) first: usize,
    pub(super) end: usize,
}

/// The place of one release: its centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) radius: i64,
    /// What of the version the lane's name does not say.
    pub(super) label: String,
    lane: usize,
    column: usize,
}

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Oldest first.
    pub(super) lanes: Vec<Lane>,
    /// By node index.
    pub(super) places: Vec<Place>,
    /// Where the lanes' names begin after the last releases.
    pub(super) names_x: i64,
    pub(super) width: i64,
    pub(super) height: i64,
}

fn pixels(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Layout {
    /// Places every node; `clusters` has how many run which, by node index.
    pub(super) fn new(graph: &Graph, clusters: &[u64]) -> Self {
        let mut lanes: Vec<Lane> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        let most = clusters.iter().copied().max().unwrap_or(0);
        let mut minor = None;
        let (mut x, mut half, mut column) = (0, 0, 0);
        for (index, node) in graph.nodes().iter().enumerate() {
            let version = node.version.semver();
            let here = (version.major, version.minor);
            let name = format!("{}.{}", here.0, here.1);
            let text = node.version.to_string();
            let label = text.strip_prefix(&name).and_then(|rest| rest.strip_prefix('.'));
            let label = label.unwrap_or(&text).to_owned();
            let own_half = pixels(label.chars().count()) * CHARACTER / 2;
            if minor.replace(here) == Some(here) {
                x += STEP.max(half + LABEL_GAP + own_half);
                column += 1;
            } else {
                lanes.push(Lane { name, y: 0, name_x: 0, first: index, end: index });
                x = LEFT + MOST_RADIUS.max(own_half);
                column = 0;
            }
            half = own_half;
            let running = clusters.get(index).copied().unwrap_or(0);
            let (lane, radius) = (lanes.len().saturating_sub(1), radius(running, most));
            places.push(Place { x, y: 0, radius, label, lane, column });
            if let Some(lane) = lanes.last_mut() {
                lane.end = index + 1;
            }
        }
        let ends: Vec<i64> = lanes.iter().map(|lane| last_of(lane, &places)).collect();
        let end = ends.iter().copied().max().unwrap_or(LEFT);
        // The newest is what people look for, and upgrades lead upwards.
        let count = lanes.len();
        for ((number, lane), own_end) in lanes.iter_mut().enumerate().zip(&ends) {
            lane.y = TOP + pixels(count - 1 - number) * LANE;
            lane.name_x = end - own_end + MARGIN;
        }
        for place in &mut places {
            place.x += end - ends.get(place.lane).copied().unwrap_or(end);
            place.y = lanes.get(place.lane).map_or(0, |lane| lane.y) + CENTRE;
        }
        let names_x = end + MOST_RADIUS + MARGIN;
        Self { lanes, places, names_x, width: end + RIGHT, height: TOP + pixels(count) * LANE }
    }

    /// The same for every lane.
    pub(super) fn lane_height() -> i64 {
        LANE
    }

    /// The line of an edge as path data; it begins and ends at the borders of its releases.
    pub(super) fn path(&self, from: usize, to: usize) -> Option<String> {
        let (from, to) = (self.places.get(from)?, self.places.get(to)?);
        Some(if from.lane == to.lane { along(from, to) } else { across(from, to) })
    }
}

/// The right border of a lane's last release or its label.
fn last_of(lane: &Lane, places: &[Place]) -> i64 {
    let last = lane.end.checked_sub(1).and_then(|last| places.get(last));
    last.map_or(LEFT, |last| last.x + pixels(last.label.chars().count()) * CHARACTER / 2)
}

/// Area says how many, so the radius grows with the root; what somebody runs is never as small as
/// what nobody does.
fn radius(clusters: u64, most: u64) -> i64 {
    if clusters == 0 {
        return EMPTY_RADIUS;
    }
    let grows = MOST_RADIUS - LEAST_RADIUS;
    let square = u64::try_from(grows * grows).unwrap_or(0);
    let part = u128::from(clusters) * u128::from(square) / u128::from(most.max(1));
    LEAST_RADIUS + i64::try_from(part.isqrt()).unwrap_or(grows).min(grows)
}

/// In one lane: straight to the next release, else in a bow, upgrades above and downgrades below.
fn along(from: &Place, to: &Place) -> String {
    let y = from.y;
    if to.column == from.column + 1 {
        return format!("M{} {y}H{}", from.x + from.radius, to.x - to.radius);
    }
    let bow = (12 + pixels(from.column.abs_diff(to.column)) * 5).min(MOST_BOW);
    let up = if from.column < to.column { -1 } else { 1 };
    let (begin, end) = (y + up * from.radius, y + up * to.radius);
    let peak = y + up * (MOST_RADIUS + bow);
    format!("M{} {begin}C{} {peak} {} {peak} {} {end}", from.x, from.x, to.x, to.x)
}

/// From lane to lane: out of the top and in at the bottom, or the other way for downgrades.
fn across(from: &Place, to: &Place) -> String {
    let up = if to.y < from.y { -1 } else { 1 };
    let (begin, end) = (from.y + up * from.radius, to.y - up * to.radius);
    let pull = up * LANE / 2;
    let (a, b) = (begin + pull, end - pull);
    format!("M{} {begin}C{} {a} {} {b} {} {end}", from.x, from.x, to.x, to.x)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use channels::graph::{GraphBuilder, Node};
    use proptest::prelude::*;

    use super::*;

    fn graph(versions: &BTreeSet<String>, edges: &[(usize, usize)]) -> Graph {
        let mut builder = GraphBuilder::new(None);
        for version in versions {
            builder.node(Node {
                version: version.parse().unwrap(),
                payload: String::new(),
                metadata: BTreeMap::new(),
            });
        }
        for &(from, to) in edges.iter().filter(|(a, b)| *a.max(b) < versions.len()) {
            builder.edge(from, to);
        }
        builder.build().unwrap()
    }

    fn sample(versions: &[&str]) -> Graph {
        graph(&versions.iter().map(|&version| version.to_owned()).collect(), &[])
    }

    #[test]
    fn the_newest_minor_is_on_top_and_a_lane_goes_from_left_to_right() {
        let layout =
            Layout::new(&sample(&["4.12.0", "4.12.1", "4.13.0-rc.1", "4.13.0"]), &[0, 9, 1, 4]);
        let names: Vec<&str> = layout.lanes.iter().map(|lane| lane.name.as_str()).collect();
        assert_eq!(names, ["4.12", "4.13"]);
        assert!(layout.lanes[1].y < layout.lanes[0].y);
        assert_eq!((layout.lanes[1].first, layout.lanes[1].end), (2, 4));
        let places = &layout.places;
        assert!(places[0].x < places[1].x && places[2].x < places[3].x);
        assert_eq!(places[1].x, places[3].x, "the newest of both lanes stand below each other");
        assert_eq!(places[2].label, "0-rc.1");
    }

    #[test]
    fn a_node_grows_with_the_root_of_its_clusters() {
        assert_eq!([radius(0, 100), radius(100, 100)], [EMPTY_RADIUS, MOST_RADIUS]);
        assert_eq!(radius(1, 1_000_000), LEAST_RADIUS);
        assert_eq!(radius(25, 100), LEAST_RADIUS + (MOST_RADIUS - LEAST_RADIUS) / 2);
        assert_eq!(radius(u64::MAX, u64::MAX), MOST_RADIUS);
    }

    #[test]
    fn an_empty_graph_has_a_picture_without_anything() {
        let layout = Layout::new(&sample(&[]), &[]);
        assert_eq!((layout.lanes.len(), layout.places.len()), (0, 0));
        assert_eq!(layout.path(0, 1), None);
    }

    /// All pairs `(from, to)` that edges lead between.
    fn reached(count: usize, edges: &BTreeSet<(usize, usize)>) -> BTreeSet<(usize, usize)> {
        let mut all = edges.clone();
        for through in 0..count {
            let begins: Vec<usize> =
                (0..count).filter(|from| all.contains(&(*from, through))).collect();
            let ends: Vec<usize> = (0..count).filter(|to| all.contains(&(through, *to))).collect();
            for from in begins {
                all.extend(ends.iter().map(|to| (from, *to)));
            }
        }
        all
    }

    fn versions() -> impl Strategy<Value = BTreeSet<String>> {
        let version = (0..2_u8, 0..4_u8, 0..12_u8, prop::option::of(0..3_u8)).prop_map(
            |(major, minor, patch, rc)| match rc {
                Some(rc) => format!("{major}.{minor}.{patch}-rc.{rc}"),
                None => format!("{major}.{minor}.{patch}"),
            },
        );
        prop::collection::btree_set(version, 0..40)
    }

    proptest! {
        #[test]
        fn no_two_releases_touch_nor_leave_the_picture(
            versions in versions(),
            clusters in prop::collection::vec(any::<u64>(), 40),
        ) {
            let graph = graph(&versions, &[]);
            let layout = Layout::new(&graph, &clusters);
            prop_assert_eq!(&layout, &Layout::new(&graph, &clusters), "the same again");
            for (index, a) in layout.places.iter().enumerate() {
                prop_assert!(a.x - a.radius >= 0 && a.x + a.radius <= layout.width);
                prop_assert!(a.y - a.radius >= 0 && a.y + a.radius <= layout.height);
                for b in &layout.places[index + 1..] {
                    let (dx, dy) = (a.x - b.x, a.y - b.y);
                    let apart = a.radius + b.radius;
                    prop_assert!(dx * dx + dy * dy > apart * apart, "{a:?} {b:?}");
                    let wide = |p: &Place| pixels(p.label.chars().count()) * CHARACTER / 2;
                    prop_assert!(dy != 0 || dx.abs() > wide(a) + wide(b), "{a:?} {b:?}");
                }
            }
        }

        #[test]
        fn whoever_gets_somewhere_by_all_edges_gets_there_by_those_drawn(
            versions in versions(),
            edges in prop::collection::btree_set((0..20_usize, 0..20_usize), 0..60),
        ) {
            // Upgrades; downgrades are reduced apart from them.
            let up: Vec<(usize, usize)> = edges.into_iter().filter(|(a, b)| a < b).collect();
            let graph = graph(&versions, &up);
            let count = graph.nodes().len();
            let upgrades = |edges: &[(usize, usize)]| -> BTreeSet<(usize, usize)> {
                edges.iter().copied().filter(|(a, b)| a < b).collect()
            };
            let (all, drawn) = (upgrades(graph.edges()), graph.reduced_edges());
            prop_assert!(drawn.iter().all(|edge| graph.edges().contains(edge)));
            prop_assert_eq!(reached(count, &upgrades(&drawn)), reached(count, &all));
            let layout = Layout::new(&graph, &[]);
            prop_assert!(drawn.iter().all(|&(from, to)| layout.path(from, to).is_some()));
        }
    }
}
