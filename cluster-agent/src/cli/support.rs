//! `support-bundle`: one file for somebody who helps from afar.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::{Answer, ConfigArgs, commands};
use crate::clock;
use crate::footprint::support::{Pages, bundle};

/// `support-bundle`.
#[derive(Debug, Clone, Args)]
pub struct SupportArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where to write it, readable by its owner alone; stdout unless given.
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Leave out the units' metrics pages.
    #[arg(long)]
    pub no_pages: bool,
}

pub(super) fn support(args: &SupportArgs) -> anyhow::Result<Answer> {
    let pages = if args.no_pages { Pages::Left } else { Pages::Asked };
    let making = bundle(&args.config.config, pages, clock::now());
    let text = commands::runtime()?.block_on(making)?;
    let Some(path) = &args.output else { return Ok(Answer::yes(text)) };
    write_private(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    let note = "read it before you pass it on: it names hosts, units and releases";
    Ok(Answer::yes(format!("wrote {}; {note}\n", path.display())))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
