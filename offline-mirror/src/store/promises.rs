//! Holds on blobs that somebody was told about, and that last from then on as if they were new.
//!
//! A client that learns that a repository has a blob does not push it, and pushes a manifest that
//! needs it some time later. A collection in between leaves what was held within its grace.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::error::{During as _, StoreError};
use super::{Store, blobs};
use crate::oci::{Digest, Repository};

/// A hold younger than this is left as it is, so that a blob that many ask for is written down once a
/// minute. Short beside the grace of a collection.
const FRESH: SignedDuration = SignedDuration::from_mins(1);

impl Store {
    /// Length of a blob that the repository holds, and goes on holding as if it had been pushed at
    /// `now`.
    ///
    /// # Errors
    /// [`StoreError::BlobUnknown`] when it does not hold it.
    pub fn promise(
        &self,
        repository: &Repository,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let operation = "promise a blob";
        let unknown =
            || StoreError::BlobUnknown { repository: repository.clone(), digest: *digest };
        let (blob, linked_at) = self.read(operation, |tx| {
            let blob = blobs::linked(tx, repository, digest)?.ok_or_else(unknown)?;
            let linked_at: i64 = tx
                .prepare_cached(
                    "SELECT l.linked_at FROM links l JOIN repositories r ON r.id = l.repository \
                     WHERE l.blob = ? AND r.name = ?",
                )
                .and_then(|mut statement| {
                    statement.query_row(params![blob.id, repository.as_str()], |row| row.get(0))
                })
                .during(operation)?;
            Ok((blob, linked_at))
        })?;
        if now.as_second().saturating_sub(linked_at) < FRESH.as_secs() {
            return Ok(blob.size);
        }
        let held = self.write(operation, |tx| {
            tx.execute(
                "UPDATE links SET linked_at = ? WHERE blob = ? AND repository = \
                 (SELECT id FROM repositories WHERE name = ?)",
                params![now.as_second(), blob.id, repository.as_str()],
            )
            .during(operation)
        })?;
        // Let go of since it was looked for.
        if held == 0 { Err(unknown()) } else { Ok(blob.size) }
    }

    /// [`Store::promise`] of all blobs that a manifest of the repository needs and that it holds:
    /// before the manifest is deleted, since a client may push it again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn promise_blobs_of(
        &self,
        repository: &Repository,
        manifest: &Digest,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = "promise blobs";
        self.write(operation, |tx| {
            tx.execute(
                "UPDATE links SET linked_at = ?1 WHERE (repository, blob) IN \
                 (SELECT c.repository, b.id FROM children c JOIN blobs b ON b.digest = c.child \
                  JOIN blobs m ON m.id = c.manifest JOIN repositories r ON r.id = c.repository \
                  WHERE r.name = ?2 AND m.digest = ?3)",
                params![now.as_second(), repository.as_str(), manifest.to_string()],
            )
            .during(operation)?;
            Ok(())
        })
    }
}
