//! `fairway withdraw`: a release becomes a tombstone; clusters on it find their way on, and nothing
//! moves to it any more.

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use channels::edit;
use channels::names::ChannelName;
use channels::repository::{ChannelSource, ProductSource};
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use super::graph::change::{ChangeArgs, carry_out, edit as edit_file};
use super::graph::product;
use super::lint;
use super::request::{Ask, ask_terminal};
use crate::error::{CliError, Result};
use crate::out::Out;

/// Arguments of `fairway withdraw`.
#[derive(Debug, clap::Args)]
pub(crate) struct WithdrawArgs {
    /// The channel repository
    dir: PathBuf,
    /// The product, as `product` or `vendor/product`
    product: String,
    /// The release; x.y.z+arch withdraws it on one architecture
    version: ReleaseVersion,
    /// Only from this channel, may be given several times; from all that offer it when left out
    #[arg(long)]
    channel: Vec<ChannelName>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs `fairway withdraw`.
pub(crate) async fn run(args: &WithdrawArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    withdraw(args, &ask_terminal, now, out).await
}

async fn withdraw(args: &WithdrawArgs, ask: &Ask, now: Timestamp, out: &mut Out) -> Result<()> {
    let workspace = lint::load(&args.dir, out)?;
    let source = product(&workspace, Some(&args.product))?;
    let mut edits = Vec::new();
    for channel in chosen(args, source)? {
        let entries = entries(channel, &args.version, source);
        if entries.is_empty() {
            continue;
        }
        edits.push(edit_file(&args.dir, channel.file.clone(), |text| {
            entries.iter().try_fold(text.to_owned(), |text, entry| edit::withdraw(&text, entry))
        })?);
    }
    if edits.is_empty() {
        return Err(CliError::no(format!("no channel offers {}", args.version))
            .hint("see fairway graph for what a channel holds"));
    }
    carry_out(&args.dir, &workspace, &edits, &args.change, ask, now, out).await
}

fn chosen<'s>(args: &WithdrawArgs, source: &'s ProductSource) -> Result<Vec<&'s ChannelSource>> {
    let all = || source.channels.values().chain(source.internal_channels.values());
    for name in &args.channel {
        if !all().any(|channel| channel.name == *name) {
            return Err(CliError::no(format!("{} has no channel {name}", source.product)));
        }
    }
    Ok(all().filter(|one| args.channel.is_empty() || args.channel.contains(&one.name)).collect())
}

/// The entries of a channel that are this release; `4.2.0` is `4.2.0+arm64` too.
fn entries<'s>(
    channel: &'s ChannelSource,
    version: &ReleaseVersion,
    source: &ProductSource,
) -> Vec<&'s ReleaseVersion> {
    let is_it = |entry: &&ReleaseVersion| {
        **entry == *version
            || (entry.without_build() == *version && !source.releases.contains_key(*entry))
    };
    channel.versions.iter().filter(is_it).collect()
}
