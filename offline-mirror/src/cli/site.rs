//! `offline-mirror site …`: makes a site directory and shows it.

use std::path::PathBuf;

use channels::names::SiteName;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Output, say};
use crate::belief::read_root;
use crate::site::{ImagePattern, SiteDir, SiteInit};

#[derive(Debug, Subcommand)]
pub(super) enum SiteCommand {
    /// Make the directory of a site: its configuration and its key.
    Init(InitArgs),
    /// Show a site: its key, and what it has taken in.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The directory to make.
    dir: PathBuf,
    /// The site's name.
    #[arg(long)]
    name: SiteName,
    /// Root of the view that its bundles are made under; carry it by another way than the bundles.
    #[arg(long)]
    root: PathBuf,
    /// Extra image that the site takes, as host/repository or host/path/* (repeatable).
    #[arg(long = "image", value_name = "PATTERN")]
    images: Vec<ImagePattern>,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The site's directory.
    dir: PathBuf,
    /// How to say it.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Runs one command.
pub(super) fn run(command: SiteCommand) -> anyhow::Result<()> {
    match command {
        SiteCommand::Init(args) => init(args),
        SiteCommand::Show(args) => show(&args),
    }
}

fn init(args: InitArgs) -> anyhow::Result<()> {
    let root = read_root(&args.root)?;
    let made = SiteInit { name: args.name, root, images: args.images };
    let site = SiteDir::init(&args.dir, made)?;
    let key = site.public_key()?.key_id();
    let public = site.path().join("site.pub");
    match args.output {
        Output::Json => say(&json!({
            "site": site.config().name,
            "key": key,
            "public_key_file": public,
            "pinned_root": site.pinned(),
        })
        .to_string()),
        Output::Text => say(&format!(
            "site {} in {}\nkey {key}\nhand {} to whoever makes its bundles, by a way of its own",
            site.config().name,
            site.path().display(),
            public.display(),
        )),
    }
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let site = SiteDir::open_to_read(&args.dir)?;
    let (key, ledger) = (site.public_key()?.key_id(), site.ledger()?);
    if matches!(args.output, Output::Json) {
        return say(&json!({
            "site": site.config().name,
            "key": key,
            "pinned_root": site.pinned(),
            "images": site.config().images,
            "inventories": ledger.inventories,
            "bundles": ledger.bundles,
        })
        .to_string());
    }
    say(&format!("site {}\nkey {key}\nroot {}", site.config().name, site.pinned()))?;
    for bundle in &ledger.bundles {
        let complete = if bundle.complete { "" } else { ", incomplete" };
        say(&format!(
            "{} {}: imported {}, {} images{complete}",
            bundle.sequence,
            bundle.name,
            bundle.imported_at,
            bundle.images.len(),
        ))?;
    }
    if ledger.bundles.is_empty() { say("no bundle taken in") } else { Ok(()) }
}
