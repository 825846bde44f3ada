//! `fairway graph DIR`: the graph that would be published, as JSON or as a picture.

use std::path::PathBuf;

use channels::names::{Arch, ChannelName};
use channels::{cincinnati, draw};

use super::super::lint;
use super::select::{compiled, known, only, product};
use crate::error::{CliError, Result};
use crate::out::Out;

/// Arguments of `fairway graph DIR`.
#[derive(Debug, clap::Args)]
pub(super) struct PrintArgs {
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
    /// A picture with one lane per minor, without edges that longer ways stand for.
    Svg,
}

/// Runs `fairway graph DIR`.
pub(super) fn run(args: &PrintArgs, out: &mut Out) -> Result<()> {
    let workspace = lint::load(&args.dir, out)?;
    let compiled = compiled(product(&workspace, args.product.as_deref())?)?;
    let graphs = compiled.graphs.iter().filter(|(channel, arch, _)| {
        *channel == args.channel && args.arch.as_ref().is_none_or(|wanted| wanted == arch)
    });
    let (_, _, graph) = only(graphs, "channel and architecture").map_err(|error| {
        let all = known(&compiled);
        error.hint(format!("pass --channel and --arch; {} has: {all}", compiled.product))
    })?;
    match args.format {
        GraphFormat::Json => {
            let bytes = cincinnati::to_json(graph);
            let text = String::from_utf8(bytes)
                .map_err(|error| CliError::because("the graph is not text", &error))?;
            out.line(&text)
        }
        GraphFormat::Dot => out.data(&draw::dot(graph)),
        GraphFormat::Svg => {
            let text = draw::svg(graph).map_err(|error| {
                CliError::because("there is no picture", &error)
                    .hint("--format dot has no such bound")
            })?;
            out.data(&text)
        }
    }
}
