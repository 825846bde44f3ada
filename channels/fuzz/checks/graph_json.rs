//! Graph documents, which anybody who serves channels may have written.

use std::collections::BTreeSet;
use std::path::Path;

use channels::cincinnati::{from_json, to_json};
use channels::lint::lint_graph;
use channels::path::{Goal, next_step, path, risks_ahead};

/// Most nodes for which ways are looked for: the input is small, and every pair is asked.
const MAX_NODES: usize = 40;

/// A graph that is read is written and read again as the same, and written the same again; any
/// question about it has an answer.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(graph) = from_json(bytes) else { return };
    let written = to_json(&graph);
    let again = from_json(&written).expect("what was written is read");
    assert!(again == graph, "a graph changes when it is written");
    assert!(to_json(&again) == written, "a graph is written in two ways");
    let _findings = lint_graph(&graph, Path::new("graph.json"));
    for node in graph.nodes().iter().take(MAX_NODES) {
        let from = &node.version;
        let accepted: BTreeSet<String> =
            risks_ahead(&graph, from).into_iter().map(|risk| risk.name.clone()).collect();
        let step = next_step(&graph, from, &Goal::Head, &accepted);
        assert!(step.to.as_ref() != Some(from), "a step leads nowhere");
        for other in graph.nodes().iter().take(MAX_NODES) {
            if let Ok(way) = path(&graph, from, &other.version, &|_| true) {
                assert!(way.iter().all(|version| graph.node_index(version).is_some()));
            }
        }
    }
}
