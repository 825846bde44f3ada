//! Blobs: which bytes the store has, and which repositories hold them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::error::{During as _, StoreError};
use super::segments::SegmentId;
use super::{Exclusive, Store};
use crate::oci::{Digest, Repository};

/// Pieces that a blob may be cut into; segments are at least 128 MiB, so this is terabytes.
const EXTENTS_MAX: usize = 16 * 1024;
/// Blobs indexed in one commit: other writers wait for it.
const INDEX_BATCH: usize = 256;

/// Where one piece of a blob lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// In which segment.
    pub segment: SegmentId,
    /// Offset of its first byte in the segment's file.
    pub offset: u64,
    /// Its length in bytes.
    pub size: u64,
}

/// What became of a blob that was indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// It is new.
    Added,
    /// The store has it elsewhere; the extents are not used.
    AlreadyThere,
}

/// A blob's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlobRow {
    pub(super) id: i64,
    pub(super) size: u64,
    pub(super) is_loose: bool,
}

impl Store {
    /// Says where the bytes of blobs lie in adopted segments, a few hundred to a commit: each commit
    /// waits for the disk. The caller has hashed them. Stops at the first that is refused; those of
    /// commits before it stay.
    ///
    /// # Errors
    /// When the extents of a blob do not add up to its size or leave their segment.
    pub fn index_blobs(
        &self,
        _turn: &Exclusive,
        blobs: &[(Digest, u64, Vec<Extent>)],
        now: Timestamp,
    ) -> Result<Vec<Indexed>, StoreError> {
        let mut all = Vec::new();
        for batch in blobs.chunks(INDEX_BATCH) {
            let indexed: Vec<Indexed> = self.write("index blobs", |tx| {
                let indexed = batch
                    .iter()
                    .map(|(digest, size, extents)| index(tx, digest, *size, extents, now));
                indexed.collect()
            })?;
            all.extend(indexed);
        }
        Ok(all)
    }

    /// Length of a blob that the store has, whoever holds it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn stat(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.read("look for a blob", |tx| Ok(find(tx, digest)?.map(|row| row.size)))
    }

    /// Length of a blob that the repository holds, as a blob.
    ///
    /// # Errors
    /// [`StoreError::BlobUnknown`] when it does not.
    pub fn stat_in(&self, repository: &Repository, digest: &Digest) -> Result<u64, StoreError> {
        self.read("look for a blob", |tx| {
            linked(tx, repository, digest)?.map(|row| row.size).ok_or_else(|| {
                StoreError::BlobUnknown { repository: repository.clone(), digest: *digest }
            })
        })
    }

    /// Lets a repository hold a blob that the store has. Says whether it has it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn link_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write("link a blob", |tx| match find(tx, digest)? {
            Some(blob) => link(tx, repository, blob.id, now).map(|()| true),
            None => Ok(false),
        })
    }

    /// Lets a repository hold a blob of another one. Says whether that one has it; `from` left out
    /// asks all of them.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn mount(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write("mount a blob", |tx| {
            let row = match from {
                Some(from) => linked(tx, from, digest)?,
                None => find(tx, digest)?,
            };
            match row {
                Some(blob) => link(tx, repository, blob.id, now).map(|()| true),
                None => Ok(false),
            }
        })
    }

    /// Makes a repository let go of a blob; its bytes stay until a collection.
    ///
    /// # Errors
    /// [`StoreError::BlobUnknown`] when it does not hold it.
    pub fn unlink_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = "let go of a blob";
        self.write(operation, |tx| {
            let Some(row) = linked(tx, repository, digest)? else {
                let (repository, digest) = (repository.clone(), *digest);
                return Err(StoreError::BlobUnknown { repository, digest });
            };
            tx.prepare_cached(
                "DELETE FROM links WHERE blob = ? AND repository = \
                 (SELECT id FROM repositories WHERE name = ?)",
            )
            .and_then(|mut statement| statement.execute(params![row.id, repository.as_str()]))
            .during(operation)?;
            note_unlinked(tx, row.id, now)
        })
    }
}

/// Where new bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Loose,
    Extents,
}

fn index(
    tx: &Transaction<'_>,
    digest: &Digest,
    size: u64,
    extents: &[Extent],
    now: Timestamp,
) -> Result<Indexed, StoreError> {
    if let Some(known) = find(tx, digest)? {
        if known.size != size {
            return Err(wrong(digest, format!("{size} bytes, the store has {}", known.size)));
        }
        wanted_again(tx, known.id, now)?;
        return Ok(Indexed::AlreadyThere);
    }
    check(tx, digest, size, extents)?;
    let blob = insert(tx, digest, size, Place::Extents, now)?;
    for (ordinal, extent) in extents.iter().enumerate() {
        tx.prepare_cached("INSERT INTO extents VALUES (?, ?, ?, ?, ?)")
            .and_then(|mut statement| {
                statement.execute(params![
                    blob,
                    ordinal,
                    extent.segment.0,
                    extent.offset,
                    extent.size
                ])
            })
            .during("index a blob")?;
    }
    Ok(Indexed::Added)
}

fn wrong(digest: &Digest, why: String) -> StoreError {
    StoreError::Extents { digest: *digest, why }
}

fn check(
    tx: &Transaction<'_>,
    digest: &Digest,
    size: u64,
    extents: &[Extent],
) -> Result<(), StoreError> {
    if extents.len() > EXTENTS_MAX {
        return Err(wrong(digest, format!("more than {EXTENTS_MAX} pieces")));
    }
    let mut total = 0_u64;
    let mut inside: BTreeSet<(i64, u64)> = BTreeSet::new();
    for extent in extents {
        let end = extent.offset.saturating_add(extent.size);
        inside.insert((extent.segment.0, end));
        total = total.saturating_add(extent.size);
    }
    if total != size {
        return Err(wrong(digest, format!("its pieces have {total} bytes, not {size}")));
    }
    for (segment, end) in inside {
        let length: Option<u64> = tx
            .prepare_cached("SELECT size FROM segments WHERE id = ?")
            .and_then(|mut s| s.query_row([segment], |row| row.get(0)).optional())
            .during("find a segment")?;
        if length.is_none_or(|length| end > length) {
            return Err(wrong(digest, format!("a piece ends at {end}, behind its segment")));
        }
    }
    Ok(())
}

/// A blob, whoever holds it; a damaged one is as good as absent.
pub(super) fn find(tx: &Transaction<'_>, digest: &Digest) -> Result<Option<BlobRow>, StoreError> {
    tx.prepare_cached("SELECT id, size, is_loose FROM blobs WHERE digest = ? AND is_damaged = 0")
        .and_then(|mut statement| statement.query_row([digest.to_string()], blob_row).optional())
        .during("look for a blob")
}

/// A blob that a repository holds.
pub(super) fn linked(
    tx: &Transaction<'_>,
    repository: &Repository,
    digest: &Digest,
) -> Result<Option<BlobRow>, StoreError> {
    tx.prepare_cached(
        "SELECT b.id, b.size, b.is_loose FROM blobs b JOIN links l ON l.blob = b.id \
         JOIN repositories r ON r.id = l.repository \
         WHERE b.digest = ? AND b.is_damaged = 0 AND r.name = ?",
    )
    .and_then(|mut statement| {
        statement.query_row(params![digest.to_string(), repository.as_str()], blob_row).optional()
    })
    .during("look for a blob")
}

fn blob_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<BlobRow> {
    Ok(BlobRow { id: row.get(0)?, size: row.get(1)?, is_loose: row.get(2)? })
}

/// Writes down a blob that is not there, or was damaged: repositories then hold it as before.
pub(super) fn insert(
    tx: &Transaction<'_>,
    digest: &Digest,
    size: u64,
    place: Place,
    now: Timestamp,
) -> Result<i64, StoreError> {
    tx.prepare_cached(
        "INSERT INTO blobs (digest, size, is_loose, unlinked_at) VALUES (?, ?, ?, ?) \
         ON CONFLICT (digest) DO UPDATE SET size = excluded.size, is_loose = excluded.is_loose, \
         is_damaged = 0, \
         unlinked_at = iif(unlinked_at IS NULL, NULL, excluded.unlinked_at) RETURNING id",
    )
    .and_then(|mut statement| {
        let is_loose = place == Place::Loose;
        let row = params![digest.to_string(), size, is_loose, now.as_second()];
        statement.query_row(row, |row| row.get(0))
    })
    .during("write down a blob")
}

/// Id of a repository, which is made where there is none.
pub(super) fn repository_id(
    tx: &Transaction<'_>,
    repository: &Repository,
) -> Result<i64, StoreError> {
    let operation = "find a repository";
    if let Some(id) = known_repository(tx, repository)? {
        return Ok(id);
    }
    tx.execute("INSERT INTO repositories (name) VALUES (?)", [repository.as_str()])
        .during(operation)?;
    Ok(tx.last_insert_rowid())
}

/// Id of a repository that exists.
pub(super) fn known_repository(
    tx: &Transaction<'_>,
    repository: &Repository,
) -> Result<Option<i64>, StoreError> {
    tx.prepare_cached("SELECT id FROM repositories WHERE name = ?")
        .and_then(|mut s| s.query_row([repository.as_str()], |row| row.get(0)).optional())
        .during("find a repository")
}

/// Lets a repository hold a blob from now on.
pub(super) fn link(
    tx: &Transaction<'_>,
    repository: &Repository,
    blob: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let operation = "link a blob";
    let repository = repository_id(tx, repository)?;
    tx.prepare_cached(
        "INSERT INTO links (repository, blob, linked_at) VALUES (?, ?, ?) \
         ON CONFLICT (repository, blob) DO UPDATE SET linked_at = excluded.linked_at",
    )
    .and_then(|mut statement| statement.execute(params![repository, blob, now.as_second()]))
    .during(operation)?;
    note_linked(tx, blob)
}

/// Somebody holds the blob.
pub(super) fn note_linked(tx: &Transaction<'_>, blob: i64) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE blobs SET unlinked_at = NULL WHERE id = ? AND unlinked_at NOT NULL")
        .and_then(|mut statement| statement.execute([blob]))
        .during("link a blob")?;
    Ok(())
}

/// Starts the grace of a blob that nobody holds anew: somebody is about to.
fn wanted_again(tx: &Transaction<'_>, blob: i64, now: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE blobs SET unlinked_at = ?2 WHERE id = ?1 AND unlinked_at < ?2")
        .and_then(|mut statement| statement.execute(params![blob, now.as_second()]))
        .during("index a blob")?;
    Ok(())
}

/// Starts the grace of a blob that nobody holds any more.
pub(super) fn note_unlinked(
    tx: &Transaction<'_>,
    blob: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE blobs SET unlinked_at = ?2 WHERE id = ?1 AND unlinked_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM links WHERE blob = ?1) \
         AND NOT EXISTS (SELECT 1 FROM manifests WHERE blob = ?1)",
    )
    .and_then(|mut statement| statement.execute(params![blob, now.as_second()]))
    .during("let go of a blob")?;
    Ok(())
}
