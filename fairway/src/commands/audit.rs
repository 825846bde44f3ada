//! `fairway audit`: who changed what, from the hub's append-only log; whether it was tampered with.

mod verify;

use channels::wire::{AuditRow, Page};

use crate::error::Result;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::table::{Format, Table};

/// Arguments of `fairway audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// At most so many rows, newest first
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Format,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check that every row follows the one before it
    Verify(verify::VerifyArgs),
}

/// Runs `fairway audit`.
pub(crate) async fn run(args: &AuditArgs, out: &mut Out) -> Result<()> {
    if let Some(Command::Verify(verify)) = &args.command {
        return verify::run(verify, &args.hub, args.output, out).await;
    }
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let all: Page<AuditRow> = hub.pages("api/v1/audit", &[], args.limit).await?;
    super::print(
        out,
        args.output,
        &all,
        || table(&all.items, args.output),
        "the audit log is empty",
    )
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
