//! Graph to canonical bytes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::FORMAT;
use crate::graph::{Feeding, Graph, MatchingRule, Origin, Risk};

// Fields are declared in the order of their JSON names, which is the order they are written in.

#[derive(Serialize)]
struct Document<'g> {
    #[serde(rename = "conditionalEdges")]
    conditional_edges: Vec<Group<'g>>,
    edges: &'g [(usize, usize)],
    #[serde(skip_serializing_if = "Option::is_none")]
    feeder: Option<&'g Feeding>,
    nodes: Vec<Node<'g>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<WireOrigin<'g>>,
    version: u64,
}

#[derive(Serialize)]
struct Group<'g> {
    edges: Vec<Edge<'g>>,
    risks: Vec<WireRisk<'g>>,
}

#[derive(Serialize)]
struct Edge<'g> {
    from: &'g str,
    to: &'g str,
}

#[derive(Serialize)]
struct WireRisk<'g> {
    #[serde(rename = "matchingRules")]
    matching_rules: Vec<Rule<'g>>,
    message: &'g str,
    name: &'g str,
    url: &'g str,
}

#[derive(Serialize)]
struct Rule<'g> {
    #[serde(skip_serializing_if = "Option::is_none")]
    promql: Option<Query<'g>>,
    #[serde(rename = "type")]
    kind: &'g str,
}

#[derive(Serialize)]
struct Query<'g> {
    promql: &'g str,
}

#[derive(Serialize)]
struct Node<'g> {
    metadata: &'g BTreeMap<String, String>,
    payload: &'g str,
    version: &'g str,
}

#[derive(Serialize)]
struct WireOrigin<'g> {
    arch: &'g str,
    channel: &'g str,
    product: String,
}

/// Writes the graph's canonical bytes.
pub fn to_json(graph: &Graph) -> Vec<u8> {
    let versions: Vec<String> = graph.nodes().iter().map(|node| node.version.to_string()).collect();
    let document = Document {
        conditional_edges: graph
            .conditional()
            .iter()
            .map(|group| Group {
                edges: group
                    .edges
                    .iter()
                    .map(|&(from, to)| Edge { from: &versions[from], to: &versions[to] })
                    .collect(),
                risks: group.risks.iter().map(risk).collect(),
            })
            .collect(),
        edges: graph.edges(),
        feeder: graph.feeding(),
        nodes: graph
            .nodes()
            .iter()
            .zip(&versions)
            .map(|(node, version)| Node {
                metadata: &node.metadata,
                payload: &node.payload,
                version,
            })
            .collect(),
        origin: graph.origin().map(origin),
        version: FORMAT,
    };
    // Writing these types to memory has no failing case; the empty answer is never a valid graph.
    serde_json::to_vec(&document).unwrap_or_default()
}

fn risk(risk: &Risk) -> WireRisk<'_> {
    WireRisk {
        matching_rules: risk.matching_rules.iter().map(rule).collect(),
        message: &risk.message,
        name: &risk.name,
        url: &risk.url,
    }
}

fn rule(rule: &MatchingRule) -> Rule<'_> {
    match rule {
        MatchingRule::Always => Rule { promql: None, kind: "Always" },
        MatchingRule::PromQl { promql } => Rule { promql: Some(Query { promql }), kind: "PromQL" },
        MatchingRule::Unknown { kind } => Rule { promql: None, kind },
    }
}

fn origin(origin: &Origin) -> WireOrigin<'_> {
    WireOrigin {
        arch: origin.arch.as_str(),
        channel: origin.channel.as_str(),
        product: origin.product.to_string(),
    }
}
