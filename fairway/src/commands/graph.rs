//! `fairway graph DIR`: the graph that would be published, as JSON or for Graphviz.

use std::fmt::Write as _;
use std::path::PathBuf;

use channels::cincinnati;
use channels::graph::Graph;
use channels::names::{Arch, ChannelName, ProductName, ProductRef};

use super::lint;
use crate::error::{CliError, Result};
use crate::out::Out;

/// Arguments of `fairway graph`.
#[derive(Debug, clap::Args)]
pub(crate) struct GraphArgs {
    /// The channel repository
    dir: PathBuf,
    /// The product, as `product` or `vendor/product`; may be left out when there is one
    #[arg(long)]
    product: Option<String>,
    /// The channel
    #[arg(long)]
    channel: ChannelName,
    /// The architecture; may be left out when the channel has one
    #[arg(long)]
    arch: Option<Arch>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: GraphFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum GraphFormat {
    /// Cincinnati graph, version 1, exactly as it would be signed.
    #[default]
    Json,
    /// Graphviz; conditional edges are dashed and carry their risks.
    Dot,
}

/// Runs `fairway graph`.
pub(crate) fn run(args: &GraphArgs, out: &mut Out) -> Result<()> {
    let workspace = lint::load(&args.dir, out)?;
    let known = || workspace.products.iter().map(|product| product.product.to_string());
    let wanted = |product: &ProductRef| match &args.product {
        None => true,
        Some(text) => is_called(product, text),
    };
    let products = workspace.products.iter().filter(|source| wanted(&source.product));
    let source = only(products, "product")
        .map_err(|error| error.hint(format!("pass --product; there are: {}", list(known()))))?;
    let compiled = channels::compile::compile(source).map_err(|errors| {
        CliError::no(list(errors.iter().map(|error| crate::error::chain(error))))
    })?;
    let graphs = compiled.graphs.iter().filter(|(channel, arch, _)| {
        *channel == args.channel && args.arch.as_ref().is_none_or(|wanted| wanted == arch)
    });
    let (_, _, graph) = only(graphs, "channel and architecture").map_err(|error| {
        let all = compiled.graphs.iter().map(|(channel, arch, _)| format!("{channel} {arch}"));
        error.hint(format!("pass --channel and --arch; {} has: {}", source.product, list(all)))
    })?;
    match args.format {
        GraphFormat::Json => {
            let bytes = cincinnati::to_json(graph);
            let text = String::from_utf8(bytes)
                .map_err(|error| CliError::because("the graph is not text", &error))?;
            out.line(&text)
        }
        GraphFormat::Dot => out.data(&dot(graph)),
    }
}

/// The one item, or an error that says whether there are none or several.
fn only<T>(mut items: impl Iterator<Item = T>, what: &str) -> Result<T> {
    match (items.next(), items.next()) {
        (Some(item), None) => Ok(item),
        (None, _) => Err(CliError::no(format!("there is no such {what}"))),
        (Some(_), Some(_)) => Err(CliError::no(format!("there is more than one such {what}"))),
    }
}

fn is_called(product: &ProductRef, text: &str) -> bool {
    let short: Option<ProductName> = text.parse().ok();
    short.is_some_and(|name| name == product.product) || product.to_string() == text
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// Names in quotes, with quotes and backslashes inside them escaped.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn dot(graph: &Graph) -> String {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use channels::graph::{GraphBuilder, MatchingRule, Node, Risk};

    use super::*;

    #[test]
    fn risks_and_withdrawn_releases_show_in_dot() {
        let mut builder = GraphBuilder::new(None);
        let mut node = |version: &str, tombstone: bool| {
            let key = channels::graph::TOMBSTONE_KEY.to_owned();
            let metadata = tombstone.then(|| (key, "true".to_owned())).into_iter();
            builder.node(Node {
                version: version.parse().unwrap(),
                payload: String::new(),
                metadata: metadata.collect::<BTreeMap<_, _>>(),
            })
        };
        let (one, two, three) = (node("1.0.0", false), node("1.1.0", true), node("1.2.0", false));
        let risk = Risk {
            name: "Disk\"Fills".into(),
            message: String::new(),
            url: String::new(),
            matching_rules: vec![MatchingRule::Always],
        };
        let risks = builder.risks(vec![risk]);
        builder.edge(two, three);
        builder.conditional(one, three, risks);
        insta::assert_snapshot!(dot(&builder.build().unwrap()), @r#"
        digraph channel {
          rankdir=BT;
          node [shape=box];
          "1.0.0";
          "1.1.0" [style=dashed, label="1.1.0 (withdrawn)"];
          "1.2.0" [penwidth=2];
          "1.1.0" -> "1.2.0";
          "1.0.0" -> "1.2.0" [style=dashed, label="Disk\"Fills"];
        }
        "#);
    }
}
