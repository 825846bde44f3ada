//! Writes one item at its place, hashing on the way.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::bundle::error::BundleError;
use crate::bundle::layout::{Item, Piece};
use crate::oci::{Digest, Hasher};

use super::journal::Record;
use super::shared::{Shared, lock};
use super::state::{PieceState, algorithm};

/// Bytes read at a time while what is on disk is hashed again; stays in a core's cache.
const READ_BYTES: usize = 256 * 1024;

/// One item being written. Dropping it keeps what was written, up to the last whole chunk.
#[derive(Debug)]
pub struct ItemWriter {
    shared: Arc<Shared>,
    item: usize,
    /// The piece that the next byte belongs to, and where in it.
    piece: usize,
    at: u64,
    hash: Hasher,
    /// Hash of all pieces together, where there are several.
    whole: Option<Hasher>,
    file: Option<Arc<File>>,
    resume_at: u64,
    /// Writing failed: hash and file no longer agree.
    is_broken: bool,
}

impl Drop for ItemWriter {
    fn drop(&mut self) {
        lock(&self.shared.live).active.remove(&self.item);
    }
}

impl ItemWriter {
    pub(super) fn open(shared: Arc<Shared>, item: usize) -> Result<Self, BundleError> {
        let refuse = |why| BundleError::NotOpen { item, why };
        let laid = shared.laid.items().get(item).ok_or(refuse("there is no such item"))?;
        let hash = Hasher::new(algorithm(laid));
        let is_cut = laid.pieces.len() > 1;
        let whole = is_cut.then(|| Hasher::new(laid.planned.digest.algorithm()));
        let pieces = {
            let mut live = lock(&shared.live);
            let state = live.state.items.get(item).cloned().unwrap_or_default();
            if state.is_done {
                return Err(refuse("it is done"));
            }
            if !live.active.insert(item) {
                return Err(refuse("somebody else is writing it"));
            }
            state.pieces
        };
        let (piece, at, file, resume_at, is_broken) = (0, 0, None, 0, false);
        let mut writer = Self { shared, item, piece, at, hash, whole, file, resume_at, is_broken };
        writer.go_on(&pieces)?;
        Ok(writer)
    }

    /// Length of the item in bytes.
    pub fn size(&self) -> u64 {
        self.laid().planned.size
    }

    /// Offset in the item from which bytes are wanted; its length when only [`ItemWriter::finish`] is
    /// left to do.
    pub fn resume_at(&self) -> u64 {
        self.resume_at
    }

    /// Offset in the item that the next byte goes to.
    pub fn offset(&self) -> u64 {
        let piece = self.laid().pieces.get(self.piece);
        piece.map_or_else(|| self.size(), |piece| piece.from.saturating_add(self.at))
    }

    /// Writes the next bytes.
    ///
    /// # Errors
    /// [`BundleError::TooLong`] for more than planned, [`BundleError::Io`] when they cannot be
    /// written; the item must then be begun again.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), BundleError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > self.size().saturating_sub(self.offset()) {
            self.back(0, 0)?;
            self.is_broken = true;
            let (path, size) = (self.laid().planned.path(), self.size());
            return Err(BundleError::TooLong { path, size });
        }
        while !bytes.is_empty() {
            let Some(piece) = self.laid().pieces.get(self.piece).cloned() else { break };
            let to_chunk = self.shared.chunk_bytes - self.at % self.shared.chunk_bytes;
            let room = to_chunk.min(piece.size.saturating_sub(self.at));
            let count = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let (head, tail) = bytes.split_at(count);
            self.write_run(&piece, head)?;
            bytes = tail;
        }
        Ok(())
    }

    /// The item is whole: compares its digest.
    ///
    /// # Errors
    /// [`BundleError::TooShort`]; [`BundleError::Digest`], after which it is written again from its
    /// start; [`BundleError::Io`].
    pub fn finish(mut self) -> Result<(), BundleError> {
        let (path, size) = (self.laid().planned.path(), self.size());
        if size == 0 && self.piece == 0 {
            let digest = self.hash.clone().finish();
            self.end_piece(0, digest)?;
        }
        let found = self.offset();
        if found < size || self.is_broken {
            return Err(BundleError::TooShort { path, size, found });
        }
        let expected = self.laid().planned.digest;
        let found = match self.whole.take() {
            Some(whole) => whole.finish(),
            None => self.first_digest().unwrap_or(expected.same_of(&[])),
        };
        if found != expected {
            self.back(0, 0)?;
            return Err(BundleError::Digest { path, found });
        }
        self.shared.note(Record::Done { item: self.item }, 0, None)
    }

    /// Forgets what was written.
    pub(super) fn restart(self) -> Result<(), BundleError> {
        self.back(0, 0)
    }

    fn laid(&self) -> &Item {
        // `open` looked the number up.
        &self.shared.laid.items()[self.item]
    }

    fn first_digest(&self) -> Option<Digest> {
        let live = lock(&self.shared.live);
        live.state.items.get(self.item)?.pieces.first()?.digest
    }

    fn back(&self, pieces: usize, chunks: usize) -> Result<(), BundleError> {
        self.shared.note(Record::Back { item: self.item, pieces, chunks }, 0, None)
    }

    fn segment(&mut self, piece: &Piece) -> Result<Arc<File>, BundleError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(self.shared.open_segment(piece.segment)?);
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Writes bytes that end at the next chunk or piece at the latest.
    fn write_run(&mut self, piece: &Piece, bytes: &[u8]) -> Result<(), BundleError> {
        let file = self.segment(piece)?;
        if let Err(source) = file.write_all_at(bytes, piece.offset.saturating_add(self.at)) {
            self.is_broken = true;
            let path = self.shared.segment_path(piece.segment);
            return Err(self.shared.fault("write", path, source));
        }
        self.take_in(bytes);
        let item = self.item;
        if self.at == piece.size {
            let digest = self.hash.clone().finish();
            return self.end_piece(piece.segment, digest);
        }
        if self.at.is_multiple_of(self.shared.chunk_bytes) {
            let prefix = self.hash.clone().finish();
            let record = Record::Chunk { item, piece: self.piece, prefix };
            let segment = Some((piece.segment, &file));
            return self.shared.note(record, self.shared.chunk_bytes, segment);
        }
        Ok(())
    }

    fn take_in(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        if let Some(whole) = &mut self.whole {
            whole.update(bytes);
        }
        self.at = self.at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }

    fn end_piece(&mut self, segment: u32, digest: Digest) -> Result<(), BundleError> {
        let record = Record::Piece { item: self.item, piece: self.piece, digest };
        let tail = self.at % self.shared.chunk_bytes;
        let file = self.file.take();
        self.shared.note(record, tail, file.as_ref().map(|file| (segment, file)))?;
        self.next_piece();
        Ok(())
    }

    fn next_piece(&mut self) {
        self.piece = self.piece.saturating_add(1);
        self.at = 0;
        self.file = None;
        self.hash = Hasher::new(algorithm(self.laid()));
    }

    /// Hashes what the journal says is on disk, as far as that is so.
    fn go_on(&mut self, pieces: &[PieceState]) -> Result<(), BundleError> {
        let places = self.laid().pieces.clone();
        for (index, (piece, state)) in places.iter().zip(pieces).enumerate() {
            if state.chunks.is_empty() && state.digest.is_none() {
                break;
            }
            let good = self.reread(piece, state)?;
            if self.piece > index {
                continue;
            }
            if good < state.chunks.len() || state.digest.is_some() {
                self.back(index, good)?;
            }
            break;
        }
        self.resume_at = self.offset();
        Ok(())
    }

    /// Hashes the chunks of one piece again. Stands behind the last good chunk afterwards, or at the
    /// next piece when all of this one is as it was written; returns how many chunks are good.
    fn reread(&mut self, piece: &Piece, state: &PieceState) -> Result<usize, BundleError> {
        let file = self.segment(piece)?;
        let (mut good, mut buffer) = (0_usize, vec![0; READ_BYTES]);
        loop {
            let before = (self.hash.clone(), self.whole.clone(), self.at);
            let expected = state.chunks.get(good).or(state.digest.as_ref());
            let Some(expected) = expected else { return Ok(good) };
            let end = if good < state.chunks.len() {
                self.at.saturating_add(self.shared.chunk_bytes)
            } else {
                piece.size
            };
            while self.at < end {
                let left = usize::try_from(end - self.at).unwrap_or(usize::MAX);
                let run = &mut buffer[..left.min(READ_BYTES)];
                let read = file.read_exact_at(run, piece.offset.saturating_add(self.at));
                read.map_err(BundleError::io("read", self.shared.segment_path(piece.segment)))?;
                self.take_in(run);
            }
            if self.hash.clone().finish() != *expected {
                (self.hash, self.whole, self.at) = before;
                return Ok(good);
            }
            if good == state.chunks.len() {
                self.next_piece();
                return Ok(good);
            }
            good = good.saturating_add(1);
        }
    }
}
