//! Ways through a graph: the next step, a whole path, and the distance to the head.
//!
//! Pure functions. A way never turns round: it goes up when the goal is newer and down when it is
//! older, so cycles in a graph are harmless here. A tombstone is never stepped on. Whether the
//! target's release document allows the step is checked by the agent, not here.

mod step;
#[cfg(test)]
mod tests;

pub use step::{Goal, NextStep, NoStep, Refused, next_step, next_step_where, risks_ahead};

use std::collections::BTreeSet;

use crate::graph::{Graph, Risk};
use crate::version::ReleaseVersion;

/// Why there is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPath {
    /// The graph does not know where the cluster is.
    #[error("{version} is not in the graph")]
    FromUnknown {
        /// The starting version.
        version: ReleaseVersion,
    },
    /// The graph does not know the goal.
    #[error("{version} is not in the graph")]
    ToUnknown {
        /// The goal.
        version: ReleaseVersion,
    },
    /// There is a way, but risks on it are not accepted.
    #[error("the way from {from} to {to} carries risks that are not accepted: {}", risks.join(", "))]
    Risks {
        /// The starting version.
        from: ReleaseVersion,
        /// The goal.
        to: ReleaseVersion,
        /// Names of the risks on the shortest way that are not accepted, sorted.
        risks: Vec<String>,
    },
    /// No edges lead there, whatever is accepted.
    #[error("no way leads from {from} to {to}")]
    NoEdges {
        /// The starting version.
        from: ReleaseVersion,
        /// The goal.
        to: ReleaseVersion,
    },
}

/// The shortest path, both ends included; among equally short ones the one through newer releases.
///
/// `accept` says of each risk whether the cluster is not exposed to it or its owner accepts it.
pub fn path(
    graph: &Graph,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
    accept: &dyn Fn(&Risk) -> bool,
) -> Result<Vec<ReleaseVersion>, NoPath> {
    let start =
        graph.node_index(from).ok_or_else(|| NoPath::FromUnknown { version: from.clone() })?;
    let goal = graph.node_index(to).ok_or_else(|| NoPath::ToUnknown { version: to.clone() })?;
    let accepted = |_: usize, _: usize, risks: &[Risk]| risks.iter().all(accept);
    if let Some(indices) = walk(graph, start, goal, &accepted) {
        return Ok(indices.into_iter().map(|i| graph.nodes()[i].version.clone()).collect());
    }
    let Some(risky) = walk(graph, start, goal, &|_, _, _| true) else {
        return Err(NoPath::NoEdges { from: from.clone(), to: to.clone() });
    };
    let mut names = BTreeSet::new();
    for pair in risky.windows(2) {
        let &[here, next] = pair else { continue };
        let risks = graph.offers_at(here).find(|(target, _)| *target == next).map(|(_, r)| r);
        names.extend(
            risks.unwrap_or_default().iter().filter(|r| !accept(r)).map(|r| r.name.clone()),
        );
    }
    Err(NoPath::Risks { from: from.clone(), to: to.clone(), risks: names.into_iter().collect() })
}

/// Unconditional edges from `from` to the graph's head; 0 on it, `None` where no way leads there.
pub fn hops_to_head(graph: &Graph, from: &ReleaseVersion) -> Option<u32> {
    let start = graph.node_index(from)?;
    let head = graph.head_index()?;
    if start > head {
        return None;
    }
    distances(graph, head, start, &|_, _, risks| risks.is_empty())[start]
}

/// Whether an edge `(from, to, risks)` may be used.
type Allow<'a> = &'a dyn Fn(usize, usize, &[Risk]) -> bool;

/// Edges needed from every node between `farthest` and `goal` to `goal`, without turning round.
///
/// Because a way only goes up (or only down), one pass in version order finds all distances.
fn distances(graph: &Graph, goal: usize, farthest: usize, allow: Allow<'_>) -> Vec<Option<u32>> {
    let mut distance = vec![None; graph.nodes().len()];
    if let Some(slot) = distance.get_mut(goal) {
        *slot = Some(0);
    }
    let mut visit = |here: usize, low: usize, high: usize| {
        distance[here] = graph
            .offers_at(here)
            .filter(|&(to, risks)| {
                (low..=high).contains(&to)
                    && !graph.nodes()[to].is_tombstone()
                    && allow(here, to, risks)
            })
            .filter_map(|(to, _)| distance[to])
            .min()
            .map(|least| least + 1);
    };
    if farthest <= goal {
        (farthest..goal).rev().for_each(|here| visit(here, here + 1, goal));
    } else {
        (goal + 1..=farthest).for_each(|here| visit(here, goal, here - 1));
    }
    distance
}

/// The newest first step on a shortest way from `start`, given the distances to its goal.
fn first_step(
    graph: &Graph,
    start: usize,
    goal: usize,
    distance: &[Option<u32>],
    allow: Allow<'_>,
) -> Option<usize> {
    let wanted = distance.get(start).copied().flatten()?.checked_sub(1)?;
    let onward = if start < goal { start + 1..=goal } else { goal..=start.checked_sub(1)? };
    graph
        .offers_at(start)
        .filter(|&(to, risks)| {
            onward.contains(&to)
                && distance[to] == Some(wanted)
                && !graph.nodes()[to].is_tombstone()
                && allow(start, to, risks)
        })
        .map(|(to, _)| to)
        .max()
}

/// A whole shortest way as node indices.
fn walk(graph: &Graph, start: usize, goal: usize, allow: Allow<'_>) -> Option<Vec<usize>> {
    let distance = distances(graph, goal, start, allow);
    let mut way = vec![start];
    let mut here = start;
    while here != goal {
        here = first_step(graph, here, goal, &distance, allow)?;
        way.push(here);
    }
    Some(way)
}
