//! `fairway audit`: who changed what, from the hub's append-only log.

use channels::wire::{AuditRow, Page};

use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs, PAGE_ROWS};
use crate::out::Out;
use crate::table::{Format, Table};

/// Arguments of `fairway audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// At most so many rows, newest first
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Let the hub check the hash chain of the whole log instead
    #[arg(long, conflicts_with = "limit")]
    verify: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs `fairway audit`.
pub(crate) async fn run(args: &AuditArgs, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    if args.verify {
        return verify(&hub, args.output, out).await;
    }
    let mut all: Page<AuditRow> = Page { items: Vec::new(), next: None };
    loop {
        let rows = PAGE_ROWS.min(args.limit - all.items.len());
        let mut query = vec![("limit", rows.to_string())];
        if let Some(cursor) = all.next.take() {
            query.push(("cursor", cursor));
        }
        let page: Page<AuditRow> = hub.get("api/v1/audit", &query).await?;
        let progressed = !page.items.is_empty();
        all.items.extend(page.items);
        all.items.truncate(args.limit);
        all.next = page.next;
        if all.next.is_none() || !progressed || all.items.len() >= args.limit {
            break;
        }
    }
    super::print(
        out,
        args.output,
        &all,
        || table(&all.items, args.output),
        "the audit log is empty",
    )
}

/// What the hub found when it checked its log.
#[derive(Debug, Serialize, Deserialize)]
struct ChainCheck {
    rows: u64,
    head: String,
    #[serde(default)]
    broken_at: Option<u64>,
}

async fn verify(hub: &Hub, format: Format, out: &mut Out) -> Result<()> {
    let check: ChainCheck = hub.get("api/v1/audit/verify", &[]).await?;
    if format == Format::Json {
        out.json(&check)?;
    } else {
        out.line(&format!("{} rows are in order; the last has hash {}", check.rows, check.head))?;
    }
    match check.broken_at {
        Some(row) => Err(CliError::no(format!("row {row} does not follow the row before it"))
            .hint("rows from there on were changed or removed outside the hub")),
        None => Ok(()),
    }
}

fn table(rows: &[AuditRow], format: Format) -> Table {
    let mut table = Table::new(&["id", "at_utc", "actor", "action", "object", "detail"]);
    for row in rows {
        table.row(vec![
            row.id.to_string(),
            match format {
                Format::Table => row.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                Format::Json | Format::Csv => row.at.to_string(),
            },
            row.actor.clone(),
            row.action.clone(),
            row.object.clone(),
            row.detail.clone(),
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
        args: AuditArgs,
    }

    fn row(id: u64) -> AuditRow {
        AuditRow {
            id,
            at: "2026-05-01T12:00:00Z".parse().unwrap(),
            actor: "ann".into(),
            action: "hold_placed".into(),
            object: "hold/3".into(),
            detail: r#"{"reason":"storm"}"#.into(),
            previous: "00".into(),
            hash: "11".into(),
        }
    }

    #[tokio::test]
    async fn a_broken_chain_is_a_no_that_names_the_row() {
        let check = serde_json::json!({"rows": 4, "head": "ab", "broken_at": 5});
        let hub = FakeHub::start(vec![("GET /api/v1/audit/verify", Answer::json(&check))]).await;
        let words = ["audit", "--server", &hub.url, "--verify"];
        let args = Cli::try_parse_from(words).unwrap().args;
        let (mut out, stdout, _) = capture::out();
        let error = run(&args, &mut out).await.unwrap_err();
        assert_eq!(stdout.text(), "4 rows are in order; the last has hash ab\n");
        assert_eq!(error.to_string(), "row 5 does not follow the row before it");
        assert_eq!(error.exit().code(), 1);
    }

    #[tokio::test]
    async fn rows_are_shown_up_to_the_limit() {
        let page = Page { items: vec![row(9), row(8)], next: Some("8".into()) };
        let hub = FakeHub::start(vec![("GET /api/v1/audit?limit=2", Answer::json(&page))]).await;
        let words = ["audit", "--server", &hub.url, "--limit", "2"];
        let args = Cli::try_parse_from(words).unwrap().args;
        let (mut out, stdout, _) = capture::out();
        run(&args, &mut out).await.unwrap();
        insta::assert_snapshot!(stdout.text(), @r#"
        ID  AT-UTC               ACTOR  ACTION       OBJECT  DETAIL
        9   2026-05-01 12:00:00  ann    hold_placed  hold/3  {"reason":"storm"}
        8   2026-05-01 12:00:00  ann    hold_placed  hold/3  {"reason":"storm"}
        "#);
    }
}
