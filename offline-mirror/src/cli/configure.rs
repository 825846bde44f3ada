//! `offline-mirror configure`: writes configuration for container runtimes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::target::TargetArgs;
use super::{Output, say};
use crate::bundle::BundleDir;
use crate::configure::{ConfigureError, Mirror, SignedBy, generate, write};
use crate::oci::{Host, Repository};
use crate::site::SiteDir;

#[derive(Debug, Args)]
pub(super) struct ConfigureArgs {
    /// The site's directory.
    site: PathBuf,
    /// Directory to write below.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Configure for this bundle too, before it is imported (repeatable). It is not verified.
    #[arg(long = "bundle", value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    /// Host and port under which nodes reach the site's own store.
    #[arg(long, value_name = "HOST")]
    serve_host: Option<Host>,
    /// The registry's certificate authority, as the file is called on the nodes.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Ask for sigstore signatures, as host/path=FILE with the public key's name on the nodes
    /// (repeatable).
    #[arg(long = "signed-by", value_name = "SCOPE=FILE", value_parser = signed_by)]
    signed_by: Vec<SignedBy>,
    /// Overwrite files that this command did not write.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: TargetArgs,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

fn signed_by(text: &str) -> Result<SignedBy, String> {
    let (scope, file) = text.split_once('=').ok_or("expected host/path=FILE")?;
    let (host, path) = scope.split_once('/').ok_or("expected host/path=FILE")?;
    host.parse::<Host>().map_err(|e| e.to_string())?;
    path.parse::<Repository>().map_err(|e| e.to_string())?;
    Ok(SignedBy { scope: scope.to_owned(), key_file: file.into() })
}

pub(super) fn run(args: &ConfigureArgs) -> anyhow::Result<()> {
    let site = SiteDir::open_to_read(&args.site)?;
    let mut images = site.ledger()?.images();
    for bundle in &args.bundles {
        images.extend(BundleDir::open(bundle, &[])?.claims().images.iter().cloned());
    }
    if images.is_empty() {
        return Err(ConfigureError::Nothing.into());
    }
    let (host, prefix, plain_http) = match (&args.serve_host, args.target.registry_access(&site)) {
        (Some(host), _) => (host.clone(), None, args.target.is_plain()),
        (None, Some(access)) => (access.host, access.prefix, access.plain_http),
        (None, None) => {
            anyhow::bail!("name the registry that nodes pull from: --registry or --serve-host")
        }
    };
    let mirror = Mirror { host, prefix, plain_http, ca_file: args.ca_file.clone() };
    let keys: BTreeSet<SignedBy> = args.signed_by.iter().cloned().collect();
    let files = generate(&site.config().name, &mirror, &images, &keys);
    let done = write(&args.out, &files, args.force)?;
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&done).context("cannot print")?),
        Output::Text => {
            for name in &done.written {
                say(&format!("wrote {}", args.out.join(name).display()))?;
            }
            for name in &done.left_over {
                say(&format!("not needed any more: {}", args.out.join(name).display()))?;
            }
            let (written, unchanged) = (done.written.len(), done.unchanged.len());
            say(&format!("{written} files written, {unchanged} as they were"))
        }
    }
}
