//! `fairway trends`: how the fleet was, by product and channel.

use channels::names::{ChannelName, ProductRef};
use channels::wire::{TrendFigures, TrendLag, TrendsAnswer};
use jiff::{SignedDuration, Timestamp};

use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::span::Span;
use crate::table::{Format, Table, cell};

/// Versions named in a table row; the rest is counted. JSON and CSV name all that the hub tells apart.
const VERSIONS_SHOWN: usize = 4;

/// Arguments of `fairway trends`.
#[derive(Debug, clap::Args)]
pub(crate) struct TrendsArgs {
    /// Only this product
    #[arg(long, value_name = "VENDOR/PRODUCT")]
    product: Option<ProductRef>,
    /// Only this channel
    #[arg(long)]
    channel: Option<ChannelName>,
    /// How far back from now, or from --to: 12h, 7d [default: 24h]
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    last: Option<Span>,
    /// From this time on, as 2026-11-20T12:00:00Z
    #[arg(long, value_name = "TIMESTAMP")]
    from: Option<Timestamp>,
    /// Up to this time instead of now
    #[arg(long, value_name = "TIMESTAMP")]
    to: Option<Timestamp>,
    /// Length of a row, a multiple of five minutes [default: an hour, or longer for many days]
    #[arg(long, value_name = "TIME")]
    step: Option<Span>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    hub: HubArgs,
}

/// A screen of rows per series for a day, and for longer times no more than a few.
const ROWS_USUAL: u64 = 48;
const HOUR_S: u64 = 3_600;

/// Runs `fairway trends`.
pub(crate) async fn run(args: &TrendsArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let to = args.to.unwrap_or(now);
    let Span(last_s) = args.last.unwrap_or(Span(24 * HOUR_S));
    let last = SignedDuration::from_secs(i64::try_from(last_s).unwrap_or(i64::MAX));
    let too_long = || CliError::failed("--last reaches back further than there are times");
    let from = match args.from {
        Some(from) => from,
        None => to.checked_sub(last).map_err(|_| too_long())?,
    };
    let span_s = u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0);
    let step_s = match args.step {
        Some(Span(step_s)) => step_s,
        None => span_s.div_ceil(ROWS_USUAL).div_ceil(HOUR_S).max(1) * HOUR_S,
    };
    let mut query =
        vec![("from", from.to_string()), ("to", to.to_string()), ("step", format!("{step_s}s"))];
    query.extend(args.product.as_ref().map(|product| ("product", product.to_string())));
    query.extend(args.channel.as_ref().map(|channel| ("channel", channel.to_string())));
    let answer: TrendsAnswer = hub.get("api/v1/trends", &query).await?;
    let nothing = "the hub noted nothing in that time";
    super::print(out, args.output, &answer, || table(&answer, args.output), nothing)
}

fn table(answer: &TrendsAnswer, format: Format) -> Table {
    let mut table = Table::new(&[
        "product",
        "channel",
        "at",
        "notes",
        "active",
        "silent",
        "healthy",
        "unhealthy",
        "unknown",
        "quorum_p50_ms",
        "quorum_p95_ms",
        "quorum_worst_ms",
        "pleg_p50_ms",
        "pleg_p95_ms",
        "pleg_worst_ms",
        "versions",
    ]);
    let name = |name: Option<String>| name.unwrap_or_else(|| "other".to_owned());
    for series in &answer.series {
        for point in &series.points {
            let figures = &point.figures;
            let mut row = vec![
                name(series.product.as_ref().map(ToString::to_string)),
                name(series.channel.as_ref().map(ToString::to_string)),
                point.at.to_string(),
                point.notes.to_string(),
                (figures.fresh + figures.late).to_string(),
                (figures.silent + figures.gone).to_string(),
                figures.healthy.to_string(),
                figures.unhealthy.to_string(),
                figures.unknown.to_string(),
            ];
            row.extend(lag(figures.quorum_lag));
            row.extend(lag(figures.pleg_lag));
            row.push(versions(figures, format));
            table.row(row);
        }
    }
    table
}

fn lag(lag: TrendLag) -> [String; 3] {
    [lag.p50_ms, lag.p95_ms, lag.worst_ms].map(|ms| cell(ms.as_ref()))
}

fn versions(figures: &TrendFigures, format: Format) -> String {
    let shown = if format == Format::Table { VERSIONS_SHOWN } else { usize::MAX };
    let told = figures.versions.iter().take(shown).map(|entry| match &entry.version {
        Some(version) => format!("{version}: {}", entry.clusters),
        None => format!("other: {}", entry.clusters),
    });
    let mut parts: Vec<String> = told.collect();
    let rest = figures.versions.len().saturating_sub(shown);
    if rest > 0 {
        parts.push(format!("{rest} more"));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::hub::testing::{Answer, FakeHub};
    use crate::out::capture;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: TrendsArgs,
    }

    fn golden() -> TrendsAnswer {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../channels/golden/v1/trends-answer.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    async fn trends(path: &str, answer: &TrendsAnswer, args: &[&str]) -> (String, String) {
        let hub = FakeHub::start(vec![(path, Answer::json(answer))]).await;
        let server = ["trends", "--server", &hub.url];
        let args = Cli::try_parse_from(server.iter().chain(args)).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        run(&args, "2026-11-20T12:07:30Z".parse().unwrap(), &mut out).await.unwrap();
        (stdout.text(), stderr.text())
    }

    const DAY: &str = "GET /api/v1/trends?from=2026-11-19T12%3A07%3A30Z&to=2026-11-20T12%3A07%3A30Z&\
                       step=3600s";

    #[tokio::test]
    async fn the_table_has_a_row_per_step() {
        insta::assert_snapshot!(trends(DAY, &golden(), &[]).await.0, @"
        PRODUCT     CHANNEL   AT                    NOTES  ACTIVE  SILENT  HEALTHY  UNHEALTHY  UNKNOWN  QUORUM-P50-MS  QUORUM-P95-MS  QUORUM-WORST-MS  PLEG-P50-MS  PLEG-P95-MS  PLEG-WORST-MS  VERSIONS
        acme/kafka  stable-4  2026-11-20T12:00:00Z  1      12      2       10       1          1        31             511            4200             -            -            -              4.2.0: 8; 4.3.1: 3; other: 1
        ");
    }

    #[tokio::test]
    async fn what_is_asked_reaches_the_hub() {
        let path = "GET /api/v1/trends?from=2026-11-13T12%3A07%3A30Z&to=2026-11-20T12%3A07%3A30Z&\
                    step=14400s&product=acme%2Fkafka";
        let args = ["--last", "7d", "--product", "acme/kafka", "--output", "csv"];
        let (printed, _) = trends(path, &golden(), &args).await;
        assert!(printed.starts_with("product,channel,at,"), "{printed}");
    }

    #[tokio::test]
    async fn nothing_noted_is_said_on_stderr() {
        let empty = TrendsAnswer { series: vec![], ..golden() };
        let (stdout, stderr) = trends(DAY, &empty, &["--last", "1d"]).await;
        assert_eq!(
            (stdout.as_str(), stderr.as_str()),
            ("", "the hub noted nothing in that time\n")
        );
    }
}
