//! A set as it was carried here: finds its files and reads the manifest, before anything is trusted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use signing::{KeySet, Sha256Digest, Statement, StatementError, Verified};

use super::error::BundleError;
use super::file::{open_regular, read_piece};
use super::manifest::BundleManifest;
use super::reader::{Reader, files_of, open_whole};
use super::seal::is_segment_of;
use super::validate::{MANIFEST_BYTES_MAX, validate};
use super::writer::work_dir;

/// End of a manifest's file name.
const MANIFEST_SUFFIX: &str = ".manifest.json";
/// Most file names of one directory that are looked at: a stick full of other things.
const NAMES_MAX: usize = 100_000;

/// A set whose manifest was read. Nobody's signature was checked.
#[derive(Debug, Clone)]
pub struct BundleDir {
    file: PathBuf,
    statement: Statement,
    claims: BundleManifest,
    segments: Vec<Option<PathBuf>>,
    stale: Vec<PathBuf>,
}

/// What is looked at before the rest: a later form may have another shape.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

impl BundleDir {
    /// Reads the manifest at `path`, or the only one in the directory `path`, and looks for its
    /// segments beside it and in `also`.
    ///
    /// # Errors
    /// Everything that makes the manifest none: [`BundleError::NoManifest`],
    /// [`BundleError::Several`], [`BundleError::ManifestTooLong`], [`BundleError::Statement`],
    /// [`BundleError::Format`], [`BundleError::Structure`]. Missing segments are no error here.
    pub fn open(path: &Path, also: &[PathBuf]) -> Result<Self, BundleError> {
        let file = if path.is_dir() { only_manifest(path)? } else { path.to_owned() };
        let (handle, size) = open_regular(&file)?;
        if size > MANIFEST_BYTES_MAX {
            return Err(BundleError::ManifestTooLong { file, size, limit: MANIFEST_BYTES_MAX });
        }
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let bytes = read_piece(&handle, &file, length, 0)?;
        let (statement, claims) = read(&file, &bytes)?;
        let beside = file.parent().map(Path::to_owned).unwrap_or_default();
        let dirs: Vec<PathBuf> = std::iter::once(beside).chain(also.iter().cloned()).collect();
        let segments = claims.segments.iter().map(|s| find(&dirs, &s.file, s.size)).collect();
        let stale = dirs.iter().flat_map(|dir| stale(dir, &claims)).collect();
        Ok(Self { file, statement, claims, segments, stale })
    }

    /// The manifest's path.
    pub fn manifest_path(&self) -> &Path {
        &self.file
    }

    /// Digest of the manifest file, which receipts name it by.
    pub fn digest(&self) -> Sha256Digest {
        self.statement.digest()
    }

    /// What the manifest says. Nobody's word yet: for finding out what is needed to verify it, and
    /// for error messages.
    pub fn claims(&self) -> &BundleManifest {
        &self.claims
    }

    /// The signed statement.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Segment files that were found nowhere.
    pub fn missing_segments(&self) -> Vec<String> {
        let all = self.claims.segments.iter().zip(&self.segments);
        all.filter(|(_, path)| path.is_none()).map(|(segment, _)| segment.file.clone()).collect()
    }

    /// Segment files with the name of this set that do not belong to it.
    pub fn stale(&self) -> &[PathBuf] {
        &self.stale
    }

    /// The files of the OCI layout and the TUF repository by their paths in the bundle
    /// (`tuf/metadata/…`), each compared with its digest. Not signed by anybody yet: a TUF client
    /// over them finds out.
    ///
    /// # Errors
    /// [`BundleError::MissingSegments`], [`BundleError::SegmentLength`], [`BundleError::Damaged`] or
    /// [`BundleError::Io`].
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
        files_of(&self.claims, |segment| {
            let index = usize::try_from(segment).unwrap_or(usize::MAX);
            let known = self.claims.segments.get(index).zip(self.segments.get(index));
            if let Some((known, Some(path))) = known {
                return open_whole(path, known.size);
            }
            let file = self.claims.name.segment_file(segment);
            Err(BundleError::MissingSegments { files: vec![file] })
        })
    }

    /// The manifest, once enough of `keys` have signed it.
    ///
    /// # Errors
    /// [`BundleError::Statement`].
    pub fn verify(&self, keys: &KeySet) -> Result<Verified<BundleManifest>, BundleError> {
        let verified = self.statement.verify(keys);
        verified.map_err(|source| {
            let (file, offset) = (self.file.clone(), None);
            BundleError::Statement { file, offset, source }
        })
    }

    /// A reader of everything, once the manifest is verified.
    ///
    /// # Errors
    /// [`BundleError::Statement`], [`BundleError::MissingSegments`] or
    /// [`BundleError::SegmentLength`].
    pub fn reader(&self, keys: &KeySet) -> Result<Reader, BundleError> {
        Reader::new(self.verify(keys)?, &self.segments)
    }
}

/// The manifest of `bytes`, valid in itself.
fn read(file: &Path, bytes: &[u8]) -> Result<(Statement, BundleManifest), BundleError> {
    let refuse = |source: StatementError| {
        let offset = offset_of_fault(bytes);
        BundleError::Statement { file: file.to_owned(), offset, source }
    };
    let statement = Statement::parse(BundleManifest::KIND, bytes).map_err(refuse)?;
    let form: Form = statement.unverified().map_err(refuse)?;
    if form.format != BundleManifest::FORMAT {
        return Err(BundleError::Format { file: file.to_owned(), found: form.format });
    }
    let claims: BundleManifest = statement.unverified().map_err(refuse)?;
    match validate(&claims) {
        Ok(()) => Ok((statement, claims)),
        Err(source) => Err(BundleError::Structure { file: file.to_owned(), source }),
    }
}

/// Where in the file the JSON ends to be JSON.
fn offset_of_fault(bytes: &[u8]) -> Option<u64> {
    let fault = signing::json::parse(bytes).err()?;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(fault.line().saturating_sub(1)).map(<[u8]>::len).sum();
    // Columns count from 1; 0 stands for the line feed before.
    u64::try_from(before.saturating_add(fault.column()).saturating_sub(1)).ok()
}

/// File names in `dir`, those that are text, in order.
fn names(dir: &Path) -> Result<Vec<String>, BundleError> {
    let entries = std::fs::read_dir(dir).map_err(BundleError::io("read", dir))?;
    let names =
        entries.take(NAMES_MAX).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

fn only_manifest(dir: &Path) -> Result<PathBuf, BundleError> {
    let names = names(dir)?;
    let is_manifest = |name: &&String| name.ends_with(MANIFEST_SUFFIX) && !name.starts_with('.');
    let files: Vec<String> = names.iter().filter(is_manifest).cloned().collect();
    match files.as_slice() {
        [only] => Ok(dir.join(only)),
        [] => {
            let is_begun = names.iter().any(|name| {
                name.strip_suffix(".work")
                    .and_then(|name| name.parse().ok())
                    .is_some_and(|name| work_dir(dir, &name).join("journal").exists())
            });
            Err(BundleError::NoManifest { dir: dir.to_owned(), is_begun })
        }
        _ => Err(BundleError::Several { dir: dir.to_owned(), files }),
    }
}

/// The first file of this name, one of the right length before any other.
fn find(dirs: &[PathBuf], file: &str, size: u64) -> Option<PathBuf> {
    let there = || dirs.iter().map(|dir| dir.join(file)).filter(|path| path.exists());
    let whole = there().find(|path| path.metadata().is_ok_and(|meta| meta.len() == size));
    whole.or_else(|| there().next())
}

/// Segments of an earlier set with this name.
fn stale(dir: &Path, manifest: &BundleManifest) -> Vec<PathBuf> {
    let is_listed = |name: &str| manifest.segments.iter().any(|segment| segment.file == name);
    let names = names(dir).unwrap_or_default();
    let stale = names.iter().filter(|name| is_segment_of(&manifest.name, name) && !is_listed(name));
    stale.map(|name| dir.join(name)).collect()
}

#[cfg(test)]
mod tests;
