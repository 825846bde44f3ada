//! Who is about a manifest: signatures, attestations, SBOMs (distribution spec, listing referrers).

use std::collections::BTreeMap;

use rusqlite::params;

use super::error::{During as _, StoreError};
use super::manifests::parse_digest;
use super::{Page, Store};
use crate::oci::{Descriptor, Digest, Repository};

/// Referrers in one page. Signed images have a handful; a page of this many stays below the 4 MiB that
/// clients take, with annotations of a few kilobytes each.
const PAGE_MAX: usize = 1000;

impl Store {
    /// Manifests of the repository whose subject is `digest`, in the order of their digests; none
    /// for a digest nobody knows. `artifact_type` keeps those of one type.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, StoreError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page =
                self.referrers_after(repository, digest, artifact_type, after.as_ref(), PAGE_MAX)?;
            after = page.names.last().map(|last: &Descriptor| last.digest);
            all.extend(page.names);
            if !page.more {
                return Ok(all);
            }
        }
    }

    /// One page of [`Store::referrers`], behind the one with the digest `after`: `limit` of them, but
    /// at most a thousand.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn referrers_after(
        &self,
        repository: &Repository,
        digest: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Page<Descriptor>, StoreError> {
        let operation = "list referrers";
        let after = after.map(Digest::to_string).unwrap_or_default();
        let limit = limit.min(PAGE_MAX);
        let mut rows: Vec<(String, String, u64, Option<String>, String)> =
            self.read(operation, |tx| {
                let mut statement = tx
                    .prepare_cached(
                        "SELECT b.digest, m.media_type, b.size, m.artifact_type, m.annotations \
                         FROM manifests m JOIN blobs b ON b.id = m.blob \
                         JOIN repositories r ON r.id = m.repository \
                         WHERE r.name = ?1 AND m.subject = ?2 AND b.digest > ?3 \
                         AND (?4 IS NULL OR m.artifact_type = ?4) ORDER BY b.digest LIMIT ?5",
                    )
                    .during(operation)?;
                let rows = statement.query_map(
                    params![
                        repository.as_str(),
                        digest.to_string(),
                        after,
                        artifact_type,
                        limit.saturating_add(1)
                    ],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
                );
                rows.and_then(Iterator::collect).during(operation)
            })?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let names: Result<_, _> = rows
            .into_iter()
            .map(|(digest, media_type, size, artifact_type, annotations)| {
                let mut descriptor = Descriptor::new(media_type, parse_digest(&digest)?, size);
                descriptor.artifact_type = artifact_type;
                descriptor.annotations = parse_annotations(annotations)?;
                Ok(descriptor)
            })
            .collect();
        Ok(Page { names: names?, more })
    }
}

fn parse_annotations(text: String) -> Result<BTreeMap<String, String>, StoreError> {
    serde_json::from_str(&text)
        .map_err(|_| StoreError::Corrupt { what: "annotations", value: text })
}
