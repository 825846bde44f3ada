//! What the hub says, verified as an agent would: its own two roles, vendors that are imported, and
//! whether it serves the newest root.

use jiff::{SignedDuration, Timestamp};
use signing::metadata::{Document, Snapshot, Targets, TimestampMetadata};
use signing::repository::{SNAPSHOT_LIFETIME, TIMESTAMP_LIFETIME};
use signing::source::HttpLimits;
use signing::{Client, FileName, HttpSource, MemStore, Recording, RoleName, Source, TopRole};

use super::gather::Place;
use super::level::{Level, days_left};
use super::{Problem, RoleStatus, Status};
use crate::error::{CliError, Result, chain};
use crate::hub::server_url;

/// Life that an imported role is taken to have: a year, as every offline role of ours.
const IMPORTED_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Adds what the hub serves; a hub that cannot be seen is a problem.
pub(super) async fn add(
    status: &mut Status,
    place: &Place,
    server: &str,
    now: Timestamp,
) -> Result<()> {
    if place.pinned.is_empty() {
        status.unseen.push("the hub: without root 1 nothing it serves can be verified".to_owned());
        return Ok(());
    }
    let base = server_url(server)?
        .join("tuf/")
        .map_err(|error| CliError::because(format!("failed to join tuf/ to {server}"), &error))?;
    let source = HttpSource::new(base.as_str(), HttpLimits::default())
        .map_err(|error| CliError::because("failed to prepare the HTTP client", &error))?;
    match look(status, place, source, now).await {
        Ok(()) => Ok(()),
        // Whoever can keep the hub out of sight would hide everything that is wrong with it.
        Err(error) if error.attack().is_none() => {
            status.unseen.push(format!("snapshot, timestamp and what the hub at {server} serves"));
            status.problems.push(Problem {
                what: format!("the hub at {server} was not seen: {}", chain(&error)),
                next: "is it running, and is that its address? --offline does without it"
                    .to_owned(),
            });
            Ok(())
        }
        Err(error) => {
            status.problems.push(Problem {
                what: format!("agents refuse what the hub serves: {}", chain(&error)),
                next: format!("fairway verify --server {server} --root {}/root.json", place.dir),
            });
            Ok(())
        }
    }
}

/// The look itself, over any source; roles of others only where all concern the reader.
pub(super) async fn look<S: Source>(
    status: &mut Status,
    place: &Place,
    source: S,
    now: Timestamp,
) -> std::result::Result<(), signing::Error> {
    let source = Recording::of_metadata(source);
    let mut client = Client::open(&place.pinned, &source, MemStore::new())?;
    let refreshed = client.refresh(now).await?;
    let found = client.roles(now).await?;
    let snapshot = metadata(TopRole::Snapshot.into(), refreshed.snapshot_version);
    let expires = source.get(&snapshot).and_then(|bytes| {
        let snapshot = Document::<Snapshot>::parse(&TopRole::Snapshot.into(), &bytes).ok()?;
        Some(snapshot.body.expires)
    });
    let own = online_role(TopRole::Snapshot, refreshed.snapshot_version, expires, now);
    status.roles.push(own);
    let expires = source.get(&FileName::timestamp()).and_then(|bytes| {
        let role = TopRole::Timestamp.into();
        Some(Document::<TimestampMetadata>::parse(&role, &bytes).ok()?.body.expires)
    });
    status.roles.push(online_role(TopRole::Timestamp, refreshed.timestamp_version, expires, now));
    for (role, version) in found.usable {
        if !place.is_hub || status.roles.iter().any(|known| known.role == role.as_str()) {
            continue;
        }
        let bytes = source.get(&metadata(role.clone(), version));
        let expires = bytes
            .and_then(|bytes| Some(Document::<Targets>::parse(&role, &bytes).ok()?.body.expires));
        status.roles.push(imported(&role, version, expires, now));
    }
    let concerns = |status: &Status, role: &RoleName| {
        place.is_hub || status.roles.iter().any(|known| known.role == role.as_str())
    };
    for (role, error) in found.broken {
        if !concerns(status, &role) {
            continue;
        }
        status.problems.push(Problem {
            what: format!("agents refuse role {role}: {}", chain(&error)),
            next: "publish or import it again".to_owned(),
        });
    }
    let root = status.roles.iter().find(|role| role.role == TopRole::Root.as_str());
    if let Some(newest) = root.and_then(|root| root.version)
        && newest > refreshed.root_version
    {
        let served = refreshed.root_version;
        status.problems.push(Problem {
            what: format!("the hub serves root {served}, but root {newest} is signed"),
            next: format!("fairway publish {}", place.dir),
        });
    }
    Ok(())
}

fn metadata(role: RoleName, version: u64) -> FileName {
    FileName::Metadata { role, version: Some(version) }
}

/// A role that the hub renews by itself, long before the last third of its life.
fn online_role(
    role: TopRole,
    version: u64,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> RoleStatus {
    let life = if role == TopRole::Snapshot { SNAPSHOT_LIFETIME } else { TIMESTAMP_LIFETIME };
    let level = match expires {
        None => Level::Unpublished,
        Some(expires) if expires <= now => Level::Expired,
        Some(expires) if expires.duration_since(now) >= life / 3 => Level::Ok,
        Some(_) => Level::Due,
    };
    let is_late = level != Level::Ok;
    RoleStatus {
        role: role.to_string(),
        version: Some(version),
        expires,
        days_left: expires.map(|expires| days_left(expires, now)),
        level,
        threshold: Some(1),
        keys: Vec::new(),
        needs_a_person: is_late,
        next: is_late.then(|| "read the hub's log: it should have signed by itself".to_owned()),
    }
}

fn imported(
    role: &RoleName,
    version: u64,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> RoleStatus {
    let level =
        expires.map_or(Level::Unpublished, |expires| Level::of(expires, IMPORTED_LIFE, now));
    RoleStatus {
        role: role.to_string(),
        version: Some(version),
        expires,
        days_left: expires.map(|expires| days_left(expires, now)),
        level,
        threshold: None,
        keys: Vec::new(),
        needs_a_person: level.needs_a_person(),
        next: (level != Level::Ok).then(|| "ask its vendor for newer files".to_owned()),
    }
}
