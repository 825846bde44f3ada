//! `fairway audit verify`: the hub checks its log, or an export is checked here without it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use channels::wire::AuditRow;
use serde::{Deserialize, Serialize};
use update_server::store::Run;

use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::table::{Format, Table, cell};

/// Longest line read: a row's detail is a few kilobytes.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// Arguments of `fairway audit verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Check this export instead (one row of JSON a line, oldest or newest first); asks no hub
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What a check found, as it is printed.
#[derive(Debug, Serialize, Deserialize)]
struct Checked {
    rows: u64,
    head: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broken_at: Option<u64>,
    /// Of an export: its first row, where it does not begin with the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    oldest: Option<u64>,
    /// Of such an export: the hash that the row before it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// Runs the command.
pub(super) async fn run(
    args: &VerifyArgs,
    hub: &HubArgs,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let checked: Checked = match &args.file {
        Some(path) => of_file(path)?,
        None => Hub::new(&hub.connection(None)?)?.get("api/v1/audit/verify", &[]).await?,
    };
    match format {
        Format::Json => out.json(&checked)?,
        Format::Csv => out.csv(&table(&checked))?,
        Format::Table if checked.broken_at.is_none() => out.line(&format!(
            "{} rows are in order; the last has hash {}",
            checked.rows, checked.head
        ))?,
        Format::Table => {}
    }
    if let (Some(oldest), Some(after)) = (checked.oldest, &checked.after) {
        out.note(&format!(
            "the export begins with row {oldest}; the row before it must have hash {after}"
        ))?;
    }
    match checked.broken_at {
        Some(row) => Err(CliError::no(format!(
            "row {row} was changed, or does not follow the one before it"
        ))
        .hint("rows from there on were changed or removed outside the hub")),
        None => Ok(()),
    }
}

fn table(checked: &Checked) -> Table {
    let mut table = Table::new(&["rows", "head", "broken_at", "oldest", "after"]);
    let Checked { rows, head, broken_at, oldest, after } = checked;
    table.row(vec![
        rows.to_string(),
        head.clone(),
        cell(broken_at.as_ref()),
        cell(oldest.as_ref()),
        cell(after.as_ref()),
    ]);
    table
}

fn of_file(path: &Path) -> Result<Checked> {
    let shown = path.display();
    let failed =
        |error: &std::io::Error| CliError::because(format!("failed to read {shown}"), error);
    let mut reader = BufReader::new(File::open(path).map_err(|error| failed(&error))?);
    let mut run = Run::default();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        if read.map_err(|error| failed(&error))? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row: AuditRow = serde_json::from_slice(&line).map_err(|error| {
            CliError::because(format!("{shown}, line {number} is no row of an audit log"), &error)
                .hint("give an export as NDJSON: one row a line")
        })?;
        run.take(&row);
    }
    if run.rows == 0 {
        return Err(CliError::failed(format!("{shown} holds no row")));
    }
    let is_part = run.oldest > 1;
    Ok(Checked {
        rows: run.rows,
        head: run.head,
        broken_at: run.broken_at,
        oldest: is_part.then_some(run.oldest),
        after: is_part.then_some(run.after),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use update_server::store::row_hash;

    use super::super::{AuditArgs, run};
    use super::*;
    use crate::hub::testing::{Answer, FakeHub};
    use crate::out::capture;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: AuditArgs,
    }

    async fn audit(words: &[&str]) -> (Result<()>, String, String) {
        let args = Cli::try_parse_from([&["audit"], words].concat()).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        let result = run(&args, &mut out).await;
        (result, stdout.text(), stderr.text())
    }

    fn rows(n: u64) -> Vec<AuditRow> {
        let mut previous = "0".repeat(64);
        (1..=n)
            .map(|id| {
                let mut row = AuditRow {
                    id,
                    at: "2026-05-01T12:00:00Z".parse().unwrap(),
                    actor: "ann".into(),
                    action: "hold".into(),
                    object: format!("hold/{id}"),
                    detail: "{}".into(),
                    previous: previous.clone(),
                    hash: String::new(),
                };
                row.hash = row_hash(&row);
                previous.clone_from(&row.hash);
                row
            })
            .collect()
    }

    async fn of_rows(rows: &[AuditRow]) -> (Result<()>, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.ndjson");
        let lines: String =
            rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
        std::fs::write(&file, lines).unwrap();
        audit(&["verify", "--file", file.to_str().unwrap()]).await
    }

    #[tokio::test]
    async fn a_chain_that_the_hub_finds_broken_is_a_no_that_names_the_row() {
        let check = serde_json::json!({"rows": 4, "head": "ab", "broken_at": 5});
        let hub = FakeHub::start(vec![("GET /api/v1/audit/verify", Answer::json(&check))]).await;
        let (result, stdout, _) = audit(&["verify", "--server", &hub.url]).await;
        let error = result.unwrap_err();
        assert_eq!(stdout, "");
        assert_eq!(error.to_string(), "row 5 was changed, or does not follow the one before it");
        assert_eq!(error.exit().code(), 1);
    }

    #[tokio::test]
    async fn an_export_is_checked_without_a_hub_newest_first_as_well() {
        let mut rows = rows(3);
        let head = rows[2].hash.clone();
        for _ in 0..2 {
            let (result, stdout, stderr) = of_rows(&rows).await;
            result.unwrap();
            assert_eq!(stdout, format!("3 rows are in order; the last has hash {head}\n"));
            assert_eq!(stderr, "");
            rows.reverse();
        }
        let (result, _, stderr) = of_rows(&rows[1..]).await;
        result.unwrap();
        assert!(stderr.contains("begins with row 2") && stderr.contains(&rows[0].hash), "{stderr}");
    }

    #[tokio::test]
    async fn a_row_that_was_changed_or_taken_out_of_an_export_is_named() {
        let mut changed = rows(4);
        changed[1].actor = "eve".into();
        let error = of_rows(&changed).await.0.unwrap_err();
        assert!(error.to_string().starts_with("row 2 was changed"), "{error}");
        let mut removed = rows(4);
        removed.remove(1);
        let error = of_rows(&removed).await.0.unwrap_err();
        assert!(error.to_string().starts_with("row 3 was changed"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_export_is_a_failure_and_not_an_empty_log() {
        assert_eq!(of_rows(&[]).await.0.unwrap_err().exit().code(), 2);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        std::fs::write(&file, "id,at\n").unwrap();
        let error = audit(&["verify", "--file", file.to_str().unwrap()]).await.0.unwrap_err();
        assert!(error.to_string().contains("line 1 is no row"), "{error}");
    }
}
