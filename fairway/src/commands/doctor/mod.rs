//! `fairway doctor`: is a hub, or a dark site, well? Looks from outside and changes nothing.

mod check;
mod hub;
mod probe;
mod site;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use check::{Check, Outcome};
use probe::Probe;

use crate::colour::{Colour, Tone};
use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::hub::{HubArgs, server_url};
use crate::out::{Out, printable};
use crate::table::{Format, Table, cell};
use crate::words::count;

/// Largest root file read, as the client's own bound for root.
const MAX_ROOT_BYTES: u64 = 1024 * 1024;

/// Arguments of `fairway doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The root that agents pin (root.json): what is served is verified as they do
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Look at the dark site of this directory instead, and at its hub if it names one
    #[arg(long, value_name = "DIR")]
    site: Option<PathBuf>,
    /// Share of the site's blobs to hash; other days take other ones
    #[arg(long, default_value_t = 5, requires = "site", value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    hub: HubArgs,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    /// What was looked at.
    target: String,
    at: Timestamp,
    /// The worst of all checks.
    outcome: Outcome,
    checks: Vec<Check>,
}

/// Runs `fairway doctor`. Exit 1 when a check fails.
pub(crate) async fn run(args: &DoctorArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let report = match &args.site {
        Some(dir) => of_site(args, dir, now).await?,
        None => of_hub(args, now).await?,
    };
    match args.output {
        Format::Json => out.json(&report)?,
        Format::Csv => out.csv(&table(&report))?,
        Format::Table => out.data(&page(&report, out.colour()))?,
    }
    let failed = report.checks.iter().filter(|check| check.outcome == Outcome::Fail).count();
    match failed {
        0 => Ok(()),
        _ => Err(CliError::no(format!("{} failed: {}", count(failed, "check"), report.target))),
    }
}

async fn of_hub(args: &DoctorArgs, now: Timestamp) -> Result<Report> {
    let probe = Probe::new(&args.hub.connection(None)?)?;
    let root = match &args.root {
        Some(file) => Some(read_bounded(file, MAX_ROOT_BYTES).map_err(|error| {
            CliError::failed(format!("failed to read {}: {error}", file.display()))
        })?),
        None => None,
    };
    let checks = hub::look(&probe, root.as_deref(), now).await;
    Ok(report(probe.server.to_string(), now, checks))
}

async fn of_site(args: &DoctorArgs, dir: &std::path::Path, now: Timestamp) -> Result<Report> {
    let (site, mut checks) = site::look(dir, args.percent, now).await?;
    if let Some(server) = &site.config().server {
        let named = HubArgs {
            server: Some(server_url(&server.url)?.to_string()),
            token_file: Some(site.resolve(&server.token_file)),
            ..HubArgs::default()
        };
        let probe = Probe::new(&named.connection(None)?)?;
        checks.extend(hub::look(&probe, None, now).await);
    }
    Ok(report(dir.display().to_string(), now, checks))
}

fn report(target: String, at: Timestamp, checks: Vec<Check>) -> Report {
    let worst = checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::Fail);
    Report { target, at, outcome: worst, checks }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new(&["check", "outcome", "message", "hint"]);
    for check in &report.checks {
        table.row(vec![
            check.name.to_owned(),
            check.outcome.as_str().to_owned(),
            check.message.clone(),
            cell(check.hint.as_ref()),
        ]);
    }
    table
}

/// One line per check, and a line with what to do where there is something.
fn page(report: &Report, colour: Colour) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let word = check.outcome.as_str();
        let padded = format!("{word:<8}");
        let word = colour.paint(Tone::of("check", word), &padded);
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "{word} {:<10} {}", check.name, printable(&check.message));
        if let Some(hint) = &check.hint {
            let _infallible = writeln!(text, "{:<19} {}", "", printable(hint));
        }
    }
    text
}
