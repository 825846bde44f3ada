//! The status as text.

use super::{RoleStatus, Status};
use crate::error::Result;
use crate::out::{Out, printable};
use crate::table::Table;

/// One row per role.
pub(super) fn roles(status: &Status) -> Table {
    let mut table =
        Table::new(&["role", "version", "expires", "days_left", "level", "signs", "keys_here"]);
    for role in &status.roles {
        table.row(row(role));
    }
    table
}

/// Prints the table of roles, then what to do.
pub(super) fn print(status: &Status, out: &mut Out) -> Result<()> {
    out.table(&roles(status))?;
    for role in &status.roles {
        if let Some(next) = &role.next {
            out.line(&printable(&format!("{}: {next}", role.role)))?;
        }
    }
    for request in &status.requests {
        let waits = match request.missing {
            0 => "has every signature".to_owned(),
            missing => {
                format!("needs {missing} more, of {}", request.may_sign.join(", "))
            }
        };
        let (role, version) = (&request.role, request.version);
        out.line(&printable(&format!("request {role} {version} {waits}: {}", request.next)))?;
    }
    for problem in &status.problems {
        out.line(&printable(&format!("{}: {}", problem.what, problem.next)))?;
    }
    for unseen in &status.unseen {
        out.note(&format!("not seen: {unseen}"))?;
    }
    Ok(())
}

fn row(role: &RoleStatus) -> Vec<String> {
    let text = |value: Option<String>| value.unwrap_or_default();
    let here: Vec<&str> =
        role.keys.iter().filter(|key| key.at_hand).map(|key| key.name.as_str()).collect();
    let signs = match (role.threshold, role.keys.len()) {
        (None, _) => "elsewhere".to_owned(),
        (Some(_), 0) => "hub".to_owned(),
        (Some(threshold), keys) => format!("{threshold} of {keys}"),
    };
    vec![
        role.role.clone(),
        text(role.version.map(|version| version.to_string())),
        text(role.expires.map(|expires| expires.to_string())),
        text(role.days_left.map(|days| days.to_string())),
        role.level.as_str().to_owned(),
        signs,
        here.join(" "),
    ]
}
