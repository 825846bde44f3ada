//! Pushes under way: bytes arrive in order, are hashed as they arrive, and become a blob when their
//! digest is what the client says.
//!
//! The state of the hash lives in memory; after a restart it is worked out again from the file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension as _, params};
use uuid::Uuid;

use super::blobs::{self, Place};
use super::error::{During as _, Of as _, StoreError};
use super::{Store, files, lock};
use crate::oci::{Algorithm, Digest, Hasher, Repository};

/// Pushes under way at once. A cluster's worth of clients push a few blobs each; each costs a file.
const UPLOADS_MAX: u64 = 1024;
/// A push that nobody ended is forgotten after this long; the slowest real one takes hours.
const UPLOAD_AGE: SignedDuration = SignedDuration::from_hours(48);
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

/// State of hashes, by upload; the first request that needs one works it out again.
pub(super) type Sessions = Mutex<BTreeMap<UploadId, Arc<Mutex<Session>>>>;

/// A push's file and hash.
#[derive(Debug)]
pub(super) struct Session {
    file: File,
    offset: u64,
    hasher: Hasher,
    is_taken: bool,
}

/// A push that this request alone writes to.
#[derive(Debug)]
pub struct Upload {
    store: Store,
    repository: Repository,
    id: UploadId,
    session: Arc<Mutex<Session>>,
}

impl Store {
    /// Begins a push.
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
            file.of("make", &path)
        })?;
        let hasher = Hasher::new(algorithm);
        let session = Session { file, offset: 0, hasher, is_taken: true };
        let session = Arc::new(Mutex::new(session));
        let mut sessions = lock(&self.0.uploads);
        if u64::try_from(sessions.len()).unwrap_or(u64::MAX) >= UPLOADS_MAX {
            // Uploads that another process forgot; what is wanted after all comes from its file.
            sessions.retain(|_, session| Arc::strong_count(session) > 1);
        }
        sessions.insert(id, session.clone());
        drop(sessions);
        Ok(Upload { store: self.clone(), repository: repository.clone(), id, session })
    }

    /// Goes on with a push.
    ///
    /// # Errors
    /// [`StoreError::UploadUnknown`] when the repository has no such push,
    /// [`StoreError::UploadBusy`] while another request writes to it.
    pub fn upload(&self, repository: &Repository, id: UploadId) -> Result<Upload, StoreError> {
        self.known_upload(repository, id)?;
        let known = lock(&self.0.uploads).get(&id).cloned();
        let session = if let Some(session) = known {
            session
        } else {
            let session = Arc::new(Mutex::new(self.restore(repository, id)?));
            lock(&self.0.uploads).entry(id).or_insert(session).clone()
        };
        if std::mem::replace(&mut lock(&session).is_taken, true) {
            return Err(StoreError::UploadBusy { id: id.to_string() });
        }
        Ok(Upload { store: self.clone(), repository: repository.clone(), id, session })
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

    /// Forgets pushes that began two days before `now` and that nobody ended; says how many, and how
    /// many bytes they had.
    ///
    /// # Errors
    /// When a file or the database fails.
    pub fn forget_abandoned_uploads(&self, now: Timestamp) -> Result<(u64, u64), StoreError> {
        self.forget_uploads(now.checked_sub(UPLOAD_AGE).unwrap_or(Timestamp::MIN))
    }

    /// Forgets pushes that began before `before`; says how many, and how many bytes they had.
    fn forget_uploads(&self, before: Timestamp) -> Result<(u64, u64), StoreError> {
        let operation = "list uploads";
        let old: Vec<String> = self.read(operation, |tx| {
            let mut statement = tx
                .prepare_cached("SELECT id FROM uploads WHERE started_at < ?")
                .during(operation)?;
            let rows = statement.query_map([before.as_second()], |row| row.get(0));
            rows.and_then(Iterator::collect).during(operation)
        })?;
        let (mut count, mut bytes) = (0_u64, 0_u64);
        for id in old {
            let Ok(id) = id.parse() else {
                return Err(StoreError::Corrupt { what: "an upload", value: id });
            };
            let size = fs::metadata(self.upload_path(id)).map_or(0, |meta| meta.len());
            self.forget_upload(id)?;
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(size);
        }
        Ok((count, bytes))
    }

    fn forget_upload(&self, id: UploadId) -> Result<(), StoreError> {
        self.write("forget an upload", |tx| {
            tx.execute("DELETE FROM uploads WHERE id = ?", [id.to_string()])
                .during("forget an upload")
        })?;
        lock(&self.0.uploads).remove(&id);
        files::remove(&self.upload_path(id)).map(|_| ())
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
        found.ok_or_else(|| StoreError::UploadUnknown {
            repository: repository.clone(),
            id: id.to_string(),
        })
    }

    fn restore(&self, repository: &Repository, id: UploadId) -> Result<Session, StoreError> {
        let path = self.upload_path(id);
        let opened = File::options().read(true).write(true).open(&path);
        if opened.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            let (repository, id) = (repository.clone(), id.to_string());
            return Err(StoreError::UploadUnknown { repository, id });
        }
        let file = opened.of("open", &path)?;
        let (hasher, offset) = hash_file(&file, Algorithm::Sha256, &path)?;
        Ok(Session { file, offset, hasher, is_taken: false })
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
        lock(&self.session).offset
    }

    /// Hashes with another algorithm from here on. Only a push without bytes can change, so that no
    /// byte is hashed twice; [`Upload::finish`] copes with the rest.
    pub fn expect(&self, algorithm: Algorithm) {
        let mut session = lock(&self.session);
        if session.offset == 0 {
            session.hasher = Hasher::new(algorithm);
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
        let mut session = lock(&self.session);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let end = session.offset.saturating_add(length);
        if end > BLOB_BYTES_MAX {
            return Err(StoreError::TooLarge { what: "a blob", limit: BLOB_BYTES_MAX });
        }
        let written = session.file.write_all_at(bytes, session.offset);
        if written.is_err() {
            // A part of them may have been written.
            session.file.set_len(session.offset).of("shorten", &path)?;
        }
        written.of("write", &path)?;
        session.hasher.update(bytes);
        session.offset = end;
        Ok(())
    }

    /// Makes the bytes a blob of the repository.
    ///
    /// # Errors
    /// [`StoreError::Digest`] when they have another digest; the push is then given up, since no
    /// more bytes can make it right.
    pub fn finish(self, digest: &Digest, now: Timestamp) -> Result<(), StoreError> {
        let path = self.store.upload_path(self.id);
        let (found, size) = self.digest(digest, &path)?;
        if found != *digest {
            self.store.forget_upload(self.id)?;
            return Err(StoreError::Digest { expected: *digest, found });
        }
        let operation = "keep a blob";
        self.store.write(operation, |tx| {
            let blob = if let Some(row) = blobs::find(tx, digest)? {
                row.id
            } else {
                files::put_in_place(&path, &files::loose(self.store.dir(), digest))?;
                blobs::insert(tx, digest, size, Place::Loose, now)?
            };
            blobs::link(tx, &self.repository, blob, now)?;
            tx.execute("DELETE FROM uploads WHERE id = ?", [self.id.to_string()])
                .during(operation)?;
            Ok(())
        })?;
        lock(&self.store.0.uploads).remove(&self.id);
        // The store had it already, in another upload or in a segment.
        files::remove(&path).map(|_| ())
    }

    fn digest(&self, digest: &Digest, path: &Path) -> Result<(Digest, u64), StoreError> {
        let session = lock(&self.session);
        session.file.sync_all().of("sync", path)?;
        let found = session.hasher.clone().finish();
        if found.algorithm() == digest.algorithm() {
            return Ok((found, session.offset));
        }
        let (hasher, size) = hash_file(&session.file, digest.algorithm(), path)?;
        Ok((hasher.finish(), size))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        lock(&self.session).is_taken = false;
    }
}

fn hash_file(file: &File, algorithm: Algorithm, path: &Path) -> Result<(Hasher, u64), StoreError> {
    let (mut hasher, mut offset) = (Hasher::new(algorithm), 0_u64);
    let mut buffer = vec![0; REHASH_BYTES];
    loop {
        let read = file.read_at(&mut buffer, offset).of("read", path)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok((hasher, offset));
        };
        hasher.update(bytes);
        offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
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
