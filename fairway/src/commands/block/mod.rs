//! `fairway block` and `fairway unblock`: edges are removed or carry a risk, and come back.

#[cfg(test)]
mod tests;
mod unblock;

use std::path::PathBuf;

use channels::edit::{FileEdit, NewBlock, block_file};
use channels::graph::{MatchingRule, Risk};
use channels::version::ReleaseVersion;
use jiff::Timestamp;

pub(crate) use unblock::{UnblockArgs, run as unblock};

use super::graph::change::{ChangeArgs, carry_out, read, refused};
use super::graph::product;
use super::lint;
use super::request::{Ask, ask_terminal};
use crate::error::{CliError, Result};
use crate::out::Out;

/// Directory of blocked-edge files in a product's directory.
const FOLDER: &str = "blocked-edges";

/// Arguments of `fairway block`.
#[derive(Debug, clap::Args)]
pub(crate) struct BlockArgs {
    /// The channel repository
    dir: PathBuf,
    /// The product, as `product` or `vendor/product`
    product: String,
    /// Edges into this release (4.1.0, or 4.1.0+arm64) or range (">=4.1.0")
    #[arg(long, value_name = "VERSION|RANGE")]
    to: String,
    /// Edges out of this range ("<4.1.0"), or of versions a regular expression finds (4[.]0[.].*)
    #[arg(long, value_name = "RANGE|REGEX")]
    from: String,
    /// First release without the fault; ends a range
    #[arg(long, value_name = "VERSION")]
    fixed_in: Option<ReleaseVersion>,
    /// Name of the risk; without one the edges are removed
    #[arg(long, requires_all = ["url", "message"])]
    name: Option<String>,
    /// Page on the risk
    #[arg(long, requires = "name")]
    url: Option<String>,
    /// What happens to an exposed cluster
    #[arg(long, requires = "name", value_name = "TEXT")]
    message: Option<String>,
    /// Query that answers 1 on an exposed cluster and 0 on others; without one all are exposed
    #[arg(long, requires = "name", value_name = "QUERY")]
    promql: Vec<String>,
    /// Take a cluster on which no query can be evaluated for exposed
    #[arg(long, requires = "promql")]
    else_always: bool,
    /// Name of the file without .yaml; the risk's name when left out
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs `fairway block`.
pub(crate) async fn run(args: &BlockArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    block(args, &ask_terminal, now, out).await
}

async fn block(args: &BlockArgs, ask: &Ask, now: Timestamp, out: &mut Out) -> Result<()> {
    let workspace = lint::load(&args.dir, out)?;
    let source = product(&workspace, Some(&args.product))?;
    let new = NewBlock {
        to: args.to.clone(),
        from: args.from.clone(),
        fixed_in: args.fixed_in.clone(),
        risk: risk(args),
    };
    let file = source.directory.join(FOLDER).join(format!("{}.yaml", stem(args)));
    if read(&args.dir, &file)?.is_some() {
        return Err(CliError::no(format!("{} exists already", file.display()))
            .hint("name another one with --file, or edit it by hand"));
    }
    let text = block_file(&new).map_err(|error| refused(&file, &error))?;
    let edit = FileEdit { file, before: None, after: Some(text) };
    carry_out(&args.dir, &workspace, &[edit], &args.change, ask, now, out).await
}

fn risk(args: &BlockArgs) -> Option<Risk> {
    let (Some(name), Some(url), Some(message)) = (&args.name, &args.url, &args.message) else {
        return None;
    };
    let queries = args.promql.iter().map(|promql| MatchingRule::PromQl { promql: promql.clone() });
    let mut matching_rules: Vec<MatchingRule> = queries.collect();
    if args.else_always || matching_rules.is_empty() {
        matching_rules.push(MatchingRule::Always);
    }
    Some(Risk { name: name.clone(), url: url.clone(), message: message.clone(), matching_rules })
}

/// The file's name: what was asked for, the risk's, or the blocked target's, without characters
/// that mean something in a path.
fn stem(args: &BlockArgs) -> String {
    let name = args.file.clone().or_else(|| args.name.clone());
    let name = name.unwrap_or_else(|| format!("block-{}", args.to));
    let safe = |c: char| if c.is_ascii_alphanumeric() || ".-_+".contains(c) { c } else { '-' };
    name.chars().map(safe).collect::<String>().trim_start_matches(['.', '-']).to_owned()
}
