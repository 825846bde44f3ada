//! Who is about a manifest: signatures, attestations, SBOMs (distribution spec, listing referrers).

use std::collections::BTreeMap;

use rusqlite::{Row, Transaction, params};

use super::error::{During as _, StoreError};
use super::manifests::parse_digest;
use super::{Page, Store};
use crate::oci::{Descriptor, Digest, Repository};

/// Referrers in one page. Signed images have a handful.
const PAGE_MAX: usize = 1000;
/// Bytes of one page, beyond which it ends; a page of one referrer may have more. Clients take 4 MiB,
/// and the annotations of one manifest alone can have as many.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Which manifests come, in order. It reads no annotations: what is sorted is copied, also for those
/// behind the end of the page. The index has to be named: without it every manifest of the repository
/// is looked at.
pub(super) const IN_ORDER: &str = "\
    SELECT b.digest, b.size, m.repository, m.blob \
    FROM manifests m INDEXED BY manifests_subject JOIN blobs b ON b.id = m.blob \
    JOIN repositories r ON r.id = m.repository \
    WHERE r.name = ?1 AND m.subject = ?2 AND b.digest > ?3 \
    AND (?4 IS NULL OR m.artifact_type = ?4) ORDER BY b.digest LIMIT ?5";

impl Store {
    /// A page of the manifests of the repository whose subject is `digest`, in the order of their
    /// digests and behind `after`; none for a digest nobody knows. `artifact_type` keeps those of one
    /// type. `limit` of them, but at most a thousand, and as many as have about two mebibytes.
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
        // One more says whether there are more.
        let rows_max = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        self.read(operation, |tx| {
            let mut statement = tx.prepare_cached(IN_ORDER).during(operation)?;
            let subject = digest.to_string();
            let asked = params![repository.as_str(), subject, after, artifact_type, rows_max];
            let mut rows = statement.query(asked).during(operation)?;
            let (mut names, mut bytes) = (Vec::new(), 0_usize);
            while let Some(row) = rows.next().during(operation)? {
                if names.len() >= limit {
                    return Ok(Page { names, more: true });
                }
                let (descriptor, size) = descriptor(tx, row)?;
                bytes = bytes.saturating_add(size);
                if bytes > PAGE_BYTES_MAX && !names.is_empty() {
                    return Ok(Page { names, more: true });
                }
                names.push(descriptor);
            }
            Ok(Page { names, more: false })
        })
    }
}

/// A referrer, and about how many bytes it has in an answer.
fn descriptor(tx: &Transaction<'_>, row: &Row<'_>) -> Result<(Descriptor, usize), StoreError> {
    let operation = "list referrers";
    let found = || -> rusqlite::Result<(String, u64, i64, i64)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    };
    let (digest, size, repository, blob) = found().during(operation)?;
    let (media_type, artifact_type, annotations): (String, Option<String>, String) = tx
        .prepare_cached(
            "SELECT media_type, artifact_type, annotations FROM manifests \
             WHERE repository = ? AND blob = ?",
        )
        .and_then(|mut statement| {
            statement
                .query_row([repository, blob], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
        .during(operation)?;
    let texts = [digest.len(), media_type.len(), annotations.len()];
    let kind = artifact_type.as_ref().map_or(0, String::len);
    let bytes = texts.into_iter().fold(kind, usize::saturating_add);
    let mut descriptor = Descriptor::new(media_type, parse_digest(&digest)?, size);
    descriptor.artifact_type = artifact_type;
    descriptor.annotations = parse_annotations(annotations)?;
    Ok((descriptor, bytes))
}

fn parse_annotations(text: String) -> Result<BTreeMap<String, String>, StoreError> {
    serde_json::from_str(&text)
        .map_err(|_| StoreError::Corrupt { what: "annotations", value: text })
}
