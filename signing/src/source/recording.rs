//! A source that keeps what it hands out, so that what a client verified can be shown or copied.

use super::{Fetched, Source, SourceError};
use crate::names::FileName;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Watches another source. What it keeps is as little to be trusted as the source: a file that the
/// client refused is among it.
#[derive(Debug)]
pub struct Recording<S> {
    inner: S,
    targets: bool,
    files: Mutex<BTreeMap<FileName, Vec<u8>>>,
}

impl<S> Recording<S> {
    /// Keeps every file.
    pub fn new(inner: S) -> Self {
        Self { inner, targets: true, files: Mutex::default() }
    }

    /// Keeps metadata and lets targets pass: they may be many and large.
    pub fn of_metadata(inner: S) -> Self {
        Self { inner, targets: false, files: Mutex::default() }
    }

    /// The bytes last handed out under `name`.
    pub fn get(&self, name: &FileName) -> Option<Vec<u8>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// What was handed out so far, each file as it was the last time.
    pub fn files(&self) -> BTreeMap<FileName, Vec<u8>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a file that a client holds already and therefore never fetches: the pinned root.
    pub fn add(&self, name: FileName, bytes: Vec<u8>) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(name, bytes);
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
        let wanted = self.targets || matches!(file, FileName::Metadata { .. });
        if let (true, Fetched::Body { bytes, .. }) = (wanted, &fetched) {
            self.add(file.clone(), bytes.clone());
        }
        Ok(fetched)
    }
}
