//! `fairway unblock`: a block is taken away, or its range ends before a release.

use std::path::PathBuf;

use channels::edit::{FileEdit, end_range};
use channels::repository::BlockSource;
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use super::super::graph::change::{ChangeArgs, carry_out, edit as edit_file, read};
use super::super::graph::product;
use super::super::lint;
use super::super::request::{Ask, ask_terminal};
use crate::error::{CliError, Result};
use crate::out::Out;

/// Arguments of `fairway unblock`.
#[derive(Debug, clap::Args)]
pub(crate) struct UnblockArgs {
    /// The channel repository
    dir: PathBuf,
    /// The product, as `product` or `vendor/product`
    product: String,
    /// Name of the risk, or of the file without .yaml
    name: String,
    /// Keep the block, and open the edges into this release and newer ones
    #[arg(long, value_name = "VERSION")]
    fixed_in: Option<ReleaseVersion>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs `fairway unblock`.
pub(crate) async fn run(args: &UnblockArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    open(args, &ask_terminal, now, out).await
}

pub(super) async fn open(
    args: &UnblockArgs,
    ask: &Ask,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let workspace = lint::load(&args.dir, out)?;
    let source = product(&workspace, Some(&args.product))?;
    let named = |block: &&BlockSource| {
        let stem = block.file.file_stem().and_then(|stem| stem.to_str());
        stem == Some(&args.name) || block.risk.as_ref().is_some_and(|risk| risk.name == args.name)
    };
    let mut edits = Vec::new();
    for block in source.blocks.iter().filter(named) {
        edits.push(if let Some(version) = &args.fixed_in {
            edit_file(&args.dir, block.file.clone(), |text| end_range(text, version))?
        } else {
            let before = read(&args.dir, &block.file)?;
            FileEdit { file: block.file.clone(), before, after: None }
        });
    }
    if edits.is_empty() {
        return Err(CliError::no(format!("{} has no block {}", source.product, args.name))
            .hint("name a risk, or a file of blocked-edges without .yaml"));
    }
    carry_out(&args.dir, &workspace, &edits, &args.change, ask, now, out).await
}
