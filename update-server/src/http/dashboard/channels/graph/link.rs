//! What of the graph the reader picked, as the address says it: `?node=1.2.3` or
//! `?edge=1.2.3..1.2.4`. A version never holds two dots in a row.

use channels::graph::Graph;
use channels::version::ReleaseVersion;
use form_urlencoded::byte_serialize;

/// Between the two releases of an edge.
const BETWEEN: &str = "..";

/// Longest text that is repeated to the reader as not found.
const MAX_ECHO_CHARS: usize = 80;

/// What is picked, by node index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Picked {
    Nothing,
    Node(usize),
    Edge(usize, usize),
    /// Something that is not in the graph; a sentence says what.
    Missing(String),
}

impl Picked {
    pub(super) fn read(node: Option<&str>, edge: Option<&str>, graph: &Graph) -> Self {
        let index = |text: &str| {
            let version: ReleaseVersion = text.parse().ok()?;
            graph.node_index(&version)
        };
        let short = |text: &str| text.chars().take(MAX_ECHO_CHARS).collect::<String>();
        if let Some(text) = node {
            let missing =
                || Self::Missing(format!("There is no release {} in this graph.", short(text)));
            return index(text).map_or_else(missing, Self::Node);
        }
        let Some(text) = edge else { return Self::Nothing };
        let ends = text.split_once(BETWEEN);
        let ends = ends.and_then(|(from, to)| Some((index(from)?, index(to)?)));
        let offered = ends.filter(|(from, to)| {
            let node = |index: &usize| graph.nodes().get(*index).map(|node| &node.version);
            let (Some(from), Some(to)) = (node(from), node(to)) else { return false };
            graph.targets_of(from).iter().any(|offer| offer.to == to)
        });
        let missing = || Self::Missing(format!("There is no edge {} in this graph.", short(text)));
        offered.map_or_else(missing, |(from, to)| Self::Edge(from, to))
    }
}

fn escaped(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

pub(super) fn node(version: &ReleaseVersion) -> String {
    format!("?node={}#picked", escaped(&version.to_string()))
}

pub(super) fn edge(from: &ReleaseVersion, to: &ReleaseVersion) -> String {
    format!("?edge={}#picked", escaped(&format!("{from}{BETWEEN}{to}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use channels::graph::{GraphBuilder, Node};

    use super::*;

    fn graph() -> Graph {
        let mut builder = GraphBuilder::new(None);
        let mut add = |version: &str| {
            builder.node(Node {
                version: version.parse().unwrap(),
                payload: String::new(),
                metadata: BTreeMap::new(),
            })
        };
        let (old, new) = (add("1.0.0-rc.1+amd64"), add("1.0.1"));
        builder.edge(old, new);
        builder.build().unwrap()
    }

    fn follow(link: &str, graph: &Graph) -> Picked {
        let query = link.strip_prefix('?').unwrap().strip_suffix("#picked").unwrap();
        let pairs: BTreeMap<String, String> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Picked::read(
            pairs.get("node").map(String::as_str),
            pairs.get("edge").map(String::as_str),
            graph,
        )
    }

    #[test]
    fn a_link_leads_to_what_it_was_made_for() {
        let graph = graph();
        let (old, new) = (&graph.nodes()[0].version, &graph.nodes()[1].version);
        assert_eq!(follow(&node(old), &graph), Picked::Node(0));
        assert_eq!(follow(&edge(old, new), &graph), Picked::Edge(0, 1));
    }

    #[test]
    fn what_is_not_there_is_said_and_cut() {
        let graph = graph();
        let edge = follow(&edge(&graph.nodes()[1].version, &graph.nodes()[0].version), &graph);
        let sentence = "There is no edge 1.0.1..1.0.0-rc.1+amd64 in this graph.";
        assert_eq!(edge, Picked::Missing(sentence.to_owned()));
        let Picked::Missing(text) = Picked::read(Some(&"x".repeat(9000)), None, &graph) else {
            panic!("found")
        };
        assert!(text.len() < 200, "{text}");
        assert_eq!(Picked::read(None, None, &graph), Picked::Nothing);
    }
}
