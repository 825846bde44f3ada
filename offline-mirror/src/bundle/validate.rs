//! What a manifest must be before anything it says is followed. Pure; no signature is looked at.
//!
//! Places follow from paths and lengths, so the layout is computed again and compared. A reader that
//! passed here can take every offset at its word.

use std::collections::BTreeSet;

use crate::oci::{Digest, MANIFEST_BYTES_MAX as IMAGE_MANIFEST_BYTES_MAX};

use super::framing::{CONTENT_BYTES_MAX, END_BYTES, header_bytes, padded};
use super::layout::{ENTRIES_MAX, FILES_BYTES_MAX, SEGMENTS_MAX, file_path_fault, part_path, rank};
use super::manifest::{BundleManifest, CHUNK_BYTES, Content, Encoding, Entry, Part};
use super::writer::prefixes;

/// Longest manifest that is read, in bytes. A terabyte of layers needs 12 MB of digests; a reader
/// holds a few times this in memory.
pub(super) const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a manifest contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than a set can hold.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A segment has another file name than its number gives it.
    #[error("segment {number} is called {found:?}")]
    SegmentName {
        /// Counted from 1.
        number: usize,
        /// What it is called.
        found: String,
    },
    /// A segment's length is not what its entries need.
    #[error("segment {file} has {found} bytes, its entries need {expected}")]
    SegmentSize {
        /// The segment.
        file: String,
        /// What its entries need.
        expected: u64,
        /// What the manifest says.
        found: u64,
    },
    /// An entry lies elsewhere than it must.
    #[error("{path}: at byte {found} of segment {segment}, expected byte {expected}")]
    Offset {
        /// The entry.
        path: String,
        /// Index of its segment.
        segment: u32,
        /// Where it must be.
        expected: u64,
        /// Where the manifest says it is.
        found: u64,
    },
    /// An entry has a path that its kind or digest does not have.
    #[error("{path:?}: {why}")]
    Path {
        /// The path, cut to a printable length.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Entries stand in another order than they must, or twice.
    #[error("{path} stands behind an entry that it must precede")]
    Order {
        /// The second of the two.
        path: String,
    },
    /// One digest is listed as a manifest and as a blob.
    #[error("{digest} is carried twice")]
    Twice {
        /// Which.
        digest: Digest,
    },
    /// An entry is longer than its kind may be.
    #[error("{path} has {size} bytes, at most {limit}")]
    TooLarge {
        /// The entry.
        path: String,
        /// Its length.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// An entry has more or fewer prefix digests than its length asks for, or of another kind.
    #[error("{path}: {found} digests of prefixes, expected {expected} of its digest's kind")]
    Chunks {
        /// The entry.
        path: String,
        /// How many its length asks for.
        expected: u64,
        /// How many there are.
        found: usize,
    },
    /// Parts do not make up their blob.
    #[error("{path}: {why}")]
    Parts {
        /// The part where it shows.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// It says that everything is carried and lists what is missing, or the other way round.
    #[error("complete is {complete}, and {missing} things are listed as missing")]
    Complete {
        /// What it says.
        complete: bool,
        /// How many are listed.
        missing: usize,
    },
}

/// Checks everything about a manifest that needs no file.
///
/// # Errors
/// The first [`Fault`].
pub fn validate(manifest: &BundleManifest) -> Result<(), Fault> {
    let counts = [
        ("entries", manifest.entries.len(), ENTRIES_MAX),
        ("segments", manifest.segments.len(), SEGMENTS_MAX),
    ];
    for (what, found, limit) in counts {
        if found > limit {
            return Err(Fault::TooMany { what, limit });
        }
    }
    if manifest.complete != manifest.missing.is_empty() {
        let (complete, missing) = (manifest.complete, manifest.missing.len());
        return Err(Fault::Complete { complete, missing });
    }
    for (index, segment) in (0_u32..).zip(&manifest.segments) {
        if segment.file != manifest.name.segment_file(index) {
            let number = usize::try_from(index).unwrap_or(usize::MAX).saturating_add(1);
            let found = segment.file.chars().take(80).collect();
            return Err(Fault::SegmentName { number, found });
        }
    }
    for entry in &manifest.entries {
        check_entry(entry)?;
    }
    check_order(&manifest.entries)?;
    check_places(manifest)?;
    check_parts(&manifest.entries)
}

/// One entry by itself.
fn check_entry(entry: &Entry) -> Result<(), Fault> {
    let fault = |why| Fault::Path { path: entry.path.chars().take(600).collect(), why };
    let limit = match &entry.content {
        Content::File => {
            if let Some(why) = file_path_fault(&entry.path) {
                return Err(fault(why));
            }
            FILES_BYTES_MAX
        }
        Content::Manifest { .. } => {
            if entry.path != entry.digest.layout_path() {
                return Err(fault("not the path of its digest"));
            }
            u64::try_from(IMAGE_MANIFEST_BYTES_MAX).unwrap_or(u64::MAX)
        }
        Content::Blob { blob, encoding: Encoding::Identity, part: None } => {
            if entry.path != blob.layout_path() || entry.digest != *blob {
                return Err(fault("not the path of its digest"));
            }
            CONTENT_BYTES_MAX
        }
        // Where they begin tells which part they are: `check_parts`.
        Content::Blob { part: Some(_), .. } => CONTENT_BYTES_MAX,
    };
    let (path, size) = (entry.path.clone(), entry.size);
    if size > limit {
        return Err(Fault::TooLarge { path, size, limit });
    }
    let (expected, found) = (prefixes(size, CHUNK_BYTES), entry.chunks.len());
    let algorithm = entry.digest.algorithm();
    let same_kind = entry.chunks.iter().all(|chunk| chunk.algorithm() == algorithm);
    if !same_kind || u64::try_from(found) != Ok(expected) {
        return Err(Fault::Chunks { path, expected, found });
    }
    Ok(())
}

/// Files, manifests, blobs, each in order of their paths, none twice.
fn check_order(entries: &[Entry]) -> Result<(), Fault> {
    let (mut manifests, mut files_bytes) = (BTreeSet::new(), 0_u64);
    for pair in entries.windows(2) {
        let [before, after] = pair else { continue };
        let key = |entry: &Entry| (rank(&entry.path, &entry.content), entry.path.clone());
        if key(before) >= key(after) {
            return Err(Fault::Order { path: after.path.clone() });
        }
        if let Content::Blob { blob, part: Some(_), .. } = after.content
            && matches!(before.content, Content::Blob { blob: b, part: None, .. } if b == blob)
        {
            return Err(Fault::Twice { digest: blob });
        }
    }
    for entry in entries {
        match &entry.content {
            Content::File => files_bytes = files_bytes.saturating_add(entry.size),
            Content::Manifest { .. } => drop(manifests.insert(entry.digest)),
            Content::Blob { blob, .. } if manifests.contains(blob) => {
                return Err(Fault::Twice { digest: *blob });
            }
            Content::Blob { .. } => {}
        }
        if files_bytes > FILES_BYTES_MAX {
            let (path, limit) = (entry.path.clone(), FILES_BYTES_MAX);
            return Err(Fault::TooLarge { path, size: files_bytes, limit });
        }
    }
    Ok(())
}

/// Computes every place again.
fn check_places(manifest: &BundleManifest) -> Result<(), Fault> {
    let mut entries = manifest.entries.iter().peekable();
    for (index, segment) in (0_u32..).zip(&manifest.segments) {
        let mut at = 0_u64;
        while let Some(entry) = entries.next_if(|entry| entry.segment == index) {
            let expected = at.saturating_add(header_bytes(&entry.path));
            if entry.offset != expected {
                let (path, found) = (entry.path.clone(), entry.offset);
                return Err(Fault::Offset { path, segment: index, expected, found });
            }
            at = expected.saturating_add(padded(entry.size));
        }
        let expected = at.saturating_add(END_BYTES);
        if segment.size != expected || at == 0 {
            let (file, found) = (segment.file.clone(), segment.size);
            return Err(Fault::SegmentSize { file, expected, found });
        }
    }
    // What is left names a segment that is not next, or does not exist.
    entries.next().map_or(Ok(()), |entry| Err(Fault::Order { path: entry.path.clone() }))
}

/// Parts follow each other without a hole and end where the blob does.
fn check_parts(entries: &[Entry]) -> Result<(), Fault> {
    let mut left = entries;
    while let Some((first, rest)) = left.split_first() {
        let Content::Blob { blob, part: Some(Part { of, .. }), .. } = first.content else {
            left = rest;
            continue;
        };
        let fault = |entry: &Entry, why| {
            let path = entry.path.chars().take(600).collect();
            Err(Fault::Parts { path, why })
        };
        let is_same = |entry: &&Entry| matches!(entry.content, Content::Blob { blob: b, part: Some(_), .. } if b == blob);
        let count = left.iter().take_while(is_same).count();
        let (parts, behind) = left.split_at(count);
        let mut next = 0_u64;
        for (number, entry) in (1_usize..).zip(parts) {
            let place = Part { from: next, of };
            if !matches!(entry.content, Content::Blob { part: Some(p), .. } if p == place) {
                return fault(entry, "does not begin where the part before it ends");
            }
            if entry.path != part_path(&blob, number) {
                return fault(entry, "not the name of this part");
            }
            if entry.size == 0 {
                return fault(entry, "an empty part");
            }
            next = next.saturating_add(entry.size);
        }
        if next != of || count < 2 {
            return fault(first, "the parts do not make up the blob");
        }
        left = behind;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
