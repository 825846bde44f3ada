//! `fairway status`: what expires when, who must sign, and what to do next.

mod gather;
pub(crate) mod level;
mod online;
mod render;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

use channels::lint::Expiry;
use jiff::Timestamp;
use serde::Serialize;
use signing::{FileName, RoleName};

use level::Level;

use crate::error::{CliError, Result};
use crate::out::Out;
use crate::table::Format;
use crate::words::count;

/// Arguments of `fairway status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// The directory that init made
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Address of the update server; hub.toml says otherwise
    #[arg(long, env = "FAIRWAY_SERVER", value_name = "URL")]
    server: Option<String>,
    /// Do not ask the hub
    #[arg(long)]
    offline: bool,
    /// How to print it; CSV has the roles
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Everything there is to know.
#[derive(Debug, Serialize)]
struct Status {
    roles: Vec<RoleStatus>,
    requests: Vec<RequestStatus>,
    /// What is wrong beyond dates.
    problems: Vec<Problem>,
    /// What could not be looked at.
    unseen: Vec<String>,
}

/// One role.
#[derive(Debug, Serialize)]
struct RoleStatus {
    role: String,
    /// Absent where nothing was published.
    version: Option<u64>,
    expires: Option<Timestamp>,
    /// Whole days, rounded down; negative once expired.
    days_left: Option<i64>,
    level: Level,
    /// Keys that must sign.
    threshold: Option<u64>,
    keys: Vec<KeyStatus>,
    /// Whether somebody must act now.
    needs_a_person: bool,
    /// The command for it.
    next: Option<String>,
}

/// One key of a role.
#[derive(Debug, Serialize)]
struct KeyStatus {
    /// File of its public half, or its id.
    name: String,
    key_id: String,
    /// Whether its private half is in this directory.
    at_hand: bool,
}

/// A request that waits for signatures, or to be published.
#[derive(Debug, Serialize)]
struct RequestStatus {
    file: String,
    role: String,
    version: u64,
    /// Signatures missing at least.
    missing: u64,
    /// Keys whose signature helps.
    may_sign: Vec<String>,
    next: String,
}

/// Something wrong, and what to do about it.
#[derive(Debug, Serialize)]
struct Problem {
    what: String,
    next: String,
}

impl Status {
    /// Things somebody must do now.
    fn open(&self) -> usize {
        let roles = self.roles.iter().filter(|role| role.needs_a_person).count();
        roles + self.requests.len() + self.problems.len()
    }
}

/// Runs `fairway status`.
pub(crate) async fn run(args: &StatusArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let (place, mut status) = gather::gather(&args.dir, now)?;
    let server = args.server.as_deref().unwrap_or(&place.server);
    if args.offline {
        let unseen = "snapshot, timestamp and what the hub serves: --offline";
        status.unseen.push(unseen.to_owned());
    } else {
        online::add(&mut status, &place, server, now).await?;
    }
    match args.output {
        Format::Json => out.json(&status)?,
        Format::Csv => out.csv(&render::roles(&status))?,
        Format::Table => render::print(&status, out)?,
    }
    match status.open() {
        0 => Ok(()),
        open => Err(CliError::no(format!("{} for a person to do", count(open, "thing")))),
    }
}

/// When the roles expire whose metadata lies in a directory; asks nobody.
pub(crate) fn expiries(dir: &Path, now: Timestamp) -> Result<Vec<Expiry>> {
    let (_, status) = gather::gather(dir, now)?;
    Ok(status.roles.into_iter().filter_map(expiry).collect())
}

fn expiry(role: RoleStatus) -> Option<Expiry> {
    let name: RoleName = role.role.parse().ok()?;
    let file = FileName::Metadata { role: name, version: Some(role.version?) }.relative_path();
    let expires = role.expires?;
    let (urgent, next) = (role.needs_a_person, role.next.unwrap_or_default());
    Some(Expiry { role: role.role, file: file.into(), expires, urgent, next })
}
