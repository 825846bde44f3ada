//! `offline-mirror view …`: parses, calls the library, says what came of it and what is next.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use signing::{KeyId, PublicKey};

use super::{Output, say, tuf_source};
use crate::belief::{read_bounded, read_root};
use crate::view::{
    Accepted, DEFAULT_LIFE_DAYS, DEFAULT_ROOT_DAYS, Drafted, Holders, ViewInit, ViewRenewal,
    view_accept, view_init, view_renew,
};

/// Longest public key file, in bytes: an RSA-4096 key has 800.
const PUBLIC_KEY_BYTES_MAX: u64 = 16 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum ViewCommand {
    /// Make a view of a hub: its keys, and a request for its first root.
    Init(InitArgs),
    /// Take the root that the holders signed.
    Accept(AcceptArgs),
    /// Make a request for the next root: a new expiry, the hub's new targets keys, new keys.
    Renew(RenewArgs),
}

#[derive(Debug, Args)]
pub(super) struct HubArgs {
    /// Base URL of the hub.
    #[arg(long, env = "FAIRWAY_SERVER")]
    server: String,
    /// The hub's root, as agents pin it.
    #[arg(long)]
    root: PathBuf,
    /// Public key of a holder who signs the view's roots (repeatable); the hub's holders when left
    /// out.
    #[arg(long = "root-key", value_name = "FILE", requires = "root_threshold")]
    root_keys: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, value_name = "M", requires = "root_keys")]
    root_threshold: Option<u32>,
    /// Days that the view's root lives.
    #[arg(long, default_value_t = DEFAULT_ROOT_DAYS)]
    root_days: u16,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The directory to keep the view in.
    dir: PathBuf,
    #[command(flatten)]
    hub: HubArgs,
    /// Days that an export lives: as long as a parcel may be on the road.
    #[arg(long, default_value_t = DEFAULT_LIFE_DAYS)]
    days: u16,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct RenewArgs {
    /// The view's directory.
    dir: PathBuf,
    #[command(flatten)]
    hub: HubArgs,
    /// Days that an export lives once the root is accepted.
    #[arg(long)]
    days: Option<u16>,
    /// Make new keys for snapshot and timestamp.
    #[arg(long)]
    new_keys: bool,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct AcceptArgs {
    /// The view's directory.
    dir: PathBuf,
    /// The signed request; several copies that were signed apart are put together.
    #[arg(required = true)]
    requests: Vec<PathBuf>,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl HubArgs {
    fn holders(&self) -> anyhow::Result<Option<Holders>> {
        let Some(threshold) = self.root_threshold else { return Ok(None) };
        let keys = self.root_keys.iter().map(|path| read_public(path)).collect::<Result<_, _>>()?;
        Ok(Some(Holders::Own { keys, threshold }))
    }
}

pub(super) fn read_public(path: &Path) -> anyhow::Result<PublicKey> {
    let bytes = read_bounded(path, PUBLIC_KEY_BYTES_MAX)?;
    let key = std::str::from_utf8(&bytes)
        .context("not text")
        .and_then(|text| PublicKey::from_spki_pem(text).context("not a public key in PEM"));
    key.with_context(|| format!("cannot use {}", path.display()))
}

/// Runs one command.
pub(super) async fn run(command: ViewCommand, now: Timestamp) -> anyhow::Result<()> {
    match command {
        ViewCommand::Init(args) => {
            let request = ViewInit {
                root: read_root(&args.hub.root)?,
                holders: args.hub.holders()?.unwrap_or(Holders::Hub),
                days: args.days,
                root_days: args.hub.root_days,
                dir: args.dir,
            };
            let drafted = view_init(&request, tuf_source(&args.hub.server)?, now).await?;
            told(&drafted, &request.dir, args.output)
        }
        ViewCommand::Renew(args) => {
            let renewal = ViewRenewal {
                root: read_root(&args.hub.root)?,
                holders: args.hub.holders()?,
                days: args.days,
                root_days: args.hub.root_days,
                new_keys: args.new_keys,
                dir: args.dir,
            };
            let drafted = view_renew(&renewal, tuf_source(&args.hub.server)?, now).await?;
            told(&drafted, &renewal.dir, args.output)
        }
        ViewCommand::Accept(args) => {
            let accepted = view_accept(&args.dir, &args.requests)?;
            match args.output {
                Output::Json => say(&serde_json::to_string_pretty(&accepted)?),
                Output::Text => say(&told_accepted(&accepted)),
            }
        }
    }
}

/// A key id in groups of four, as people read it to each other.
fn grouped(key: &KeyId) -> String {
    let digits: Vec<char> = key.as_str().chars().collect();
    digits.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

fn told(drafted: &Drafted, dir: &Path, output: Output) -> anyhow::Result<()> {
    let Drafted { request, version, expires, holders, threshold, online } = drafted;
    match output {
        Output::Json => say(&serde_json::to_string_pretty(drafted)?),
        Output::Text => {
            let [snapshot, timestamp] = online.each_ref().map(grouped);
            let holders: Vec<_> =
                holders.iter().map(|key| format!("  holder     {}\n", grouped(key))).collect();
            let (request, count) = (request.display(), holders.len());
            say(&format!(
                "root {version} of the view, until {expires}\n  snapshot   {snapshot}\n  \
                 timestamp  {timestamp}\n{}{threshold} of {count} holders sign it:  fairway root \
                 sign {request} --key KEY.pem\nthen:  offline-mirror view accept {} {request}",
                holders.concat(),
                dir.display(),
            ))
        }
    }
}

fn told_accepted(accepted: &Accepted) -> String {
    let Accepted { root, version, expires } = accepted;
    format!("root {version} of the view holds until {expires}; new sites pin {}", root.display())
}
