//! One module per command group. Each has its arguments, its requests and its rendering.

pub(crate) mod audit;
pub(crate) mod bench;
pub(crate) mod block;
pub(crate) mod clusters;
pub(crate) mod completions;
pub(crate) mod consent;
pub(crate) mod doctor;
pub(crate) mod drift;
pub(crate) mod explain;
pub(crate) mod graph;
pub(crate) mod health;
pub(crate) mod holds;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod lint;
pub(crate) mod profile;
pub(crate) mod promote;
pub(crate) mod publish;
pub(crate) mod recover;
pub(crate) mod request;
pub(crate) mod rollout;
pub(crate) mod root;
pub(crate) mod rotate;
pub(crate) mod simulate;
pub(crate) mod sites;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod trends;
pub(crate) mod vendor;
pub(crate) mod verify;
pub(crate) mod webhooks;
pub(crate) mod withdraw;

#[cfg(test)]
mod forms;

use serde::Serialize;

use crate::error::{CliError, Result};
use crate::out::Out;
use crate::table::{Format, Table};

/// Prints one answer in the format asked for; an empty table says so on stderr.
fn print<T: Serialize>(
    out: &mut Out,
    format: Format,
    answer: &T,
    table: impl FnOnce() -> Table,
    nothing: &str,
) -> Result<()> {
    match format {
        Format::Json => out.json(answer),
        Format::Csv => out.csv(&table()),
        Format::Table => {
            let table = table();
            if table.is_empty() {
                return out.note(nothing);
            }
            out.table(&table)
        }
    }
}

/// Prints what the hub answered to a change; people are told in a sentence on stderr.
fn answered<T: Serialize>(
    out: &mut Out,
    format: Format,
    answer: &T,
    table: impl FnOnce() -> Table,
    told: &str,
) -> Result<()> {
    match format {
        Format::Json => out.json(answer),
        Format::Csv => out.csv(&table()),
        Format::Table => out.note(told),
    }
}

/// Refuses to print what there is not: a command that only takes something away answers nothing.
/// It is asked before anything is taken away.
fn answers_nothing(format: Format, command: &str) -> Result<()> {
    if format == Format::Table {
        return Ok(());
    }
    Err(CliError::failed(format!("{command} has no answer to print as JSON or CSV"))
        .hint("nothing was done; leave --output out: exit code 0 says that it is done"))
}
