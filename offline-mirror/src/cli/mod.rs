//! The command line: parses, sets up the shells, prints what happened.

mod serve;
mod store;
mod view;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use channels::names::{Arch, ProductRef};
use channels::version::ReleaseVersion;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::belief::{AcceptExpired, read_root};
use crate::error::Error;
use crate::export::{ExportRequest, export};
use crate::feed::{Feed, read_token};
use crate::import::{ImportRequest, Imported, import};
use crate::record::ExportRecord;
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
    /// Keep a view of a hub: the same release under a long-lived root of its own.
    #[command(subcommand)]
    View(view::ViewCommand),
    /// Serve a store of images as an OCI registry.
    Serve(serve::ServeArgs),
    /// Look at a store of images, check it, or free space in it.
    #[command(subcommand)]
    Store(store::StoreCommand),
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
    /// The view to export under, for sites that pin its root.
    #[arg(long, value_name = "VIEWDIR")]
    view: Option<PathBuf>,
    #[command(flatten)]
    access: AccessArgs,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// The exported directory.
    dir: PathBuf,
    /// Root of the hub the export came from; carry it by another way than the export.
    #[arg(long)]
    root: PathBuf,
    /// Architecture that the site needs (repeatable): refuse an export without it.
    #[arg(long = "arch")]
    arches: Vec<Arch>,
    /// Directory in which the site remembers what it has seen of that hub, so that an older export
    /// is refused; one per hub.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Accept metadata that expired on its way, until this moment (2026-12-24T00:00:00Z).
    #[arg(long, value_name = "TIME", requires_all = ["reason", "state"])]
    accept_expired_until: Option<Timestamp>,
    /// Why expired metadata is accepted, for the site's audit log.
    #[arg(long, requires = "accept_expired_until")]
    reason: Option<String>,
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
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Form of what goes to standard output.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Output {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

#[derive(Debug, Args)]
struct AccessArgs {
    /// Path in front of every repository of the registry.
    #[arg(long)]
    registry_prefix: Option<String>,
    /// Talk HTTP without TLS to the registry.
    #[arg(long, env = "FAIRWAY_PLAIN_HTTP")]
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
            prefix: self.registry_prefix.as_ref().map(|p| p.trim_matches('/').to_owned()),
            plain_http: self.plain_http,
            credentials,
        })?)
    }
}

/// The command line's definition, for documentation and checks of quoted commands.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line: exit 0 done, 1 refused, 2 usage or failure.
pub fn cli_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    log_to_stderr(matches!(cli.command, Command::Serve(_)));
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (lines, code) = explain(&error);
            drop(writeln!(std::io::stderr(), "{lines}"));
            ExitCode::from(code)
        }
    }
}

/// The error with its whole chain, what to do about it, and the exit code.
fn explain(error: &anyhow::Error) -> (String, u8) {
    if let Some((hint, code)) = store::explain(error).or_else(|| serve::explain(error)) {
        let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        return (format!("error: {error:#}{hint}"), code);
    }
    let Some(known) = error.downcast_ref::<Error>() else {
        return (format!("error: {error:#}"), 2);
    };
    let attack = known.attack().map(|attack| format!("{attack}: ")).unwrap_or_default();
    let code = if known.is_refusal() { 1 } else { 2 };
    (format!("error: {attack}{error:#}\nhint: {}", known.hint()), code)
}

/// What is logged when nobody says: nothing of peers that try TLS on a plain port, as clients do to
/// find out what a registry speaks.
const QUIET: &str = "warn,actix_http::h1::dispatcher=off";

/// Progress goes to standard error, as much as `FAIRWAY_LOG` asks for; a server writes JSON.
fn log_to_stderr(is_server: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FAIRWAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(QUIET));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Inside another program's process its own subscriber stays.
    if is_server {
        drop(lines.json().flatten_event(true).try_init());
    } else {
        drop(lines.try_init());
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    signing::source::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    match cli.command {
        Command::Export(args) => runtime.block_on(run_export(args)),
        Command::Import(args) => runtime.block_on(run_import(args)),
        Command::View(command) => runtime.block_on(view::run(command, now())),
        Command::Serve(args) => runtime.block_on(serve::run(args)),
        Command::Store(command) => store::run(command, now()),
    }
}

/// The TUF repository of the hub at `server`.
fn tuf_source(server: &str) -> anyhow::Result<signing::HttpSource> {
    let base = format!("{}/tuf/", server.trim_end_matches('/'));
    signing::HttpSource::new(&base, signing::source::HttpLimits::default())
        .context("cannot use --server")
}

async fn run_export(args: ExportArgs) -> anyhow::Result<()> {
    let source = tuf_source(&args.server)?;
    let registry = args.access.registry(&args.registry)?;
    let request = ExportRequest {
        product: args.product,
        version: args.version,
        arches: args.arches,
        root: read_root(&args.root)?,
        dir: args.dir,
        view: args.view,
    };
    let done = export(&request, source, &registry, now()).await?;
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&done)?),
        Output::Text => say(&format!(
            "exported {} {} ({}) into {}: {} images, {} objects fetched ({} bytes), {} kept{}",
            done.record.product,
            done.record.version,
            list(&done.record.arches),
            request.dir.display(),
            done.record.images.len(),
            done.fetched.objects,
            done.fetched.bytes,
            done.kept.objects,
            good_until(&done.record),
        )),
    }
}

async fn run_import(args: ImportArgs) -> anyhow::Result<()> {
    let registry = args.registry.as_deref().map(|host| args.access.registry(host)).transpose()?;
    let server = match (&args.server, &args.token_file) {
        (Some(server), Some(file)) => Some(Feed::new(server, read_token(file)?)?),
        _ => None,
    };
    let accept_expired = match (args.accept_expired_until, args.reason) {
        (Some(until), Some(reason)) => Some(AcceptExpired { until, reason }),
        _ => None,
    };
    let request = ImportRequest {
        dir: args.dir,
        root: read_root(&args.root)?,
        arches: args.arches,
        state: args.state,
        accept_expired,
    };
    let done = import(&request, registry.as_ref(), server.as_ref(), now()).await?;
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&done)?),
        Output::Text => say(&told(&done, registry.is_some())),
    }
}

/// How long the parcel may be on the road.
fn good_until(record: &ExportRecord) -> String {
    let kind = if record.is_view { "view" } else { "metadata" };
    record.good_until.map(|at| format!("; {kind} good until {at}")).unwrap_or_default()
}

/// One line about a finished import.
fn told(done: &Imported, to_registry: bool) -> String {
    let Imported { record, verified, pushed, present, .. } = done;
    let images = if to_registry {
        format!("{} blobs pushed, {} there already", pushed.objects, present.objects)
    } else {
        "no registry fed".to_owned()
    };
    let server = match &done.publication {
        Some(reply) if reply.changed => format!("published as snapshot {}", reply.snapshot_version),
        Some(_) => "the update server had it already".to_owned(),
        None => "no update server fed".to_owned(),
    };
    let as_of = done.expired_as_of.map(|at| format!("; metadata verified as of {at}"));
    format!(
        "imported {} {} ({}): {} objects verified ({} bytes), {images}, {server}{}",
        record.product,
        record.version,
        list(&record.arches),
        verified.objects,
        verified.bytes,
        as_of.unwrap_or_default(),
    )
}

fn list(arches: &[Arch]) -> String {
    arches.iter().map(Arch::as_str).collect::<Vec<_>>().join(", ")
}

/// The one place where this process reads the clock.
#[expect(clippy::disallowed_methods, reason = "the shell hands `now` to everything below it")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Data for people and scripts goes to standard output; a closed pipe is not an error.
fn say(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("cannot print"),
        _ => Ok(()),
    }
}
