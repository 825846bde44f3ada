//! `offline-mirror prune …`: plans, and after somebody read the plan, removes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::target::{ServerArgs, TargetArgs};
use super::{Output, now, say};
use crate::prune::{Asked, PRUNE_BYTES_MAX, PruneError, PrunePlan, SiteHub, apply, plan};
use crate::site::{SiteDir, SiteError, read_file, write_file};

#[derive(Debug, Subcommand)]
pub(super) enum PruneCommand {
    /// Write what no cluster of the site needs any more into a file, with reasons.
    Plan(PlanArgs),
    /// Remove what the file names, after asking again.
    Apply(ApplyArgs),
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The site's directory.
    site: PathBuf,
    /// How many of the newest versions of each channel stay whoever runs them.
    #[arg(long, value_name = "N", default_value_t = 2)]
    keep_graph: usize,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The site's directory.
    site: PathBuf,
    /// The reviewed file.
    plan: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn run(command: PruneCommand) -> anyhow::Result<()> {
    match command {
        PruneCommand::Plan(args) => run_plan(args).await,
        PruneCommand::Apply(args) => run_apply(args).await,
    }
}

fn hub(server: &ServerArgs, site: &SiteDir) -> anyhow::Result<SiteHub> {
    let server = server.server(site)?.context("--server is missing: who runs what?")?;
    Ok(SiteHub::new(server)?)
}

async fn run_plan(args: PlanArgs) -> anyhow::Result<()> {
    let site = SiteDir::open(&args.site)?;
    let (target, hub) = (args.target.open(&site)?, hub(&args.server, &site)?);
    let keep_graph = args.keep_graph;
    let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph };
    let planned = plan(&asked, now()).await?;
    let json = serde_json::to_string_pretty(&planned)?;
    write_file(&args.out, format!("{json}\n").as_bytes())?;
    match args.output {
        Output::Json => say(&json),
        Output::Text => say(&format!(
            "{} manifests may go ({} bytes of blobs with them), {} images stay: read {}, then\n\
             offline-mirror prune apply {} {}",
            planned.remove.len(),
            planned.bytes,
            planned.keep.len(),
            args.out.display(),
            args.site.display(),
            args.out.display(),
        )),
    }
}

fn read_plan(path: &Path, site: &SiteDir, target: &str) -> Result<PrunePlan, PruneError> {
    let bytes = read_file(path, PRUNE_BYTES_MAX)?;
    let malformed = |why: String| SiteError::Malformed { path: path.to_owned(), why };
    let read: PrunePlan = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
    let (what, known) = ("prune plan", PrunePlan::FORMAT);
    if read.format != known {
        return Err(SiteError::Format { what, found: read.format, known }.into());
    }
    let found = format!("{} at {}", read.site, read.target);
    let expected = format!("{} at {target}", site.config().name);
    if found != expected {
        return Err(PruneError::OtherPlan { path: path.to_owned(), found, expected });
    }
    Ok(read)
}

async fn run_apply(args: ApplyArgs) -> anyhow::Result<()> {
    let site = SiteDir::open(&args.site)?;
    let (target, hub) = (args.target.open(&site)?, hub(&args.server, &site)?);
    let reviewed = read_plan(&args.plan, &site, &target.told())?;
    let keep_graph = reviewed.keep_graph;
    let asked = Asked { site: &site, target: &target, hub: &hub, keep_graph };
    let done = apply(&asked, &reviewed, &now).await?;
    if matches!(args.output, Output::Json) {
        return say(&serde_json::to_string_pretty(&done)?);
    }
    for kept in &done.needed_since {
        say(&format!("kept {}@{}: {}", kept.repository, kept.digest, kept.because.join("; ")))?;
    }
    let freed = done.freed.map(|freed| format!(", {} bytes freed", freed.bytes_freed));
    say(&format!("{} manifests removed{}", done.removed.len(), freed.unwrap_or_default()))?;
    done.next.map_or(Ok(()), |next| say(&next))
}
