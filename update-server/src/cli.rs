//! The command line: parses, starts logging, hands over to [`crate::server`].

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use channels::names::{ProductRef, SiteName};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::backup::{self, What};
use crate::config::{
    ClientCertificates, ConfigError, Fragments, LogFormat, Settings, TlsFragments,
};
use crate::migrate::{self, Place};

/// Usage errors and failures, as in every Fairway command.
const EXIT_FAILURE: u8 = 2;
/// Our state changes; the server library's own start and stop lines say nothing more.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// A person who waits for a million rows wants to see that they move.
const TELL_EVERY_ROWS: u64 = 100_000;

#[derive(Debug, Parser)]
#[command(name = "update-server", version, about = "Fairway's hub", long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve(ServeArgs),
    /// Check the configuration and exit.
    CheckConfig(ServeArgs),
    /// Copy everything the hub keeps into a new directory, also while it runs.
    Backup(BackupArgs),
    /// Make a data directory of a backup, after checking all of it.
    Restore(RestoreArgs),
    /// Move a stopped hub into a database that replicas share, or back into a data directory.
    Migrate(MigrateArgs),
}

/// Options of `migrate`.
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// Where the hub is: `sqlite:DIR` (its data directory) or `postgres://…`.
    #[arg(long, value_name = "PLACE")]
    pub from: Place,
    /// Where it goes: the other one of the two; empty, or what an interrupted move left.
    #[arg(long, value_name = "PLACE")]
    pub to: Place,
}

/// Options of `backup`.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// Directory of everything the hub keeps.
    #[arg(long, env = "FAIRWAY_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Directory to make; it must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Put the hub's private keys into it, not encrypted.
    #[arg(long)]
    pub with_keys: bool,
}

/// Options of `restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// Directory that `backup` made.
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// Data directory to make; it must not exist or be empty.
    #[arg(long, env = "FAIRWAY_DATA_DIR", value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// Options of `serve`. Each may also be set in the file of `--config`; the command line wins over
/// the environment, the environment over the file.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// TOML file with settings.
    #[arg(long, env = "FAIRWAY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of everything the hub keeps.
    #[arg(long, env = "FAIRWAY_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// URL of a PostgreSQL database, for several replicas [default: a file in the data directory].
    #[arg(long, env = "FAIRWAY_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8480].
    #[arg(long, env = "FAIRWAY_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// `vendor/product` answered on the graph paths that name no product.
    #[arg(long, env = "FAIRWAY_DEFAULT_PRODUCT", value_name = "PRODUCT")]
    pub default_product: Option<ProductRef>,
    /// The site this hub serves, for status files that are carried out of it.
    #[arg(long, env = "FAIRWAY_SITE", value_name = "NAME")]
    pub site: Option<SiteName>,
    /// Seconds between two reports of one cluster [default: 300].
    #[arg(long, env = "FAIRWAY_REPORT_INTERVAL_S", value_name = "S")]
    pub report_interval_s: Option<u64>,
    /// Seconds a grant is valid [default: 900].
    #[arg(long, env = "FAIRWAY_GRANT_TTL_S", value_name = "S")]
    pub grant_ttl_s: Option<u64>,
    /// Let people without a token read [default: false].
    #[arg(long, env = "FAIRWAY_ANONYMOUS_VIEWER", value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true")]
    pub anonymous_viewer: Option<bool>,
    /// Let webhooks go to this machine and its link, and unencrypted [default: false].
    #[arg(long, env = "FAIRWAY_WEBHOOKS_TO_LOCAL_ADDRESSES", value_name = "BOOL",
          num_args = 0..=1, default_missing_value = "true")]
    pub webhooks_to_local_addresses: Option<bool>,
    /// Writes that may wait for the writer [default: 20000].
    #[arg(long, env = "FAIRWAY_QUEUE_CAPACITY", value_name = "N")]
    pub queue_capacity: Option<usize>,
    /// Days of history kept [default: 30].
    #[arg(long, env = "FAIRWAY_HISTORY_DAYS", value_name = "DAYS")]
    pub history_days: Option<u32>,
    /// HTTP worker threads [default: one per core].
    #[arg(long, env = "FAIRWAY_WORKERS", value_name = "N")]
    pub workers: Option<usize>,
    /// Seconds a graceful shutdown may take [default: 10].
    #[arg(long, env = "FAIRWAY_SHUTDOWN_TIMEOUT_S", value_name = "S")]
    pub shutdown_timeout_s: Option<u64>,
    /// PEM file of the hub's certificate and its chain; without it the hub speaks plain HTTP.
    #[arg(long, env = "FAIRWAY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's key.
    #[arg(long, env = "FAIRWAY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// PEM file of the authorities that sign clients' certificates.
    #[arg(long, env = "FAIRWAY_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Whether clients must show a certificate [default: required, with --tls-client-ca].
    #[arg(long, env = "FAIRWAY_TLS_CLIENT_CERTIFICATES", value_name = "HOW")]
    pub tls_client_certificates: Option<ClientCertificates>,
    /// Address at which people's browsers find the hub.
    #[arg(long, env = "FAIRWAY_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Address or network of a proxy whose X-Forwarded-For is believed; may be repeated.
    #[arg(
        long = "trusted-proxy",
        env = "FAIRWAY_TRUSTED_PROXIES",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub trusted_proxies: Option<Vec<String>>,
    /// How log lines look [default: auto = text on a terminal, JSON elsewhere].
    #[arg(long, env = "FAIRWAY_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

impl ServeArgs {
    /// The settings of this command line and its file.
    pub fn settings(self) -> Result<Settings, ConfigError> {
        let file = match &self.config {
            Some(path) => Fragments::load(path)?,
            None => Fragments::default(),
        };
        let tls = TlsFragments {
            cert: self.tls_cert,
            key: self.tls_key,
            client_ca: self.tls_client_ca,
            client_certificates: self.tls_client_certificates,
        };
        let line = Fragments {
            listen: self.listen,
            data_dir: self.data_dir,
            database: self.database,
            default_product: self.default_product,
            site: self.site,
            report_interval_s: self.report_interval_s,
            grant_ttl_s: self.grant_ttl_s,
            anonymous_viewer: self.anonymous_viewer,
            webhooks_to_local_addresses: self.webhooks_to_local_addresses,
            queue_capacity: self.queue_capacity,
            history_days: self.history_days,
            workers: self.workers,
            shutdown_timeout_s: self.shutdown_timeout_s,
            log_format: self.log_format,
            tls: Some(tls),
            public_url: self.public_url,
            oidc: None,
            limits: None,
            trusted_proxies: self.trusted_proxies,
            remote_write: None,
        };
        line.over(file).try_into()
    }
}

/// Every command and option there is, for programs that carry them and for checks of documents.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs a command line, the program's name first. Used by the thin `main`, and by `fairway` when
/// it re-executes itself as a server.
pub fn cli_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Also the answer to --help and --version, which succeed.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(EXIT_FAILURE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::CheckConfig(args) => {
            args.settings()?;
            Ok(())
        }
        Command::Backup(args) => back_up(&args),
        Command::Restore(args) => restore(&args),
        Command::Migrate(args) => move_hub(&args),
        Command::Serve(args) => {
            let settings = args.settings()?;
            start_logging(settings.log_format)?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .context("failed to start the runtime")?;
            runtime.block_on(async {
                let shutdown = shutdown_signal().context("failed to listen for signals")?;
                Ok(crate::server::run(settings, shutdown).await?)
            })
        }
    }
}

fn back_up(args: &BackupArgs) -> anyhow::Result<()> {
    let what = if args.with_keys { What::WithKeys } else { What::WithoutKeys };
    let manifest = backup::take(&args.data_dir, &args.to, what, crate::clock::now())?;
    say(&format!(
        "{} files, {} clusters, {} rows of audit log in {}",
        manifest.files.len(),
        manifest.database.clusters,
        manifest.database.audit_rows,
        args.to.display()
    ));
    if manifest.with_keys {
        say(
            "it holds the hub's private keys, not encrypted: whoever reads it can sign as this hub",
        );
    } else if !manifest.keys.is_empty() {
        say(&format!("not in it: {}; keep copies of them elsewhere", manifest.keys.join(", ")));
    }
    Ok(())
}

fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let manifest = backup::restore(&args.from, &args.data_dir)?;
    let (made_at, to) = (manifest.made_at, args.data_dir.display());
    say(&format!("the hub of {made_at} is in {to}"));
    if !manifest.with_keys && !manifest.keys.is_empty() {
        let keys = manifest.keys.join(", ");
        say(&format!("before it starts, put back what the backup was made without: {keys}"));
    }
    say("publish what was published since before agents look: `fairway publish`");
    Ok(())
}

fn move_hub(args: &MigrateArgs) -> anyhow::Result<()> {
    let (from, to) = (&args.from, &args.to);
    let moved = migrate::migrate(from, to, crate::clock::now(), |table, rows| {
        if rows > 0 && rows.is_multiple_of(TELL_EVERY_ROWS) {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "{table}: {rows} rows");
        }
    })?;
    say(&format!("moved from {from} to {to}, the same on both sides:"));
    say(migrate::table(&moved).trim_end());
    say(&migrate::next(from, to));
    Ok(())
}

/// One line for the person who asked.
fn say(line: &str) {
    // Nobody is left to tell if stdout is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Lines go to stderr; `FAIRWAY_LOG` filters them.
fn start_logging(format: LogFormat) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_from_env("FAIRWAY_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json {
        lines.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        lines.try_init()
    };
    started.map_err(|error| anyhow::anyhow!("failed to start logging: {error}"))
}

fn shutdown_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
