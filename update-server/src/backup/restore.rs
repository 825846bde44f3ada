//! Makes a data directory of a backup: checks everything, then writes.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::error::{BackupError, disk};
use super::files::{copy, create, is_free, make_dir, measure, sync_dir};
use super::{KEYS, Manifest, TUF};
use crate::store::{DATABASE_FILE, check_database};

/// Where files wait until all are there. A hub does not start beside it.
pub const RESTORING: &str = ".restoring";
/// The hub's own lock: no hub may start meanwhile.
const LOCK_FILE: &str = "lock";

/// Makes `data_dir`, which must not exist or be empty, of the backup in `from`.
///
/// # Errors
/// The backup is not what its list says, the directory holds something, or a disk refused. Before
/// the backup was checked as a whole, nothing is written.
pub fn restore(from: &Path, data_dir: &Path) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(from)?;
    if !is_free(data_dir)? {
        return Err(BackupError::NotEmpty { path: data_dir.to_owned() });
    }
    check(from, &manifest)?;
    make_dir(data_dir)?;
    let lock = create(&data_dir.join(LOCK_FILE))?;
    own(&lock, data_dir)?;
    let waiting = data_dir.join(RESTORING);
    make_dir(&waiting)?;
    for file in &manifest.files {
        let copied = copy(&from.join(&file.path), &waiting.join(&file.path), &file.path)?;
        if copied.as_ref() != Some(file) {
            return Err(BackupError::Damaged { path: file.path.clone() });
        }
    }
    for name in [KEYS, TUF, DATABASE_FILE] {
        let (there, place) = (waiting.join(name), data_dir.join(name));
        if there.exists() {
            fs::rename(&there, &place).map_err(disk("create", &place))?;
        }
    }
    sync_dir(data_dir)?;
    fs::remove_dir(&waiting).map_err(disk("remove", &waiting))?;
    sync_dir(data_dir)?;
    Ok(manifest)
}

/// Every file is the one that was backed up, and the database is whole.
fn check(from: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    for file in &manifest.files {
        if measure(&from.join(&file.path), &file.path)? != *file {
            return Err(BackupError::Damaged { path: file.path.clone() });
        }
    }
    let database = from.join(DATABASE_FILE);
    let content = check_database(&database)
        .map_err(|source| BackupError::Database { path: from.to_owned(), source })?;
    if content == manifest.database { Ok(()) } else { Err(BackupError::OtherDatabase) }
}

fn own(lock: &File, data_dir: &Path) -> Result<(), BackupError> {
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => BackupError::Locked { path: data_dir.to_owned() },
        TryLockError::Error(source) => disk("lock", data_dir)(source),
    })
}
