//! `offline-mirror verify` and `offline-mirror import`.

use std::path::PathBuf;

use channels::names::Arch;
use clap::Args;
use jiff::Timestamp;

use super::target::{ServerArgs, TargetArgs};
use super::{Output, now, say, say_progress};
use crate::belief::{AcceptExpired, read_root};
use crate::feed::Feed;
use crate::import::{
    BundleEvidence, Evidence, ImportError, ImportRequest, Log, Step, import, verify,
};
use crate::site::{SiteDir, write_file};

/// What both look at.
#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// The bundle: its directory or its .manifest.json; several are taken together.
    #[arg(required = true)]
    bundles: Vec<PathBuf>,
    /// Further directory that holds segments (repeatable): another stick.
    #[arg(long, value_name = "DIR")]
    also: Vec<PathBuf>,
    /// Architecture that the site needs (repeatable): refuse a release without it.
    #[arg(long = "arch")]
    arches: Vec<Arch>,
    /// Accept metadata that expired on its way, until this moment (2026-12-24T00:00:00Z).
    #[arg(long, value_name = "TIME", requires = "reason")]
    accept_expired_until: Option<Timestamp>,
    /// Why expired metadata is accepted, for the site's audit log.
    #[arg(long, requires = "accept_expired_until")]
    reason: Option<String>,
    /// Take what there is of a bundle that says it is incomplete.
    #[arg(long)]
    accept_incomplete: bool,
    /// Write what was checked and done into this file, as JSON.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    bundle: BundleArgs,
    /// The site that it is for: looks at name, sequence and allow-list too.
    #[arg(long, value_name = "SITEDIR", required_unless_present = "root")]
    site: Option<PathBuf>,
    /// Root of the bundle's view, where there is no site directory.
    #[arg(long, conflicts_with = "site")]
    root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The site's directory.
    site: PathBuf,
    #[command(flatten)]
    bundle: BundleArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// Write what the bundle presumes and the target lacks into this file, for a repair bundle.
    #[arg(long, value_name = "FILE")]
    missing_out: Option<PathBuf>,
}

impl BundleArgs {
    fn request(&self) -> ImportRequest {
        let accept_expired = match (self.accept_expired_until, &self.reason) {
            (Some(until), Some(reason)) => Some(AcceptExpired { until, reason: reason.clone() }),
            _ => None,
        };
        ImportRequest {
            bundles: self.bundles.clone(),
            also: self.also.clone(),
            arches: self.arches.clone(),
            accept_expired,
            accept_incomplete: self.accept_incomplete,
            missing_out: None,
        }
    }

    fn tell(&self, evidence: &Evidence, done: &str) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(evidence)?;
        if let Some(path) = &self.evidence {
            write_file(path, json.as_bytes())?;
        }
        match self.output {
            Output::Json => say(&json),
            Output::Text => say(&told(evidence, done)),
        }
    }
}

/// One line about each step as it ends.
fn show(step: &Step) {
    say_progress(&format!("{} {}: {}", step.at, step.step, step.found));
}

pub(super) async fn run_verify(args: VerifyArgs) -> anyhow::Result<()> {
    let request = args.bundle.request();
    let site = args.site.as_deref().map(SiteDir::open_to_read).transpose()?;
    let root = match (&site, &args.root) {
        (Some(site), _) => site.root().to_vec(),
        (None, Some(root)) => read_root(root)?,
        (None, None) => anyhow::bail!("neither --site nor --root is given"),
    };
    let log = Log::new(&now, &show);
    let evidence = verify(site.as_ref(), &root, &request, log).await?;
    args.bundle.tell(&evidence, "verified")
}

pub(super) async fn run_import(args: ImportArgs) -> anyhow::Result<()> {
    let request = ImportRequest { missing_out: args.missing_out.clone(), ..args.bundle.request() };
    let site = SiteDir::open(&args.site)?;
    let target = args.target.open(&site)?;
    let server = args.server.server(&site)?;
    let feed = server.map(Feed::new).transpose()?;
    let log = Log::new(&now, &show);
    let evidence = import(&site, &request, &target, feed.as_ref(), log).await?;
    args.bundle.tell(&evidence, "imported")?;
    ImportError::not_published(&evidence.publications).map_or(Ok(()), |error| Err(error.into()))
}

fn told(evidence: &Evidence, done: &str) -> String {
    let bundle = |bundle: &BundleEvidence| {
        let complete = if bundle.complete { "" } else { " (incomplete)" };
        let BundleEvidence { name, sequence, manifest, .. } = bundle;
        format!("{done} {name}, sequence {sequence}{complete}, manifest {manifest}")
    };
    let mut lines: Vec<String> = evidence.bundles.iter().map(bundle).collect();
    let told = &evidence.told;
    let hashed =
        format!("{} entries hashed ({} bytes)", told.entries_verified, told.bytes_verified);
    lines.push(match &evidence.target {
        Some(target) => format!(
            "{hashed}; {target}: {} manifests and blobs written, {} were there",
            told.objects_written, told.objects_present
        ),
        None => hashed,
    });
    let left = |image: &String| format!("left out, because it is not whole: {image}");
    lines.extend(evidence.left_out.iter().map(left));
    lines.join("\n")
}
