//! The release graph as lines, circles and words for the template. Draws the transitive reduction;
//! of a release that is picked, every edge.

use std::collections::BTreeSet;

use channels::graph::{Graph, Node};
use jiff::Timestamp;

use super::kind::{Kind, RisksOf, names};
use super::layout::{Layout, MOST_RADIUS};
use super::link::{self, Picked};
use crate::http::dashboard::words::count;

/// Room between a release and what is written below it.
const BELOW: i64 = 14;
/// Height of a line of text.
const LINE: i64 = 14;

/// Marks of releases, explained below the picture.
pub(super) const MARKS: [(&str, &str); 5] = [
    ("★", "head"),
    ("✕", "withdrawn: nothing moves to it"),
    ("▮", "barrier: no edge jumps over it"),
    ("■", "dead end: never left, on purpose"),
    ("†", "past its end of life"),
];

/// The picture.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: i64,
    pub(super) height: i64,
    pub(super) label: String,
    pub(super) names_x: i64,
    pub(super) lanes: Vec<DrawnLane>,
    pub(super) edges: Vec<DrawnEdge>,
    pub(super) nodes: Vec<DrawnNode>,
}

#[derive(Debug)]
pub(super) struct DrawnLane {
    pub(super) name: String,
    pub(super) y: i64,
    /// Its name stands before its first release, and after the last ones with its end of life.
    pub(super) name_x: i64,
    pub(super) name_y: i64,
    pub(super) eol_y: i64,
    pub(super) height: i64,
    /// `support ends 2026-12-31`
    pub(super) eol: String,
}

#[derive(Debug)]
pub(super) struct DrawnEdge {
    pub(super) href: String,
    pub(super) path: String,
    pub(super) class: &'static str,
    /// What it says to those who do not see it.
    pub(super) title: String,
    pub(super) picked: bool,
    /// Drawn only because its release is picked.
    pub(super) extra: bool,
}

#[derive(Debug)]
pub(super) struct DrawnNode {
    pub(super) href: String,
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) radius: i64,
    pub(super) label: String,
    pub(super) label_y: i64,
    pub(super) marks: String,
    pub(super) marks_y: i64,
    pub(super) class: &'static str,
    pub(super) title: String,
    pub(super) picked: bool,
}

/// What is drawn, and from what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawing<'g> {
    pub(super) graph: &'g Graph,
    pub(super) risks: &'g RisksOf<'g>,
    /// How many clusters run which release, by node index.
    pub(super) clusters: &'g [u64],
    pub(super) picked: &'g Picked,
    pub(super) now: Timestamp,
}

impl Drawing<'_> {
    pub(super) fn picture(&self) -> Picture {
        let layout = Layout::new(self.graph, self.clusters);
        let edges = self.edges(&layout);
        let nodes: Vec<DrawnNode> =
            (0..self.graph.nodes().len()).filter_map(|index| self.node(&layout, index)).collect();
        let label = format!(
            "Release graph: {} in {}, {} drawn",
            count(nodes.len(), "release"),
            count(layout.lanes.len(), "lane"),
            count(edges.len(), "edge"),
        );
        let lanes = layout.lanes.iter().map(|lane| {
            let nodes = self.graph.nodes().get(lane.first..lane.end).unwrap_or_default();
            let eol = nodes.iter().filter_map(Node::eol).max();
            let verb = |past| if past { "ended" } else { "ends" };
            DrawnLane {
                name: lane.name.clone(),
                y: lane.y + 4,
                name_x: lane.name_x,
                name_y: lane.y + 76,
                eol_y: lane.y + 94,
                height: Layout::lane_height() - 8,
                eol: eol.map_or_else(String::new, |day| {
                    format!("{} {day}", verb(day.is_past(self.now)))
                }),
            }
        });
        let lanes = lanes.collect();
        let Layout { names_x, width, height, .. } = layout;
        Picture { width, height, label, names_x, lanes, edges, nodes }
    }

    fn edges(&self, layout: &Layout) -> Vec<DrawnEdge> {
        let reduced: BTreeSet<(usize, usize)> = self.graph.reduced_edges().into_iter().collect();
        let mut all = reduced.clone();
        match self.picked {
            Picked::Node(picked) => all.extend(edges_of(self.graph, *picked)),
            Picked::Edge(from, to) => all.extend([(*from, *to)]),
            Picked::Nothing | Picked::Missing(_) => {}
        }
        let mut drawn: Vec<DrawnEdge> = all
            .iter()
            .filter_map(|edge| self.edge(layout, *edge, !reduced.contains(edge)))
            .collect();
        // What is picked lies on top.
        drawn.sort_by_key(|edge| edge.picked);
        drawn
    }

    fn edge(&self, layout: &Layout, edge: (usize, usize), extra: bool) -> Option<DrawnEdge> {
        let (from, to) = (self.graph.nodes().get(edge.0)?, self.graph.nodes().get(edge.1)?);
        let risks = self.risks.get(&edge).copied().unwrap_or_default();
        let kind = Kind::of(risks);
        let risky = if risks.is_empty() { String::new() } else { format!(": {}", names(risks)) };
        Some(DrawnEdge {
            href: link::edge(&from.version, &to.version),
            path: layout.path(edge.0, edge.1)?,
            class: kind.class(),
            title: format!("{} to {}, {}{risky}", from.version, to.version, kind.words()),
            picked: *self.picked == Picked::Edge(edge.0, edge.1),
            extra,
        })
    }

    fn node(&self, layout: &Layout, index: usize) -> Option<DrawnNode> {
        let (node, place) = (self.graph.nodes().get(index)?, layout.places.get(index)?);
        let clusters = self.clusters.get(index).copied().unwrap_or(0);
        let head = self.graph.head_index() == Some(index);
        let (mut marks, mut title) =
            (Vec::new(), format!("{}, {}", node.version, count(clusters, "cluster")));
        for (mark, words) in marks_of(node, head, self.now) {
            marks.push(mark);
            title.push_str(", ");
            title.push_str(words);
        }
        let label_y = place.y + MOST_RADIUS + BELOW;
        Some(DrawnNode {
            href: link::node(&node.version),
            x: place.x,
            y: place.y,
            radius: place.radius,
            label: place.label.clone(),
            label_y,
            marks: marks.join(" "),
            marks_y: label_y + LINE,
            class: match (node.is_tombstone(), head, clusters) {
                (true, _, _) => "withdrawn",
                (false, true, _) => "head",
                (false, false, 0) => "empty",
                (false, false, _) => "used",
            },
            title,
            picked: *self.picked == Picked::Node(index),
        })
    }
}

/// Every edge that begins or ends at a release.
pub(super) fn edges_of(graph: &Graph, index: usize) -> BTreeSet<(usize, usize)> {
    let groups = graph.conditional().iter().flat_map(|group| &group.edges);
    let touches = |edge: &&(usize, usize)| edge.0 == index || edge.1 == index;
    graph.edges().iter().chain(groups).filter(touches).copied().filter(|(a, b)| a != b).collect()
}

/// The marks of a release with what they mean.
pub(super) fn marks_of(
    node: &Node,
    head: bool,
    now: Timestamp,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let is = [
        head,
        node.is_tombstone(),
        node.barrier().is_some(),
        node.dead_end().is_some(),
        node.eol().is_some_and(|day| day.is_past(now)),
    ];
    MARKS.into_iter().zip(is).filter(|(_, is)| *is).map(|(mark, _)| mark)
}
