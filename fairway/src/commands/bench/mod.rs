//! `fairway bench`: a fleet that does not exist, with real keys, real signatures and real HTTP, against
//! a real hub. What it prints is about the hub; the generator takes one core of its own at most.
//!
//! It is meant for a hub of its own: whoever knows the seed has the keys of all of its clusters.

mod connection;
mod drive;
mod fleet;
mod model;
mod paths;
mod process;
mod reporter;
mod roster;
mod schedule;
mod seed;
mod tally;
#[cfg(test)]
mod tests;
mod yardstick;

use crate::error::Result;
use crate::out::Out;

/// Arguments of `fairway bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, clap::Subcommand)]
enum BenchCommand {
    /// Enrol a fleet in the data directory of a hub that is not running
    Seed(seed::SeedArgs),
    /// Let that fleet report and poll over HTTP, and say what it cost the hub
    Fleet(fleet::FleetArgs),
    /// Ask for some paths as fast as they are answered, one after the other
    Paths(paths::PathsArgs),
}

/// Runs `fairway bench`.
pub(crate) async fn run(args: &BenchArgs, out: &mut Out) -> Result<()> {
    match &args.command {
        BenchCommand::Seed(args) => seed::run(args, out).await,
        BenchCommand::Fleet(args) => fleet::run(args, out).await,
        BenchCommand::Paths(args) => paths::run(args, out).await,
    }
}
