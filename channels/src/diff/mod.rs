//! What one graph has that another has not: releases, edges, risks; and who would feel it.
//!
//! Pure. Compares two graphs of one channel and architecture, and counts clusters from figures the
//! caller brings; it asks nobody and decides nothing.

mod group;
mod lifted;
mod stranded;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use group::{EdgeGroup, Fleet};
pub use lifted::without_risk;
pub use stranded::{Stranded, resting_tombstones, stranded};

use crate::graph::{Graph, Risk};
use crate::version::ReleaseVersion;

/// What became of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeChange {
    /// It was there and is gone.
    Vanished,
    /// It was recommended and carries risks.
    BecameConditional,
    /// It carries other risks than it did.
    RisksChanged,
    /// It was not there; it may carry risks.
    Appeared,
    /// It carried risks and is recommended.
    BecameRecommended,
}

impl EdgeChange {
    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::BecameConditional => "became_conditional",
            Self::RisksChanged => "risks_changed",
            Self::Appeared => "appeared",
            Self::BecameRecommended => "became_recommended",
        }
    }
}

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeChange {
    /// It is new in the channel.
    Appeared,
    /// It is gone; clusters on it are off the graph.
    Vanished,
    /// It was made a tombstone.
    Withdrawn,
    /// It was a tombstone and is one no more.
    Restored,
    /// It has another payload: a published release never changes, so this is a fault.
    PayloadChanged,
}

/// Everything that differs between two graphs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GraphDiff {
    /// Releases that changed, by version.
    pub nodes: Vec<(ReleaseVersion, NodeChange)>,
    /// Edges that changed, by kind, target and risks.
    pub edges: Vec<EdgeGroup>,
    /// Names of risks that stand on some edge of the new graph and on none of the old one.
    pub risks_appeared: Vec<String>,
    /// Names of risks that stand on some edge of the old graph and on none of the new one.
    pub risks_vanished: Vec<String>,
    /// Risks of one name whose text, page or rules differ.
    pub risks_reworded: Vec<String>,
    /// The head, where it is another one: the old one and the new one.
    pub head: Option<(Option<ReleaseVersion>, Option<ReleaseVersion>)>,
}

impl GraphDiff {
    /// Whether the graphs offer the same.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many edges changed in one way.
    pub fn edges_that(&self, change: EdgeChange) -> usize {
        let groups = self.edges.iter().filter(|group| group.change == change);
        groups.map(|group| group.from.len()).sum()
    }

    /// Clusters that run a version from which an edge changed in one of these ways, each once.
    pub fn clusters_touched(&self, fleet: &Fleet, changes: &[EdgeChange]) -> u64 {
        let groups = self.edges.iter().filter(|group| changes.contains(&group.change));
        let sources: BTreeSet<&ReleaseVersion> = groups.flat_map(|group| &group.from).collect();
        sources.into_iter().map(|version| fleet.on(version)).sum()
    }
}

/// The edges of a graph with their risks; sorted by `(from, to)`.
type Edges<'g> = BTreeMap<(&'g ReleaseVersion, &'g ReleaseVersion), &'g [Risk]>;

fn edges(graph: &Graph) -> Edges<'_> {
    let nodes = graph.nodes();
    let mut edges = Edges::new();
    for (from, node) in nodes.iter().enumerate() {
        let offers = graph.offers_at(from);
        edges.extend(offers.map(|(to, risks)| ((&node.version, &nodes[to].version), risks)));
    }
    edges
}

/// Compares two graphs. A channel that is missing on one side compares as an empty graph.
pub fn diff(old: &Graph, new: &Graph) -> GraphDiff {
    let (before, after) = (edges(old), edges(new));
    let mut changes = Vec::new();
    for (edge, risks) in &before {
        let change = match after.get(edge) {
            None => Some((EdgeChange::Vanished, *risks)),
            Some(now) if now == risks => None,
            Some(now) if risks.is_empty() => Some((EdgeChange::BecameConditional, *now)),
            Some([]) => Some((EdgeChange::BecameRecommended, *risks)),
            Some(now) => Some((EdgeChange::RisksChanged, *now)),
        };
        changes.extend(change.map(|(change, risks)| (change, *edge, risks)));
    }
    let new_edges = after.iter().filter(|(edge, _)| !before.contains_key(*edge));
    changes.extend(new_edges.map(|(edge, risks)| (EdgeChange::Appeared, *edge, *risks)));
    let (known, carried) = (risks(&before), risks(&after));
    let missing = |these: &Named<'_>, there: &Named<'_>| -> Vec<String> {
        these.keys().filter(|name| !there.contains_key(*name)).map(|name| (*name).into()).collect()
    };
    let reworded = known.iter().filter(|(name, risks)| {
        // A name may stand for several risks; only one that says another thing is reworded.
        carried.get(*name).is_some_and(|now| now != *risks)
    });
    GraphDiff {
        nodes: nodes(old, new),
        edges: group::group(changes),
        risks_appeared: missing(&carried, &known),
        risks_vanished: missing(&known, &carried),
        risks_reworded: reworded.map(|(name, _)| (*name).to_owned()).collect(),
        head: (old.head() != new.head()).then(|| (old.head().cloned(), new.head().cloned())),
    }
}

/// The risks of some edges by name.
type Named<'g> = BTreeMap<&'g str, BTreeSet<&'g Risk>>;

fn risks<'g>(edges: &Edges<'g>) -> Named<'g> {
    let mut named = Named::new();
    for risk in edges.values().copied().flatten() {
        named.entry(risk.name.as_str()).or_default().insert(risk);
    }
    named
}

fn nodes(old: &Graph, new: &Graph) -> Vec<(ReleaseVersion, NodeChange)> {
    let mut changes = Vec::new();
    for node in old.nodes() {
        let change = match new.node(&node.version) {
            None => Some(NodeChange::Vanished),
            Some(now) if now.payload != node.payload => Some(NodeChange::PayloadChanged),
            Some(now) => match (node.is_tombstone(), now.is_tombstone()) {
                (false, true) => Some(NodeChange::Withdrawn),
                (true, false) => Some(NodeChange::Restored),
                (false, false) | (true, true) => None,
            },
        };
        changes.extend(change.map(|change| (node.version.clone(), change)));
    }
    let added = new.nodes().iter().filter(|node| old.node(&node.version).is_none());
    changes.extend(added.map(|node| (node.version.clone(), NodeChange::Appeared)));
    changes.sort();
    changes
}
