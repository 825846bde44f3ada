//! Reads blobs in pieces, wherever their bytes lie.
//!
//! A reader holds its files open: a blob that is collected meanwhile is still read to its end, except
//! that holes may appear in a shared segment, which is why collections leave a grace.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Transaction, params};

use super::blobs::{self, BlobRow};
use super::error::{During as _, Of as _, StoreError};
use super::{Store, files};
use crate::oci::{Digest, Repository};

/// Bytes of one positioned read: large enough that system calls do not count, small enough that a
/// hundred clients cost a hundred megabytes at most.
pub const PIECE_BYTES: usize = 512 * 1024;

/// A stretch of a file that holds bytes of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The file.
    pub path: PathBuf,
    /// Offset of the first byte in it.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

/// Reads a range of a blob. One owner at a time; cheap to send between threads.
#[derive(Debug)]
pub struct BlobReader {
    /// What is left, the next piece last.
    left: Vec<Piece>,
    open: Option<(PathBuf, Arc<File>)>,
    /// Bytes that are left to read.
    remaining: u64,
}

impl BlobReader {
    fn new(mut pieces: Vec<Piece>, range: Range<u64>) -> Self {
        let mut skip = range.start;
        let mut take = range.end.saturating_sub(range.start);
        let remaining = take;
        pieces.retain_mut(|piece| {
            let skipped = skip.min(piece.size);
            skip = skip.saturating_sub(skipped);
            piece.offset = piece.offset.saturating_add(skipped);
            piece.size = piece.size.saturating_sub(skipped).min(take);
            take = take.saturating_sub(piece.size);
            piece.size > 0
        });
        pieces.reverse();
        Self { left: pieces, open: None, remaining }
    }

    /// Bytes that are left to read.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Where the next byte comes from: file and offset.
    pub fn position(&self) -> Option<(PathBuf, u64)> {
        self.left.last().map(|piece| (piece.path.clone(), piece.offset))
    }

    /// The next bytes, at most [`PIECE_BYTES`]; none at the end.
    ///
    /// # Errors
    /// When a file cannot be read or ends early.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(mut piece) = self.left.pop() else { return Ok(None) };
        let file = match self.open.take() {
            Some((path, file)) if path == piece.path => file,
            _ => Arc::new(File::open(&piece.path).of("open", &piece.path)?),
        };
        let length = usize::try_from(piece.size).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let mut buffer = vec![0; length];
        file.read_exact_at(&mut buffer, piece.offset).of("read", &piece.path)?;
        let read = u64::try_from(length).unwrap_or(u64::MAX);
        self.remaining = self.remaining.saturating_sub(read);
        self.open = Some((piece.path.clone(), file));
        piece.offset = piece.offset.saturating_add(read);
        piece.size = piece.size.saturating_sub(read);
        if piece.size > 0 {
            self.left.push(piece);
        }
        Ok(Some(Bytes::from(buffer)))
    }

    /// All that is left, for small blobs.
    ///
    /// # Errors
    /// When a file cannot be read, or more than `limit` bytes are left.
    pub fn read_all(mut self, limit: usize) -> Result<Vec<u8>, StoreError> {
        let bound = u64::try_from(limit).unwrap_or(u64::MAX);
        if self.remaining > bound {
            return Err(StoreError::TooLarge { what: "a blob in memory", limit: bound });
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.next_piece()? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

impl Store {
    /// Reads a range of a blob, whoever holds it; `None` where the store does not have it. A range
    /// that ends behind the blob is cut.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn reader(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobReader>, StoreError> {
        self.read("find a blob", |tx| match blobs::find(tx, digest)? {
            Some(row) => self.reader_of(tx, digest, row, range).map(Some),
            None => Ok(None),
        })
    }

    /// Reads a range of a blob that the repository holds.
    ///
    /// # Errors
    /// [`StoreError::BlobUnknown`] when it does not hold it.
    pub fn reader_in(
        &self,
        repository: &Repository,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<BlobReader, StoreError> {
        self.read("find a blob", |tx| match blobs::linked(tx, repository, digest)? {
            Some(row) => self.reader_of(tx, digest, row, range),
            None => {
                Err(StoreError::BlobUnknown { repository: repository.clone(), digest: *digest })
            }
        })
    }

    pub(super) fn reader_of(
        &self,
        tx: &Transaction<'_>,
        digest: &Digest,
        row: BlobRow,
        range: Option<Range<u64>>,
    ) -> Result<BlobReader, StoreError> {
        let pieces = self.pieces(tx, digest, row)?;
        let range = range.map_or(0..row.size, |r| r.start.min(row.size)..r.end.min(row.size));
        Ok(BlobReader::new(pieces, range))
    }

    pub(super) fn pieces(
        &self,
        tx: &Transaction<'_>,
        digest: &Digest,
        row: BlobRow,
    ) -> Result<Vec<Piece>, StoreError> {
        let operation = "find a blob's pieces";
        if row.is_loose {
            let path = files::loose(self.dir(), digest);
            return Ok(vec![Piece { path, offset: 0, size: row.size }]);
        }
        let folder = self.dir().join(files::SEGMENTS);
        let mut statement = tx
            .prepare_cached(
                "SELECT s.path, e.start, e.size FROM extents e JOIN segments s ON s.id = e.segment \
                 WHERE e.blob = ? ORDER BY e.ordinal",
            )
            .during(operation)?;
        let rows = statement.query_map(params![row.id], |row| {
            let path: String = row.get(0)?;
            Ok(Piece { path: folder.join(path), offset: row.get(1)?, size: row.get(2)? })
        });
        rows.and_then(Iterator::collect).during(operation)
    }
}
