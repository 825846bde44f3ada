//! `fairway health`: how many clusters are well, and which are not.

use channels::names::{ChannelName, ProductRef};
use channels::wire::{HealthAnswer, HealthRow, LagRow, LagTotals, RiskExposure, StuckRow};
use jiff::Timestamp;

use crate::error::Result;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::span::{Span, age};
use crate::table::{Format, Table, cell};
use crate::watch::WatchArgs;

/// Arguments of `fairway health`.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// Only this product
    #[arg(long, value_name = "VENDOR/PRODUCT")]
    product: Option<ProductRef>,
    /// Only this channel
    #[arg(long)]
    channel: Option<ChannelName>,
    /// How many of the worst lags to list per channel, at most 50
    #[arg(long, value_name = "N")]
    worst: Option<usize>,
    /// How long a product may stand still before it is listed as stuck: 30m, 2h
    #[arg(long, value_name = "TIME")]
    stuck_after: Option<Span>,
    /// How to print the answer; CSV lists the clusters that are not healthy
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs `fairway health`.
pub(crate) async fn run(args: &HealthArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    args.watch.run(now, out, async |_now, out| show(&hub, args, out).await).await
}

async fn show(hub: &Hub, args: &HealthArgs, out: &mut Out) -> Result<()> {
    let mut query = Vec::new();
    let mut ask = |name: &'static str, value: Option<String>| {
        query.extend(value.map(|value| (name, value)));
    };
    ask("product", args.product.as_ref().map(ToString::to_string));
    ask("channel", args.channel.as_ref().map(ToString::to_string));
    ask("worst", args.worst.map(|n| n.to_string()));
    ask("stuck_after_s", args.stuck_after.map(|Span(seconds)| seconds.to_string()));
    let answer: HealthAnswer = hub.get("api/v1/health", &query).await?;
    match args.output {
        Format::Json => out.json(&answer),
        Format::Csv => out.csv(&table(&answer.worst)),
        Format::Table => pages(&answer, out),
    }
}

/// Everything for people: one line, then a table for each question that has an answer.
fn pages(answer: &HealthAnswer, out: &mut Out) -> Result<()> {
    let HealthAnswer { healthy, unhealthy, unknown, silent, never, .. } = answer;
    out.line(&format!("{healthy} healthy, {unhealthy} unhealthy, {unknown} unknown"))?;
    if silent + never > 0 {
        out.line(&format!("not counted: {silent} silent, {never} never reported"))?;
    }
    let more = if answer.stuck_more { "at least " } else { "" };
    let sections = [
        ("Worst lags".to_owned(), lags(&answer.lags, answer.at)),
        ("Not healthy".to_owned(), table(&answer.worst)),
        (format!("Stuck ({more}{})", answer.stuck_total), stuck(&answer.stuck, answer.at)),
        ("Risks ahead".to_owned(), risks(&answer.risks)),
    ];
    for (title, table) in sections.into_iter().filter(|(_, table)| !table.is_empty()) {
        out.line(&format!("\n{title}"))?;
        out.table(&table)?;
    }
    Ok(())
}

fn table(rows: &[HealthRow]) -> Table {
    let mut table =
        Table::new(&["name", "product", "health", "quorum_lag_ms", "pleg_lag_ms", "since", "why"]);
    for row in rows {
        table.row(vec![
            row.name.clone(),
            row.product.to_string(),
            row.health.verdict.to_string(),
            cell(row.health.quorum_lag_ms.as_ref()),
            cell(row.health.pleg_lag_ms.as_ref()),
            cell(row.health.since.as_ref()),
            cell(row.why.as_ref()),
        ]);
    }
    table
}

fn lags(totals: &[LagTotals], now: Timestamp) -> Table {
    let mut table =
        Table::new(&["product", "channel", "lag", "ms", "cluster", "unit", "health", "for"]);
    for totals in totals {
        for (kind, rows) in [("quorum", &totals.quorum_lag), ("pleg", &totals.pleg_lag)] {
            for LagRow { lag_ms, unit, name, verdict, since, .. } in rows {
                table.row(vec![
                    totals.product.to_string(),
                    totals.channel.to_string(),
                    kind.to_owned(),
                    lag_ms.to_string(),
                    name.clone(),
                    cell(unit.as_ref()),
                    verdict.to_string(),
                    since.map_or_else(String::new, |since| age(since, now)),
                ]);
            }
        }
    }
    table
}

fn stuck(rows: &[StuckRow], now: Timestamp) -> Table {
    let mut table =
        Table::new(&["name", "product", "from", "to", "phase", "unit", "for", "gate", "why"]);
    for row in rows {
        table.row(vec![
            row.name.clone(),
            row.product.to_string(),
            row.version.to_string(),
            cell(row.target.as_ref()),
            row.phase.to_string(),
            cell(row.unit.as_ref()),
            age(row.since, now),
            cell(row.gate.as_ref()),
            cell(row.message.as_ref()),
        ]);
    }
    table
}

fn risks(rows: &[RiskExposure]) -> Table {
    let mut table =
        Table::new(&["product", "channel", "arch", "risk", "decided", "clusters", "blocked", "to"]);
    for row in rows {
        let to: Vec<String> = row.to.iter().map(ToString::to_string).collect();
        table.row(vec![
            row.product.to_string(),
            row.channel.to_string(),
            row.arch.to_string(),
            row.risk.clone(),
            if row.always { "always" } else { "by metrics" }.to_owned(),
            row.clusters.to_string(),
            row.blocked.to_string(),
            to.join(", "),
        ]);
    }
    table
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
        args: HealthArgs,
    }

    async fn health(path: &str, answer: &HealthAnswer, args: &[&str]) -> String {
        let hub = FakeHub::start(vec![(path, Answer::json(answer))]).await;
        let server = ["health", "--server", &hub.url];
        let args = Cli::try_parse_from(server.iter().chain(args)).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        run(&args, Timestamp::UNIX_EPOCH, &mut out).await.unwrap();
        assert_eq!(stderr.text(), "");
        stdout.text()
    }

    fn golden() -> HealthAnswer {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../channels/golden/v1/health-answer.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn every_question_that_has_an_answer_gets_a_table() {
        insta::assert_snapshot!(health("GET /api/v1/health", &golden(), &[]).await, @"
        10 healthy, 1 unhealthy, 1 unknown
        not counted: 2 silent, 1 never reported

        Worst lags
        PRODUCT     CHANNEL   LAG     MS    CLUSTER   UNIT          HEALTH     FOR
        acme/kafka  stable-4  quorum  4200  berlin-1  controller-2  unhealthy  0s
        acme/kafka  stable-4  pleg    310   berlin-1  node-1        unhealthy  0s

        Not healthy
        NAME      PRODUCT     HEALTH     QUORUM-LAG-MS  PLEG-LAG-MS  SINCE                 WHY
        berlin-1  acme/kafka  unhealthy  4200           310          2026-11-20T12:00:00Z  quorum lag 4.2 s

        Stuck (1)
        NAME      PRODUCT     FROM   TO     PHASE         UNIT          FOR  GATE        WHY
        berlin-1  acme/kafka  4.2.0  4.3.1  await_health  controller-2  3h   quorum_lag  quorum lag 4.2 s

        Risks ahead
        PRODUCT     CHANNEL   ARCH   RISK       DECIDED     CLUSTERS  BLOCKED  TO
        acme/kafka  stable-4  amd64  SlowDisks  by metrics  3         1        4.3.1
        ");
    }

    #[tokio::test]
    async fn a_well_fleet_is_one_line() {
        let well = HealthAnswer {
            unhealthy: 0,
            unknown: 0,
            worst: vec![],
            silent: 0,
            never: 0,
            lags: vec![],
            stuck: vec![],
            risks: vec![],
            ..golden()
        };
        let printed = health("GET /api/v1/health", &well, &[]).await;
        assert_eq!(printed, "10 healthy, 0 unhealthy, 0 unknown\n");
    }

    #[tokio::test]
    async fn what_is_asked_reaches_the_hub() {
        let path = "GET /api/v1/health?product=acme%2Fkafka&stuck_after_s=1800";
        let args = ["--product", "acme/kafka", "--stuck-after", "30m", "--output", "csv"];
        let printed = health(path, &golden(), &args).await;
        assert!(printed.starts_with("name,product,health,"), "{printed}");
    }
}
