//! `offline-mirror store …`: parses, calls the store, says what came of it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Output, say};
use crate::oci::Repository;
use crate::store::{Fsck, FsckReport, Gc, GcReport, Store, StoreError, Totals};

/// Looked at, and found damaged.
const DAMAGED: u8 = 1;
/// Could not be looked at.
const FAILED: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// List repositories with their tags.
    Ls(LsArgs),
    /// Free the space of what no repository holds.
    Gc(GcArgs),
    /// Hash what is there; exit 1 when something is damaged.
    Fsck(FsckArgs),
}

#[derive(Debug, Args)]
pub(super) struct LsArgs {
    /// The store.
    store: PathBuf,
    /// How to say it.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct GcArgs {
    /// The store.
    store: PathBuf,
    /// Minutes that something must have been unwanted before it goes. Less than the longest push or
    /// pull takes makes that fail.
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=60 * 24 * 365))]
    grace_minutes: u32,
    /// How to say it.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct FsckArgs {
    /// The store.
    store: PathBuf,
    /// Share of the blobs to hash today; other days take other ones.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
    /// Take what is damaged for absent from now on, so that an import or a push can bring it again.
    #[arg(long)]
    forget_damaged: bool,
    /// How to say it.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Damage was found and has been printed.
#[derive(Debug, thiserror::Error)]
#[error("{count} damaged or missing")]
struct Damaged {
    count: usize,
    is_forgotten: bool,
}

/// A store's content.
#[derive(Debug, Serialize)]
struct Listing {
    totals: Totals,
    repositories: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    repository: Repository,
    tags: Vec<Tagged>,
    manifests: usize,
}

#[derive(Debug, Serialize)]
struct Tagged {
    tag: String,
    digest: String,
}

/// Runs one command.
pub(super) fn run(command: StoreCommand, now: Timestamp) -> anyhow::Result<()> {
    match command {
        StoreCommand::Ls(args) => {
            let listing = list(&Store::open(&args.store)?)?;
            match args.output {
                Output::Json => say(&serde_json::to_string_pretty(&listing)?),
                Output::Text => say(&told_listing(&listing)),
            }
        }
        StoreCommand::Gc(args) => {
            let store = Store::open(&args.store)?;
            let turn = store.exclusive()?;
            let grace = SignedDuration::from_mins(i64::from(args.grace_minutes));
            let report = store.gc(&turn, Gc { grace }, now)?;
            match args.output {
                Output::Json => say(&serde_json::to_string_pretty(&report)?),
                Output::Text => say(&told_gc(&report)),
            }
        }
        StoreCommand::Fsck(args) => {
            let store = Store::open(&args.store)?;
            // Asked for first: an hour of hashing is not to end at somebody else's import.
            let turn = args.forget_damaged.then(|| store.exclusive()).transpose()?;
            let mut report = store.fsck(Fsck { percent: args.percent }, now, |bytes| {
                tracing::info!(bytes, "hashed");
            })?;
            if let Some(turn) = turn {
                store.forget_damaged(&turn, &mut report)?;
            }
            match args.output {
                Output::Json => say(&serde_json::to_string_pretty(&report)?)?,
                Output::Text => say(&told_fsck(&report))?,
            }
            if report.is_sound() {
                return Ok(());
            }
            let is_forgotten = args.forget_damaged;
            Err(Damaged { count: report.damages.len(), is_forgotten }.into())
        }
    }
}

/// Hint and exit code, where the store failed.
pub(super) fn explain(error: &anyhow::Error) -> Option<(Option<String>, u8)> {
    if let Some(damaged) = error.downcast_ref::<Damaged>() {
        let hint = if damaged.is_forgotten {
            "bring them again: import the newest bundle again (with a repair bundle, if it says that \
             something is missing), or send an inventory for the next bundle, or push them"
        } else {
            "check the disk, then run this again with --forget-damaged: until then nothing that is \
             brought again replaces them"
        };
        return Some((Some(hint.to_owned()), DAMAGED));
    }
    error.downcast_ref::<StoreError>().map(|error| (error.hint(), FAILED))
}

fn list(store: &Store) -> Result<Listing, StoreError> {
    let mut repositories = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.repositories(after.as_deref(), None)?;
        for repository in page.names {
            let mut tags = Vec::new();
            let manifests = store.manifests(&repository)?;
            for digest in &manifests {
                for tag in store.tags_of(&repository, digest)? {
                    tags.push(Tagged { tag: tag.to_string(), digest: digest.to_string() });
                }
            }
            tags.sort_by(|a, b| a.tag.cmp(&b.tag));
            after = Some(repository.to_string());
            repositories.push(Listed { repository, tags, manifests: manifests.len() });
        }
        if !page.more {
            return Ok(Listing { totals: store.totals()?, repositories });
        }
    }
}

fn told_listing(listing: &Listing) -> String {
    let mut lines = Vec::new();
    for Listed { repository, tags, manifests } in &listing.repositories {
        lines.push(format!("{repository}  {manifests} manifests"));
        lines.extend(tags.iter().map(|t| format!("  {}  {}", t.tag, t.digest)));
    }
    let Totals { blobs, blob_bytes, unlinked_bytes, segments, .. } = listing.totals;
    lines.push(format!(
        "{blobs} blobs ({blob_bytes} bytes, {unlinked_bytes} of them unwanted) in {segments} \
         segments and loose files"
    ));
    lines.join("\n")
}

fn told_gc(report: &GcReport) -> String {
    let GcReport { blobs_removed, segments_removed, bytes_freed, bytes_shared, .. } = report;
    let mut text = format!(
        "{bytes_freed} bytes freed: {blobs_removed} blobs, {segments_removed} segments, {} uploads, \
         {} strays",
        report.uploads_removed, report.strays_removed,
    );
    if *bytes_shared > 0 {
        text = format!(
            "{text}\n{bytes_shared} bytes more once the bundle's own files are deleted: they share \
             their space with the store"
        );
    }
    if report.blobs_waiting > 0 {
        text = format!("{text}\n{} blobs wait for the end of their grace", report.blobs_waiting);
    }
    text
}

fn told_fsck(report: &FsckReport) -> String {
    let mut lines: Vec<_> = report
        .damages
        .iter()
        .map(|damage| {
            let place = match (&damage.file, damage.offset) {
                (Some(file), Some(offset)) => format!(" in {} at {offset}", file.display()),
                _ => String::new(),
            };
            format!("{}{place}: {}", damage.digest, damage.why)
        })
        .collect();
    let skipped = match report.skipped {
        0 => String::new(),
        count => format!(", {count} left to other days"),
    };
    if report.forgotten > 0 {
        lines.push(format!("{} of them count as absent from now on", report.forgotten));
    }
    let result = if report.is_sound() { "all sound" } else { "damaged" };
    lines
        .push(format!("{} blobs hashed ({} bytes){skipped}: {result}", report.blobs, report.bytes));
    lines.join("\n")
}
