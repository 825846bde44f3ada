//! `fairway graph path`: the way from one release to another.

use std::collections::BTreeSet;
use std::path::PathBuf;

use channels::graph::Graph;
use channels::names::{Arch, ChannelName};
use channels::path::{NoPath, path};
use channels::version::ReleaseVersion;
use serde::Serialize;

use super::super::lint;
use super::select::{Selection, compiled, product};
use crate::error::{CliError, Result};
use crate::out::{Out, printable};
use crate::table::{Format, Table, cell};

/// Releases named where a way ends too early; the rest is counted.
const SHOWN: usize = 8;

/// Arguments of `fairway graph path`.
#[derive(Debug, clap::Args)]
pub(super) struct PathArgs {
    /// The channel repository
    dir: PathBuf,
    /// The release a cluster runs
    from: ReleaseVersion,
    /// Where it wants to go; the channel's head when left out
    to: Option<ReleaseVersion>,
    #[command(flatten)]
    selection: Selection,
    /// How to print the answer; CSV has a row for each way
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// The answer for one channel and architecture.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ways {
    channel: ChannelName,
    arch: Arch,
    from: ReleaseVersion,
    to: ReleaseVersion,
    /// The shortest way without a risk, both ends included.
    pub(crate) recommended: Option<Vec<ReleaseVersion>>,
    /// The shortest way with risks, where it is shorter or the only one.
    pub(crate) with_risks: Option<Vec<Step>>,
    /// Why there is no recommended way.
    pub(crate) why_not: Option<String>,
    /// Without any way: the newest releases that can be reached, newest first.
    reached: Vec<ReleaseVersion>,
    /// Without any way: the oldest releases that lead to the goal, oldest first.
    led_from: Vec<ReleaseVersion>,
}

/// One step of a way with risks.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    to: ReleaseVersion,
    risks: Vec<String>,
}

/// Runs `fairway graph path`.
pub(super) fn run(args: &PathArgs, out: &mut Out) -> Result<()> {
    let workspace = lint::load(&args.dir, out)?;
    let source = product(&workspace, args.selection.product.as_deref())?;
    let compiled = compiled(source)?;
    let mut answers = Vec::new();
    for (channel, arch, graph) in args.selection.graphs(&compiled)? {
        let Some(to) = args.to.as_ref().or_else(|| graph.head()) else { continue };
        answers.push(ways(channel, arch, graph, &args.from, to));
    }
    match args.output {
        Format::Json => out.json(&answers)?,
        Format::Csv => out.csv(&rows(&answers))?,
        Format::Table => {
            for answer in &answers {
                for line in lines(answer) {
                    out.line(&printable(&line))?;
                }
            }
        }
    }
    if answers.iter().all(|answer| answer.recommended.is_none()) {
        return Err(CliError::no(format!("no recommended way leads on from {}", args.from)));
    }
    Ok(())
}

/// Ways from one release to another in one graph.
pub(crate) fn ways(
    channel: &ChannelName,
    arch: &Arch,
    graph: &Graph,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
) -> Ways {
    let strict = path(graph, from, to, &|_| false);
    let loose = path(graph, from, to, &|_| true);
    let why_not = strict.as_ref().err().map(NoPath::to_string);
    let recommended = strict.ok();
    let shorter = |way: &Vec<ReleaseVersion>| {
        recommended.as_ref().is_none_or(|recommended| way.len() < recommended.len())
    };
    let lost = matches!(loose, Err(NoPath::NoEdges { .. }));
    let with_risks = loose.ok().filter(shorter).map(|way| steps(graph, &way));
    let (reached, led_from) =
        if lost { (ahead(graph, from, to), behind(graph, from, to)) } else { Default::default() };
    Ways {
        channel: channel.clone(),
        arch: arch.clone(),
        from: from.clone(),
        to: to.clone(),
        recommended,
        with_risks,
        why_not,
        reached,
        led_from,
    }
}

fn steps(graph: &Graph, way: &[ReleaseVersion]) -> Vec<Step> {
    let pairs = way.windows(2).filter_map(|pair| match pair {
        [from, to] => Some((from, to)),
        _ => None,
    });
    let step = |(from, to): (&ReleaseVersion, &ReleaseVersion)| {
        let offer = graph.targets_of(from).into_iter().find(|offer| offer.to == to);
        let risks = offer.map_or(&[][..], |offer| offer.risks);
        Step { to: to.clone(), risks: risks.iter().map(|risk| risk.name.clone()).collect() }
    };
    pairs.map(step).collect()
}

/// What can be reached on the way from `from` up to `to`, newest first, whatever risks there are.
fn ahead(graph: &Graph, from: &ReleaseVersion, to: &ReleaseVersion) -> Vec<ReleaseVersion> {
    let inside = graph.nodes().iter().map(|node| &node.version);
    let reached = inside.filter(|version| *version > from && *version < to);
    let mut reached: Vec<ReleaseVersion> =
        reached.filter(|version| path(graph, from, version, &|_| true).is_ok()).cloned().collect();
    reached.reverse();
    reached
}

/// What leads to `to` between the two, oldest first.
fn behind(graph: &Graph, from: &ReleaseVersion, to: &ReleaseVersion) -> Vec<ReleaseVersion> {
    let inside = graph.nodes().iter().map(|node| &node.version);
    let leading = inside.filter(|version| *version > from && *version < to);
    leading.filter(|version| path(graph, version, to, &|_| true).is_ok()).cloned().collect()
}

/// The same for people.
pub(crate) fn lines(answer: &Ways) -> Vec<String> {
    let Ways { channel, arch, from, to, .. } = answer;
    let place = format!("{channel} {arch}");
    let mut lines = Vec::new();
    if let Some(way) = &answer.recommended {
        let way: Vec<String> = way.iter().map(ToString::to_string).collect();
        lines.push(format!("{place}: {} ({})", way.join(" > "), steps_word(way.len() - 1)));
    } else {
        let why = answer.why_not.as_deref().unwrap_or_default();
        lines.push(format!("{place}: no recommended way from {from} to {to}: {why}"));
    }
    if let Some(way) = &answer.with_risks {
        let step = |step: &Step| match step.risks.as_slice() {
            [] => format!(" > {}", step.to),
            risks => format!(" > {} [{}]", step.to, risks.join(", ")),
        };
        let text: String = way.iter().map(step).collect();
        let count = steps_word(way.len());
        lines.push(format!("  with risks accepted: {from}{text} ({count})"));
    }
    if !answer.reached.is_empty() {
        lines.push(format!("  {from} gets as far as {}", few(&answer.reached)));
    }
    if !answer.led_from.is_empty() {
        lines.push(format!("  ways to {to} begin at {}", few(&answer.led_from)));
    }
    lines
}

/// One row per way; the recommended one has a row also where there is none, with the reason.
fn rows(answers: &[Ways]) -> Table {
    let columns = ["channel", "arch", "from", "to", "way", "steps", "releases", "risks", "why_not"];
    let mut table = Table::new(&columns);
    for answer in answers {
        let Ways { channel, arch, from, to, .. } = answer;
        let mut row = |way: &str, steps: Option<usize>, releases: String, risks: String, why| {
            table.row(vec![
                channel.to_string(),
                arch.to_string(),
                from.to_string(),
                to.to_string(),
                way.to_owned(),
                cell(steps.as_ref()),
                releases,
                risks,
                why,
            ]);
        };
        let way = answer.recommended.as_ref();
        let steps = way.map(|way| way.len().saturating_sub(1));
        let why_not = cell(answer.why_not.as_ref());
        row("recommended", steps, words(way.into_iter().flatten()), String::new(), why_not);
        if let Some(way) = &answer.with_risks {
            let releases = words(std::iter::once(from).chain(way.iter().map(|step| &step.to)));
            let risks: BTreeSet<&String> = way.iter().flat_map(|step| &step.risks).collect();
            row("with_risks", Some(way.len()), releases, words(risks), String::new());
        }
    }
    table
}

/// Names in one cell.
fn words<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ")
}

fn few(versions: &[ReleaseVersion]) -> String {
    let mut shown: Vec<String> = versions.iter().take(SHOWN).map(ToString::to_string).collect();
    if versions.len() > SHOWN {
        shown.push(format!("{} more", versions.len() - SHOWN));
    }
    shown.join(", ")
}

fn steps_word(number: usize) -> String {
    match number {
        0 => "already there".to_owned(),
        1 => "1 step".to_owned(),
        _ => format!("{number} steps"),
    }
}
