//! `fairway promote`: releases enter channels, as the feeders' rule allows or as a person decides.

mod pending;
mod soak;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use channels::edit::{self, FileEdit};
use channels::names::ChannelName;
use channels::promotion::{
    Entry, Facts, HealthHistory, PROMOTIONS_FILE, Verdict, Wait, due, verdict, verdicts,
};
use channels::repository::ProductSource;
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use super::graph::change::{ChangeArgs, carry_out, edit as edit_file, read, refused};
use super::graph::product;
use super::lint;
use super::request::{Ask, ask_terminal};
use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::out::Out;
use crate::table::Format;

/// Largest health history read: a year of a hundred releases in ten channels has 40 MB.
const MAX_HISTORY_BYTES: u64 = 64 * 1024 * 1024;

/// Arguments of `fairway promote`.
#[derive(Debug, clap::Args)]
pub(crate) struct PromoteArgs {
    /// The channel repository
    dir: PathBuf,
    /// The product, as `product` or `vendor/product`
    product: String,
    /// The release
    #[arg(required_unless_present_any = ["due", "pending"], requires = "to")]
    version: Option<ReleaseVersion>,
    /// The channel it enters
    #[arg(long, value_name = "CHANNEL")]
    to: Option<ChannelName>,
    /// Promote everything the rule allows now
    #[arg(long, conflicts_with_all = ["version", "early"])]
    due: bool,
    /// Only list what could be promoted, and when the rest can be
    #[arg(long, conflicts_with_all = ["version", "due", "early"])]
    pending: bool,
    /// Promote although the rule says to wait, and record why
    #[arg(long, value_name = "REASON")]
    early: Option<String>,
    /// Health of clusters by release and day, as JSON, for channels that ask for soak; else the hub
    /// of --server is asked
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// How to print what is pending
    #[arg(long, value_enum, default_value_t, requires = "pending")]
    output: Format,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs `fairway promote`.
pub(crate) async fn run(args: &PromoteArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    promote(args, &ask_terminal, now, out).await
}

async fn promote(args: &PromoteArgs, ask: &Ask, now: Timestamp, out: &mut Out) -> Result<()> {
    // A record for people: nobody wants fractions of seconds in it.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let workspace = lint::load(&args.dir, out)?;
    let source = product(&workspace, Some(&args.product))?;
    let file = source.directory.join(PROMOTIONS_FILE);
    let text = read(&args.dir, &file)?;
    let record = &source.promotions;
    let history = match &args.history {
        Some(file) => read_history(file)?,
        None if record.soak.is_empty() => HealthHistory::default(),
        None => soak::ask(&args.change.hub, source, args.version.as_ref(), out).await?,
    };
    let facts = Facts { product: source, record, history: &history };
    if args.pending {
        return pending::print(&chosen(verdicts(&facts, now), args), args.output, out);
    }
    let entries = match &args.version {
        Some(version) => vec![one(args, &facts, version, now, out)?],
        None => all_due(args, &facts, now, out)?,
    };
    if entries.is_empty() {
        return out.note("nothing is due");
    }
    let edits = edits(&args.dir, source, &file, text, &entries)?;
    carry_out(&args.dir, &workspace, &edits, &args.change, ask, now, out).await
}

/// Verdicts on the channel asked for.
fn chosen(verdicts: Vec<Verdict>, args: &PromoteArgs) -> Vec<Verdict> {
    let wanted = |verdict: &Verdict| args.to.as_ref().is_none_or(|to| *to == verdict.channel);
    verdicts.into_iter().filter(wanted).collect()
}

/// One release into one channel.
fn one(
    args: &PromoteArgs,
    facts: &Facts<'_>,
    version: &ReleaseVersion,
    now: Timestamp,
    out: &mut Out,
) -> Result<Entry> {
    let to = args.to.clone().ok_or_else(|| CliError::failed("--to is missing"))?;
    let verdict = verdict(facts, &to, version, now);
    let open: Vec<&Wait> = verdict.waits.iter().filter(|wait| **wait != Wait::NotFed).collect();
    let told: Vec<String> = open.iter().map(ToString::to_string).collect();
    let told = told.join("; ");
    let entry = |why: &str| Entry {
        channel: to.clone(),
        version: version.clone(),
        at: now,
        why: why.to_owned(),
    };
    if open.is_empty() {
        return Ok(entry(if verdict.feeder.is_some() { "rule" } else { "by hand" }));
    }
    let refuse = format!("{version} may not enter {to}: {told}");
    if !open.iter().all(|wait| wait.may_be_overruled()) {
        return Err(CliError::no(refuse));
    }
    match &args.early {
        Some(reason) => {
            out.warn(&format!("promoted early: {told}"))?;
            Ok(entry(reason))
        }
        None => Err(CliError::no(refuse).hint(pending::hint(&verdict))),
    }
}

/// Everything the rule allows; what must wait is told on stderr.
fn all_due(
    args: &PromoteArgs,
    facts: &Facts<'_>,
    now: Timestamp,
    out: &mut Out,
) -> Result<Vec<Entry>> {
    for verdict in chosen(verdicts(facts, now), args).iter().filter(|one| !one.may_enter()) {
        out.note(&pending::line(verdict))?;
    }
    let wanted = |entry: &Entry| args.to.as_ref().is_none_or(|to| *to == entry.channel);
    Ok(due(facts, now).into_iter().filter(wanted).collect())
}

/// The channels' files and the record; the record first, so that a promotion without one is seen.
fn edits(
    dir: &Path,
    source: &ProductSource,
    file: &Path,
    text: Option<String>,
    entries: &[Entry],
) -> Result<Vec<FileEdit>> {
    let recorded = edit::record(text.as_deref(), entries).map_err(|error| refused(file, &error))?;
    let mut edits = vec![FileEdit { file: file.to_owned(), before: text, after: Some(recorded) }];
    let mut by_channel: BTreeMap<&ChannelName, Vec<&ReleaseVersion>> = BTreeMap::new();
    for entry in entries {
        by_channel.entry(&entry.channel).or_default().push(&entry.version);
    }
    for (name, versions) in by_channel {
        let channel = source
            .channel(name)
            .ok_or_else(|| CliError::no(format!("there is no channel {name}")))?;
        edits.push(edit_file(dir, channel.file.clone(), |text| {
            versions.iter().try_fold(text.to_owned(), |text, version| edit::promote(&text, version))
        })?);
    }
    Ok(edits)
}

fn read_history(path: &Path) -> Result<HealthHistory> {
    let failed = |problem: String| {
        CliError::failed(format!("failed to read the history {}: {problem}", path.display()))
    };
    let bytes = read_bounded(path, MAX_HISTORY_BYTES).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}
