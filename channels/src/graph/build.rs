//! Building a graph: checks, canonical order, and the index of outgoing edges.
//!
//! Work is proportional to `n log n` in nodes, edges and pairs; nothing compares edges pairwise.

use std::collections::BTreeMap;

use super::{
    ConditionalEdges, Feeding, Graph, GraphError, MAX_EDGES, MAX_NODES, Node, Origin, Out, Risk,
};

/// Collects the parts of a graph in any order.
///
/// Handles are the positions in which nodes and risk sets were added; they are not the node indices
/// of the finished graph.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    origin: Option<Origin>,
    feeding: Option<Feeding>,
    nodes: Vec<Node>,
    edges: Vec<(usize, usize)>,
    conditional: Vec<(usize, usize, usize)>,
    risk_sets: Vec<Vec<Risk>>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(origin: Option<Origin>) -> Self {
        Self { origin, ..Self::default() }
    }

    /// Says where its releases come from.
    pub fn feeding(&mut self, feeding: Option<Feeding>) {
        self.feeding = feeding;
    }

    /// Adds a node and returns its handle.
    pub fn node(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Adds a plain edge between two nodes' handles.
    pub fn edge(&mut self, from: usize, to: usize) {
        self.edges.push((from, to));
    }

    /// Adds a set of risks and returns its handle.
    pub fn risks(&mut self, mut risks: Vec<Risk>) -> usize {
        risks.sort();
        risks.dedup();
        self.risk_sets.push(risks);
        self.risk_sets.len() - 1
    }

    /// Adds a conditional edge. Added twice with different sets, it carries the risks of both.
    pub fn conditional(&mut self, from: usize, to: usize, risks: usize) {
        self.conditional.push((from, to, risks));
    }

    /// Checks everything and fixes the canonical order.
    pub fn build(self) -> Result<Graph, GraphError> {
        let nodes = self.nodes.len();
        if nodes > MAX_NODES {
            return Err(GraphError::TooManyNodes { nodes, limit: MAX_NODES });
        }
        let edges = self.edges.len() + self.conditional.len();
        if edges > MAX_EDGES {
            return Err(GraphError::TooManyEdges { edges, limit: MAX_EDGES });
        }
        let (nodes, rank) = sort_nodes(self.nodes)?;
        let mut edges = Vec::with_capacity(self.edges.len());
        for (from, to) in self.edges {
            edges.push(ranked(&rank, from, to)?);
        }
        edges.sort_unstable();
        edges.dedup();
        let mut pairs = Vec::with_capacity(self.conditional.len());
        for (from, to, set) in self.conditional {
            pairs.push((ranked(&rank, from, to)?, set));
        }
        let conditional = group(pairs, &self.risk_sets, &nodes)?;
        let (outs, starts) = index_outgoing(nodes.len(), &edges, &conditional);
        Ok(Graph {
            origin: self.origin,
            feeding: self.feeding,
            nodes,
            edges,
            conditional,
            outs,
            starts,
        })
    }
}

/// Sorts nodes by version; the second value maps a handle to its place.
fn sort_nodes(nodes: Vec<Node>) -> Result<(Vec<Node>, Vec<usize>), GraphError> {
    let mut numbered: Vec<(usize, Node)> = nodes.into_iter().enumerate().collect();
    numbered.sort_by(|(_, a), (_, b)| a.version.cmp(&b.version));
    let mut rank = vec![0; numbered.len()];
    let mut sorted: Vec<Node> = Vec::with_capacity(numbered.len());
    for (place, (handle, node)) in numbered.into_iter().enumerate() {
        if sorted.last().is_some_and(|last| last.version == node.version) {
            return Err(GraphError::DuplicateVersion { version: node.version.to_string() });
        }
        rank[handle] = place;
        sorted.push(node);
    }
    Ok((sorted, rank))
}

fn ranked(rank: &[usize], from: usize, to: usize) -> Result<(usize, usize), GraphError> {
    match (rank.get(from), rank.get(to)) {
        (Some(&from), Some(&to)) => Ok((from, to)),
        (Some(_) | None, _) => Err(GraphError::EdgeIndex {
            from: u64::try_from(from).unwrap_or(u64::MAX),
            to: u64::try_from(to).unwrap_or(u64::MAX),
            nodes: rank.len(),
        }),
    }
}

/// Edges under one set of risks, while they are collected.
struct Shared<'a> {
    risks: &'a [Risk],
    edges: Vec<(usize, usize)>,
}

/// Groups pairs by their whole set of risks; a pair given several sets carries their union.
fn group(
    mut pairs: Vec<((usize, usize), usize)>,
    risk_sets: &[Vec<Risk>],
    nodes: &[Node],
) -> Result<Vec<ConditionalEdges>, GraphError> {
    pairs.sort_unstable();
    pairs.dedup();
    // Equal sets under different handles must end in one group, so sets are numbered by content.
    let mut numbers: BTreeMap<&[Risk], usize> = BTreeMap::new();
    for set in risk_sets {
        let next = numbers.len();
        numbers.entry(set).or_insert(next);
    }
    let number_of: Vec<usize> =
        risk_sets.iter().map(|set| numbers.get(set.as_slice()).copied().unwrap_or(0)).collect();
    let mut by_set: BTreeMap<usize, Shared<'_>> = BTreeMap::new();
    let mut united: BTreeMap<Vec<Risk>, Vec<(usize, usize)>> = BTreeMap::new();
    for chunk in pairs.chunk_by(|a, b| a.0 == b.0) {
        let Some(&(pair, first)) = chunk.first() else { continue };
        if chunk.iter().any(|(_, set)| risk_sets.get(*set).is_none_or(Vec::is_empty)) {
            return Err(GraphError::NoRisks { to: nodes[pair.1].version.to_string() });
        }
        if chunk.len() == 1 {
            by_set
                .entry(number_of[first])
                .or_insert_with(|| Shared { risks: &risk_sets[first], edges: Vec::new() })
                .edges
                .push(pair);
        } else {
            let mut risks: Vec<Risk> =
                chunk.iter().flat_map(|(_, set)| risk_sets[*set].iter().cloned()).collect();
            risks.sort();
            risks.dedup();
            united.entry(risks).or_default().push(pair);
        }
    }
    for Shared { risks, edges } in by_set.into_values() {
        united.entry(risks.to_vec()).or_default().extend(edges);
    }
    Ok(united
        .into_iter()
        .map(|(risks, mut edges)| {
            edges.sort_unstable();
            ConditionalEdges { edges, risks }
        })
        .collect())
}

/// Lists every node's outgoing edges once; a conditional edge hides a plain one.
fn index_outgoing(
    nodes: usize,
    edges: &[(usize, usize)],
    conditional: &[ConditionalEdges],
) -> (Vec<Out>, Vec<usize>) {
    let mut all: Vec<(usize, usize, Option<usize>)> =
        edges.iter().map(|&(from, to)| (from, to, None)).collect();
    for (number, group) in conditional.iter().enumerate() {
        all.extend(group.edges.iter().map(|&(from, to)| (from, to, Some(number))));
    }
    // `Some` sorts after `None`; reversed, so that `dedup` keeps the conditional one.
    all.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| b.2.cmp(&a.2)));
    all.dedup_by_key(|(from, to, _)| (*from, *to));
    let mut starts = vec![0; nodes + 1];
    for &(from, _, _) in &all {
        starts[from + 1] += 1;
    }
    for place in 1..starts.len() {
        starts[place] += starts[place - 1];
    }
    (all.into_iter().map(|(_, to, group)| Out { to, group }).collect(), starts)
}
