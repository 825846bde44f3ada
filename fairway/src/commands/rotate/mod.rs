//! `fairway rotate timestamp|snapshot DIR`: a new online key for the hub, by way of a new root.
//!
//! The hub makes the key and keeps it; only its public half ever leaves the hub. Root N+1 names it
//! in the place of the old one, and the hub signs with it from the moment it serves that root.

pub(crate) mod online;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::authoring::{PassphraseArgs, Passphrases};
use crate::commands::request::ask_terminal;
use crate::error::Result;
use crate::hub::HubArgs;
use crate::out::Out;
use crate::publisher::OnlineRole;

/// Arguments of `fairway rotate`.
#[derive(Debug, clap::Args)]
pub(crate) struct RotateArgs {
    /// Which key of the hub: timestamp or snapshot
    #[arg(value_name = "ROLE")]
    role: OnlineRole,
    #[command(flatten)]
    pub(crate) replace: ReplaceArgs,
}

/// Arguments of every command that replaces online keys.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplaceArgs {
    /// The directory that init made
    pub(crate) dir: PathBuf,
    /// Sign without asking, for scripts
    #[arg(long)]
    pub(crate) yes: bool,
    /// Where to write the request instead of DIR, if too few root keys are here
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Why, for the hub's audit log
    #[arg(long, short, default_value = "", value_name = "TEXT", hide_default_value = true)]
    pub(crate) message: String,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// Runs `fairway rotate`.
pub(crate) async fn run(
    args: &RotateArgs,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let roles = [args.role];
    let desk = online::Desk::open(&args.replace, &roles, online::Waiting::OursTaken)?;
    desk.replace(passphrases, &ask_terminal, now, out).await.map(|_outcome| ())
}
