//! `export.json`: what a finished export directory holds. Written last; import starts from it.

use std::path::Path;

use channels::names::{Arch, ProductRef};
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::{FileName, Sha256Digest};

use crate::error::Error;
use crate::layout::{self, read_at_most, write_file};
use crate::metadata::TUF_DIR;

/// Name of the record inside the export directory.
const FILE: &str = "export.json";
/// A record lists images and metadata files by digest, some 200 bytes each, and no more files than
/// a publication may have.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Contents of an export directory.
///
/// Unsigned: it only says where to look. What is trusted is what TUF verifies and what has the
/// digest that a verified release document names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRecord {
    /// Form of this record.
    pub format: u32,
    /// Version of the exporter.
    pub exporter: String,
    /// When the export was finished.
    pub created_at: Timestamp,
    /// The product carried.
    pub product: ProductRef,
    /// The release carried.
    pub version: ReleaseVersion,
    /// The architectures carried, all of them the release's.
    pub arches: Vec<Arch>,
    /// What the release names for these architectures, for people and scripts; import works it out
    /// again from the signed document.
    pub images: Vec<ExportedImage>,
    /// Every file but this record and the blobs, so that a copy that lost one is noticed even where
    /// this site would not have read it. Exporters before 0.2 list none.
    #[serde(default)]
    pub files: Vec<CarriedFile>,
    /// When the first of the carried metadata expires, for whoever carries it.
    #[serde(default)]
    pub good_until: Option<Timestamp>,
    /// Whether the metadata is a view, so that sites verify it from the view's root.
    #[serde(default)]
    pub is_view: bool,
}

/// One image of the release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExportedImage {
    /// Repository without host.
    pub repository: String,
    /// Digest of its manifest or index.
    pub digest: Sha256Digest,
}

/// A file of an export as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedFile {
    /// Path below the export directory.
    pub path: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256.
    pub digest: Sha256Digest,
}

impl CarriedFile {
    pub(crate) fn of(path: impl Into<String>, bytes: &[u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { path: path.into(), length, digest: Sha256Digest::of(bytes) }
    }

    /// Compares the file below `dir` with what was written. The record is unsigned: this finds an
    /// incomplete copy, while what is trusted is what TUF verifies.
    fn check(&self, dir: &Path) -> Result<(), Error> {
        let why = format!("{FILE} lists {:?}, which no export writes", self.path);
        if !is_written_by_exports(&self.path) {
            return Err(Error::NotAnExport { dir: dir.to_owned(), why });
        }
        let (path, what) = (dir.join(&self.path), format!("file {}", self.path));
        if !path.is_file() {
            return Err(Error::Missing { what, dir: dir.to_owned() });
        }
        let said = std::fs::metadata(&path).map_err(Error::io("read", &path))?.len();
        let bytes = read_at_most(&path, self.length)?.unwrap_or_default();
        if said != self.length {
            return Err(Error::Size { what, expected: self.length, found: said });
        }
        let (expected, found) = (self.digest, Sha256Digest::of(&bytes));
        if found == expected { Ok(()) } else { Err(Error::Digest { what, expected, found }) }
    }
}

/// Whether a path may stand in a record: it is read, so it must not lead out of the directory.
fn is_written_by_exports(path: &str) -> bool {
    let tuf = path.strip_prefix(TUF_DIR).and_then(|rest| rest.strip_prefix('/'));
    match tuf {
        Some(name) => FileName::from_relative_path(name).is_ok(),
        None => [layout::MARKER, layout::INDEX].contains(&path),
    }
}

impl ExportRecord {
    /// The form written by this version.
    pub const FORMAT: u32 = 1;

    /// Writes the record; the directory counts as finished from here.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::Document { path: FILE.to_owned(), why: e.to_string() })?;
        write_file(&dir.join(FILE), &bytes)
    }

    /// Removes the record before an export changes anything, so that a broken run never looks
    /// finished.
    pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
            _ => Ok(()),
        }
    }

    /// Checks that every listed file is there as it was written.
    pub(crate) fn check_files(&self, dir: &Path) -> Result<(), Error> {
        self.files.iter().try_for_each(|file| file.check(dir))
    }

    /// Reads the record of a finished export.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let refuse = |why: String| Error::NotAnExport { dir: dir.to_owned(), why };
        let path = dir.join(FILE);
        if !path.exists() {
            return Err(refuse(format!(
                "it has no {FILE}; the export did not finish, run it again"
            )));
        }
        // What is on a stick may be a link to a device that never ends.
        if !path.is_file() {
            return Err(refuse(format!("{FILE} is not a file")));
        }
        let bytes = read_at_most(&path, BYTES_MAX)?
            .ok_or_else(|| refuse(format!("{FILE} has more than {BYTES_MAX} bytes")))?;
        let record: Self = serde_json::from_slice(&bytes)
            .map_err(|e| refuse(format!("{FILE} cannot be read: {e}")))?;
        if record.format != Self::FORMAT {
            return Err(refuse(format!(
                "{FILE} has format {}, this version reads {}; use a newer offline-mirror",
                record.format,
                Self::FORMAT
            )));
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(dir: &Path) -> String {
        ExportRecord::read(dir).unwrap_err().to_string()
    }

    #[test]
    fn a_record_without_an_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.path().join(FILE)).unwrap();
        let text = refusal(dir.path());
        assert!(text.contains("export.json is not a file"), "{text}");
    }

    #[test]
    fn a_record_of_more_than_eight_megabytes_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = vec![b' '; usize::try_from(BYTES_MAX).unwrap() + 1];
        std::fs::write(dir.path().join(FILE), bytes).unwrap();
        let text = refusal(dir.path());
        assert!(text.contains("export.json has more than 8388608 bytes"), "{text}");
    }

    #[test]
    fn a_record_that_lists_files_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../secret", "/etc/passwd", "tuf/../x", "tuf/metadata/../x.json", "tuf", ""] {
            let error = CarriedFile::of(path, b"").check(dir.path()).unwrap_err();
            assert!(matches!(error, Error::NotAnExport { .. }), "{path}: {error}");
        }
        let missing = CarriedFile::of("tuf/metadata/1.root.json", b"{}").check(dir.path());
        assert!(matches!(missing, Err(Error::Missing { .. })));
    }
}
