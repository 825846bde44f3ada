//! What one thread of a check does with one job.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

use crate::bundle::error::BundleError;
use crate::bundle::evidence::{Damage, DamageKind};
use crate::bundle::framing::{END_BYTES, headers, padded};
use crate::bundle::manifest::{CHUNK_BYTES, Content, Entry};
use crate::bundle::reader::Reader;
use crate::oci::Hasher;

/// Bytes read at a time: what is hashed is still in the core's cache (docs/benchmarks.md).
const READ_BYTES: usize = 256 * 1024;

/// One thread's buffer and the segment that it has open.
pub(super) struct Worker<'a> {
    reader: &'a Reader,
    progress: &'a (dyn Fn(u64) + Sync),
    buffer: Vec<u8>,
    open: Option<(u32, File)>,
}

/// Where reading ended.
enum Run {
    Whole,
    Unreadable { at: u64 },
}

impl<'a> Worker<'a> {
    pub(super) fn new(reader: &'a Reader, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { reader, progress, buffer: vec![0; READ_BYTES], open: None }
    }

    /// Hashes an entry, or all parts of a blob and the blob.
    pub(super) fn object(&mut self, entries: &[Entry]) -> Result<Vec<Damage>, BundleError> {
        let whole = entries.first().and_then(|entry| match &entry.content {
            Content::Blob { blob, part: Some(_), .. } => Some(*blob),
            Content::Blob { .. } | Content::File | Content::Manifest { .. } => None,
        });
        let mut hash = whole.map(|blob| Hasher::new(blob.algorithm()));
        let mut found = Vec::new();
        for entry in entries {
            found.extend(self.entry(entry, hash.as_mut())?);
        }
        let (Some(first), Some(whole), Some(hash)) = (entries.first(), whole, hash) else {
            return Ok(found);
        };
        if found.is_empty() && hash.finish() != whole {
            found.push(self.damage(first, first.offset, first.size, DamageKind::Whole));
        }
        Ok(found)
    }

    /// Hashes one entry and compares every prefix that the manifest knows.
    fn entry(
        &mut self,
        entry: &Entry,
        mut whole: Option<&mut Hasher>,
    ) -> Result<Option<Damage>, BundleError> {
        let file = self.take_file(entry.segment)?;
        // Advice only: where a file system does not take it, reading is as good.
        let length = NonZeroU64::new(entry.size);
        if let Err(error) = fadvise(&file, entry.offset, length, Advice::Sequential) {
            tracing::debug!(%error, "no read-ahead");
        }
        let mut hash = Hasher::new(entry.digest.algorithm());
        let (mut at, mut chunks) = (0_u64, entry.chunks.iter());
        let damage = loop {
            let end = at.saturating_add(CHUNK_BYTES).min(entry.size);
            let run = self.run(&file, entry, at..end, &mut hash, whole.as_deref_mut());
            if let Run::Unreadable { at } = run {
                let within = u64::try_from(READ_BYTES).unwrap_or(u64::MAX).min(entry.size - at);
                let place = entry.offset.saturating_add(at);
                break Some(self.damage(entry, place, within, DamageKind::Unreadable));
            }
            (self.progress)(end - at);
            let expected = if end < entry.size { chunks.next() } else { Some(&entry.digest) };
            let found = hash.clone().finish();
            if expected != Some(&found) {
                let (place, within) = (entry.offset.saturating_add(at), (end - at).max(1));
                break Some(self.damage(entry, place, within, DamageKind::Content));
            }
            if end == entry.size {
                break None;
            }
            at = end;
        };
        self.open = Some((entry.segment, file));
        Ok(damage)
    }

    /// Hashes a run of an entry.
    fn run(
        &mut self,
        file: &File,
        entry: &Entry,
        range: std::ops::Range<u64>,
        hash: &mut Hasher,
        mut whole: Option<&mut Hasher>,
    ) -> Run {
        let mut at = range.start;
        while at < range.end {
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let piece = &mut self.buffer[..left.min(READ_BYTES)];
            if file.read_exact_at(piece, entry.offset.saturating_add(at)).is_err() {
                return Run::Unreadable { at };
            }
            hash.update(piece);
            if let Some(whole) = &mut whole {
                whole.update(piece);
            }
            at = at.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        Run::Whole
    }

    /// Compares everything of a segment that is no content.
    pub(super) fn framing(&mut self, segment: u32) -> Result<Vec<Damage>, BundleError> {
        let file = self.take_file(segment)?;
        let manifest = self.reader.manifest();
        let entries = &manifest.entries;
        let first = entries.partition_point(|entry| entry.segment < segment);
        let behind = entries.partition_point(|entry| entry.segment <= segment);
        let here = entries.get(first..behind).unwrap_or_default();
        let mut found = Vec::new();
        let (mut at, mut padding) = (0_u64, 0_u64);
        for entry in here {
            let mut expected = vec![0; usize::try_from(padding).unwrap_or(usize::MAX)];
            expected.extend(headers(&entry.path, entry.size));
            found.extend(self.compare(&file, entry, at, &expected));
            at = entry.offset.saturating_add(entry.size);
            padding = padded(entry.size).saturating_sub(entry.size);
        }
        if let Some(last) = here.last() {
            let end = usize::try_from(padding.saturating_add(END_BYTES)).unwrap_or(usize::MAX);
            found.extend(self.compare(&file, last, at, &vec![0; end]));
        }
        self.open = Some((segment, file));
        Ok(found)
    }

    /// The first byte at `at` that is not the expected one.
    fn compare(&self, file: &File, entry: &Entry, at: u64, expected: &[u8]) -> Option<Damage> {
        let mut bytes = vec![0; expected.len()];
        let length = u64::try_from(expected.len()).unwrap_or(u64::MAX);
        if file.read_exact_at(&mut bytes, at).is_err() {
            return Some(self.damage(entry, at, length, DamageKind::Unreadable));
        }
        let differs = bytes.iter().zip(expected).position(|(found, expected)| found != expected)?;
        let place = at.saturating_add(u64::try_from(differs).unwrap_or(u64::MAX));
        Some(self.damage(entry, place, 1, DamageKind::Framing))
    }

    fn take_file(&mut self, segment: u32) -> Result<File, BundleError> {
        match self.open.take() {
            Some((open, file)) if open == segment => Ok(file),
            _ => self.reader.open_segment(segment),
        }
    }

    fn damage(&self, entry: &Entry, offset: u64, within: u64, kind: DamageKind) -> Damage {
        let index = usize::try_from(entry.segment).unwrap_or(usize::MAX);
        let segment = self.reader.manifest().segments.get(index);
        let file = segment.map(|segment| segment.file.clone()).unwrap_or_default();
        Damage { file, offset, within, path: entry.path.clone(), blob: entry.blob(), kind }
    }
}
