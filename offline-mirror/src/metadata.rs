//! Copies a TUF repository by watching a verifying client read it.
//!
//! Among what the client fetched is everything that another client needs to come to the same
//! belief, so the copy is complete without a second walk over the repository. It may hold more: the
//! older roots, and a file that the client fetched and refused. Nothing is believed for being in
//! the copy; whoever reads it verifies it again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use signing::client::limits::{MAX_ROOT_BYTES, MAX_ROOT_ROTATIONS};
use signing::{Fetched, FileName, Source, SourceError};

use crate::error::Error;
use crate::layout::write_file;

/// Folder of the TUF repository inside an export directory.
pub(crate) const TUF_DIR: &str = "tuf";

/// Files by their path below the repository.
type Files = BTreeMap<String, Vec<u8>>;

/// A source that keeps a copy of every file it hands out.
#[derive(Debug)]
pub(crate) struct Recording<S> {
    inner: S,
    files: Mutex<Files>,
}

impl<S> Recording<S> {
    /// Watches `inner`.
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, files: Mutex::default() }
    }

    /// What was handed out so far.
    pub(crate) fn files(&self) -> Files {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds the pinned root, which a client holds already and therefore never fetches.
    pub(crate) fn add_root(&self, version: u64, bytes: &[u8]) {
        self.keep(&FileName::root(version), bytes);
    }

    fn keep(&self, file: &FileName, bytes: &[u8]) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(file.relative_path(), bytes.to_vec());
    }
}

impl<S: Source> Recording<S> {
    /// Copies the roots before `pinned` too, for sites that pinned one of those. They are taken as
    /// they come: a site's client walks the chain from its own root and believes nothing else.
    pub(crate) async fn copy_roots_before(&self, pinned: u64) -> Result<(), SourceError> {
        for version in (pinned.saturating_sub(MAX_ROOT_ROTATIONS).max(1)..pinned).rev() {
            let root = FileName::root(version);
            if self.fetch(&root, MAX_ROOT_BYTES, None).await? == Fetched::NotFound {
                break;
            }
        }
        Ok(())
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
        if let Fetched::Body { bytes, .. } = &fetched {
            self.keep(file, bytes);
        }
        Ok(fetched)
    }
}

/// Writes the copy; `timestamp.json` last, so that a broken run never looks newer than it is.
pub(crate) fn write(dir: &Path, files: &Files) -> Result<(), Error> {
    let root = dir.join(TUF_DIR);
    let timestamp = FileName::timestamp().relative_path();
    let (last, first): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| **path == timestamp);
    for (path, bytes) in first.into_iter().chain(last) {
        write_file(&root.join(path), bytes)?;
    }
    Ok(())
}
