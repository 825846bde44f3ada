//! Reading the repository of an earlier run, so that a restart serves at once.

use std::sync::Arc;

use signing::metadata::{Document, Targets};
use signing::{FileName, RoleName, Sha256Digest, TargetPath, TopRole};

use super::error::PublishError;
use super::offline::Offline;
use super::online::{Online, parse_snapshot, parse_timestamp};

/// Gives the bytes of a file, if it is there.
type Read<'r> = &'r dyn Fn(&FileName) -> Result<Option<Vec<u8>>, PublishError>;

/// Reads what `timestamp.json` leads to; `None` before the first publication. Verifies nothing.
pub(super) fn load(read: Read<'_>) -> Result<Option<(Offline, Online)>, PublishError> {
    let mut offline = Offline::default();
    while let Some(bytes) = read(&FileName::root(offline.root_version() + 1))? {
        offline.roots.insert(offline.root_version() + 1, bytes.into());
    }
    if offline.roots.is_empty() {
        return Ok(None);
    }
    let timestamp = required(read, &FileName::timestamp())?;
    let version = parse_timestamp(&timestamp)?.body.snapshot().version;
    let role = RoleName::from(TopRole::Snapshot);
    let snapshot = required(read, &FileName::Metadata { role, version: Some(version) })?;
    for (file, pin) in &parse_snapshot(&snapshot)?.body.meta {
        let damaged = || PublishError::Damaged { what: format!("snapshot pins {file:?}") };
        let role = file.strip_suffix(".json").ok_or_else(damaged)?;
        let role = RoleName::new(role).map_err(|_| damaged())?;
        let name = FileName::Metadata { role: role.clone(), version: Some(pin.version) };
        let bytes = required(read, &name)?;
        load_targets(read, &mut offline, &role, &bytes)?;
        offline.roles.insert(role, (pin.version, bytes));
    }
    Ok(Some((offline, Online::read(snapshot, timestamp)?)))
}

fn required(read: Read<'_>, name: &FileName) -> Result<Arc<[u8]>, PublishError> {
    let missing = || PublishError::Damaged { what: format!("{name} is missing") };
    Ok(read(name)?.ok_or_else(missing)?.into())
}

/// Reads the targets a role lists, as far as they are there: those of a role that nobody delegates
/// to any more are not kept. Missing ones of other roles are found when the set is verified.
fn load_targets(
    read: Read<'_>,
    offline: &mut Offline,
    role: &RoleName,
    bytes: &[u8],
) -> Result<(), PublishError> {
    let document: Document<Targets> = Document::parse(role, bytes)
        .map_err(|error| PublishError::Damaged { what: format!("{role}: {error}") })?;
    for (path, info) in &document.body.targets {
        let (Ok(path), Some(digest)) = (TargetPath::new(path.as_str()), info.hashes.as_sha256())
        else {
            continue;
        };
        if let Some(bytes) = read(&FileName::target(path.clone(), digest))? {
            offline.targets.insert(path, (Sha256Digest::of(&bytes), bytes.into()));
        }
    }
    Ok(())
}
