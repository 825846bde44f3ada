//! Where files of the store lie, and how they become durable.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::error::{Of as _, StoreError};
use crate::oci::{Algorithm, Digest};

/// Read by owner and group, written by nobody: blobs and segments never change.
const READ_ONLY: u32 = 0o444;
/// While holes are punched.
const OWNER_WRITES: u32 = 0o644;

/// Folder of adopted segments.
pub(super) const SEGMENTS: &str = "segments";
/// Folder of pushes under way.
pub(super) const UPLOADS: &str = "uploads";
/// Folder of loose blobs.
pub(super) const BLOBS: &str = "blobs";

/// Makes the folders of a store, for its owner alone.
pub(super) fn make_private_dirs(dir: &Path) -> Result<(), StoreError> {
    let mut folders = vec![dir.to_owned(), dir.join(SEGMENTS), dir.join(UPLOADS)];
    folders.extend(Algorithm::ALL.map(|a| dir.join(BLOBS).join(a.as_str())));
    for folder in folders {
        make_dir(&folder)?;
    }
    Ok(())
}

fn make_dir(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).of("make the folder", folder)
}

/// Path of a loose blob. Only checked hex digits become part of it.
pub(super) fn loose(dir: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    let fan: String = hex.chars().take(2).collect();
    dir.join(BLOBS).join(digest.algorithm().as_str()).join(fan).join(hex)
}

/// Moves a synced file to its final place and makes the move durable.
pub(super) fn put_in_place(from: &Path, to: &Path) -> Result<(), StoreError> {
    if let Some(folder) = to.parent().filter(|folder| !folder.is_dir()) {
        make_dir(folder)?;
        sync_parent(folder)?;
    }
    make_read_only(from)?;
    fs::rename(from, to).of("put in place", to)?;
    sync_parent(to)
}

/// Makes what happened in the folder of `path` durable.
pub(super) fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).of("sync the folder", folder)
}

/// Takes write permission away.
pub(super) fn make_read_only(path: &Path) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(READ_ONLY)).of("make read-only", path)
}

/// Gives the owner write permission.
pub(super) fn make_writable(path: &Path) -> Result<(), StoreError> {
    fs::set_permissions(path, Permissions::from_mode(OWNER_WRITES)).of("make writable", path)
}

/// Deletes a file; one that is gone already is fine. Says whether there was one.
pub(super) fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).of("delete", path),
    }
}
