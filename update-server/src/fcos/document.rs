//! The graph document of Fedora `CoreOS`: Cincinnati's nodes and edges, with its own node metadata.

use std::collections::{BTreeMap, BTreeSet};

use channels::graph::{Graph, Node};
use channels::import::FcosVersion;
use channels::version::ReleaseVersion;
use serde::Serialize;

/// Order of releases; the client takes the highest it is offered, and never goes down.
const AGE_INDEX: &str = "org.fedoraproject.coreos.releases.age_index";
/// What a payload is: an `OSTree` commit or an image.
const SCHEME: &str = "org.fedoraproject.coreos.scheme";
const BARRIER: &str = "org.fedoraproject.coreos.updates.barrier";
const BARRIER_REASON: &str = "org.fedoraproject.coreos.updates.barrier_reason";
/// The client tells whoever logs in that there are no more updates.
const DEAD_END: &str = "org.fedoraproject.coreos.updates.deadend";
const DEAD_END_REASON: &str = "org.fedoraproject.coreos.updates.deadend_reason";

/// Length of an `OSTree` commit: SHA-256 in hex.
const COMMIT_HEX: usize = 64;

/// Minor versions from here on are days: the first release of Fedora `CoreOS` was of 2019.
const FIRST_DAY: u64 = 20_180_101;

#[derive(Serialize)]
struct Document {
    nodes: Vec<WireNode>,
    edges: Vec<(usize, usize)>,
}

#[derive(Serialize)]
struct WireNode {
    version: String,
    metadata: BTreeMap<String, String>,
    payload: String,
}

/// Writes the graph without edges that carry a risk and without edges to `hidden`.
pub(super) fn write(graph: &Graph, hidden: &BTreeSet<ReleaseVersion>) -> Vec<u8> {
    // An edge may be listed as plain and as conditional; the condition holds.
    let risky: BTreeSet<&(usize, usize)> =
        graph.conditional().iter().flat_map(|group| &group.edges).collect();
    let is_hidden: Vec<bool> =
        graph.nodes().iter().map(|node| hidden.contains(&node.version)).collect();
    let offered = |edge: &&(usize, usize)| {
        !risky.contains(edge) && is_hidden.get(edge.1).is_some_and(|hidden| !hidden)
    };
    encode(&Document {
        nodes: graph.nodes().iter().enumerate().map(|(age, node)| wire(node, age)).collect(),
        edges: graph.edges().iter().filter(offered).copied().collect(),
    })
}

/// A graph without nodes.
pub(super) fn empty() -> Vec<u8> {
    encode(&Document { nodes: Vec::new(), edges: Vec::new() })
}

fn encode(document: &Document) -> Vec<u8> {
    // Strings and numbers always serialise.
    serde_json::to_vec(document).unwrap_or_default()
}

fn wire(node: &Node, age: usize) -> WireNode {
    let mut metadata = node.metadata.clone();
    metadata.insert(AGE_INDEX.to_owned(), age.to_string());
    // A vendor that writes its own graphs may have said so itself.
    metadata.entry(SCHEME.to_owned()).or_insert_with(|| scheme(&node.payload).to_owned());
    for (reason, mark, why) in
        [(node.barrier(), BARRIER, BARRIER_REASON), (node.dead_end(), DEAD_END, DEAD_END_REASON)]
    {
        if let Some(reason) = reason {
            metadata.insert(mark.to_owned(), "true".to_owned());
            metadata.insert(why.to_owned(), reason.to_owned());
        }
    }
    WireNode { version: version(&node.version), metadata, payload: node.payload.clone() }
}

fn scheme(payload: &str) -> &'static str {
    let commit = payload.len() == COMMIT_HEX && payload.bytes().all(|b| b.is_ascii_hexdigit());
    if commit { "checksum" } else { "oci" }
}

/// A version as the client knows it: `44.20260301.3.1` where `fairway import fedora-coreos` had to
/// write `44.20260301.3001`, any other as it is.
fn version(version: &ReleaseVersion) -> String {
    match FcosVersion::of_release(version) {
        Some(fcos) if version.semver().minor >= FIRST_DAY => fcos.to_string(),
        _ => version.to_string(),
    }
}
