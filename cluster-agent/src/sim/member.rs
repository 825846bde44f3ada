//! One controller as a process of its own, for tests of the `exec` driver with real restarts.
//!
//! Members of one quorum share a directory instead of a network. Each serves its page on an
//! address of its own, reads its version from `<unit>.version` when it starts, and ends in good
//! order on `SIGTERM`. [`restart`] is what a `mutate` command runs.

mod files;
mod ledger;
mod restart;
mod rules;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;

use channels::names::UnitName;

pub use ledger::{LedgerEntry, LedgerEvent, read_ledger};
pub use restart::restart;
pub use serve::{run, run_until};

/// `member …`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum MemberCommand {
    /// Runs one member until `SIGTERM`.
    Run(MemberArgs),
    /// Gives a member a version and restarts it; waits for nothing.
    Restart(RestartArgs),
}

impl MemberCommand {
    /// Runs the command. Must be called inside a tokio runtime.
    pub async fn execute(&self) -> Result<(), MemberError> {
        match self {
            Self::Run(args) => run(args).await,
            Self::Restart(args) => restart(args),
        }
    }
}

/// Which member of which quorum.
#[derive(Debug, Clone, clap::Args)]
pub struct MemberArgs {
    /// Directory the members of the quorum share.
    #[arg(long)]
    pub dir: PathBuf,
    /// Name of the unit.
    #[arg(long)]
    pub unit: UnitName,
    /// Its node id, from 1.
    #[arg(long)]
    pub id: u32,
    /// How many voters the quorum has.
    #[arg(long)]
    pub voters: u32,
    /// Where to serve `/metrics`.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The version it runs if it has never run in this directory; `restart` sets later ones.
    #[arg(long)]
    pub version: Option<String>,
}

/// Which member to restart, and into what.
#[derive(Debug, Clone, clap::Args)]
pub struct RestartArgs {
    /// Directory the members of the quorum share.
    #[arg(long)]
    pub dir: PathBuf,
    /// Name of the unit.
    #[arg(long)]
    pub unit: UnitName,
    /// The version it comes up with.
    #[arg(long)]
    pub version: String,
}

/// Why a member cannot run or be restarted.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// A file of the shared directory.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that another member (or another program) wrote.
    #[error("cannot understand {}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Its address stays taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its process cannot be told to end.
    #[error("cannot end the process of {unit}")]
    Terminate {
        /// The unit.
        unit: UnitName,
        /// What went wrong.
        source: crate::driver::DriverError,
    },
    /// No signal handling.
    #[error("cannot wait for signals")]
    Signals {
        /// What the system said.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod tests;
