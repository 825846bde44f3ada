//! The repository of a hub that moves: from its files to the rows that replicas share, and back. Both
//! sides are read again afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use signing::{Sha256Digest, Sha256Hasher};

use super::disk::Disk;
use super::error::PublishError;
use super::keys::{OnlineKeys, OnlineRole};
use super::{KEPT_SETS, load, staged_with};
use crate::store::{KnownFiles, SharedRepository};

/// What a repository has on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovedFiles {
    /// How many files.
    pub files: u64,
    /// SHA-256 over paths and bytes, in order of the paths.
    pub digest: Sha256Digest,
}

type Files = BTreeMap<String, Arc<[u8]>>;

/// Copies the repository of `<data-dir>/tuf`, and the public halves of the hub's keys, into a database
/// that has none. One that has the same already is left as it is.
///
/// # Errors
/// Keys or files that are missing, the database, or another repository in it.
pub fn files_to_rows(
    data_dir: &Path,
    shared: &SharedRepository,
    now: Timestamp,
) -> Result<MovedFiles, PublishError> {
    let keys = OnlineKeys::load(data_dir)?;
    let files = on_disk(&Disk::open(data_dir)?)?;
    let public = OnlineRole::ALL.map(|role| (role.as_str(), keys.public_of(role)));
    shared.in_turn(|turn| {
        if turn.public_keys()?.is_empty() {
            turn.keep_public_keys(&public)?;
        }
        Ok::<_, PublishError>(())
    })?;
    shared.in_turn(|turn| {
        if turn.generation()? == 0 && !files.is_empty() {
            let order: Vec<_> =
                files.iter().map(|(path, bytes)| (path.clone(), bytes.clone())).collect();
            let keep = u64::try_from(KEPT_SETS).unwrap_or(u64::MAX);
            turn.commit(&order, &BTreeSet::new(), keep, now)?;
        }
        Ok::<_, PublishError>(())
    })?;
    same(&files, &in_rows(shared)?)
}

/// Writes the newest set of a database to `<data-dir>/tuf`.
///
/// # Errors
/// The database or the disk.
pub fn rows_to_files(
    shared: &SharedRepository,
    data_dir: &Path,
) -> Result<MovedFiles, PublishError> {
    let files = in_rows(shared)?;
    let disk = Disk::open(data_dir)?;
    let order: Vec<_> = files.iter().map(|(path, bytes)| (path.clone(), bytes.clone())).collect();
    disk.commit(&order)?;
    disk.sweep(&files.keys().cloned().collect());
    same(&files, &on_disk(&disk)?)
}

/// Everything that `timestamp.json` leads to.
fn on_disk(disk: &Disk) -> Result<Files, PublishError> {
    let Some((offline, online)) = load::load(&|name| disk.read(name))? else {
        return Ok(Files::new());
    };
    let staged = offline.staged().map_err(PublishError::build)?;
    Ok(staged_with(staged, &online)?.write_order().into_iter().collect())
}

fn in_rows(shared: &SharedRepository) -> Result<Files, PublishError> {
    let newest = shared.read(&KnownFiles::new())?.files.into_iter();
    let newest = newest.filter(|file| file.until.is_none());
    Ok(newest.map(|file| (file.path, file.content.unwrap_or_default().into())).collect())
}

fn same(one: &Files, other: &Files) -> Result<MovedFiles, PublishError> {
    let digest = digest(one);
    if digest != self::digest(other) {
        let what = format!("{} files became {} others", one.len(), other.len());
        return Err(PublishError::Damaged { what });
    }
    Ok(MovedFiles { files: u64::try_from(one.len()).unwrap_or(u64::MAX), digest })
}

fn digest(files: &Files) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes] {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
    }
    hasher.finish()
}
