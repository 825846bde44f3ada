//! Who is about a manifest: signatures, attestations, SBOMs (distribution spec, listing referrers).

use std::collections::BTreeMap;

use rusqlite::params;

use super::Store;
use super::error::{During as _, StoreError};
use super::manifests::parse_digest;
use crate::oci::{Descriptor, Digest, Repository};

/// Referrers of one manifest in one answer. Signed images have a handful; an answer of this many
/// stays below the 4 MiB that clients take, with annotations of a few hundred bytes each.
const REFERRERS_MAX: usize = 4096;

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
        let operation = "list referrers";
        let rows: Vec<(String, String, u64, Option<String>, String)> =
            self.read(operation, |tx| {
                let mut statement = tx
                    .prepare_cached(
                        "SELECT b.digest, m.media_type, b.size, m.artifact_type, m.annotations \
                         FROM manifests m JOIN blobs b ON b.id = m.blob \
                         JOIN repositories r ON r.id = m.repository \
                         WHERE r.name = ?1 AND m.subject = ?2 \
                         AND (?3 IS NULL OR m.artifact_type = ?3) ORDER BY b.digest LIMIT ?4",
                    )
                    .during(operation)?;
                let rows = statement.query_map(
                    params![repository.as_str(), digest.to_string(), artifact_type, REFERRERS_MAX],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
                );
                rows.and_then(Iterator::collect).during(operation)
            })?;
        rows.into_iter()
            .map(|(digest, media_type, size, artifact_type, annotations)| {
                let mut descriptor = Descriptor::new(media_type, parse_digest(&digest)?, size);
                descriptor.artifact_type = artifact_type;
                descriptor.annotations = parse_annotations(annotations)?;
                Ok(descriptor)
            })
            .collect()
    }
}

fn parse_annotations(text: String) -> Result<BTreeMap<String, String>, StoreError> {
    serde_json::from_str(&text)
        .map_err(|_| StoreError::Corrupt { what: "annotations", value: text })
}
