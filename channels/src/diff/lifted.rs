//! A served graph as it was signed: without the risk a hub adds for holds.

use crate::graph::{Graph, GraphBuilder, GraphError};

/// The same graph without the risk of one name; edges that carried no other are recommended.
pub fn without_risk(graph: &Graph, name: &str) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new(graph.origin().cloned());
    builder.feeding(graph.feeding().cloned());
    for node in graph.nodes() {
        builder.node(node.clone());
    }
    for &(from, to) in graph.edges() {
        builder.edge(from, to);
    }
    for group in graph.conditional() {
        let left: Vec<_> = group.risks.iter().filter(|risk| risk.name != name).cloned().collect();
        let set = (!left.is_empty()).then(|| builder.risks(left));
        for &(from, to) in &group.edges {
            match set {
                Some(set) => builder.conditional(from, to, set),
                None => builder.edge(from, to),
            }
        }
    }
    builder.build()
}
