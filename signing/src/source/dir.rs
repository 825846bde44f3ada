//! A repository in a directory: `metadata/` and `targets/` below one root, as a bundle or a
//! mirror has it.

use super::{Fetched, Source, SourceError};
use crate::names::FileName;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// Reads below a directory. Reads block: these are small files on a local disk.
#[derive(Debug, Clone)]
pub struct DirSource {
    root: PathBuf,
}

impl DirSource {
    /// The directory that holds `metadata/` and `targets/`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn read(&self, file: &FileName, max_bytes: u64) -> Result<Fetched, SourceError> {
        // `relative_path` is safe to join by the rules of role names and target paths.
        let path = self.root.join(file.relative_path());
        let io = |source| SourceError::Io { path: path.clone(), source };
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Fetched::NotFound),
            Err(e) => return Err(io(e)),
        };
        let mut bytes = Vec::new();
        opened.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
        super::mem::within(bytes, max_bytes).map(|bytes| Fetched::Body { bytes, etag: None })
    }
}

impl Source for DirSource {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        _if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        self.read(file, max_bytes)
    }
}
