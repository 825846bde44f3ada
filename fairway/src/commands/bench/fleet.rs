//! `fairway bench fleet`: an enrolled fleet reports, polls and reads, in an open loop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::drive::{Outcome, Plan, Run};
use super::model::Model;
use super::process::Usage;
use super::reporter::Fleet;
use super::roster::Roster;
use super::schedule::{Pace, Schedule};
use super::tally::Tally;
use super::yardstick::Yardstick;
use crate::error::{CliError, Result};
use crate::out::Out;
use crate::span::Span;
use crate::table::{Format, Table};

/// Connections of one run: as many as a process may have open files by default.
const CONNECTIONS_MAX: i64 = 1000;

/// Arguments of `fairway bench fleet`.
#[derive(Debug, clap::Args)]
pub(super) struct FleetArgs {
    /// Address and port of the hub; plain HTTP
    #[arg(long, value_name = "ADDR")]
    server: SocketAddr,
    /// What `bench seed` wrote
    #[arg(long, value_name = "FILE")]
    roster: PathBuf,
    /// Only so many of the fleet's clusters report, in turn [default: all]
    #[arg(long, value_name = "N")]
    clusters: Option<u32>,
    /// Number of the cluster that reports first
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u32,
    /// Reports in a second [default: every cluster once in 300 s]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "30s")]
    duration: Span,
    /// Keep-alive connections
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    connections: u32,
    /// Share of the reports that tell the whole state; the others say that nothing changed
    #[arg(long, value_name = "0..1", default_value_t = 1.0, value_parser = share)]
    full: f64,
    /// Share of the reports that tell of a change of version, phase or health
    #[arg(long, value_name = "0..1", default_value_t = 0.003, value_parser = share)]
    churn: f64,
    /// Units of each product in a report
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
    units: u8,
    /// So many more reports in one moment …
    #[arg(long, value_name = "N", default_value_t = 0)]
    burst: u32,
    /// … every so often
    #[arg(long, value_name = "TIME", default_value = "10s")]
    burst_every: Span,
    /// Hang up all connections every so often
    #[arg(long, value_name = "TIME")]
    reconnect_every: Option<Span>,
    /// Sign all reports before the first is due, so that the hub is not measured beside the signing
    #[arg(long)]
    sign_first: bool,
    /// Path of a graph to poll, conditionally
    #[arg(long, value_name = "PATH", requires = "poll_rate")]
    graph: Option<String>,
    /// Polls in a second
    #[arg(long, value_name = "N", requires = "graph")]
    poll_rate: Option<f64>,
    /// Path that people read, such as /api/v1/drift, on a hub with --anonymous-viewer
    #[arg(long, value_name = "PATH", requires = "read_rate")]
    read: Option<String>,
    /// Reads in a second
    #[arg(long, value_name = "N", requires = "read")]
    read_rate: Option<f64>,
    /// Process of the hub on this machine, to look at what it uses
    #[arg(long)]
    pid: Option<u32>,
    /// Say also what a trivial answer and a verification cost here, and a report in terms of them
    #[arg(long, requires = "pid")]
    compare: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("not between 0 and 1".to_owned()) }
}

/// What a run found.
#[derive(Debug, Serialize)]
struct Summary {
    seconds: f64,
    reports: Kind,
    polls: Kind,
    reads: Kind,
    full_reports: u64,
    mean_body_bytes: u64,
    /// Of everything the hub did in the run, over the reports that were acknowledged.
    server_cpu_us_per_report: Option<f64>,
    /// One strict verification on this machine.
    verification_us: Option<f64>,
    /// One trivial answer of the same hub.
    trivial_answer_us: Option<f64>,
    /// What a report cost beside one verification, in trivial answers.
    trivial_answers_per_report: Option<f64>,
    server_cores: Option<f64>,
    server_resident_mb: Option<f64>,
    server_peak_mb: Option<f64>,
}

/// Requests of one kind.
#[derive(Debug, Serialize)]
struct Kind {
    answered: usize,
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
    others: BTreeMap<String, u64>,
}

impl Kind {
    fn of(tally: &mut Tally, seconds: f64) -> Self {
        let [p50_ms, p99_ms, p999_ms, max_ms] = tally.percentiles_ms();
        let per_s = float(tally.count()) / seconds.max(0.001);
        let (answered, others) = (tally.count(), tally.others().clone());
        Self { answered, per_s, p50_ms, p99_ms, p999_ms, max_ms, others }
    }
}

/// A count as a number to divide by.
fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// A share in millionths.
fn per_million(share: f64) -> u64 {
    // In range by the parser of the argument.
    Duration::try_from_secs_f64(share)
        .map_or(0, |seconds| u64::try_from(seconds.as_micros()).unwrap_or(0))
}

/// Runs `fairway bench fleet`.
pub(super) async fn run(args: &FleetArgs, out: &mut Out) -> Result<()> {
    let roster = Roster::load(&args.roster)?;
    let enrolled = u32::try_from(roster.ids.len()).unwrap_or(u32::MAX);
    let clusters = args.clusters.unwrap_or(enrolled).min(enrolled);
    let model = Model::new(roster.seed, roster.products, usize::from(args.units))
        .map_err(|e| CliError::because("failed to name the fleet", &e))?;
    let schedule = Schedule::new(Pace {
        reports_per_s: args.rate.unwrap_or(f64::from(clusters) / 300.0),
        polls_per_s: args.poll_rate.unwrap_or(0.0),
        reads_per_s: args.read_rate.unwrap_or(0.0),
        burst: args.burst,
        burst_every: Duration::from_secs(args.burst_every.0.max(1)),
        duration: Duration::from_secs(args.duration.0),
        clusters,
        first: args.first,
    });
    let fleet = Fleet {
        host: args.server.to_string(),
        model,
        roster,
        full_per_million: per_million(args.full),
        change_per_million: per_million(args.churn),
    };
    let plan = Plan {
        address: args.server,
        graph: args.graph.clone(),
        read: args.read.clone(),
        connections: args.connections,
        reconnect_every: args.reconnect_every.map(|span| Duration::from_secs(span.0.max(1))),
    };
    let mut run = Run::new(plan, fleet, schedule)?;
    if args.sign_first {
        run.sign_first()?;
    }
    let before = args.pid.map(Usage::of).transpose()?;
    let outcome = run.drive().await?;
    let after = args.pid.map(Usage::of).transpose()?;
    let compared = args.pid.filter(|_| args.compare);
    let yardstick = match compared {
        Some(pid) => Some(Yardstick::measure(args.server, pid).await?),
        None => None,
    };
    let summary = summary(outcome, before.zip(after), yardstick);
    match args.output {
        Format::Json => out.json(&summary),
        Format::Csv => out.csv(&table(&summary)),
        Format::Table => out.table(&table(&summary)),
    }
}

fn summary(
    mut outcome: Outcome,
    usage: Option<(Usage, Usage)>,
    yardstick: Option<Yardstick>,
) -> Summary {
    let seconds = outcome.took.as_secs_f64();
    let acknowledged = float(outcome.reports.count()).max(1.0);
    let cpu_s = usage.map(|(before, after)| after.cpu_s - before.cpu_s);
    let mb = |bytes: u64| u32::try_from(bytes / 1024).map_or(0.0, |kib| f64::from(kib) / 1024.0);
    let sent = u64::try_from(outcome.reports.count()).unwrap_or(0)
        + outcome.reports.others().values().sum::<u64>();
    let per_report = cpu_s.map(|cpu| cpu * 1e6 / acknowledged);
    let beside = yardstick.zip(per_report).map(|(here, cost)| here.beside_verification(cost));
    Summary {
        seconds,
        reports: Kind::of(&mut outcome.reports, seconds),
        polls: Kind::of(&mut outcome.polls, seconds),
        reads: Kind::of(&mut outcome.reads, seconds),
        full_reports: outcome.full,
        mean_body_bytes: outcome.body_bytes / sent.max(1),
        server_cpu_us_per_report: per_report,
        verification_us: yardstick.map(|here| here.verification_us),
        trivial_answer_us: yardstick.map(|here| here.trivial_us),
        trivial_answers_per_report: beside,
        server_cores: cpu_s.map(|cpu| cpu / seconds.max(0.001)),
        server_resident_mb: usage.map(|(_, after)| mb(after.resident)),
        server_peak_mb: usage.map(|(_, after)| mb(after.peak)),
    }
}

fn table(summary: &Summary) -> Table {
    let mut table = Table::new(&["what", "figure"]);
    let mut row = |what: String, figure: String| table.row(vec![what, figure]);
    let kinds =
        [("reports", &summary.reports), ("polls", &summary.polls), ("reads", &summary.reads)];
    for (name, kind) in kinds {
        if kind.answered == 0 && kind.others.is_empty() {
            continue;
        }
        row(format!("{name} answered"), format!("{} ({:.0}/s)", kind.answered, kind.per_s));
        let latencies = [kind.p50_ms, kind.p99_ms, kind.p999_ms, kind.max_ms];
        let latencies = latencies.map(|ms| format!("{ms:.1}")).join(" / ");
        row(format!("{name} p50 / p99 / p99.9 / max, ms"), latencies);
        for (other, count) in &kind.others {
            row(format!("{name}: {other}"), count.to_string());
        }
    }
    row("full reports".to_owned(), summary.full_reports.to_string());
    row("mean body, bytes".to_owned(), summary.mean_body_bytes.to_string());
    let used = [
        ("server CPU per report, µs", summary.server_cpu_us_per_report),
        ("one verification, µs", summary.verification_us),
        ("one trivial answer, µs", summary.trivial_answer_us),
        ("beside the verification, in trivial answers", summary.trivial_answers_per_report),
        ("server, cores", summary.server_cores),
        ("server resident, MB", summary.server_resident_mb),
        ("server peak, MB", summary.server_peak_mb),
    ];
    for (what, figure) in used {
        if let Some(figure) = figure {
            row(what.to_owned(), format!("{figure:.2}"));
        }
    }
    row("seconds".to_owned(), format!("{:.1}", summary.seconds));
    table
}
