//! Where every byte of a bundle goes, decided before the first one is fetched. Pure.
//!
//! Sizes stand in manifests, so the plan fixes segment and offset of everything. Blobs may then be
//! fetched in any order, at the same time and over several runs, and the bytes are the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::oci::{Digest, Hasher, MANIFEST_BYTES_MAX};

use super::error::BundleError;
use super::framing::{END_BYTES, header_bytes, padded};
use super::manifest::{BundleName, Content, Segment};
use super::size::SegmentSize;

/// Most entries of one set: their list must stay below the manifest's own bound of 64 MiB.
pub(super) const ENTRIES_MAX: usize = 150_000;
/// Most segments of one set: names have four digits.
pub(super) const SEGMENTS_MAX: usize = 9_999;
/// Most parts of one blob: names have four digits.
const PARTS_MAX: usize = 9_999;
/// All files of the OCI layout and the TUF repository together, in bytes: readers hold them in
/// memory. The metadata of a large hub has a tenth of it.
pub(super) const FILES_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest path of an entry: room for a consistent snapshot's digest before any target path.
pub(super) const PATH_BYTES_MAX: usize = 512;

/// Something that a bundle is to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedEntry {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub what: Planned,
}

/// What a planned entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// `oci-layout`, `index.json`, or a file of the TUF repository below `tuf/`.
    File {
        /// Path in the bundle.
        path: String,
    },
    /// An image manifest or index.
    Manifest {
        /// Its media type.
        media_type: String,
    },
    /// A config, a layer, any other blob.
    Blob,
}

impl PlannedEntry {
    /// A file whose bytes are at hand.
    pub fn file(path: &str, bytes: &[u8]) -> Self {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { digest: Digest::of(bytes), size, what: Planned::File { path: path.to_owned() } }
    }

    /// Path of the whole in the bundle; parts have a suffix behind it.
    pub fn path(&self) -> String {
        match &self.what {
            Planned::File { path } => path.clone(),
            Planned::Manifest { .. } | Planned::Blob => self.digest.layout_path(),
        }
    }

    /// Files first, in the order in which a reader wants them, then manifests, then blobs.
    fn rank(&self) -> u8 {
        match &self.what {
            Planned::File { path } => file_rank(path),
            Planned::Manifest { .. } => MANIFEST_RANK,
            Planned::Blob => BLOB_RANK,
        }
    }
}

const MANIFEST_RANK: u8 = 3;
const BLOB_RANK: u8 = 4;

fn file_rank(path: &str) -> u8 {
    match path {
        "oci-layout" => 0,
        "index.json" => 1,
        _ => 2,
    }
}

/// The group an entry belongs to; entries stand in order of group, then path.
pub(super) fn rank(path: &str, content: &Content) -> u8 {
    match content {
        Content::File => file_rank(path),
        Content::Manifest { .. } => MANIFEST_RANK,
        Content::Blob { .. } => BLOB_RANK,
    }
}

/// Name of one part of a blob, counted from 1.
pub(super) fn part_path(blob: &Digest, number: usize) -> String {
    format!("{}.part{number:04}", blob.layout_path())
}

/// What is wrong with the path of a file, if something is.
pub(super) fn file_path_fault(path: &str) -> Option<&'static str> {
    if matches!(path, "oci-layout" | "index.json") {
        return None;
    }
    if path.len() > PATH_BYTES_MAX {
        return Some("longer than 512 bytes");
    }
    if !path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Some("holds something else than printable ASCII");
    }
    let Some(below) = path.strip_prefix("tuf/") else {
        return Some("neither oci-layout, nor index.json, nor below tuf/");
    };
    let bad = below.split('/').any(|part| matches!(part, "" | "." | ".."));
    bad.then_some("has an empty part, '.' or '..' in it")
}

/// One contiguous run of bytes of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Path in the tar file.
    pub path: String,
    /// Index of the segment.
    pub segment: u32,
    /// Offset of its first byte in that file.
    pub offset: u64,
    /// Offset of its first byte in the item.
    pub from: u64,
    /// Length in bytes.
    pub size: u64,
}

/// A planned entry with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub planned: PlannedEntry,
    /// Where it goes: one piece, or several for a blob larger than a segment.
    pub pieces: Vec<Piece>,
}

/// A bundle of which everything is known but the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    name: BundleName,
    segments: Vec<Segment>,
    items: Vec<Item>,
    /// Manifests and blobs by digest.
    places: BTreeMap<Digest, usize>,
}

impl Laid {
    /// Name in front of every file of the set.
    pub fn name(&self) -> &BundleName {
        &self.name
    }

    /// The tar files with their final lengths.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Everything to be written, in the order of the bundle. [`super::Writer::begin`] counts as this
    /// does.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The item with this digest that is a manifest or a blob.
    pub fn item_of(&self, digest: &Digest) -> Option<usize> {
        self.places.get(digest).copied()
    }

    /// Length of all segments together.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Digest over every place and every expected content. Two layouts with the same digest end in
    /// the same bytes.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new(crate::oci::Algorithm::Sha256);
        hasher.update(format!("{}\n", self.name).as_bytes());
        for item in &self.items {
            for Piece { path, segment, offset, size, .. } in &item.pieces {
                let digest = item.planned.digest;
                let line = format!("{path} {segment} {offset} {size} {digest}\n");
                hasher.update(line.as_bytes());
            }
        }
        hasher.finish()
    }
}

/// Gives every entry its segment and offset. The order of `files` does not matter.
///
/// A segment is filled until the next entry does not fit. Only a blob that does not fit into an
/// empty segment is cut.
///
/// # Errors
/// [`BundleError::Path`], [`BundleError::Twice`], [`BundleError::TooLarge`] or
/// [`BundleError::TooMany`].
pub fn lay_out(
    files: &[PlannedEntry],
    size: SegmentSize,
    name: &BundleName,
) -> Result<Laid, BundleError> {
    check(files)?;
    let mut order: Vec<(u8, String, &PlannedEntry)> =
        files.iter().map(|entry| (entry.rank(), entry.path(), entry)).collect();
    order.sort_by(|(a_rank, a_path, _), (b_rank, b_path, _)| {
        (a_rank, a_path).cmp(&(b_rank, b_path))
    });
    let mut stream = Stream { name, size, segments: Vec::new(), at: 0 };
    let mut items = Vec::new();
    for (_, path, entry) in order {
        let pieces = if entry.size <= size.content_bytes_max() {
            vec![stream.place(path, 0, entry.size)]
        } else {
            stream.cut(entry)?
        };
        items.push(Item { planned: entry.clone(), pieces });
    }
    let pieces = items.iter().map(|item| item.pieces.len()).sum::<usize>();
    if pieces > ENTRIES_MAX {
        return Err(BundleError::TooMany { what: "entries", limit: ENTRIES_MAX });
    }
    if stream.segments.len() > SEGMENTS_MAX {
        return Err(BundleError::TooMany { what: "segments", limit: SEGMENTS_MAX });
    }
    let is_object = |item: &Item| !matches!(item.planned.what, Planned::File { .. });
    let numbered = items.iter().enumerate().filter(|(_, item)| is_object(item));
    let places = numbered.map(|(number, item)| (item.planned.digest, number)).collect();
    Ok(Laid { name: name.clone(), segments: stream.segments, items, places })
}

/// Refuses what no reader would take.
fn check(files: &[PlannedEntry]) -> Result<(), BundleError> {
    let (mut paths, mut files_bytes) = (BTreeSet::new(), 0_u64);
    let manifest_max = u64::try_from(MANIFEST_BYTES_MAX).unwrap_or(u64::MAX);
    for entry in files {
        let path = entry.path();
        let limit = match &entry.what {
            Planned::File { path } => {
                if let Some(why) = file_path_fault(path) {
                    return Err(BundleError::Path { path: path.clone(), why });
                }
                files_bytes = files_bytes.saturating_add(entry.size);
                FILES_BYTES_MAX
            }
            Planned::Manifest { .. } => manifest_max,
            Planned::Blob => u64::MAX,
        };
        if entry.size > limit || files_bytes > FILES_BYTES_MAX {
            return Err(BundleError::TooLarge { path, size: entry.size, limit });
        }
        if let Some(path) = paths.replace(path) {
            return Err(BundleError::Twice { path });
        }
    }
    Ok(())
}

/// The end of what is laid out so far.
struct Stream<'a> {
    name: &'a BundleName,
    size: SegmentSize,
    segments: Vec<Segment>,
    /// Where the next header of the last segment goes.
    at: u64,
}

impl Stream<'_> {
    /// Content bytes that still fit behind a header of this length into the last segment.
    fn room(&self, header: u64) -> u64 {
        if self.segments.is_empty() {
            return 0;
        }
        self.size.bytes().saturating_sub(self.at).saturating_sub(header).saturating_sub(END_BYTES)
    }

    fn open_segment(&mut self) {
        let index = u32::try_from(self.segments.len()).unwrap_or(u32::MAX);
        self.segments.push(Segment { file: self.name.segment_file(index), size: END_BYTES });
        self.at = 0;
    }

    fn place(&mut self, path: String, from: u64, size: u64) -> Piece {
        let header = header_bytes(&path);
        if self.segments.is_empty() || padded(size) > self.room(header) {
            self.open_segment();
        }
        let offset = self.at.saturating_add(header);
        self.at = offset.saturating_add(padded(size));
        if let Some(last) = self.segments.last_mut() {
            last.size = self.at.saturating_add(END_BYTES);
        }
        let segment = u32::try_from(self.segments.len().saturating_sub(1)).unwrap_or(u32::MAX);
        Piece { path, segment, offset, from, size }
    }

    /// Cuts a blob: the first part fills the segment that is open, the others whole segments.
    fn cut(&mut self, entry: &PlannedEntry) -> Result<Vec<Piece>, BundleError> {
        let limit = self.size.content_bytes_max();
        let step = self.size.part_bytes();
        if entry.what != Planned::Blob {
            return Err(BundleError::TooLarge { path: entry.path(), size: entry.size, limit });
        }
        let (mut pieces, mut from) = (Vec::new(), 0_u64);
        while from < entry.size {
            let path = part_path(&entry.digest, pieces.len().saturating_add(1));
            if self.room(header_bytes(&path)) < step {
                self.open_segment();
            }
            let most = self.room(header_bytes(&path)).min(limit) / step * step;
            let size = most.min(entry.size.saturating_sub(from));
            if size == 0 || pieces.len() == PARTS_MAX {
                return Err(BundleError::TooMany { what: "parts of one blob", limit: PARTS_MAX });
            }
            pieces.push(self.place(path, from, size));
            from = from.saturating_add(size);
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests;
