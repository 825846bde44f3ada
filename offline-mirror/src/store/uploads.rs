//! Pushes under way: bytes arrive in order, are hashed as they arrive, and become a blob when their
//! digest is what the client says.
//!
//! Whoever writes to a push has its file locked, so that one request at a time does, whichever
//! process it came to. The state of the hash lives in memory between requests; it is worked out again
//! from the file after a restart, and when another process wrote meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, Metadata, TryLockError};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Mutex;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use super::blobs::{self, Place};
use super::error::{During as _, Of as _, StoreError};
use super::{Store, files, lock};
use crate::oci::{Algorithm, Digest, Hasher, Repository};

/// Pushes under way at once. A cluster's worth of clients push a few blobs each; each costs a file.
pub(super) const UPLOADS_MAX: u64 = 1024;
/// Hashes kept between requests; others are worked out again.
const SESSIONS_MAX: usize = 1024;
/// Longest blob; larger than any layer seen, smaller than a disk.
const BLOB_BYTES_MAX: u64 = 1 << 40;
/// Bytes hashed at once when a hash is worked out again.
const REHASH_BYTES: usize = 1024 * 1024;

/// Names a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Uuid);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for UploadId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

/// State of hashes between requests, by upload.
pub(super) type Sessions = Mutex<BTreeMap<UploadId, Session>>;

/// How far a push is, and the file as it was then.
#[derive(Debug)]
pub(super) struct Session {
    progress: Progress,
    changed_at: (i64, i64),
}

/// Bytes taken in, and their hash.
#[derive(Debug, Clone)]
struct Progress {
    offset: u64,
    hasher: Hasher,
}

/// A push that this request alone writes to: its file is locked until this is dropped.
#[derive(Debug)]
pub struct Upload {
    store: Store,
    repository: Repository,
    id: UploadId,
    file: File,
    progress: Mutex<Progress>,
}

impl Store {
    /// Begins a push. Where no place is left, those that rest longest make room.
    ///
    /// # Errors
    /// When too many are under way or the file cannot be made.
    pub fn begin_upload(
        &self,
        repository: &Repository,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Result<Upload, StoreError> {
        let operation = "begin an upload";
        self.make_room_for_upload(now)?;
        let id = UploadId(Uuid::new_v4());
        let path = self.upload_path(id);
        let file = self.write(operation, |tx| {
            let count: u64 = tx
                .query_row("SELECT count(*) FROM uploads", [], |row| row.get(0))
                .during(operation)?;
            if count >= UPLOADS_MAX {
                return Err(StoreError::TooMuch { what: "uploads at once", limit: UPLOADS_MAX });
            }
            let repository = blobs::repository_id(tx, repository)?;
            tx.execute(
                "INSERT INTO uploads VALUES (?, ?, ?)",
                params![id.to_string(), repository, now.as_second()],
            )
            .during(operation)?;
            // Inside the transaction, or a collection could take it for a stray.
            let file = File::options().read(true).write(true).create_new(true).open(&path);
            let file = file.of("make", &path)?;
            lock_file(&file, id, &path)?;
            Ok(file)
        })?;
        let progress = Mutex::new(Progress { offset: 0, hasher: Hasher::new(algorithm) });
        let (store, repository) = (self.clone(), repository.clone());
        Ok(Upload { store, repository, id, file, progress })
    }

    /// Goes on with a push.
    ///
    /// # Errors
    /// [`StoreError::UploadUnknown`] when the repository has no such push,
    /// [`StoreError::UploadBusy`] while another request writes to it.
    pub fn upload(&self, repository: &Repository, id: UploadId) -> Result<Upload, StoreError> {
        self.known_upload(repository, id)?;
        let path = self.upload_path(id);
        let opened = File::options().read(true).write(true).open(&path);
        if opened.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            return Err(unknown(repository, id));
        }
        let file = opened.of("open", &path)?;
        lock_file(&file, id, &path)?;
        // Whoever had it may have ended it meanwhile, and what was opened is a blob.
        self.known_upload(repository, id)?;
        let meta = file.metadata().of("look at", &path)?;
        let kept = lock(&self.0.uploads).remove(&id);
        let kept = kept.filter(|session| session.is_of(&meta)).map(|session| session.progress);
        let progress = match kept {
            Some(progress) => progress,
            None => hash_file(&file, Algorithm::Sha256, &path)?,
        };
        let (store, repository) = (self.clone(), repository.clone());
        Ok(Upload { store, repository, id, file, progress: Mutex::new(progress) })
    }

    /// Bytes that a push has so far.
    ///
    /// # Errors
    /// [`StoreError::UploadUnknown`] when the repository has no such push.
    pub fn upload_offset(&self, repository: &Repository, id: UploadId) -> Result<u64, StoreError> {
        self.known_upload(repository, id)?;
        let path = self.upload_path(id);
        Ok(fs::metadata(&path).of("look at", &path)?.len())
    }

    /// Gives up a push and its bytes.
    ///
    /// # Errors
    /// [`StoreError::UploadUnknown`] when the repository has no such push.
    pub fn cancel_upload(&self, repository: &Repository, id: UploadId) -> Result<(), StoreError> {
        self.known_upload(repository, id)?;
        self.forget_upload(id)
    }

    fn known_upload(&self, repository: &Repository, id: UploadId) -> Result<(), StoreError> {
        let operation = "look for an upload";
        let found = self.read(operation, |tx| {
            tx.query_row(
                "SELECT 1 FROM uploads u JOIN repositories r ON r.id = u.repository \
                 WHERE u.id = ? AND r.name = ?",
                params![id.to_string(), repository.as_str()],
                |_| Ok(()),
            )
            .optional()
            .during(operation)
        })?;
        found.ok_or_else(|| unknown(repository, id))
    }

    pub(super) fn upload_path(&self, id: UploadId) -> PathBuf {
        self.dir().join(files::UPLOADS).join(id.to_string())
    }
}

impl Upload {
    /// Its name.
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// Bytes that it has so far.
    pub fn offset(&self) -> u64 {
        lock(&self.progress).offset
    }

    /// Hashes with another algorithm from here on. Only a push without bytes can change, so that no
    /// byte is hashed twice; [`Upload::finish`] copes with the rest.
    pub fn expect(&self, algorithm: Algorithm) {
        let mut progress = lock(&self.progress);
        if progress.offset == 0 {
            progress.hasher = Hasher::new(algorithm);
        }
    }

    /// Refuses a piece that does not begin where the last one ended.
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`].
    pub fn continues_at(&self, found: u64) -> Result<(), StoreError> {
        let expected = self.offset();
        if found == expected { Ok(()) } else { Err(StoreError::OutOfOrder { expected, found }) }
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// When they cannot be written; the push is then where it was before.
    pub fn append(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.store.upload_path(self.id);
        let mut progress = lock(&self.progress);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let end = progress.offset.saturating_add(length);
        if end > BLOB_BYTES_MAX {
            return Err(StoreError::TooLarge { what: "a blob", limit: BLOB_BYTES_MAX });
        }
        let written = self.file.write_all_at(bytes, progress.offset);
        if written.is_err() {
            // A part of them may have been written.
            self.file.set_len(progress.offset).of("shorten", &path)?;
        }
        written.of("write", &path)?;
        progress.hasher.update(bytes);
        progress.offset = end;
        Ok(())
    }

    /// Makes the bytes a blob of the repository.
    ///
    /// # Errors
    /// [`StoreError::Digest`] when they have another digest; the push is then given up, since no
    /// more bytes can make it right. [`StoreError::UploadUnknown`] when it was given up meanwhile.
    pub fn finish(self, digest: &Digest, now: Timestamp) -> Result<(), StoreError> {
        let path = self.store.upload_path(self.id);
        let (found, size) = self.digest(digest, &path)?;
        if found != *digest {
            self.store.forget_upload(self.id)?;
            return Err(StoreError::Digest { expected: *digest, found });
        }
        let operation = "keep a blob";
        self.store.write(operation, |tx| {
            let ended = tx.execute("DELETE FROM uploads WHERE id = ?", [self.id.to_string()]);
            if ended.during(operation)? == 0 {
                return Err(unknown(&self.repository, self.id));
            }
            let blob = if let Some(row) = blobs::find(tx, digest)? {
                row.id
            } else {
                files::put_in_place(&path, &files::loose(self.store.dir(), digest))?;
                blobs::insert(tx, digest, size, Place::Loose, now)?
            };
            blobs::link(tx, &self.repository, blob, now)
        })?;
        // The store had it already, in another upload or in a segment.
        files::remove(&path).map(|_| ())
    }

    fn digest(&self, digest: &Digest, path: &Path) -> Result<(Digest, u64), StoreError> {
        self.file.sync_all().of("sync", path)?;
        let progress = lock(&self.progress).clone();
        let found = progress.hasher.finish();
        if found.algorithm() == digest.algorithm() {
            return Ok((found, progress.offset));
        }
        let again = hash_file(&self.file, digest.algorithm(), path)?;
        Ok((again.hasher.finish(), again.offset))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // No file is left of a push that became a blob or was given up.
        if let Ok(meta) = fs::symlink_metadata(self.store.upload_path(self.id)) {
            let progress = lock(&self.progress).clone();
            let mut sessions = lock(&self.store.0.uploads);
            if sessions.len() >= SESSIONS_MAX {
                sessions.pop_first();
            }
            sessions.insert(self.id, Session { progress, changed_at: changed_at(&meta) });
        }
        // Said aloud: a child that is just being started has a copy of the handle.
        drop(self.file.unlock());
    }
}

impl Session {
    /// Whether nobody wrote to the file since.
    fn is_of(&self, meta: &Metadata) -> bool {
        self.progress.offset == meta.len() && self.changed_at == changed_at(meta)
    }
}

/// Seconds and nanoseconds.
fn changed_at(meta: &Metadata) -> (i64, i64) {
    (meta.mtime(), meta.mtime_nsec())
}

fn unknown(repository: &Repository, id: UploadId) -> StoreError {
    StoreError::UploadUnknown { repository: repository.clone(), id: id.to_string() }
}

/// Locks the file of a push; whoever has the lock alone writes to it or forgets it.
pub(super) fn lock_file(file: &File, id: UploadId, path: &Path) -> Result<(), StoreError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(StoreError::UploadBusy { id: id.to_string() }),
        Err(TryLockError::Error(source)) => Err(source).of("lock", path),
    }
}

fn hash_file(file: &File, algorithm: Algorithm, path: &Path) -> Result<Progress, StoreError> {
    let mut progress = Progress { offset: 0, hasher: Hasher::new(algorithm) };
    let mut buffer = vec![0; REHASH_BYTES];
    loop {
        let read = file.read_at(&mut buffer, progress.offset).of("read", path)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(progress);
        };
        progress.hasher.update(bytes);
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        progress.offset = progress.offset.saturating_add(read);
    }
}

/// Bytes that were written beside the blobs and wait to be put in place.
#[derive(Debug)]
pub(super) struct Staged(PathBuf);

/// Writes and syncs bytes outside of any transaction.
pub(super) fn stage(dir: &Path, bytes: &[u8]) -> Result<Staged, StoreError> {
    let path = dir.join(files::UPLOADS).join(Uuid::new_v4().to_string());
    let staged = Staged(path);
    let path = &staged.0;
    let file = File::options().write(true).create_new(true).open(path).of("make", path)?;
    file.write_all_at(bytes, 0).of("write", path)?;
    file.sync_all().of("sync", path)?;
    Ok(staged)
}

/// Puts staged bytes in place as a loose blob.
pub(super) fn place_staged(
    dir: &Path,
    staged: Option<&Staged>,
    digest: &Digest,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let target = files::loose(dir, digest);
    match staged {
        Some(staged) if staged.0.exists() => files::put_in_place(&staged.0, &target),
        // A collection took the blob away since it was looked for, or the staged file for a stray.
        Some(_) | None => files::put_in_place(&stage(dir, bytes)?.0, &target),
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already when it was put in place; what stays after a kill goes with old uploads.
        drop(files::remove(&self.0));
    }
}
