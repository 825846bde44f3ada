//! Bytes to graph.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{FORMAT, MAX_GRAPH_BYTES};
use crate::graph::{Feeding, Graph, GraphBuilder, GraphError, MatchingRule, Node, Origin, Risk};
use crate::names::{Arch, ChannelName, ProductRef};
use crate::version::ReleaseVersion;

/// How much of a text from the document an error repeats: as long as a version may be.
const SHOWN_CHARS: usize = 128;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    version: Option<u64>,
    nodes: Vec<WireNode>,
    #[serde(default)]
    edges: Vec<(u64, u64)>,
    #[serde(default, rename = "conditionalEdges")]
    conditional_edges: Vec<Group>,
    #[serde(default)]
    feeder: serde_json::Value,
    #[serde(default)]
    origin: Option<WireOrigin>,
}

#[derive(Deserialize)]
struct WireNode {
    version: String,
    #[serde(default)]
    payload: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Group {
    edges: Vec<Edge>,
    risks: Vec<WireRisk>,
}

#[derive(Deserialize)]
struct Edge {
    from: String,
    to: String,
}

#[derive(Deserialize)]
struct WireRisk {
    #[serde(default)]
    url: String,
    name: String,
    #[serde(default)]
    message: String,
    #[serde(default, rename = "matchingRules")]
    matching_rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    promql: Option<Query>,
}

#[derive(Deserialize)]
struct Query {
    promql: String,
}

#[derive(Deserialize)]
struct WireOrigin {
    arch: Arch,
    channel: ChannelName,
    product: ProductRef,
}

/// Reads a graph document.
///
/// Unknown fields are skipped, and a matching rule of an unknown kind is kept as one that cannot be
/// evaluated (only its kind is kept). Cycles are accepted: they are a finding of
/// [`crate::lint`], not a reason to leave clusters without a graph.
pub fn from_json(bytes: &[u8]) -> Result<Graph, GraphError> {
    if bytes.len() > MAX_GRAPH_BYTES {
        return Err(GraphError::TooLarge { bytes: bytes.len(), limit: MAX_GRAPH_BYTES });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|source| GraphError::Json {
        line: source.line(),
        column: source.column(),
        source,
    })?;
    if let Some(version) = document.version.filter(|version| *version != FORMAT) {
        return Err(GraphError::Format { version });
    }
    let origin = document.origin.map(|origin| Origin {
        product: origin.product,
        channel: origin.channel,
        arch: origin.arch,
    });
    let mut builder = GraphBuilder::new(origin);
    builder.feeding(feeding(document.feeder));
    let mut handles = BTreeMap::new();
    for (index, node) in document.nodes.into_iter().enumerate() {
        if node.version.is_empty() {
            return Err(GraphError::EmptyVersion { index });
        }
        let version: ReleaseVersion = node
            .version
            .parse()
            .map_err(|source| GraphError::Version { place: format!("node {index}"), source })?;
        let handle = builder.node(Node { version, payload: node.payload, metadata: node.metadata });
        handles.insert(node.version, handle);
    }
    let nodes = handles.len();
    for (from, to) in document.edges {
        match (usize::try_from(from), usize::try_from(to)) {
            (Ok(from), Ok(to)) => builder.edge(from, to),
            (Err(_), _) | (_, Err(_)) => return Err(GraphError::EdgeIndex { from, to, nodes }),
        }
    }
    for group in document.conditional_edges {
        add_group(&mut builder, &handles, group)?;
    }
    builder.build()
}

fn add_group(
    builder: &mut GraphBuilder,
    handles: &BTreeMap<String, usize>,
    group: Group,
) -> Result<(), GraphError> {
    let handle = |version: String| match handles.get(&version) {
        Some(handle) => Ok(*handle),
        None => Err(GraphError::UnknownVersion { version: shown(&version) }),
    };
    let risks = builder.risks(group.risks.into_iter().map(risk).collect());
    for edge in group.edges {
        let (from, to) = (handle(edge.from)?, handle(edge.to)?);
        builder.conditional(from, to, risks);
    }
    Ok(())
}

/// Where releases come from. It informs people only, so one that cannot be read leaves the clusters
/// their graph and says nothing.
fn feeding(feeder: serde_json::Value) -> Option<Feeding> {
    serde_json::from_value(feeder).ok().filter(Feeding::is_bounded)
}

/// A text of the document as an error shows it.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

fn risk(risk: WireRisk) -> Risk {
    Risk {
        name: risk.name,
        message: risk.message,
        url: risk.url,
        matching_rules: risk.matching_rules.into_iter().map(rule).collect(),
    }
}

fn rule(rule: Rule) -> MatchingRule {
    match (rule.kind.as_str(), rule.promql) {
        ("Always", _) => MatchingRule::Always,
        ("PromQL", Some(query)) => MatchingRule::PromQl { promql: query.promql },
        _ => MatchingRule::Unknown { kind: rule.kind },
    }
}
