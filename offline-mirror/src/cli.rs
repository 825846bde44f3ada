//! The command line: parses, sets up the shells, prints what happened.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use channels::names::{Arch, ProductRef};
use channels::version::ReleaseVersion;
use clap::{Args, CommandFactory, Parser, Subcommand};
use jiff::Timestamp;

use crate::export::{ExportRequest, export};
use crate::feed::{Feed, read_token};
use crate::import::{ImportRequest, import, read_root};
use crate::registry::{Registry, RegistryAccess};

/// Carries releases and signed metadata across an air gap.
#[derive(Debug, Parser)]
#[command(name = "offline-mirror", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the TUF repository and the blobs one release names into a directory.
    Export(ExportArgs),
    /// Verify an exported directory and feed a site's registry and update server with it.
    Import(ImportArgs),
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// The directory to write.
    dir: PathBuf,
    /// Base URL of the hub.
    #[arg(long, env = "FAIRWAY_SERVER")]
    server: String,
    /// The hub's root, as agents pin it.
    #[arg(long)]
    root: PathBuf,
    /// Product, as vendor/product.
    #[arg(long)]
    product: ProductRef,
    /// Release to carry.
    #[arg(long)]
    version: ReleaseVersion,
    /// Architecture to carry (repeatable); all of the release's when left out.
    #[arg(long = "arch")]
    arches: Vec<Arch>,
    /// Registry that holds the release's images: host[:port].
    #[arg(long)]
    registry: String,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// The exported directory.
    dir: PathBuf,
    /// Root of the hub the export came from; carry it by another way than the export.
    #[arg(long)]
    root: PathBuf,
    /// Base URL of the site's update server; without it nothing is published.
    #[arg(long, env = "FAIRWAY_SERVER", requires = "token_file")]
    server: Option<String>,
    /// File with an API token of role publisher.
    #[arg(long, env = "FAIRWAY_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// Site registry to push the images to: host[:port]; without it no image is pushed.
    #[arg(long)]
    registry: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

#[derive(Debug, Args)]
struct AccessArgs {
    /// Path in front of every repository of the registry.
    #[arg(long)]
    registry_prefix: Option<String>,
    /// Talk HTTP without TLS to the registry.
    #[arg(long)]
    plain_http: bool,
    /// User for the registry.
    #[arg(long, requires = "registry_password_file")]
    registry_user: Option<String>,
    /// File with the password of that user.
    #[arg(long, requires = "registry_user")]
    registry_password_file: Option<PathBuf>,
}

impl AccessArgs {
    fn registry(&self, host: &str) -> anyhow::Result<Registry> {
        let credentials = match (&self.registry_user, &self.registry_password_file) {
            (Some(user), Some(file)) => Some((user.clone(), read_token(file)?)),
            _ => None,
        };
        Ok(Registry::new(RegistryAccess {
            host: host.to_owned(),
            prefix: self.registry_prefix.clone(),
            plain_http: self.plain_http,
            credentials,
        }))
    }
}

/// The command line's definition, for documentation and checks of quoted commands.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line: exit 0 done, 1 refused, 2 usage.
pub fn cli_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::from(1)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    signing::source::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start")?;
    match cli.command {
        Command::Export(args) => runtime.block_on(run_export(args)),
        Command::Import(args) => runtime.block_on(run_import(args)),
    }
}

async fn run_export(args: ExportArgs) -> anyhow::Result<()> {
    let base = format!("{}/tuf/", args.server.trim_end_matches('/'));
    let source = signing::HttpSource::new(&base, signing::source::HttpLimits::default())?;
    let registry = args.access.registry(&args.registry)?;
    let request = ExportRequest {
        product: args.product,
        version: args.version,
        arches: args.arches,
        root: read_root(&args.root)?,
        dir: args.dir,
    };
    let record = export(&request, source, &registry, now()).await?;
    say(&format!(
        "exported {} {}: {} images into {}",
        record.product,
        record.version,
        record.images.len(),
        request.dir.display()
    ))
}

async fn run_import(args: ImportArgs) -> anyhow::Result<()> {
    let registry = args.registry.as_deref().map(|host| args.access.registry(host)).transpose()?;
    let server = match (&args.server, &args.token_file) {
        (Some(server), Some(file)) => Some(Feed::new(server, read_token(file)?)?),
        _ => None,
    };
    let request = ImportRequest { dir: args.dir, root: read_root(&args.root)? };
    let done = import(&request, registry.as_ref(), server.as_ref(), now()).await?;
    say(&format!(
        "imported {} {}: {} objects verified, {} pushed, {}",
        done.record.product,
        done.record.version,
        done.verified,
        done.pushed,
        match &done.publication {
            Some(reply) if reply.changed =>
                format!("published as snapshot {}", reply.snapshot_version),
            Some(_) => "the update server had it already".to_owned(),
            None => "no update server fed".to_owned(),
        }
    ))
}

/// The one place where this process reads the clock.
#[expect(clippy::disallowed_methods, reason = "the shell hands `now` to everything below it")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Data for people and scripts goes to standard output; a closed pipe is not an error.
fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("failed to print"),
        _ => Ok(()),
    }
}
