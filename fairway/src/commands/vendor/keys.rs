//! `fairway vendor keys DIR VENDOR`: the keys of all three roles, for people to compare.

use std::path::Path;

use channels::names::VendorName;
use jiff::Timestamp;

use super::found::{Found, collect};
use crate::authoring::Directory;
use crate::error::{CliError, Result};
use crate::hub::HubArgs;
use crate::out::Out;
use crate::table::{Format, Table, cell};

/// Runs `fairway vendor keys`.
pub(super) async fn run(
    dir: &Path,
    vendor: &VendorName,
    output: Format,
    hub: &HubArgs,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let directory = Directory::open(dir)?;
    if directory.config().table_of(vendor).is_none() {
        return Err(unknown(dir, vendor));
    }
    let all = collect(&directory, hub, now, out).await?;
    let found = all.into_iter().find(|found| found.vendor == *vendor);
    let found = found.ok_or_else(|| unknown(dir, vendor))?;
    crate::commands::print(out, output, &found, || table(&found), "no keys")
}

/// No table of `hub.toml` has this vendor.
pub(super) fn unknown(dir: &Path, vendor: &VendorName) -> CliError {
    CliError::no(format!("{} has no vendor {vendor}", dir.display()))
        .hint("`fairway vendor list DIR` shows those it has")
}

fn table(found: &Found) -> Table {
    let mut table = Table::new(&["role", "must_sign", "fingerprint", "file"]);
    for role in &found.roles {
        let keys = role.keys.len();
        let must_sign = role.threshold.map(|threshold| format!("{threshold} of {keys}"));
        for key in &role.keys {
            let (must_sign, file) = (cell(must_sign.as_ref()), cell(key.file.as_ref()));
            table.row(vec![role.role.clone(), must_sign, key.fingerprint.clone(), file]);
        }
        if role.keys.is_empty() {
            let problem = role.problem.clone().unwrap_or_default();
            table.row(vec![role.role.clone(), String::new(), problem, String::new()]);
        }
    }
    table
}
