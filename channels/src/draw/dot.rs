//! Text for Graphviz: every edge, conditional ones dashed with the names of their risks.

use std::fmt::Write as _;

use crate::graph::Graph;

/// The graph in Graphviz's language, all edges included.
pub fn dot(graph: &Graph) -> String {
    let name = |index: usize| {
        let node = graph.nodes().get(index);
        quoted(&node.map_or_else(String::new, |node| node.version.to_string()))
    };
    let mut text = String::from("digraph channel {\n  rankdir=BT;\n  node [shape=box];\n");
    for (index, node) in graph.nodes().iter().enumerate() {
        let style = match (node.is_tombstone(), graph.head_index() == Some(index)) {
            (true, _) => {
                " [style=dashed, label=".to_owned()
                    + &quoted(&format!("{} (withdrawn)", node.version))
                    + "]"
            }
            (false, true) => " [penwidth=2]".to_owned(),
            (false, false) => String::new(),
        };
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "  {}{style};", name(index));
    }
    for &(from, to) in graph.edges() {
        let _infallible = writeln!(text, "  {} -> {};", name(from), name(to));
    }
    for group in graph.conditional() {
        let risks: Vec<&str> = group.risks.iter().map(|risk| risk.name.as_str()).collect();
        let label = quoted(&risks.join(", "));
        for &(from, to) in &group.edges {
            let _infallible =
                writeln!(text, "  {} -> {} [style=dashed, label={label}];", name(from), name(to));
        }
    }
    text.push_str("}\n");
    text
}

/// Names in quotes, with quotes and backslashes inside them escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
