//! A copy of everything the hub keeps, taken while it runs, and a data directory made of it again.
//!
//! ```text
//! DIR/backup.json   what is in it: sizes, digests, when, by which hub, whether with keys
//! DIR/hub.sqlite3   the database, as one transaction saw it
//! DIR/tuf/          the repository as it was published at one moment
//! DIR/keys/         only with `--with-keys`: not encrypted
//! ```
//! A backup appears under its name as a whole or not at all. A restore checks everything before it
//! writes, and never writes into a directory that holds anything. Neither ever touches the hub's own
//! data directory but to read it. Blocking; no runtime is needed.

mod error;
mod files;
mod restore;
mod take;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::store::Content;

pub use error::BackupError;
pub use restore::{RESTORING, restore};
pub use take::{What, take};

/// Name of the list of content in a backup.
pub const MANIFEST_FILE: &str = "backup.json";
/// The form this hub writes; it reads no later one.
const FORMAT: u32 = 1;
/// The published repository, below data directory and backup alike.
const TUF: &str = "tuf";
/// The hub's private keys, likewise.
const KEYS: &str = "keys";
/// A list of a hundred thousand files is 20 MB.
const MAX_MANIFEST_BYTES: u64 = 64 * 1024 * 1024;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1.
    pub format: u32,
    /// When it was begun, by the clock of the machine that took it.
    pub made_at: Timestamp,
    /// Version of the program that took it.
    pub hub_version: String,
    /// Whether the private keys are in it.
    pub with_keys: bool,
    /// Names of the key files the hub had, whether or not they are in it.
    pub keys: Vec<String>,
    /// What is in the database.
    pub database: Content,
    /// Every file but this list, in order of their paths.
    pub files: Vec<FileEntry>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Below the backup's directory, with `/`.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
}

impl Manifest {
    /// Reads the list of a backup, and refuses one that this hub does not understand.
    pub(super) fn read(directory: &Path) -> Result<Self, BackupError> {
        let path = directory.join(MANIFEST_FILE);
        let size = std::fs::metadata(&path).map_err(error::disk("read", &path))?.len();
        if size > MAX_MANIFEST_BYTES {
            return Err(BackupError::Manifest { why: format!("{size} bytes are too many") });
        }
        let bytes = std::fs::read(&path).map_err(error::disk("read", &path))?;
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| BackupError::Manifest { why: error.to_string() })?;
        if manifest.format != FORMAT {
            let why = format!("form {} was written by a newer hub", manifest.format);
            return Err(BackupError::Manifest { why });
        }
        match manifest.files.iter().find(|file| !is_ours(&file.path)) {
            Some(file) => Err(BackupError::Manifest { why: format!("odd path {:?}", file.path) }),
            None => Ok(manifest),
        }
    }
}

/// Whether a path is one that a backup may write: below the two folders, or the database.
fn is_ours(path: &str) -> bool {
    let plain = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let folder = path.split_once('/').map(|(first, _)| first);
    plain && (path == crate::store::DATABASE_FILE || matches!(folder, Some(TUF | KEYS)))
}
