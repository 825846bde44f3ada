//! Which edges a picture needs: those that no longer way implies.

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

/// The edges worth drawing, sorted.
///
/// A plain edge is left out where a longer way of plain edges leads to the same release; an edge
/// with risks where a longer way of any edges does. Edges to older releases are always kept.
pub(super) fn drawn(graph: &Graph) -> Vec<Drawn> {
    let mut groups = BTreeMap::new();
    for (number, group) in graph.conditional().iter().enumerate() {
        groups.extend(group.edges.iter().map(|edge| (*edge, number)));
    }
    let all: Vec<Drawn> = (0..graph.nodes().len())
        .flat_map(|from| graph.offers_at(from).map(move |(to, _)| (from, to)))
        .map(|(from, to)| Drawn { from, to, group: groups.get(&(from, to)).copied() })
        .collect();
    let plain: Vec<Drawn> = all.iter().copied().filter(|edge| edge.group.is_none()).collect();
    let mut kept = reduced(graph.nodes().len(), &plain);
    let risky = reduced(graph.nodes().len(), &all);
    kept.extend(risky.into_iter().filter(|edge| edge.group.is_some()));
    kept.sort_unstable();
    kept
}

/// Transitive reduction of the edges to newer releases; `edges` are sorted.
///
/// A way only goes up, so the sets of what each node reaches are found in one pass from the newest:
/// an edge is implied when an earlier, nearer target of the same node already reaches its end.
fn reduced(nodes: usize, edges: &[Drawn]) -> Vec<Drawn> {
    let words = nodes.div_ceil(64);
    let mut reach = vec![0_u64; nodes * words];
    let mut kept: Vec<Drawn> = edges.iter().copied().filter(|edge| edge.to < edge.from).collect();
    for from in (0..nodes).rev() {
        let begin = edges.partition_point(|edge| edge.from < from);
        let own = edges[begin..].iter().take_while(|edge| edge.from == from);
        for edge in own.filter(|edge| edge.to > from) {
            let bit = 1_u64 << (edge.to % 64);
            if reach[from * words + edge.to / 64] & bit != 0 {
                continue;
            }
            kept.push(*edge);
            for word in 0..words {
                reach[from * words + word] |= reach[edge.to * words + word];
            }
            reach[from * words + edge.to / 64] |= bit;
        }
    }
    kept
}
