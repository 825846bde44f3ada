//! `fairway import fedora-coreos FILE… --out DIR`.

use std::path::{Path, PathBuf};

use channels::import::{ImportError, fedora_coreos};
use channels::repository::ProductSource;

use super::{Common, failed, finish};
use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::out::Out;

/// Largest update file read; those of 2026 have 5 kB.
const UPDATES_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Arguments of `fairway import fedora-coreos`.
#[derive(Debug, clap::Args)]
pub(super) struct FedoraCoreosArgs {
    /// Update files: updates/<stream>.json of fedora-coreos-streams
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The product's directory to make; it must be missing, empty, or this very import
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &FedoraCoreosArgs, out: &mut Out) -> Result<()> {
    let mut sources = Vec::new();
    for file in &args.files {
        let unusable = |error: &dyn std::fmt::Display| {
            CliError::failed(format!("cannot read {}: {error}", file.display()))
        };
        let bytes = read_bounded(file, UPDATES_MAX_BYTES).map_err(|error| unusable(&error))?;
        let text = String::from_utf8(bytes).map_err(|error| unusable(&error))?;
        sources.push((file.clone(), text));
    }
    let (product, arches) = (args.common.product(), args.common.arches());
    let (files, report) =
        fedora_coreos(&product, &arches, &sources).map_err(|error| failed(&error, out))?;
    let check = |written: &Path| {
        ProductSource::load(written, Path::new("")).map_err(ImportError::from)?;
        Ok(None)
    };
    finish(&args.out, &args.common, &files, &report, check, out)
}
