//! `fairway graph diff`: what a publication of these files would change.

use std::path::PathBuf;

use channels::names::{Arch, ChannelName, ProductRef};
use channels::wire::Page;
use serde::{Deserialize, Serialize};

use super::super::lint;
use super::compare::{ChannelDiff, Graphs, compare, compiled, render, summary};
use super::fleet;
use super::rows::rows;
use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::table::Format;

/// Arguments of `fairway graph diff`.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The old channel repository; the new one when it is the only one, and the hub has the old
    old: PathBuf,
    /// The new channel repository
    new: Option<PathBuf>,
    /// Only this product, as `product` or `vendor/product`
    #[arg(long)]
    product: Option<String>,
    /// How to print the answer; CSV has a row for each change
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    hub: HubArgs,
}

/// A graph the hub serves.
#[derive(Debug, Deserialize)]
struct Served {
    product: ProductRef,
    channel: ChannelName,
    arch: Arch,
}

#[derive(Debug, Serialize)]
struct Document<'d> {
    graphs: &'d [ChannelDiff],
}

/// Runs `fairway graph diff`.
pub(super) async fn run(args: &DiffArgs, out: &mut Out) -> Result<()> {
    let product = args.product.as_deref();
    let first = compiled(&lint::load(&args.old, out)?, product)?;
    let (old, new) = match &args.new {
        Some(dir) => (first, compiled(&lint::load(dir, out)?, product)?),
        None if !args.hub.names_a_hub() => {
            return Err(CliError::failed("there is nothing to compare with")
                .hint("name two directories, or --server to compare with what the hub serves"));
        }
        None => (served(args, &first).await?, first),
    };
    let counted = fleet::count(&args.hub, out).await?;
    let diffs = compare(&old, &new, counted.as_ref())?;
    match args.output {
        Format::Json => out.json(&Document { graphs: &diffs })?,
        Format::Csv => out.csv(&rows(&diffs))?,
        Format::Table => render(&diffs, out)?,
    }
    if diffs.is_empty() {
        return out.note("both offer the same");
    }
    out.note(&summary(&diffs, counted.as_ref()))
}

/// What the hub serves of the products at hand, as it was signed.
async fn served(args: &DiffArgs, ours: &Graphs) -> Result<Graphs> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let page: Page<Served> = hub.get("api/v1/channels", &[]).await?;
    let mut graphs = Graphs::new();
    for Served { product, channel, arch } in page.items {
        if !ours.keys().any(|(known, _, _)| *known == product) {
            continue;
        }
        let graph = hub.graph(&product, &channel, &arch).await?;
        graphs.insert((product, channel, arch), graph);
    }
    Ok(graphs)
}
