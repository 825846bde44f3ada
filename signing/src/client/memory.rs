//! What a client keeps in its store, under which names, and how it comes back.
//!
//! Names of our own end in no `.json`, so that no delegated role can be called like one of them.

use crate::Sha256Digest;
use crate::error::Error;
use crate::json;
use crate::names::{RoleName, TopRole};
use crate::store::Store;
use crate::trusted::{Floors, Roots};
use serde_json::json;

/// The validator of the stored timestamp.
const ETAG: &str = "timestamp.etag";

/// Name of the metadata of `role`.
pub(super) fn metadata(role: &RoleName) -> String {
    format!("{}.json", role.quoted())
}

/// Name of one root of the chain.
fn root(version: u64) -> String {
    format!("root.{version}")
}

/// Walks the stored chain from the pinned root as far as it verifies. Anything that does not is
/// ignored, not fatal: the source has the real one.
pub(super) fn walk_stored_roots(pinned: Roots, store: &impl Store) -> Result<Roots, Error> {
    let mut roots = pinned;
    while let Some(bytes) = store.load(&root(roots.next_version()?)).map_err(Error::Store)? {
        let Ok(next) = roots.next(&bytes) else { break };
        roots = next;
    }
    Ok(roots)
}

/// Saves a verified root. Floors that its rotation lifts are removed first: after a crash in
/// between the old root is trusted without floors and the rotation is seen again, while the other
/// order would keep the floors for ever.
pub(super) fn save_root(
    store: &mut impl Store,
    bytes: &[u8],
    version: u64,
    rotated: bool,
) -> Result<(), Error> {
    if rotated {
        for role in [TopRole::Timestamp, TopRole::Snapshot] {
            store.remove(&metadata(&role.into())).map_err(Error::Store)?;
        }
    }
    store.save(&root(version), bytes).map_err(Error::Store)
}

/// Loads the floors, as far as they verify under `roots`.
pub(super) fn load_floors(roots: &Roots, store: &impl Store) -> Result<Floors, Error> {
    let load = |role: TopRole| store.load(&metadata(&role.into())).map_err(Error::Store);
    let (timestamp, snapshot) = (load(TopRole::Timestamp)?, load(TopRole::Snapshot)?);
    Ok(roots.floors(timestamp.as_deref(), snapshot.as_deref()))
}

/// Saves verified metadata.
pub(super) fn save(store: &mut impl Store, role: &RoleName, bytes: &[u8]) -> Result<(), Error> {
    store.save(&metadata(role), bytes).map_err(Error::Store)
}

/// Loads the metadata of `role`, unverified.
pub(super) fn load(store: &impl Store, role: &RoleName) -> Result<Option<Vec<u8>>, Error> {
    store.load(&metadata(role)).map_err(Error::Store)
}

/// Saves the validator of a complete set, bound to the root and the timestamp it was given for.
pub(super) fn save_etag(
    store: &mut impl Store,
    etag: Option<&str>,
    root: u64,
    timestamp: Sha256Digest,
) -> Result<(), Error> {
    let Some(etag) = etag else { return store.remove(ETAG).map_err(Error::Store) };
    let note = json!({"etag": etag, "root": root, "timestamp": timestamp.to_string()});
    store.save(ETAG, note.to_string().as_bytes()).map_err(Error::Store)
}

/// The stored validator, if it belongs to exactly this root and timestamp.
pub(super) fn load_etag(
    store: &impl Store,
    root: u64,
    timestamp: Sha256Digest,
) -> Result<Option<String>, Error> {
    let Some(bytes) = store.load(ETAG).map_err(Error::Store)? else { return Ok(None) };
    // An unreadable note is no note: the next request is unconditional.
    let Ok(note) = json::parse(&bytes) else { return Ok(None) };
    let text = |name: &str| note.get(name).and_then(serde_json::Value::as_str);
    let same_root = note.get("root").and_then(serde_json::Value::as_u64) == Some(root);
    let same_timestamp = text("timestamp") == Some(timestamp.to_string().as_str());
    Ok(text("etag").filter(|_| same_root && same_timestamp).map(str::to_owned))
}
