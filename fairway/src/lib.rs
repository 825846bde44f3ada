//! The operator's command line: keys, lint, publish, drift, holds; and the demo.
//!
//! `cli` parses, `commands` does one thing per module, `hub` talks to an update server, `publisher`
//! makes the signed set (without prompts, files or network), and `out` is the only printer.

mod authoring;
mod cli;
mod clock;
mod colour;
mod commands;
mod demo;
mod error;
mod files;
mod hub;
mod origin;
mod out;
pub mod publisher;
#[cfg(test)]
mod reference;
mod span;
mod table;
#[cfg(test)]
mod tests;
mod tools;
mod watch;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use jiff::Timestamp;

use crate::cli::{Cli, Command};
use crate::error::{CliError, Exit, Result};
use crate::out::Out;

/// Every command and option there is, the other programs included; for checks of documents.
pub fn command() -> clap::Command {
    tools::with_tools(Cli::command())
}

/// Runs the command line; `args` begins with the program's name.
///
/// Exit codes: 0 done, 1 the answer is no, 2 wrong usage or failure.
pub fn cli_main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    if let Some(code) = tools::run(&args) {
        return code;
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with code 0; a terminal that is gone is no failure.
            let _reader_gone = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Failure.code() } else { 0 });
        }
    };
    let mut out = Out::process(cli.color);
    match run(&cli.command, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if error.exit() != Exit::Silent {
                // Nobody is left to tell when stderr is gone too; the exit code remains.
                let _stderr_gone = out.error(&error);
            }
            ExitCode::from(error.exit().code())
        }
    }
}

fn run(command: &Command, out: &mut Out) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::because("failed to start the runtime", &error))?;
    runtime.block_on(dispatch(command, clock::now(), out))
}

async fn dispatch(command: &Command, now: Timestamp, out: &mut Out) -> Result<()> {
    match command {
        Command::Init(args) => {
            let passphrases = args.passphrase.passphrases()?;
            commands::init::run(args, passphrases, now, out).await
        }
        Command::Key(args) => {
            let passphrases = args.passphrase.passphrases()?;
            commands::key::run(args, passphrases, now, out).await
        }
        Command::Lint(args) => commands::lint::run(args, now, out),
        Command::Import(args) => commands::import::run(args, out),
        Command::Graph(args) => commands::graph::run(args, out).await,
        Command::Promote(args) => commands::promote::run(args, now, out).await,
        Command::Withdraw(args) => commands::withdraw::run(args, now, out).await,
        Command::Block(args) => commands::block::run(args, now, out).await,
        Command::Unblock(args) => commands::block::unblock(args, now, out).await,
        Command::Publish(args) => {
            let passphrases = args.passphrase.passphrases()?;
            commands::publish::run(args, passphrases, now, out).await
        }
        Command::Root(args) => {
            let passphrases = args.passphrase.passphrases()?;
            commands::root::run(args, passphrases, now, out).await
        }
        Command::Request(args) => {
            let passphrases = args.passphrase.passphrases()?;
            commands::request::run(args, passphrases, now, out)
        }
        Command::Rotate(args) => {
            let passphrases = args.replace.passphrase.passphrases()?;
            commands::rotate::run(args, passphrases, now, out).await
        }
        Command::Recover(args) => commands::recover::run(args, args.passphrases()?, now, out).await,
        Command::Rollout(args) => commands::rollout::run(args, now, out).await,
        Command::Simulate(args) => commands::simulate::run(args, now, out).await,
        Command::Status(args) => commands::status::run(args, now, out).await,
        Command::Vendor(args) => {
            let passphrases = args.passphrase.passphrases()?;
            commands::vendor::run(args, passphrases, now, out).await
        }
        Command::Doctor(args) => commands::doctor::run(args, now, out).await,
        Command::Verify(args) => commands::verify::run(args, now, out).await,
        Command::Clusters(args) => commands::clusters::run(args, now, out).await,
        Command::Explain(args) => commands::explain::run(args, now, out).await,
        Command::Sites(args) => commands::sites::run(args, now, out).await,
        Command::Drift(args) => commands::drift::run(args, now, out).await,
        Command::Health(args) => commands::health::run(args, now, out).await,
        Command::Trends(args) => commands::trends::run(args, now, out).await,
        Command::Hold(args) => commands::holds::hold(args, out).await,
        Command::Holds(args) => commands::holds::list(args, now, out).await,
        Command::Resume(args) => commands::holds::resume(args, out).await,
        Command::Audit(args) => commands::audit::run(args, out).await,
        Command::Token(args) => commands::tokens::run(args, now, out).await,
        Command::Webhooks(args) => commands::webhooks::run(args, now, out).await,
        Command::Profile(args) => commands::profile::run(args, out),
        Command::Completions(args) => commands::completions::run(args, out),
        Command::Bench(args) => commands::bench::run(args, out).await,
        Command::Demo(args) => demo::run(args, out).await,
        Command::DemoFleet(args) => demo::run_fleet(args).await,
    }
}
