//! `fairway health`: how many clusters are well, and which are not.

use channels::wire::{HealthAnswer, HealthRow};

use crate::error::Result;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::table::{Format, Table, cell};

/// Arguments of `fairway health`.
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs `fairway health`.
pub(crate) async fn run(args: &HealthArgs, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let answer: HealthAnswer = hub.get("api/v1/health", &[]).await?;
    if args.output == Format::Table {
        out.line(&format!(
            "{} healthy, {} unhealthy, {} unknown",
            answer.healthy, answer.unhealthy, answer.unknown
        ))?;
        if answer.worst.is_empty() {
            return Ok(());
        }
        out.line("")?;
    }
    super::print(out, args.output, &answer, || table(&answer.worst), "")
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

#[cfg(test)]
mod tests {
    use channels::names::ClusterId;
    use channels::wire::{HealthSummary, HealthVerdict};
    use clap::Parser as _;

    use super::*;
    use crate::hub::testing::{Answer, FakeHub};
    use crate::out::capture;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: HealthArgs,
    }

    async fn health(worst: Vec<HealthRow>) -> (String, String) {
        let answer = HealthAnswer {
            at: "2026-05-01T12:00:00Z".parse().unwrap(),
            healthy: 9,
            unhealthy: 0,
            unknown: 1,
            worst,
        };
        let hub = FakeHub::start(vec![("GET /api/v1/health", Answer::json(&answer))]).await;
        let args = Cli::try_parse_from(["health", "--server", &hub.url]).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        run(&args, &mut out).await.unwrap();
        (stdout.text(), stderr.text())
    }

    #[tokio::test]
    async fn clusters_that_are_not_well_are_listed_with_their_reason() {
        let row = HealthRow {
            cluster: ClusterId(uuid::Uuid::from_u128(1)),
            name: "north".into(),
            product: "acme/kafka".parse().unwrap(),
            health: HealthSummary {
                verdict: HealthVerdict::Unknown,
                quorum_lag_ms: Some(40),
                ..HealthSummary::default()
            },
            why: Some("metric kafka_raft_… of c-1 is missing".into()),
        };
        insta::assert_snapshot!(health(vec![row]).await.0, @"
        9 healthy, 0 unhealthy, 1 unknown

        NAME   PRODUCT     HEALTH   QUORUM-LAG-MS  PLEG-LAG-MS  SINCE  WHY
        north  acme/kafka  unknown  40             -            -      metric kafka_raft_… of c-1 is missing
        ");
    }

    #[tokio::test]
    async fn a_well_fleet_is_one_line() {
        assert_eq!(
            health(vec![]).await,
            ("9 healthy, 0 unhealthy, 1 unknown\n".into(), String::new())
        );
    }
}
