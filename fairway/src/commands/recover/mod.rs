//! `fairway recover fast-forward DIR`: agents that a thief of an online key told absurdly high
//! versions come back.
//!
//! Whoever held the timestamp or the snapshot key may have signed any version. An agent that saw one
//! refuses everything lower, the hub's own included, for ever. TUF's way out (TUF 1.0.34 §5.3.11) is
//! a root with other keys for these roles: an agent that takes it drops what it remembers of them.

use std::str::FromStr;

use jiff::Timestamp;
use signing::source::HttpLimits;
use signing::{Client, HttpSource, MemStore, Refreshed};

use crate::authoring::Passphrases;
use crate::commands::request::ask_terminal;
use crate::commands::rotate::ReplaceArgs;
use crate::commands::rotate::online::{Desk, Outcome, Waiting};
use crate::error::{CliError, Result, chain};
use crate::out::Out;
use crate::publisher::OnlineRole;

/// Arguments of `fairway recover`.
#[derive(Debug, clap::Args)]
pub(crate) struct RecoverArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Replace both online keys in one root, so that agents drop the versions they saw
    FastForward(FastForwardArgs),
}

#[derive(Debug, clap::Args)]
struct FastForwardArgs {
    #[command(flatten)]
    replace: ReplaceArgs,
    /// The version an agent says it saw (of its timestamp, or snapshot=N): nothing is replaced if the
    /// hub's own is as high
    #[arg(long, value_name = "[ROLE=]N")]
    seen: Option<Seen>,
    /// Replace the keys even if nothing is wrong
    #[arg(long)]
    force: bool,
}

/// A version somebody saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    role: OnlineRole,
    version: u64,
}

impl FromStr for Seen {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (role, version) = match text.split_once('=') {
            Some((role, version)) => (role.parse()?, version),
            None => (OnlineRole::Timestamp, text),
        };
        let version = version.parse().map_err(|_| format!("{version:?} is not a version"))?;
        Ok(Self { role, version })
    }
}

impl RecoverArgs {
    /// Passphrases of the root keys.
    pub(crate) fn passphrases(&self) -> Result<Passphrases> {
        let Command::FastForward(args) = &self.command;
        args.replace.passphrase.passphrases()
    }
}

/// Runs `fairway recover …`.
pub(crate) async fn run(
    args: &RecoverArgs,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let Command::FastForward(args) = &args.command;
    let roles = [OnlineRole::Timestamp, OnlineRole::Snapshot];
    let desk = Desk::open(&args.replace, &roles, Waiting::Refused)?;
    match served(&desk, now).await {
        Ok(served) => {
            out.line(&format!(
                "the hub serves root {}, snapshot {}, timestamp {}",
                served.root_version, served.snapshot_version, served.timestamp_version
            ))?;
            if let Some(seen) = args.seen.filter(|_| !args.force) {
                check_needed(seen, &served)?;
            }
        }
        // What does not verify may be part of what has to be recovered from.
        Err(error) => {
            out.warn(&format!("what the hub serves does not verify: {}", chain(&error)))?;
        }
    }
    explain(out)?;
    let outcome = desk.replace(passphrases, &ask_terminal, now, out).await?;
    match outcome {
        Outcome::Published => out.note(
            "agents come back with their next poll; mirrors and sites behind an air gap need the \
             new root too",
        ),
        Outcome::Requested => out.note("agents come back after that root is published"),
    }
}

/// What an agent that starts from the pinned root gets from the hub.
async fn served(desk: &Desk<'_>, now: Timestamp) -> std::result::Result<Refreshed, signing::Error> {
    let base = format!("{}tuf/", desk.hub().base());
    let failed = |source| {
        let file = signing::FileName::timestamp();
        signing::Error::Fetch { file, source }
    };
    let source = HttpSource::new(&base, HttpLimits::default()).map_err(failed)?;
    let pinned = &desk.authoring().layout().root.pinned;
    Client::open(pinned, source, MemStore::new())?.refresh(now).await
}

fn check_needed(seen: Seen, served: &Refreshed) -> Result<()> {
    let own = match seen.role {
        OnlineRole::Snapshot => served.snapshot_version,
        OnlineRole::Timestamp => served.timestamp_version,
    };
    if seen.version > own {
        return Ok(());
    }
    let Seen { role, version } = seen;
    Err(CliError::no(format!(
        "nothing is wrong: an agent that saw {role} {version} accepts {own}, which the hub serves"
    ))
    .hint("--force replaces both keys all the same"))
}

fn explain(out: &mut Out) -> Result<()> {
    out.note("with the next root, every agent forgets what the old keys told it:")?;
    out.note(
        "  the highest timestamp and snapshot version it saw, and the versions of all roles in it",
    )?;
    out.note("  the time of the last signature, which stood in for a clock that is behind")?;
    out.note(
        "it keeps the roots it followed, so whoever has the old keys can tell it nothing more;",
    )?;
    out.note("the hub goes on with its own version numbers")?;
    out.note(
        "the new keys are made on the hub now, whatever waits there: if the old ones were stolen \
         there, mend it first",
    )
}
