//! `fairway vendor …`: several vendors on one hub, each with keys of its own.
//!
//! A vendor makes its own directory (`init`) and hands its introduction to the hub's admin, who
//! delegates to it (`add`), changes its keys (`rotate`) or withdraws it (`revoke`). Nothing here
//! signs: `fairway publish` does.

mod change;
mod found;
mod init;
mod introduction;
mod keys;
mod list;
pub(super) mod publish;
mod rotate;
mod served;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

use channels::names::VendorName;
use jiff::Timestamp;

use crate::authoring::{PassphraseArgs, Passphrases};
use crate::error::Result;
use crate::hub::HubArgs;
use crate::out::Out;
use crate::table::Format;

use super::publish::PublishArgs;
use change::{AddArgs, RevokeArgs};
use init::VendorInitArgs;
use rotate::RotateArgs;

/// Arguments of `fairway vendor`.
#[derive(Debug, clap::Args)]
pub(crate) struct VendorArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    hub: HubArgs,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a vendor's own directory, for a hub of somebody else
    Init(VendorInitArgs),
    /// Write the vendor's introduction anew, after its keys changed
    Introduce {
        /// The vendor's own directory
        dir: PathBuf,
    },
    /// Delegate to a vendor that publishes by itself (the hub's admin)
    Add(AddArgs),
    /// List the vendors of a hub's directory, or the vendor of its own
    List {
        /// The directory
        dir: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value_t)]
        output: Format,
    },
    /// Show the keys of a vendor's three roles, with fingerprints for reading aloud
    Keys {
        /// The directory
        dir: PathBuf,
        /// The vendor
        vendor: VendorName,
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        output: Format,
    },
    /// Change the keys of a vendor's role
    Rotate(RotateArgs),
    /// Withdraw a vendor: agents refuse its products from then on (the hub's admin)
    Revoke(RevokeArgs),
}

/// Flags of commands that change `hub.toml`.
#[derive(Debug, Clone, Default, clap::Args)]
struct AtOnce {
    /// Publish at once instead of telling that `fairway publish` makes it so
    #[arg(long)]
    publish: bool,
    /// Why, for the hub's audit log
    #[arg(long, short, default_value = "", value_name = "TEXT", hide_default_value = true)]
    message: String,
}

/// Runs `fairway vendor …`.
pub(crate) async fn run(
    args: &VendorArgs,
    passphrases: Passphrases,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let (dir, at_once, next, own) = match &args.command {
        Command::Init(init) => return init::run(init, &args.hub, passphrases, now, out),
        Command::Introduce { dir } => return init::introduce(dir, out),
        Command::List { dir, output } => {
            return list::run(dir, *output, &args.hub, now, out).await;
        }
        Command::Keys { dir, vendor, output } => {
            return keys::run(dir, vendor, *output, &args.hub, now, out).await;
        }
        Command::Add(add) => {
            let own = change::add(add, out)?;
            (&add.dir, &add.at_once, makes_it_so(&add.dir), own)
        }
        Command::Rotate(rotate) => {
            let (next, own) = rotate::rotate(rotate, out)?;
            (&rotate.dir, &rotate.at_once, next, own)
        }
        Command::Revoke(revoke) => {
            let own = change::revoke(revoke, out)?;
            (&revoke.dir, &revoke.at_once, makes_it_so(&revoke.dir), own)
        }
    };
    if !at_once.publish {
        return out.note(&next);
    }
    let message = at_once.message.clone();
    let publish = PublishArgs::of(dir.clone(), message, args.hub.clone(), Some(own));
    super::publish::run(&publish, passphrases, now, out).await
}

/// What makes a change of `hub.toml` real.
fn makes_it_so(dir: &Path) -> String {
    format!("next: fairway publish {} makes it so", dir.display())
}
