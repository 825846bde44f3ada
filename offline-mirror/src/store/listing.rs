//! What the store has: repositories, tags, everything for an inventory, totals.

use rusqlite::params;
use serde::Serialize;

use super::Store;
use super::blobs::known_repository;
use super::error::{During as _, StoreError};
use super::manifests::parse_digest;
use crate::oci::{Digest, Repository, Tag};

/// Names in one page; clients that want more ask again.
const PAGE_MAX: usize = 10_000;
/// Digests in one page of [`Store::held`]: a few megabytes of memory.
const HELD_MAX: usize = 10_000;

/// One page of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The names, in byte order.
    pub names: Vec<T>,
    /// Whether more follow.
    pub more: bool,
}

/// Something that repositories hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether a repository holds it as a manifest.
    pub is_manifest: bool,
    /// The repositories, in order.
    pub repositories: Vec<Repository>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Repositories.
    pub repositories: u64,
    /// Manifests, each counted per repository.
    pub manifests: u64,
    /// Tags.
    pub tags: u64,
    /// Blobs, manifests among them, each once.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Bytes of those that no repository holds.
    pub unlinked_bytes: u64,
    /// Adopted segments.
    pub segments: u64,
    /// Pushes under way.
    pub uploads: u64,
}

impl Store {
    /// Tags of a repository behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::NameUnknown`] when the repository holds nothing.
    pub fn tags(
        &self,
        repository: &Repository,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Page<Tag>, StoreError> {
        let names = self.read("list tags", |tx| {
            let Some(id) = known_repository(tx, repository)? else {
                return Err(StoreError::NameUnknown { repository: repository.clone() });
            };
            let sql =
                "SELECT tag FROM tags WHERE repository = ?1 AND tag > ?2 ORDER BY tag LIMIT ?3";
            names(tx, sql, params![id, after.unwrap_or(""), fetched(limit)])
        })?;
        page(names, limit, "a tag")
    }

    /// Tags of one manifest.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn tags_of(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Vec<Tag>, StoreError> {
        let names = self.read("list tags", |tx| {
            let sql = "SELECT t.tag FROM tags t JOIN repositories r ON r.id = t.repository \
                       JOIN blobs b ON b.id = t.manifest \
                       WHERE r.name = ?1 AND b.digest = ?2 ORDER BY t.tag";
            names(tx, sql, params![repository.as_str(), digest.to_string()])
        })?;
        parse_all(names, "a tag")
    }

    /// Repositories behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn repositories(
        &self,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Page<Repository>, StoreError> {
        let names = self.read("list repositories", |tx| {
            let sql = "SELECT name FROM repositories WHERE name > ?1 ORDER BY name LIMIT ?2";
            names(tx, sql, params![after.unwrap_or(""), fetched(limit)])
        })?;
        page(names, limit, "a repository")
    }

    /// Manifests of a repository, in the order of their digests.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn manifests(&self, repository: &Repository) -> Result<Vec<Digest>, StoreError> {
        let names = self.read("list manifests", |tx| {
            let sql = "SELECT b.digest FROM manifests m JOIN blobs b ON b.id = m.blob \
                       JOIN repositories r ON r.id = m.repository WHERE r.name = ?1 \
                       ORDER BY b.digest";
            names(tx, sql, params![repository.as_str()])
        })?;
        names.iter().map(|text| parse_digest(text)).collect()
    }

    /// Everything that repositories hold and that is there, in the order of digests as text, page by
    /// page: digests behind `after`. An empty page is the end. What no manifest of a repository needs
    /// is not held by it here: a collection may take it at any time.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn held(&self, after: Option<&Digest>) -> Result<Vec<Held>, StoreError> {
        let operation = "list what is held";
        self.read(operation, |tx| {
            let mut statement = tx
                .prepare_cached(
                    "SELECT b.digest, b.size, \
                       EXISTS (SELECT 1 FROM manifests m WHERE m.blob = b.id), \
                       (SELECT group_concat(name, ' ') FROM (SELECT r.name FROM repositories r \
                        WHERE r.id IN (SELECT l.repository FROM links l JOIN children c \
                        ON c.repository = l.repository AND c.child = b.digest WHERE l.blob = b.id \
                        UNION SELECT repository FROM manifests m WHERE m.blob = b.id) \
                        ORDER BY r.name)) \
                     FROM blobs b WHERE b.unlinked_at IS NULL AND b.is_damaged = 0 \
                     AND b.digest > ?1 \
                     ORDER BY b.digest LIMIT ?2",
                )
                .during(operation)?;
            let after = after.map(Digest::to_string).unwrap_or_default();
            let mut rows = statement.query(params![after, HELD_MAX]).during(operation)?;
            let mut held = Vec::new();
            while let Some(row) = rows.next().during(operation)? {
                let digest: String = row.get(0).during(operation)?;
                let names: Option<String> = row.get(3).during(operation)?;
                let names = names.unwrap_or_default();
                held.push(Held {
                    digest: parse_digest(&digest)?,
                    size: row.get(1).during(operation)?,
                    is_manifest: row.get(2).during(operation)?,
                    repositories: parse_all(
                        names.split_whitespace().map(str::to_owned).collect(),
                        "a repository",
                    )?,
                });
            }
            Ok(held)
        })
    }

    /// How much there is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn totals(&self) -> Result<Totals, StoreError> {
        self.read("count", |tx| {
            tx.query_row(
                "SELECT (SELECT count(*) FROM repositories), (SELECT count(*) FROM manifests), \
                 (SELECT count(*) FROM tags), count(*), coalesce(sum(size), 0), \
                 coalesce(sum(size) FILTER (WHERE unlinked_at NOT NULL), 0), \
                 (SELECT count(*) FROM segments), (SELECT count(*) FROM uploads) FROM blobs",
                [],
                |row| {
                    Ok(Totals {
                        repositories: row.get(0)?,
                        manifests: row.get(1)?,
                        tags: row.get(2)?,
                        blobs: row.get(3)?,
                        blob_bytes: row.get(4)?,
                        unlinked_bytes: row.get(5)?,
                        segments: row.get(6)?,
                        uploads: row.get(7)?,
                    })
                },
            )
            .during("count")
        })
    }
}

/// One more than asked for says whether there are more.
fn fetched(limit: Option<usize>) -> usize {
    limit.unwrap_or(PAGE_MAX).min(PAGE_MAX).saturating_add(1)
}

fn names(
    tx: &rusqlite::Transaction<'_>,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<String>, StoreError> {
    let operation = "list names";
    let mut statement = tx.prepare_cached(sql).during(operation)?;
    let rows = statement.query_map(parameters, |row| row.get(0));
    rows.and_then(Iterator::collect).during(operation)
}

fn page<T: std::str::FromStr>(
    mut names: Vec<String>,
    limit: Option<usize>,
    what: &'static str,
) -> Result<Page<T>, StoreError> {
    let limit = limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let more = names.len() > limit;
    names.truncate(limit);
    Ok(Page { names: parse_all(names, what)?, more })
}

fn parse_all<T: std::str::FromStr>(
    names: Vec<String>,
    what: &'static str,
) -> Result<Vec<T>, StoreError> {
    names
        .into_iter()
        .map(|name| name.parse().map_err(|_| StoreError::Corrupt { what, value: name }))
        .collect()
}
