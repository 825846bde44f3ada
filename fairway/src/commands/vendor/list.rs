//! `fairway vendor list DIR`: who publishes here, until when, and what is wrong.

use std::path::Path;

use jiff::Timestamp;

use super::found::{Found, collect};
use crate::authoring::Directory;
use crate::error::Result;
use crate::hub::HubArgs;
use crate::out::Out;
use crate::span::until;
use crate::table::{Format, Table, cell};

/// Runs `fairway vendor list`.
pub(super) async fn run(
    dir: &Path,
    output: Format,
    hub: &HubArgs,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let directory = Directory::open(dir)?;
    let found = collect(&directory, hub, now, out).await?;
    crate::commands::print(out, output, &found, || table(&found, now, output), "no vendors")
}

/// One row per role; CSV has the moment at which it expires.
fn table(found: &[Found], now: Timestamp, format: Format) -> Table {
    let valid = |expires: Timestamp| match format {
        Format::Table => until(expires, now),
        Format::Json | Format::Csv => expires.to_string(),
    };
    let validity = if format == Format::Table { "valid_for" } else { "expires" };
    let columns = ["vendor", "kind", "role", "must_sign", "version", validity, "problem"];
    let mut table = Table::new(&columns);
    for Found { vendor, kind, roles } in found {
        for role in roles {
            let keys = role.keys.len();
            let must_sign = role.threshold.map(|threshold| format!("{threshold} of {keys}"));
            let valid = role.expires.map(valid);
            table.row(vec![
                vendor.to_string(),
                (*kind).to_owned(),
                role.role.clone(),
                cell(must_sign.as_ref()),
                cell(role.version.as_ref()),
                cell(valid.as_ref()),
                cell(role.problem.as_ref()),
            ]);
        }
    }
    table
}
