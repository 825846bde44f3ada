//! `fairway graph why`: what was weighed for one pair of releases.

use std::path::PathBuf;

use channels::version::ReleaseVersion;
use channels::why::{Edge, Reason, Why, why};

use super::super::lint;
use super::select::{Selection, compiled, list, product};
use crate::error::{CliError, Result};
use crate::out::{Out, printable};
use crate::table::{Format, Table};

/// Arguments of `fairway graph why`.
#[derive(Debug, clap::Args)]
pub(super) struct WhyArgs {
    /// The channel repository
    dir: PathBuf,
    /// Where the edge begins
    from: ReleaseVersion,
    /// Where it leads
    to: ReleaseVersion,
    #[command(flatten)]
    selection: Selection,
    /// How to print the answer; CSV has a row for each reason
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Runs `fairway graph why`.
pub(super) fn run(args: &WhyArgs, out: &mut Out) -> Result<()> {
    let workspace = lint::load(&args.dir, out)?;
    let source = product(&workspace, args.selection.product.as_deref())?;
    let compiled = compiled(source)?;
    let mut answers: Vec<Why> = Vec::new();
    for (name, arch, graph) in args.selection.graphs(&compiled)? {
        if let Some(channel) = source.channels.get(name) {
            answers.push(why(source, channel, arch, graph, &args.from, &args.to));
        }
    }
    match args.output {
        Format::Json => out.json(&answers)?,
        Format::Csv => out.csv(&rows(&answers))?,
        Format::Table => {
            for (places, answer) in alike(&answers) {
                for line in lines(&places, answer) {
                    out.line(&printable(&line))?;
                }
            }
        }
    }
    if answers.iter().all(|answer| answer.edge == Edge::None) {
        return Err(CliError::no(format!("there is no edge from {} to {}", args.from, args.to)));
    }
    Ok(())
}

/// Answers that say the same, told once, with the channels and architectures they hold for.
fn alike(answers: &[Why]) -> Vec<(String, &Why)> {
    let mut told: Vec<(Vec<&Why>, &Why)> = Vec::new();
    for answer in answers {
        let same = told
            .iter_mut()
            .find(|(_, first)| first.edge == answer.edge && first.reasons == answer.reasons);
        match same {
            Some((places, _)) => places.push(answer),
            None => told.push((vec![answer], answer)),
        }
    }
    let place = |answer: &&Why| format!("{} {}", answer.channel, answer.arch);
    told.into_iter().map(|(places, first)| (list(places.iter().map(place)), first)).collect()
}

fn lines(places: &str, answer: &Why) -> Vec<String> {
    let Why { from, to, .. } = answer;
    let said = match answer.edge {
        Edge::None => format!("no edge from {from} to {to}"),
        Edge::Conditional => format!("an edge from {from} to {to} that carries risks"),
        Edge::Recommended => format!("a recommended edge from {from} to {to}"),
    };
    let mut lines = vec![format!("{places}: {said}")];
    let reasons = answer.reasons.iter();
    lines.extend(reasons.map(|reason| format!("  {:<4}  {reason}", mark(reason))));
    lines
}

/// What a reason does to the edge.
fn mark(reason: &Reason) -> &'static str {
    if reason.forbids() {
        "no"
    } else if matches!(reason, Reason::Risk { .. }) {
        "risk"
    } else {
        "yes"
    }
}

/// One row per reason; an answer without reasons has one row all the same.
fn rows(answers: &[Why]) -> Table {
    let columns = ["channel", "arch", "from", "to", "edge", "effect", "reason"];
    let mut table = Table::new(&columns);
    for answer in answers {
        let edge = match answer.edge {
            Edge::None => "none",
            Edge::Conditional => "conditional",
            Edge::Recommended => "recommended",
        };
        let Why { channel, arch, from, to, .. } = answer;
        let (channel, arch) = (channel.to_string(), arch.to_string());
        let first = vec![channel, arch, from.to_string(), to.to_string(), edge.to_owned()];
        for reason in &answer.reasons {
            let told = [mark(reason).to_owned(), reason.to_string()];
            table.row(first.iter().cloned().chain(told).collect());
        }
        if answer.reasons.is_empty() {
            table.row(first);
        }
    }
    table
}
