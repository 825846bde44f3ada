//! `offline-mirror serve`: parses, opens the store, serves until a signal comes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{now, say};
use crate::serve::{Allowed, Exposure, Running, ServeError, ServeSettings, Tokens};
use crate::store::Store;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct ServeArgs {
    /// The store: where `import --store` puts images.
    store: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:5000", env = "FAIRWAY_MIRROR_LISTEN")]
    listen: SocketAddr,
    /// Take pushes. A store that is not there yet is made.
    #[arg(long)]
    allow_push: bool,
    /// Delete manifests, tags and blobs when asked.
    #[arg(long)]
    allow_delete: bool,
    /// Certificate chain in PEM, the registry's own first.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of that certificate in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Talk HTTP without TLS to other machines.
    #[arg(long, env = "FAIRWAY_PLAIN_HTTP", conflicts_with = "tls_cert")]
    plain_http: bool,
    /// Tokens, a line each: name:role:sha256-hex, role one of pull, push, delete.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let everybody pull who reaches it.
    #[arg(long)]
    anonymous_pull: bool,
    /// Free space every so many hours, as `store gc` does.
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=24 * 365))]
    gc_every: Option<u64>,
}

/// Serves until SIGINT or SIGTERM.
pub(super) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let allowed = Allowed { push: args.allow_push, delete: args.allow_delete };
    let exposure = Exposure {
        is_loopback: args.listen.ip().is_loopback(),
        is_encrypted: args.tls_cert.is_some(),
        has_tokens: args.token_file.is_some(),
        allows_changes: allowed.push || allowed.delete,
        anonymous_pull: args.anonymous_pull,
        plain_http: args.plain_http,
    };
    let anonymous = exposure.anonymous()?;
    let tokens = match &args.token_file {
        Some(path) => Tokens::read(path).map_err(ServeError::Tokens)?,
        None => Tokens::default(),
    };
    let opened = if allowed.push { Store::create(&args.store) } else { Store::open(&args.store) };
    let store = opened.map_err(ServeError::Store)?;
    let settings = ServeSettings {
        listen: args.listen,
        allowed,
        tokens,
        anonymous,
        tls: args.tls_cert.zip(args.tls_key),
        gc_every: args.gc_every.map(Duration::from_hours),
        clock: now,
    };
    // Before the address is printed: whoever reads it may end us at once.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
    let running = Running::start(store, settings)?;
    let scheme = if exposure.is_encrypted { "https" } else { "http" };
    say(&format!("listening on {scheme}://{}", running.address))?;
    let shutdown = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(running.until(shutdown).await?)
}

/// Hint and exit code, where the server failed.
pub(super) fn explain(error: &anyhow::Error) -> Option<(Option<String>, u8)> {
    const FAILED: u8 = 2;
    error.downcast_ref::<ServeError>().map(|error| {
        let hint = match error {
            ServeError::Store(error) => error.hint(),
            ServeError::Bind { .. } => Some("--listen takes another address or port".to_owned()),
            ServeError::Tls { .. } => {
                Some("--tls-cert and --tls-key take PEM files that belong together".to_owned())
            }
            ServeError::Tokens(_) => {
                Some("a line is name:role:$(printf %s SECRET | sha256sum)".to_owned())
            }
            ServeError::Unsafe(_) | ServeError::Server(_) => None,
        };
        (hint, FAILED)
    })
}
