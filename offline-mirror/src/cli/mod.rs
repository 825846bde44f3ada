//! The command line: parses, sets up the shells, prints what happened.

mod configure;
mod create;
mod import;
mod inventory;
mod plan;
mod prune;
mod serve;
mod site;
mod store;
mod target;
mod view;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use signing::Attack;

use crate::bundle::BundleError;
use crate::configure::ConfigureError;
use crate::create::CreateError;
use crate::error::Error;
use crate::import::ImportError;
use crate::plan::PlanError;
use crate::prune::PruneError;
use crate::registry::RegistryError;
use crate::site::SiteError;

/// Carries releases and signed metadata across an air gap.
#[derive(Debug, Parser)]
#[command(name = "offline-mirror", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what a bundle would carry; nothing is written.
    Plan(Box<plan::PlanArgs>),
    /// Make a bundle: images and signed metadata in files to be carried to sites.
    Create(Box<create::CreateArgs>),
    /// Keep the directory of a site: its key, its allow-list, what it has taken in.
    #[command(subcommand)]
    Site(site::SiteCommand),
    /// Verify a bundle without a network and without writing anything.
    Verify(import::VerifyArgs),
    /// Verify bundles and take them into a site's registry or store and its update server.
    Import(import::ImportArgs),
    /// Ask a site's registry or store what it has, and sign the answer.
    Inventory(inventory::InventoryArgs),
    /// Write configuration that points container runtimes at a site's registry.
    Configure(configure::ConfigureArgs),
    /// Remove what no cluster of a site needs any more, in two phases.
    #[command(subcommand)]
    Prune(prune::PruneCommand),
    /// Keep a view of a hub: the same release under a long-lived root of its own.
    #[command(subcommand)]
    View(view::ViewCommand),
    /// Serve a store of images as an OCI registry.
    Serve(serve::ServeArgs),
    /// Look at a store of images, check it, or free space in it.
    #[command(subcommand)]
    Store(store::StoreCommand),
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

/// What is known of an error beside its text.
struct Known {
    attack: Option<Attack>,
    is_refusal: bool,
    hint: Option<String>,
}

/// Looks for one of our errors; what is behind `anyhow` alone is a failure without a name.
fn known(error: &anyhow::Error) -> Option<Known> {
    macro_rules! first_of {
        ($($type:ty => $is_refusal:expr),* $(,)?) => {
            $(if let Some(error) = error.downcast_ref::<$type>() {
                let is_refusal: fn(&$type) -> bool = $is_refusal;
                return Some(Known {
                    attack: error.attack(),
                    is_refusal: is_refusal(error),
                    hint: error.hint(),
                });
            })*
        };
    }
    if let Some(error) = error.downcast_ref::<Error>() {
        let (attack, hint) = (error.attack(), Some(error.hint().to_owned()));
        return Some(Known { attack, is_refusal: error.is_refusal(), hint });
    }
    if let Some((hint, code)) = store::explain(error).or_else(|| serve::explain(error)) {
        return Some(Known { attack: None, is_refusal: code == 1, hint });
    }
    first_of!(
        CreateError => CreateError::is_refusal,
        PlanError => PlanError::is_refusal,
        ImportError => ImportError::is_refusal,
        PruneError => PruneError::is_refusal,
        SiteError => SiteError::is_refusal,
        ConfigureError => |error| matches!(error, ConfigureError::NotOurs { .. }),
        BundleError => BundleError::is_refusal,
        RegistryError => |error| error.attack().is_some(),
    );
    None
}

/// The error with its whole chain, what to do about it, and the exit code.
fn explain(error: &anyhow::Error) -> (String, u8) {
    let Some(Known { attack, is_refusal, hint }) = known(error) else {
        return (format!("error: {error:#}"), 2);
    };
    let attack = attack.map(|attack| format!("{attack}: ")).unwrap_or_default();
    let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    (format!("error: {attack}{error:#}{hint}"), if is_refusal { 1 } else { 2 })
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
        Command::Plan(args) => runtime.block_on(plan::run(*args, now())),
        Command::Create(args) => runtime.block_on(create::run(*args, now())),
        Command::Site(command) => site::run(command),
        Command::Verify(args) => runtime.block_on(import::run_verify(args)),
        Command::Import(args) => runtime.block_on(import::run_import(args)),
        Command::Inventory(args) => runtime.block_on(inventory::run(args)),
        Command::Configure(args) => configure::run(&args),
        Command::Prune(command) => runtime.block_on(prune::run(command)),
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

/// Progress for people goes to standard error; nobody listening is no error.
fn say_progress(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
