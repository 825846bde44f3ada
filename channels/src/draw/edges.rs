//! The edges of a picture, with what each of them carries.

use std::collections::BTreeMap;

use crate::graph::Graph;

/// One edge of a picture, by node index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Drawn {
    pub(super) from: usize,
    pub(super) to: usize,
    /// Index into [`Graph::conditional`] of an edge that carries risks.
    pub(super) group: Option<usize>,
}

/// The edges worth drawing, sorted: those that no longer way stands for.
pub(super) fn drawn(graph: &Graph) -> Vec<Drawn> {
    let mut groups = BTreeMap::new();
    for (number, group) in graph.conditional().iter().enumerate() {
        groups.extend(group.edges.iter().map(|edge| (*edge, number)));
    }
    let edges = graph.reduced_edges().into_iter();
    edges.map(|(from, to)| Drawn { from, to, group: groups.get(&(from, to)).copied() }).collect()
}
