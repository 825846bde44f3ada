//! `fairway verify`: would an agent that pins this root accept what the server serves?

mod content;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;
use signing::metadata::{Document, Targets};
use signing::source::HttpLimits;
use signing::{Client, FileName, HttpSource, MemStore, Recording, RoleName, Source};

use crate::error::{CliError, Result, chain};
use crate::files::read_bounded;
use crate::hub::HubArgs;
use crate::out::Out;
use crate::span::until;
use crate::table::{Format, Table};
use crate::words::count;
use content::Contents;

/// Largest root file read, as the client's own bound for root.
const MAX_ROOT_BYTES: u64 = 1024 * 1024;

/// Arguments of `fairway verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// Address of the update server, with its scheme
    #[arg(long, env = "FAIRWAY_SERVER", value_name = "URL")]
    server: Option<String>,
    /// A server by the name that `fairway profile` gave it
    #[arg(long, env = "FAIRWAY_PROFILE", value_name = "NAME")]
    profile: Option<String>,
    /// The root agents pin: root.json of the directory it is published from
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// How to print the result; CSV has the roles
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// What a verified repository holds.
#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    pub(crate) root_version: u64,
    pub(crate) snapshot_version: u64,
    pub(crate) timestamp_version: u64,
    /// Earliest expiry of root, timestamp, snapshot and targets.
    pub(crate) expires: Timestamp,
    pub(crate) roles: Vec<Role>,
    pub(crate) releases: usize,
    pub(crate) graphs: usize,
    /// Edges that a graph offers and the target's release document does not allow: agents refuse
    /// them.
    pub(crate) refused_edges: Vec<String>,
    /// What agents refuse, each with the name of the attack where there is one.
    pub(crate) faults: Vec<Fault>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    version: u64,
    targets: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
}

/// Something an agent refuses.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attack: Option<String>,
}

impl Fault {
    fn of(what: &impl ToString, error: &signing::Error) -> Self {
        let attack = error.attack().map(|attack| attack.to_string());
        Self { what: what.to_string(), message: chain(error), attack }
    }
}

/// Runs `fairway verify`.
pub(crate) async fn run(args: &VerifyArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let named = HubArgs {
        server: args.server.clone(),
        profile: args.profile.clone(),
        ..HubArgs::default()
    };
    let server = named.address()?;
    let root = read_bounded(&args.root, MAX_ROOT_BYTES).map_err(|error| {
        CliError::failed(format!("failed to read {}: {error}", args.root.display()))
    })?;
    let base = server
        .join("tuf/")
        .map_err(|error| CliError::because(format!("failed to join tuf/ to {server}"), &error))?;
    let source = HttpSource::new(base.as_str(), HttpLimits::default())
        .map_err(|error| CliError::because("failed to prepare the HTTP client", &error))?;
    let verified = verify(&root, source, now).await?;
    match args.output {
        Format::Json => out.json(&verified)?,
        Format::Csv => out.csv(&roles(&verified, now, args.output))?,
        Format::Table => print(&verified, now, out)?,
    }
    match verified.faults.first() {
        None => Ok(()),
        Some(first) => {
            let attack = first.attack.as_ref().map(|attack| format!(" (attack: {attack})"));
            Err(CliError::no(format!(
                "agents refuse {} of it: {}: {}{}",
                verified.faults.len(),
                first.what,
                first.message,
                attack.unwrap_or_default()
            )))
        }
    }
}

/// The walk itself, over any source.
pub(crate) async fn verify<S: Source>(root: &[u8], source: S, now: Timestamp) -> Result<Verified> {
    let source = Recording::of_metadata(source);
    let mut client = Client::open(root, &source, MemStore::new()).map_err(|error| {
        CliError::because("the pinned root is not usable", &error)
            .hint("--root takes the root.json that agents pin")
    })?;
    let refreshed = client.refresh(now).await.map_err(|error| refuse(&error))?;
    let found = client.roles(now).await.map_err(|error| refuse(&error))?;
    let mut faults: Vec<Fault> = Vec::new();
    for (role, error) in &found.broken {
        faults.push(Fault::of(&format!("role {role}"), error));
    }
    let mut contents = Contents::default();
    let mut roles = Vec::new();
    for (role, version) in found.usable {
        let listed = client.listed_targets(&role, now).await.map_err(|error| refuse(&error))?;
        for target in &listed {
            match client.fetch_target(target).await {
                Ok(bytes) => contents.add(target.path.as_str(), &bytes, &mut faults),
                Err(error) if is_unreachable(&error) => return Err(refuse(&error)),
                Err(error) => faults.push(Fault::of(&target.path, &error)),
            }
        }
        // Of what was handed out, only a version that the client names is verified.
        let name = FileName::Metadata { role: role.clone(), version: Some(version) };
        let expires = source.get(&name).and_then(|bytes| expiry(&role, &bytes));
        let targets = listed.len();
        roles.push(Role { name: role.to_string(), version, targets, expires });
    }
    Ok(Verified {
        root_version: refreshed.root_version,
        snapshot_version: refreshed.snapshot_version,
        timestamp_version: refreshed.timestamp_version,
        expires: refreshed.expires,
        roles,
        releases: contents.releases(),
        graphs: contents.graphs(),
        refused_edges: contents.refused_edges(),
        faults,
    })
}

fn expiry(role: &RoleName, bytes: &[u8]) -> Option<Timestamp> {
    Document::<Targets>::parse(role, bytes).ok().map(|document| document.body.expires)
}

/// The server could not be asked at all; a file that is promised and missing is its answer.
fn is_unreachable(error: &signing::Error) -> bool {
    error.attack().is_none() && matches!(error, signing::Error::Fetch { .. })
}

/// What a client refused, as an answer to a person.
pub(super) fn refuse(error: &signing::Error) -> CliError {
    let text = chain(error);
    if is_unreachable(error) {
        return CliError::failed(format!("the repository cannot be fetched: {text}"))
            .hint("is the server running, and has anything been published to it?");
    }
    match error.attack() {
        Some(attack) => {
            CliError::no(format!("agents refuse the repository: {text} (attack: {attack})"))
        }
        None => CliError::no(format!("agents refuse the repository: {text}")),
    }
}

/// One row per role that signs targets; CSV has the moment at which it expires.
fn roles(verified: &Verified, now: Timestamp, format: Format) -> Table {
    let valid = |expires: Timestamp| match format {
        Format::Table => until(expires, now),
        Format::Json | Format::Csv => expires.to_string(),
    };
    let last = if format == Format::Table { "valid_for" } else { "expires" };
    let mut table = Table::new(&["role", "version", "targets", last]);
    for role in &verified.roles {
        table.row(vec![
            role.name.clone(),
            role.version.to_string(),
            role.targets.to_string(),
            role.expires.map_or_else(String::new, valid),
        ]);
    }
    table
}

fn print(verified: &Verified, now: Timestamp, out: &mut Out) -> Result<()> {
    out.table(&roles(verified, now, Format::Table))?;
    out.line("")?;
    out.line(&format!(
        "root {}, snapshot {}, timestamp {}: valid until {} (for {})",
        verified.root_version,
        verified.snapshot_version,
        verified.timestamp_version,
        verified.expires,
        until(verified.expires, now)
    ))?;
    let (releases, graphs) = (count(verified.releases, "release"), count(verified.graphs, "graph"));
    out.line(&format!("{releases}, {graphs}"))?;
    for edge in &verified.refused_edges {
        out.warn(&format!("agents refuse the edge {edge}: the release does not list its source"))?;
    }
    for fault in verified.faults.iter().skip(1) {
        out.warn(&format!("agents refuse {}: {}", fault.what, fault.message))?;
    }
    Ok(())
}
