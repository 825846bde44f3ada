//! Manifests and tags of repositories. A manifest's bytes are a blob like any other, kept as they
//! came.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::blobs::{self, Place};
use super::error::{During as _, StoreError};
use super::{Store, uploads};
use crate::oci::{
    Content, Digest, INDEX_TYPES, MANIFEST_BYTES_MAX, MANIFEST_TYPES, Manifest, ManifestError,
    NameError, Repository, Tag,
};

/// Tags of one repository; real ones have thousands, and each is a row.
const TAGS_MAX: u64 = 100_000;

/// How somebody names a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By a tag.
    Tag(Tag),
    /// By its digest.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.parse() {
            Ok(digest) => Ok(Self::Digest(digest)),
            // No tag holds a colon, so a digest we cannot check is refused here.
            Err(_) => text.parse().map(Self::Tag),
        }
    }
}

/// What a repository must hold before it takes a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// Config and layers must be held by the repository: what a registry asks of a push.
    MustBeHeld,
    /// Config and layers that the store has are given to the repository: for an import, which
    /// brought them.
    Give,
}

/// How a manifest is put.
#[derive(Debug, Clone)]
pub struct Put<'a> {
    /// The tag it gets, or the digest it must have.
    pub reference: &'a Reference,
    /// Media type that the sender says; none where nobody says one.
    pub media_type: Option<&'a str>,
    /// What must be there first. Children of an index and layers that registries need not hold may
    /// always be absent: a site carries the architectures it uses.
    pub children: Children,
}

/// A manifest that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutManifest {
    /// Its digest.
    pub digest: Digest,
    /// The manifest that it is about.
    pub subject: Option<Digest>,
}

/// A manifest as it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// Its digest.
    pub digest: Digest,
    /// Media type to serve it under.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Store {
    /// Puts a manifest into a repository, and tags it where the reference is a tag.
    ///
    /// # Errors
    /// When the bytes are no manifest, have another digest or media type than was said, or need a
    /// blob that is not there.
    pub fn put_manifest(
        &self,
        repository: &Repository,
        bytes: &[u8],
        put: &Put<'_>,
        now: Timestamp,
    ) -> Result<PutManifest, StoreError> {
        let manifest =
            Manifest::parse(bytes).map_err(|source| StoreError::ManifestInvalid { source })?;
        let media_type = media_type(&manifest, bytes, put.media_type)?;
        let digest = match put.reference {
            Reference::Tag(_) => Digest::of(bytes),
            Reference::Digest(expected) => {
                let found = expected.same_of(bytes);
                if found != *expected {
                    return Err(StoreError::Digest { expected: *expected, found });
                }
                found
            }
        };
        let staged = match self.stat(&digest)? {
            Some(_) => None,
            None => Some(uploads::stage(self.dir(), bytes)?),
        };
        self.write("keep a manifest", |tx| {
            let repository_id = blobs::repository_id(tx, repository)?;
            hold_children(tx, repository, &manifest, &digest, put.children, now)?;
            let blob = if let Some(row) = blobs::find(tx, &digest)? {
                row.id
            } else {
                let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                uploads::place_staged(self.dir(), staged.as_ref(), &digest, bytes)?;
                blobs::insert(tx, &digest, size, Place::Loose, now)?
            };
            insert(tx, repository_id, blob, &media_type, &manifest)?;
            if let Reference::Tag(tag) = put.reference {
                set_tag(tx, repository_id, tag, blob)?;
            }
            Ok(())
        })?;
        Ok(PutManifest { digest, subject: manifest.subject.map(|subject| subject.digest) })
    }

    /// Gives a manifest that the repository has one more tag, or moves the tag to it.
    ///
    /// # Errors
    /// [`StoreError::ManifestUnknown`] when the repository does not have it.
    pub fn tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        self.write("tag a manifest", |tx| {
            let (repository_id, blob, _) = find(tx, repository, &Reference::Digest(*digest))?;
            set_tag(tx, repository_id, tag, blob)
        })
    }

    /// Finds a manifest.
    ///
    /// # Errors
    /// [`StoreError::ManifestUnknown`] when the repository does not have it.
    pub fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<StoredManifest, StoreError> {
        self.read("look for a manifest", |tx| Ok(find(tx, repository, reference)?.2))
    }

    /// A manifest with its bytes.
    ///
    /// # Errors
    /// [`StoreError::ManifestUnknown`] when the repository does not have it.
    pub fn manifest_bytes(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<(StoredManifest, Vec<u8>), StoreError> {
        let (stored, reader) = self.read("read a manifest", |tx| {
            let (_, _, stored) = find(tx, repository, reference)?;
            let row =
                blobs::find(tx, &stored.digest)?.ok_or_else(|| unknown(repository, reference))?;
            let reader = self.reader_of(tx, &stored.digest, row, None)?;
            Ok((stored, reader))
        })?;
        Ok((stored, reader.read_all(MANIFEST_BYTES_MAX)?))
    }

    /// Removes a manifest with its tags, or one tag alone. Bytes stay until a collection; referrers
    /// of the manifest stay manifests of the repository.
    ///
    /// # Errors
    /// [`StoreError::ManifestUnknown`] when the repository does not have it.
    pub fn delete_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let operation = "delete a manifest";
        self.write(operation, |tx| {
            let (repository_id, blob, _) = find_any(tx, repository, reference)?;
            if let Reference::Tag(tag) = reference {
                tx.execute(
                    "DELETE FROM tags WHERE repository = ? AND tag = ?",
                    params![repository_id, tag.as_str()],
                )
                .during(operation)?;
                return Ok(());
            }
            tx.execute(
                "DELETE FROM manifests WHERE repository = ? AND blob = ?",
                params![repository_id, blob],
            )
            .during(operation)?;
            blobs::note_unlinked(tx, blob, now)
        })
    }
}

fn unknown(repository: &Repository, reference: &Reference) -> StoreError {
    let (repository, reference) = (repository.clone(), reference.to_string());
    StoreError::ManifestUnknown { repository, reference }
}

/// The type to serve it under. A manifest that does not say is what its sender says, as long as its
/// members fit that.
fn media_type(manifest: &Manifest, bytes: &[u8], said: Option<&str>) -> Result<String, StoreError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Own {
        media_type: Option<String>,
    }
    let Some(said) = said.filter(|said| !said.is_empty()) else {
        return Ok(manifest.media_type.clone());
    };
    let own: Own = serde_json::from_slice(bytes).map_err(|e| StoreError::ManifestInvalid {
        source: ManifestError { why: e.to_string() },
    })?;
    let fits = match (&own.media_type, &manifest.content) {
        (Some(own), _) => own == said,
        (None, Content::Image { .. }) => MANIFEST_TYPES.contains(&said),
        (None, Content::Index { .. }) => INDEX_TYPES.contains(&said),
    };
    if fits {
        return Ok(said.to_owned());
    }
    Err(StoreError::MediaType { said: said.to_owned(), found: manifest.media_type.clone() })
}

fn hold_children(
    tx: &Transaction<'_>,
    repository: &Repository,
    manifest: &Manifest,
    digest: &Digest,
    children: Children,
    now: Timestamp,
) -> Result<(), StoreError> {
    for blob in manifest.blobs() {
        if blobs::linked(tx, repository, &blob.digest)?.is_some() {
            continue;
        }
        let known = blobs::find(tx, &blob.digest)?;
        match (children, known) {
            (Children::Give, Some(row)) => blobs::link(tx, repository, row.id, now)?,
            (Children::MustBeHeld, Some(row)) if holds_manifest(tx, repository, row.id)? => {}
            _ if blob.may_be_elsewhere() => {}
            _ => {
                return Err(StoreError::ManifestBlobUnknown {
                    repository: repository.clone(),
                    manifest: *digest,
                    digest: blob.digest,
                });
            }
        }
    }
    Ok(())
}

fn holds_manifest(
    tx: &Transaction<'_>,
    repository: &Repository,
    blob: i64,
) -> Result<bool, StoreError> {
    tx.prepare_cached(
        "SELECT 1 FROM manifests WHERE blob = ? AND repository = \
         (SELECT id FROM repositories WHERE name = ?)",
    )
    .and_then(|mut statement| statement.exists(params![blob, repository.as_str()]))
    .during("look for a manifest")
}

fn insert(
    tx: &Transaction<'_>,
    repository: i64,
    blob: i64,
    media_type: &str,
    manifest: &Manifest,
) -> Result<(), StoreError> {
    let operation = "keep a manifest";
    let annotations = serde_json::to_string(&manifest.annotations).unwrap_or_default();
    tx.prepare_cached(
        "INSERT INTO manifests (repository, blob, media_type, subject, artifact_type, annotations) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (repository, blob) DO UPDATE SET \
         media_type = excluded.media_type",
    )
    .and_then(|mut statement| {
        let subject = manifest.subject.as_ref().map(|subject| subject.digest.to_string());
        let artifact_type = &manifest.artifact_type;
        statement.execute(params![
            repository,
            blob,
            media_type,
            subject,
            artifact_type,
            annotations
        ])
    })
    .during(operation)?;
    for child in manifest.blobs().chain(manifest.children()) {
        tx.prepare_cached("INSERT OR IGNORE INTO children VALUES (?, ?, ?)")
            .and_then(|mut s| s.execute(params![repository, blob, child.digest.to_string()]))
            .during(operation)?;
    }
    blobs::note_linked(tx, blob)
}

fn set_tag(tx: &Transaction<'_>, repository: i64, tag: &Tag, blob: i64) -> Result<(), StoreError> {
    let operation = "tag a manifest";
    let count: u64 = tx
        .prepare_cached("SELECT count(*) FROM tags WHERE repository = ? AND tag <> ?")
        .and_then(|mut s| s.query_row(params![repository, tag.as_str()], |row| row.get(0)))
        .during(operation)?;
    if count >= TAGS_MAX {
        return Err(StoreError::TooMuch { what: "tags of one repository", limit: TAGS_MAX });
    }
    tx.prepare_cached(
        "INSERT INTO tags VALUES (?, ?, ?) \
         ON CONFLICT (repository, tag) DO UPDATE SET manifest = excluded.manifest",
    )
    .and_then(|mut statement| statement.execute(params![repository, tag.as_str(), blob]))
    .during(operation)?;
    Ok(())
}

/// Ids of repository and blob, and the manifest; a damaged one is as good as absent.
fn find(
    tx: &Transaction<'_>,
    repository: &Repository,
    reference: &Reference,
) -> Result<(i64, i64, StoredManifest), StoreError> {
    let found = find_any(tx, repository, reference)?;
    match blobs::find(tx, &found.2.digest)? {
        Some(_) => Ok(found),
        None => Err(unknown(repository, reference)),
    }
}

/// The same of a manifest that may be damaged.
fn find_any(
    tx: &Transaction<'_>,
    repository: &Repository,
    reference: &Reference,
) -> Result<(i64, i64, StoredManifest), StoreError> {
    let sql = match reference {
        Reference::Tag(_) => {
            "SELECT r.id, b.id, b.digest, m.media_type, b.size FROM repositories r \
             JOIN tags t ON t.repository = r.id \
             JOIN manifests m ON m.repository = r.id AND m.blob = t.manifest \
             JOIN blobs b ON b.id = m.blob WHERE r.name = ? AND t.tag = ?"
        }
        Reference::Digest(_) => {
            "SELECT r.id, b.id, b.digest, m.media_type, b.size FROM repositories r \
             JOIN manifests m ON m.repository = r.id JOIN blobs b ON b.id = m.blob \
             WHERE r.name = ? AND b.digest = ?"
        }
    };
    let found = tx
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_row(params![repository.as_str(), reference.to_string()], |row| {
                    let digest: String = row.get(2)?;
                    Ok((row.get(0)?, row.get(1)?, digest, row.get(3)?, row.get(4)?))
                })
                .optional()
        })
        .during("look for a manifest")?;
    let Some((repository_id, blob, digest, media_type, size)) = found else {
        return Err(unknown(repository, reference));
    };
    let digest = parse_digest(&digest)?;
    Ok((repository_id, blob, StoredManifest { digest, media_type, size }))
}

/// A digest that the database holds.
pub(super) fn parse_digest(text: &str) -> Result<Digest, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt { what: "a digest", value: text.to_owned() })
}
