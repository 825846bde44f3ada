//! `export.json`: what a finished export directory holds. Written last; import starts from it.

use std::path::Path;

use channels::names::{Arch, ProductRef};
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::error::Error;
use crate::layout::{read_at_most, write_file};

/// Name of the record inside the export directory.
const FILE: &str = "export.json";
/// A record lists images by digest; a megabyte would hold thousands.
const BYTES_MAX: u64 = 1024 * 1024;

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
}

/// One image of the release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExportedImage {
    /// Repository without host.
    pub repository: String,
    /// Digest of its manifest or index.
    pub digest: Sha256Digest,
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
    fn a_record_of_more_than_a_megabyte_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = vec![b' '; usize::try_from(BYTES_MAX).unwrap() + 1];
        std::fs::write(dir.path().join(FILE), bytes).unwrap();
        let text = refusal(dir.path());
        assert!(text.contains("export.json has more than 1048576 bytes"), "{text}");
    }
}
