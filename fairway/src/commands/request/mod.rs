//! `fairway request show|sign|merge`: the part of a ceremony that any machine can do, offline and
//! without the channel repository. `fairway root sign|merge` are the same for root alone.

mod merge;
mod render;
mod show;
mod sign;
#[cfg(test)]
pub(crate) mod tests;
mod turns;

use jiff::Timestamp;
use signing::{SigningRequest, TopRole};

pub(crate) use merge::{MergeArgs, merge};
pub(crate) use render::describe;
pub(crate) use show::{ShowArgs, show};
pub(crate) use sign::{Ask, SignArgs, ask_terminal, sign};
pub(crate) use turns::{TurnArgs, write_new};

use crate::authoring::{PassphraseArgs, Passphrases};
use crate::error::{CliError, Result};
use crate::out::Out;

/// Arguments of `fairway request`.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a request changes, who has signed and who may still
    Show(ShowArgs),
    /// Add one signature, after showing what changes
    Sign(SignArgs),
    /// Join the signatures of copies of one request
    Merge(MergeArgs),
}

/// Which roles a command takes requests of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All that people sign.
    AnyRole,
    /// Only root.
    Root,
}

impl Scope {
    pub(crate) fn check(self, request: &SigningRequest) -> Result<()> {
        match self {
            Self::Root if request.role().as_top() != Some(TopRole::Root) => {
                let role = request.role();
                Err(CliError::failed(format!("this is a request to sign {role}, not root"))
                    .hint("`fairway request` takes requests of every role"))
            }
            Self::Root | Self::AnyRole => Ok(()),
        }
    }
}

/// Runs `fairway request …`.
pub(crate) fn run(
    args: &RequestArgs,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    match &args.command {
        Command::Show(args) => show(args, now, out),
        Command::Sign(args) => sign(args, Scope::AnyRole, passphrases, &ask_terminal, now, out),
        Command::Merge(args) => merge(args, Scope::AnyRole, now, out),
    }
}
