//! `fairway root new|sign|merge|verify|publish`: ceremonies whose key holders are on separate
//! machines.

pub(crate) mod chain;
pub(crate) mod draft;
pub(crate) mod publish;
#[cfg(test)]
mod tests;
mod verify;

use jiff::Timestamp;

use super::request::{MergeArgs, Scope, SignArgs, ask_terminal, merge, sign};
use crate::authoring::{PassphraseArgs, Passphrases};
use crate::error::Result;
use crate::out::Out;

/// Arguments of `fairway root`.
#[derive(Debug, clap::Args)]
pub(crate) struct RootArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Draft the next root: what hub.toml says that the newest root does not
    New(draft::NewArgs),
    /// Add one signature to a request, after showing what changes
    Sign(SignArgs),
    /// Join the signatures of copies of one request
    Merge(MergeArgs),
    /// Walk roots as an agent does, up to a request; say what is missing
    Verify(verify::VerifyArgs),
    /// Put a fully signed root in its place and hand it to the hub
    Publish(publish::PublishArgs),
}

/// Runs `fairway root …`.
pub(crate) async fn run(
    args: &RootArgs,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    match &args.command {
        Command::New(args) => draft::run(args, now, out),
        Command::Sign(args) => sign(args, Scope::Root, passphrases, &ask_terminal, now, out),
        Command::Merge(args) => merge(args, Scope::Root, now, out),
        Command::Verify(args) => verify::run(args, now, out),
        Command::Publish(args) => publish::run(args, passphrases, now, out).await,
    }
}
