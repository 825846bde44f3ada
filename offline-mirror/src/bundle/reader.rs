//! Reads the content of a set: files, manifests, blobs from any offset.
//!
//! Reading compares nothing with a digest except where it says so: [`super::check`] hashes a set
//! once, as a whole, before anything of it is used.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use signing::Verified;

use crate::oci::Digest;

use super::error::BundleError;
use super::evidence::{Damage, DamageKind, Evidence};
use super::file::{open_regular, read_piece};
use super::manifest::{BundleManifest, Content, Entry};

/// Length of the pieces that blobs are read in: large enough that a thread switch for each costs
/// nothing, small enough that many pushes at once stay below 150 MB.
pub const PIECE_BYTES: usize = 1024 * 1024;

/// Where a run of bytes lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Index of the segment.
    pub segment: u32,
    /// Offset in its file.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

/// Reads a set whose manifest is verified and whose segments are all there. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    manifest: Verified<BundleManifest>,
    segments: Vec<PathBuf>,
    /// First entry and number of entries of each manifest and blob.
    places: BTreeMap<Digest, (usize, usize)>,
}

/// Opens a segment that must have this length.
pub(super) fn open_whole(path: &Path, expected: u64) -> Result<File, BundleError> {
    let (file, found) = open_regular(path)?;
    if found == expected {
        return Ok(file);
    }
    Err(BundleError::SegmentLength { file: path.to_owned(), expected, found })
}

/// The files of the OCI layout and the TUF repository, each compared with its digest.
pub(super) fn files_of(
    manifest: &BundleManifest,
    open: impl Fn(u32) -> Result<File, BundleError>,
) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let is_file = |entry: &&Entry| matches!(entry.content, Content::File);
    let read = |entry: &Entry| {
        let bytes = small_entry(manifest, entry, &open(entry.segment)?)?;
        Ok((entry.path.clone(), bytes))
    };
    manifest.entries.iter().filter(is_file).map(read).collect()
}

/// All of an entry that is small enough to be held in memory, compared with its digest.
fn small_entry(
    manifest: &BundleManifest,
    entry: &Entry,
    file: &File,
) -> Result<Vec<u8>, BundleError> {
    let size = usize::try_from(entry.size).unwrap_or(usize::MAX);
    let bytes = read_piece(file, Path::new(&entry.path), size, entry.offset)?;
    if entry.digest.same_of(&bytes) == entry.digest {
        return Ok(bytes);
    }
    Err(damaged(manifest, entry))
}

/// An entry whose bytes are others, before the whole set was looked at.
fn damaged(manifest: &BundleManifest, entry: &Entry) -> BundleError {
    let index = usize::try_from(entry.segment).unwrap_or(usize::MAX);
    let file = manifest.segments.get(index).map(|s| s.file.clone()).unwrap_or_default();
    let damage = Damage {
        file,
        offset: entry.offset,
        within: entry.size.max(1),
        path: entry.path.clone(),
        blob: entry.blob(),
        kind: DamageKind::Content,
    };
    let evidence = Evidence {
        name: manifest.name.to_string(),
        segments: Vec::new(),
        damage: vec![damage],
        damage_count: 1,
    };
    BundleError::Damaged { evidence: Box::new(evidence) }
}

impl Reader {
    pub(super) fn new(
        manifest: Verified<BundleManifest>,
        segments: &[Option<PathBuf>],
    ) -> Result<Self, BundleError> {
        let all = || manifest.segments.iter().zip(segments);
        let missing = all().filter(|(_, path)| path.is_none()).map(|(s, _)| s.file.clone());
        let files: Vec<String> = missing.collect();
        if !files.is_empty() {
            return Err(BundleError::MissingSegments { files });
        }
        let mut paths = Vec::new();
        for (segment, path) in all() {
            let Some(path) = path else { continue };
            open_whole(path, segment.size)?;
            paths.push(path.clone());
        }
        let mut places = BTreeMap::new();
        for (index, entry) in manifest.entries.iter().enumerate() {
            if let Some(digest) = entry.object() {
                let place: &mut (usize, usize) = places.entry(digest).or_insert((index, 0));
                place.1 = place.1.saturating_add(1);
            }
        }
        Ok(Self { inner: Arc::new(Inner { manifest, segments: paths, places }) })
    }

    /// The verified manifest.
    pub fn manifest(&self) -> &Verified<BundleManifest> {
        &self.inner.manifest
    }

    /// Path of a segment's file.
    pub fn segment_path(&self, segment: u32) -> Option<&Path> {
        let index = usize::try_from(segment).ok()?;
        self.inner.segments.get(index).map(PathBuf::as_path)
    }

    /// Opens a segment, which must still have its length.
    ///
    /// # Errors
    /// [`BundleError::SegmentLength`], [`BundleError::NotAFile`] or [`BundleError::Io`].
    pub fn open_segment(&self, segment: u32) -> Result<File, BundleError> {
        let index = usize::try_from(segment).unwrap_or(usize::MAX);
        let known = self.inner.manifest.segments.get(index).zip(self.inner.segments.get(index));
        let Some((known, path)) = known else {
            return Err(BundleError::NotCarried { what: format!("segment {segment}") });
        };
        open_whole(path, known.size)
    }

    /// Entries of a manifest or blob: one, or all parts in order. Empty when it is not carried.
    pub fn entries(&self, digest: &Digest) -> &[Entry] {
        let (first, count) = self.inner.places.get(digest).copied().unwrap_or_default();
        self.inner.manifest.entries.get(first..first.saturating_add(count)).unwrap_or_default()
    }

    /// Whether a manifest or blob is carried.
    pub fn has(&self, digest: &Digest) -> bool {
        self.inner.places.contains_key(digest)
    }

    /// Length of a manifest or blob.
    pub fn size_of(&self, digest: &Digest) -> Option<u64> {
        self.has(digest).then(|| self.entries(digest).iter().map(|entry| entry.size).sum())
    }

    /// Where the bytes of a manifest or blob lie, in order.
    pub fn locate(&self, digest: &Digest) -> Vec<Extent> {
        let extent = |entry: &Entry| {
            let Entry { segment, offset, size, .. } = *entry;
            Extent { segment, offset, size }
        };
        self.entries(digest).iter().map(extent).collect()
    }

    /// The bytes of a manifest, compared with its digest.
    ///
    /// # Errors
    /// [`BundleError::NotCarried`], [`BundleError::Damaged`] or [`BundleError::Io`].
    pub fn image_manifest(&self, digest: &Digest) -> Result<Vec<u8>, BundleError> {
        let is_manifest = |entry: &&Entry| matches!(entry.content, Content::Manifest { .. });
        let entry = self.entries(digest).first().filter(is_manifest);
        let Some(entry) = entry else {
            return Err(BundleError::NotCarried { what: digest.to_string() });
        };
        small_entry(&self.inner.manifest, entry, &self.open_segment(entry.segment)?)
    }

    /// The files of the OCI layout and the TUF repository, each compared with its digest.
    ///
    /// # Errors
    /// [`BundleError::Damaged`], [`BundleError::SegmentLength`] or [`BundleError::Io`].
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
        files_of(&self.inner.manifest, |segment| self.open_segment(segment))
    }

    /// Reads a manifest or blob from an offset on, in pieces of up to [`PIECE_BYTES`].
    ///
    /// # Errors
    /// [`BundleError::NotCarried`].
    pub fn blob(&self, digest: &Digest, from: u64) -> Result<BlobReader, BundleError> {
        if !self.has(digest) {
            return Err(BundleError::NotCarried { what: digest.to_string() });
        }
        let extents = self.locate(digest).into_iter();
        Ok(BlobReader { reader: self.clone(), extents, skip: from, open: None })
    }

    /// The same as a stream that reads on threads made for blocking.
    ///
    /// # Errors
    /// [`BundleError::NotCarried`].
    pub fn blob_stream(
        &self,
        digest: &Digest,
        from: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, BundleError>> + Send + 'static + use<>, BundleError>
    {
        let blob = self.blob(digest, from)?;
        Ok(stream::unfold(Some(blob), |blob| async {
            let mut blob = blob?;
            let read = tokio::task::spawn_blocking(move || (blob.next(), blob)).await;
            match read {
                Ok((Some(Ok(piece)), blob)) => Some((Ok(piece), Some(blob))),
                Ok((Some(Err(error)), _)) => Some((Err(error), None)),
                Ok((None, _)) => None,
                Err(join) => {
                    let (operation, path) = ("read", PathBuf::new());
                    let source = std::io::Error::other(join);
                    Some((Err(BundleError::Io { operation, path, source }), None))
                }
            }
        }))
    }
}

/// The bytes of one manifest or blob, in pieces. Ends after an error.
#[derive(Debug)]
pub struct BlobReader {
    reader: Reader,
    extents: std::vec::IntoIter<Extent>,
    /// Bytes still to be passed over.
    skip: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    segment: u32,
    at: u64,
    left: u64,
}

impl BlobReader {
    fn step(&mut self) -> Result<Option<Bytes>, BundleError> {
        loop {
            if let Some(open) = self.open.as_mut().filter(|open| open.left > 0) {
                let count = usize::try_from(open.left).unwrap_or(usize::MAX).min(PIECE_BYTES);
                let path = self.reader.segment_path(open.segment).unwrap_or(Path::new(""));
                let piece = read_piece(&open.file, path, count, open.at)?;
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                open.at = open.at.saturating_add(count);
                open.left = open.left.saturating_sub(count);
                return Ok(Some(piece.into()));
            }
            let Some(Extent { segment, offset, size }) = self.extents.next() else {
                return Ok(None);
            };
            let skip = self.skip.min(size);
            self.skip = self.skip.saturating_sub(skip);
            let (at, left) = (offset.saturating_add(skip), size.saturating_sub(skip));
            if left > 0 {
                let file = self.reader.open_segment(segment)?;
                self.open = Some(Open { file, segment, at, left });
            }
        }
    }
}

impl Iterator for BlobReader {
    type Item = Result<Bytes, BundleError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.open = None;
            self.extents = Vec::new().into_iter();
        }
        step.transpose()
    }
}

#[cfg(test)]
mod tests;
