//! A repository in memory, for tests and for checking a publication before it is written.

use super::{Fetched, Source, SourceError};
use crate::Sha256Digest;
use crate::names::{FileName, TopRole};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Files by relative path. Clones share the bytes.
#[derive(Debug, Clone, Default)]
pub struct MemSource {
    files: Arc<BTreeMap<String, Arc<[u8]>>>,
}

impl MemSource {
    /// Takes files by the paths of [`FileName::relative_path`].
    pub fn new(files: BTreeMap<String, Arc<[u8]>>) -> Self {
        Self { files: Arc::new(files) }
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    fn latest_root(&self) -> u64 {
        let version = |path: &str| match FileName::from_relative_path(path) {
            Ok(FileName::Metadata { role, version }) if role.as_top() == Some(TopRole::Root) => {
                version
            }
            _ => None,
        };
        self.files.keys().filter_map(|path| version(path)).max().unwrap_or(0)
    }
}

/// The `ETag` a hub gives `timestamp.json`. It covers the newest root version too, so that one
/// conditional request answers for both files of a poll.
pub fn timestamp_etag(latest_root: u64, timestamp: &[u8]) -> String {
    etag_of(latest_root, Sha256Digest::of(timestamp))
}

/// The same, from the digest of the timestamp.
pub(crate) fn etag_of(latest_root: u64, timestamp: Sha256Digest) -> String {
    format!("\"{latest_root}-{}\"", timestamp.hex())
}

/// `bytes`, unless there are more than `limit`.
pub(super) fn within(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, SourceError> {
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
    if fits { Ok(bytes) } else { Err(SourceError::TooLarge { limit }) }
}

impl Source for MemSource {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        let Some(bytes) = self.files.get(&file.relative_path()) else {
            return Ok(Fetched::NotFound);
        };
        let etag =
            (*file == FileName::timestamp()).then(|| timestamp_etag(self.latest_root(), bytes));
        if etag.is_some() && etag.as_deref() == if_none_match {
            return Ok(Fetched::NotModified);
        }
        let bytes = within(bytes.to_vec(), max_bytes)?;
        Ok(Fetched::Body { bytes, etag })
    }
}
