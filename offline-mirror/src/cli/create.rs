//! `offline-mirror create`.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::plan::{Ready, WhatArgs};
use super::{Output, say};
use crate::bundle::Segment;
use crate::create::{CreateError, CreateRequest, Created, Progress, create};
use crate::plan::readable;

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Directory for the bundle's files.
    dir: PathBuf,
    #[command(flatten)]
    what: WhatArgs,
    /// Give up what was begun under this name for another request; blobs that are here are used. A
    /// finished bundle that is not complete is made anew.
    #[arg(long)]
    restart: bool,
    /// How to tell how far it is; on a terminal a bar, otherwise JSON lines, on standard error.
    #[arg(long, value_enum)]
    progress: Option<Form>,
    /// How to say what was made.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A bar for people.
    Bar,
    /// One JSON object per line.
    Json,
    /// Not at all.
    None,
}

impl CreateArgs {
    fn progress(&self) -> Progress {
        let by_place = || if std::io::stderr().is_terminal() { Form::Bar } else { Form::Json };
        match self.progress.unwrap_or_else(by_place) {
            Form::Bar => Progress::bar(),
            Form::Json => Progress::lines(),
            Form::None => Progress::nothing(),
        }
    }
}

/// Runs `create`. An interrupt ends it as a kill does, with everything that came in the journal.
pub(super) async fn run(args: CreateArgs, now: Timestamp) -> anyhow::Result<()> {
    let (progress, output) = (args.progress(), args.output);
    let Ready { request, source, registries } = args.what.ready()?;
    let request = CreateRequest { plan: request, dir: args.dir, restart: args.restart };
    let made = tokio::select! {
        made = create(&request, source, &registries, &progress, now) => made?,
        signal = tokio::signal::ctrl_c() => {
            signal.context("cannot wait for an interrupt")?;
            anyhow::bail!("interrupted; the same command goes on where this run stopped");
        }
    };
    match output {
        Output::Json => say(&serde_json::to_string_pretty(&made)?)?,
        Output::Text => say(&told(&made))?,
    }
    if made.complete {
        return Ok(());
    }
    Err(CreateError::Incomplete { name: made.name, missing: made.missing }.into())
}

fn told(made: &Created) -> String {
    let Created { name, sequence, segments, releases, images, bytes, required, .. } = made;
    let mut lines = vec![
        format!(
            "made bundle {name}, sequence {sequence}: {} releases, {images} images, {} in {} \
             segments; fetched {} now",
            releases.len(),
            readable(*bytes),
            segments.len(),
            readable(made.fetched_bytes),
        ),
        format!("  {}", made.manifest.display()),
    ];
    let file = |segment: &Segment| made.manifest.with_file_name(&segment.file);
    lines.extend(segments.iter().map(|segment| format!("  {}", file(segment).display())));
    if *required > 0 {
        lines.push(format!("presumes {required} manifests and blobs to be at the site"));
    }
    lines.extend(made.good_until.map(|until| format!("good until {until}")));
    lines.extend(made.warnings.iter().map(|warning| format!("WARNING {warning}")));
    let missing = made.missing.iter();
    lines.extend(missing.map(|missing| format!("MISSING {}: {}", missing.what, missing.why)));
    if !made.complete {
        lines.push("NOT COMPLETE".to_owned());
    }
    lines.join("\n")
}
