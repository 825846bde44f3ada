//! The repository on disk: `<data-dir>/tuf/{metadata,targets}`, replaced as a whole or not at all.
//!
//! A new set is first written beside the old one with a list of what goes where. Renaming that list
//! to `commit.json` is the one commit point: before it the old set counts and the new files are
//! thrown away, after it the new set counts and moving the files into place is repeated until it is
//! done. Files move in the order in which a reader of the directory may see them: targets, metadata,
//! snapshot, timestamp.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use signing::FileName;

use super::error::PublishError;

/// Where a new set waits.
const STAGED: &str = "staged";

/// The list that commits it.
const COMMIT: &str = "commit.json";

/// The repository's directory.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Commit {
    /// Relative paths; the n-th file waits under the name `n`.
    files: Vec<String>,
}

/// A refusal of the file system, for `map_err`.
pub(super) fn failed<'p>(
    action: &'static str,
    path: &'p Path,
) -> impl FnOnce(io::Error) -> PublishError + 'p {
    move |source| PublishError::Disk { action, path: path.to_owned(), source }
}

/// Makes a directory that only the server's user can enter.
pub(super) fn create_private_dir(path: &Path) -> Result<(), PublishError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), PublishError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(failed("flush", path))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    File::create(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(failed("write", path))
}

impl Disk {
    /// Opens the directory and finishes or throws away what a crash left.
    pub(super) fn open(data_dir: &Path) -> Result<Self, PublishError> {
        let disk = Self { root: data_dir.join("tuf") };
        create_private_dir(&disk.root.join("metadata"))?;
        create_private_dir(&disk.root.join("targets"))?;
        disk.recover()?;
        Ok(disk)
    }

    /// Reads one file; `None` if it does not exist.
    pub(super) fn read(&self, name: &FileName) -> Result<Option<Vec<u8>>, PublishError> {
        let path = self.root.join(name.relative_path());
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Makes `files` (relative path and bytes, in write order) part of the repository.
    ///
    /// An error means that the old set still counts. Trouble after the commit point is logged, and
    /// mended by the next commit or start. Says whether every file is in its place and durable.
    pub(super) fn commit(&self, files: &[(String, Arc<[u8]>)]) -> Result<bool, PublishError> {
        self.recover()?;
        self.stage(files)?;
        let applied = self.apply();
        if let Err(error) = &applied {
            tracing::error!(error = error.chain(), "publication committed but not yet in place");
        }
        Ok(applied.is_ok())
    }

    /// Everything up to the commit point and not further, as if the server was killed there.
    #[cfg(test)]
    pub(super) fn stage_for_test(&self, files: &[(String, Arc<[u8]>)]) {
        self.stage(files).unwrap();
    }

    fn stage(&self, files: &[(String, Arc<[u8]>)]) -> Result<(), PublishError> {
        let staged = self.root.join(STAGED);
        create_private_dir(&staged)?;
        for (number, (_, bytes)) in files.iter().enumerate() {
            write_synced(&staged.join(number.to_string()), bytes)?;
        }
        let commit = Commit { files: files.iter().map(|(path, _)| path.clone()).collect() };
        let list = serde_json::to_vec(&commit)
            .map_err(|error| failed("write", &staged)(io::Error::other(error)))?;
        let draft = staged.join("commit.new");
        write_synced(&draft, &list)?;
        sync_dir(&staged)?;
        sync_dir(&self.root)?;
        seal(&staged, &draft, sync_dir)
    }

    /// Finishes a committed set, or removes one that was not committed.
    fn recover(&self) -> Result<(), PublishError> {
        let staged = self.root.join(STAGED);
        if staged.join(COMMIT).exists() {
            return self.apply();
        }
        match fs::remove_dir_all(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &staged)(error))
            }
            _ => Ok(()),
        }
    }

    /// Moves the files of a committed set into place; idempotent.
    fn apply(&self) -> Result<(), PublishError> {
        let staged = self.root.join(STAGED);
        let list = staged.join(COMMIT);
        let bytes = fs::read(&list).map_err(failed("read", &list))?;
        let commit: Commit = serde_json::from_slice(&bytes)
            .map_err(|error| PublishError::Damaged { what: format!("{COMMIT}: {error}") })?;
        let mut touched = BTreeSet::new();
        for (number, file) in commit.files.iter().enumerate() {
            let name = FileName::from_relative_path(file)
                .map_err(|error| PublishError::Damaged { what: format!("{COMMIT}: {error}") })?;
            let to = self.root.join(name.relative_path());
            place(&staged.join(number.to_string()), &to)?;
            let inside = to.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.root));
            touched.extend(inside.map(Path::to_path_buf));
        }
        touched.iter().try_for_each(|directory| sync_dir(directory))?;
        fs::remove_file(&list).map_err(failed("remove", &list))?;
        sync_dir(&staged)?;
        fs::remove_dir_all(&staged).map_err(failed("remove", &staged))
    }

    /// Removes files that are not in `keep` (relative paths). Leftovers harm nobody, so a file that
    /// cannot be removed is only logged.
    pub(super) fn sweep(&self, keep: &BTreeSet<String>) {
        for directory in ["metadata", "targets"] {
            if let Err(error) = self.sweep_dir(directory, keep) {
                tracing::warn!(directory, error = error.chain(), "old files not removed");
            }
        }
    }

    fn sweep_dir(&self, relative: &str, keep: &BTreeSet<String>) -> Result<(), PublishError> {
        let directory = self.root.join(relative);
        for entry in fs::read_dir(&directory).map_err(failed("list", &directory))? {
            let entry = entry.map_err(failed("list", &directory))?;
            let path = entry.path();
            // Every file of ours has a name that is text; others are not ours to remove.
            let Some(name) = entry.file_name().to_str().map(|n| format!("{relative}/{n}")) else {
                continue;
            };
            let kind = entry.file_type().map_err(failed("list", &path))?;
            if kind.is_dir() {
                self.sweep_dir(&name, keep)?;
            } else if kind.is_file() && !keep.contains(&name) {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// Commits a staged set: after a good end it counts, after an error it does not. A crash in
/// between may keep either.
fn seal(
    staged: &Path,
    draft: &Path,
    flush: impl Fn(&Path) -> Result<(), PublishError>,
) -> Result<(), PublishError> {
    let commit = staged.join(COMMIT);
    fs::rename(draft, &commit).map_err(failed("commit", &commit))?;
    let Err(error) = flush(staged) else { return Ok(()) };
    // The list is in place, durable or not: the next start would apply what the caller is told
    // has failed.
    if let Err(stuck) = fs::remove_file(&commit) {
        tracing::error!(error = error.chain(), %stuck, "publication committed, perhaps not durable");
        return Ok(());
    }
    // The disk may still hold the list; if it cannot take this either, nobody can know.
    if let Err(error) = flush(staged) {
        tracing::error!(error = error.chain(), "withdrawn publication may come back after a crash");
    }
    Err(error)
}

/// Moves one staged file to its place, unless an earlier attempt already did.
fn place(from: &Path, to: &Path) -> Result<(), PublishError> {
    if let Some(parent) = to.parent() {
        create_private_dir(parent)?;
    }
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => Ok(()),
        other => other.map_err(failed("place", to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let draft = dir.path().join("commit.new");
        fs::write(&draft, b"{}").unwrap();
        (dir, draft)
    }

    fn broken(path: &Path) -> PublishError {
        failed("flush", path)(io::Error::other("broken disk"))
    }

    #[test]
    fn a_commit_that_cannot_be_flushed_is_withdrawn() {
        let (dir, draft) = staged();
        let error = seal(dir.path(), &draft, |path| Err(broken(path))).unwrap_err();
        assert!(error.to_string().contains("cannot flush"), "{error}");
        assert!(!dir.path().join(COMMIT).exists(), "a restart would apply it");
    }

    #[test]
    fn a_commit_that_can_be_neither_flushed_nor_withdrawn_counts() {
        let (dir, draft) = staged();
        let stuck = |path: &Path| {
            // A directory of that name is one way for the removal to fail.
            fs::remove_file(path.join(COMMIT)).unwrap();
            fs::create_dir(path.join(COMMIT)).unwrap();
            Err(broken(path))
        };
        seal(dir.path(), &draft, stuck).unwrap();
    }
}
