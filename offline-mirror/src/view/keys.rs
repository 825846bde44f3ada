//! The view's two private keys, for its snapshot and its timestamp.
//!
//! Unencrypted in files of mode 0600, like a hub's online keys: exports run unattended, and what a
//! thief can do with them is little (the parent module says what). Each file is named by its key, so
//! that keys of a root to come can lie beside those in use.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use signing::metadata::Root;
use signing::{KeyId, PublicKey, SecretKey, TopRole, keyfile};

use super::error::ViewError;
use crate::error::Error;

/// The roles that a view signs itself, in the order of every pair of keys here.
pub(super) const ONLINE: [TopRole; 2] = [TopRole::Snapshot, TopRole::Timestamp];
/// Digits of a key's id in the name of its file: enough to tell a view's few keys apart.
const ID_DIGITS: usize = 16;

/// Two new keys, in memory only.
pub(super) fn generate() -> Result<[SecretKey; 2], ViewError> {
    let new = || SecretKey::generate().map_err(|source| ViewError::NewKey { source });
    Ok([new()?, new()?])
}

/// Writes new keys below `dir`.
pub(super) fn write(dir: &Path, keys: &[SecretKey; 2]) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(Error::io("create", dir))?;
    for (role, key) in ONLINE.into_iter().zip(keys) {
        let path = file(dir, role, &key.public().key_id());
        let failed = |source| ViewError::Key { path: path.clone(), source };
        let pem = keyfile::to_plain_pem(key).map_err(failed)?;
        keyfile::write_new(&path, &pem).map_err(failed)?;
    }
    Ok(())
}

/// The public halves.
pub(super) fn public(keys: &[SecretKey; 2]) -> [PublicKey; 2] {
    keys.each_ref().map(|key| key.public().clone())
}

/// Opens the private halves of the keys that `root` names.
pub(super) fn open(dir: &Path, root: &Root) -> Result<[SecretKey; 2], ViewError> {
    let [snapshot, timestamp] = ONLINE;
    Ok([open_one(dir, snapshot, root)?, open_one(dir, timestamp, root)?])
}

fn open_one(dir: &Path, role: TopRole, root: &Root) -> Result<SecretKey, ViewError> {
    let key_id = named_one(role, root)?.key_id();
    let path = file(dir, role, &key_id);
    let failed = |source| ViewError::Key { path: path.clone(), source };
    let pem = keyfile::read(&path).map_err(failed)?;
    let key = keyfile::from_plain_pem(&pem).map_err(failed)?;
    if key.public().key_id() != key_id {
        return Err(ViewError::OtherKey { path, key_id });
    }
    Ok(key)
}

/// The public halves that `root` names.
pub(super) fn named(root: &Root) -> Result<[PublicKey; 2], ViewError> {
    let [snapshot, timestamp] = ONLINE;
    Ok([named_one(snapshot, root)?, named_one(timestamp, root)?])
}

fn named_one(role: TopRole, root: &Root) -> Result<PublicKey, ViewError> {
    let key = root.keys(role).keys.values().next().cloned();
    key.ok_or(ViewError::HubRoot { role, why: "the view's root names no key" })
}

fn file(dir: &Path, role: TopRole, key_id: &KeyId) -> PathBuf {
    let digits: String = key_id.as_str().chars().take(ID_DIGITS).collect();
    dir.join(format!("{role}.{digits}.pem"))
}
