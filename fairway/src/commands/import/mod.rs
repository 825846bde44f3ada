//! `fairway import`: what other update systems keep, as a channel repository.
//!
//! Everything is converted and checked in a directory beside the one asked for; a rename puts it
//! in place, so nothing is ever half written.

mod fedora_coreos;
mod graph_data;
mod place;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

use channels::import::{Files, ImportError, Note, Report, Same};
use channels::names::{Arch, ProductName, ProductRef, VendorName};
use serde::Serialize;

use self::place::Placed;
use crate::error::{CliError, Result, chain};
use crate::out::{Out, printable};
use crate::table::{Format, Table};
use crate::words::count;

/// Architectures taken where nothing tells them: those both systems build for.
const ARCHES: [&str; 4] = ["amd64", "arm64", "ppc64le", "s390x"];

/// Most notes of one kind that are printed; JSON has them all.
const NOTES_SHOWN: usize = 5;

/// Arguments of `fairway import`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// Convert a checkout of OpenShift's graph data; blocks become as few ranges as say the same
    ///
    /// Exit code 1: it was written, and something is missing that you have to add.
    GraphData(graph_data::GraphDataArgs),
    /// Convert Fedora CoreOS update files: barriers, dead ends, rollouts
    ///
    /// 44.20260301.3.1 becomes 44.20260301.3001: the last number is stream × 1000 + revision.
    /// Exit code 1: it was written, and something is missing that you have to add.
    FedoraCoreos(fedora_coreos::FedoraCoreosArgs),
}

/// Whose product it becomes, and how to tell what came of it.
#[derive(Debug, clap::Args)]
struct Common {
    /// The vendor that will publish it
    #[arg(long)]
    vendor: VendorName,
    /// What the product is called there
    #[arg(long)]
    product: ProductName,
    /// An architecture the releases exist on; once per architecture [default: amd64, arm64, ppc64le
    /// and s390x]
    #[arg(long = "arch")]
    arches: Vec<Arch>,
    /// How to print the report: for people it goes to stderr; CSV has its notes
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

impl Common {
    fn product(&self) -> ProductRef {
        ProductRef { vendor: self.vendor.clone(), product: self.product.clone() }
    }

    fn arches(&self) -> Vec<Arch> {
        if self.arches.is_empty() {
            ARCHES.iter().filter_map(|arch| arch.parse().ok()).collect()
        } else {
            self.arches.clone()
        }
    }
}

/// Runs `fairway import`.
pub(crate) fn run(args: &ImportArgs, out: &mut Out) -> Result<()> {
    match &args.from {
        From::GraphData(args) => graph_data::run(args, out),
        From::FedoraCoreos(args) => fedora_coreos::run(args, out),
    }
}

/// The report as JSON.
#[derive(Serialize)]
struct Answer<'r> {
    product: String,
    /// Whether the directory held this very import before.
    unchanged: bool,
    report: &'r Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Same>,
}

/// Writes, checks, tells; the exit code says whether something is missing.
fn finish(
    dir: &Path,
    common: &Common,
    files: &Files,
    report: &Report,
    check: impl FnOnce(&Path) -> std::result::Result<Option<Same>, ImportError>,
    out: &mut Out,
) -> Result<()> {
    let mut verified = None;
    let placed = place::place(dir, files, |written| {
        verified = check(written).map_err(|error| failed(&error, out))?;
        Ok(())
    })?;
    let unchanged = placed == Placed::WasThere;
    match common.output {
        Format::Json => {
            let product = common.product().to_string();
            out.json(&Answer { product, unchanged, report, verified })?;
        }
        Format::Csv => {
            out.csv(&rows(report))?;
            sum_up(dir, report, verified, unchanged, out)?;
        }
        Format::Table => {
            tell(report, out)?;
            sum_up(dir, report, verified, unchanged, out)?;
        }
    }
    if report.lacks_something() {
        let hint = match common.output {
            Format::Table => "the lines above name it; --output json names all",
            Format::Json | Format::Csv => "notes in the report name it",
        };
        let what = format!("{} was imported and lacks something", dir.display());
        return Err(CliError::no(what).hint(hint));
    }
    Ok(())
}

/// An import that failed, with every fault of a file on a line of its own.
fn failed(error: &ImportError, out: &mut Out) -> CliError {
    if let ImportError::Repository { faults } = error {
        for fault in faults {
            if let Err(error) = out.note(&chain(fault)) {
                return error;
            }
        }
    }
    CliError::because("nothing was imported", error)
}

/// One row per note, all of them.
fn rows(report: &Report) -> Table {
    let mut table = Table::new(&["kind", "missing", "subject", "message"]);
    for Note { kind, subject, message } in &report.notes {
        let missing = if kind.is_missing() { "yes" } else { "no" };
        let (kind, missing) = (kind.as_str().to_owned(), missing.to_owned());
        table.row(vec![kind, missing, subject.clone(), message.clone()]);
    }
    table
}

/// The first notes of every kind.
fn tell(report: &Report, out: &mut Out) -> Result<()> {
    let mut shown = 0;
    let mut last = None;
    for note in &report.notes {
        shown = if last == Some(note.kind) { shown + 1 } else { 1 };
        last = Some(note.kind);
        let all = report.notes.iter().filter(|other| other.kind == note.kind).count();
        if shown <= NOTES_SHOWN {
            let (kind, text) = (note.kind.as_str(), printable(&note.message));
            out.note(&format!("{}: {text} [{kind}]", note.subject))?;
        } else if shown == NOTES_SHOWN + 1 {
            out.note(&format!("and {} more [{}]", all - NOTES_SHOWN, note.kind.as_str()))?;
        }
    }
    Ok(())
}

/// What was written, in numbers.
fn sum_up(
    dir: &Path,
    report: &Report,
    verified: Option<Same>,
    unchanged: bool,
    out: &mut Out,
) -> Result<()> {
    if report.blocks_read > 0 {
        let (read, written) = (report.blocks_read, report.blocks_written);
        out.note(&format!("{} became {}", count(read, "block"), count(written, "file")))?;
    }
    if let Some(same) = verified {
        out.note(&format!(
            "compared with the source: {}, {} and {} are the same",
            count(same.graphs, "graph"),
            count(same.edges, "edge"),
            count(same.conditional_edges, "conditional edge")
        ))?;
    }
    let written = format!(
        "{}, {} and {}",
        count(report.channels, "channel"),
        count(report.releases, "release"),
        count(report.policies, "rollout"),
    );
    let verb = if unchanged { "is already there" } else { "written" };
    out.note(&format!("{written} in {}: {verb}", dir.display()))
}
