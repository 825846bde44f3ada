//! `fairway graph`: print a channel's graph, draw it, explain an edge, find a way, compare.

pub(crate) mod change;
mod compare;
mod difference;
mod fleet;
mod print;
mod rows;
mod select;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod way;
mod why;

pub(crate) use select::product;

use crate::error::{CliError, Result};
use crate::out::Out;

/// Arguments of `fairway graph`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct GraphArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    print: Option<print::PrintArgs>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say why there is an edge between two releases, or why there is none
    Why(why::WhyArgs),
    /// Find the shortest way from one release to another, or to the head
    Path(way::PathArgs),
    /// Compare the graphs of two directories, or of one with what the hub serves
    Diff(difference::DiffArgs),
}

/// Runs `fairway graph …`.
pub(crate) async fn run(args: &GraphArgs, out: &mut Out) -> Result<()> {
    match (&args.command, &args.print) {
        (Some(Command::Why(args)), _) => why::run(args, out),
        (Some(Command::Path(args)), _) => way::run(args, out),
        (Some(Command::Diff(args)), _) => difference::run(args, out).await,
        (None, Some(args)) => print::run(args, out),
        // `clap` asks for the directory and the channel before it comes to this.
        (None, None) => Err(CliError::failed("name a channel repository and a channel")),
    }
}
