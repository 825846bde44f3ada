//! A source that keeps the metadata it passed on, so that what the client verified can be shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use signing::{Fetched, FileName, RoleName, Source, SourceError};

/// Wraps another source.
#[derive(Debug)]
pub(super) struct Recording<S> {
    inner: S,
    metadata: Mutex<BTreeMap<FileName, Vec<u8>>>,
}

impl<S> Recording<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, metadata: Mutex::new(BTreeMap::new()) }
    }

    /// The bytes last passed on for a version of a role. Only what the client accepted may be
    /// believed: ask for versions the client named.
    pub(super) fn metadata(&self, role: &RoleName, version: u64) -> Option<Vec<u8>> {
        let name = FileName::Metadata { role: role.clone(), version: Some(version) };
        let seen = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&name).cloned()
    }
}

impl<S: Source> Source for Recording<S> {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        let fetched = self.inner.fetch(file, max_bytes, if_none_match).await?;
        if let (FileName::Metadata { .. }, Fetched::Body { bytes, .. }) = (file, &fetched) {
            let mut seen = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
            seen.insert(file.clone(), bytes.clone());
        }
        Ok(fetched)
    }
}
