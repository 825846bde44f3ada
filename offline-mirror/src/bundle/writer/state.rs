//! How far each item of a set is written. Pure.

use crate::bundle::layout::{Item, Laid};
use crate::oci::{Algorithm, Digest};

use super::journal::Record;

/// How far one piece is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PieceState {
    /// Digests of its prefixes, one per chunk that is written, all shorter than the piece.
    pub(super) chunks: Vec<Digest>,
    /// Its own digest, once it is whole.
    pub(super) digest: Option<Digest>,
}

/// How far one item is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ItemState {
    pub(super) pieces: Vec<PieceState>,
    pub(super) is_done: bool,
}

/// How far a set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) items: Vec<ItemState>,
}

/// How many prefixes of `size` bytes are hashed: one per whole chunk that is not all of it.
pub(in crate::bundle) fn prefixes(size: u64, chunk_bytes: u64) -> u64 {
    size.saturating_sub(1) / chunk_bytes
}

/// The hash of the entry of a piece. A blob in one piece is hashed as its digest is, so that one
/// hash serves both; a part's digest is known to nobody else.
pub(super) fn algorithm(item: &Item) -> Algorithm {
    if item.pieces.len() == 1 { item.planned.digest.algorithm() } else { Algorithm::Sha256 }
}

impl State {
    /// Nothing is written.
    pub(super) fn new(laid: &Laid) -> Self {
        let empty = |item: &Item| ItemState {
            pieces: vec![PieceState::default(); item.pieces.len()],
            is_done: false,
        };
        Self { items: laid.items().iter().map(empty).collect() }
    }

    /// Takes a record in; `None` when it does not follow from those before.
    pub(super) fn apply(&mut self, record: &Record, laid: &Laid, chunk_bytes: u64) -> Option<()> {
        match record {
            Record::Chunk { item, piece, prefix } => {
                let size = laid.items().get(*item)?.pieces.get(*piece)?.size;
                let state = self.open(*item, *piece)?;
                let room = prefixes(size, chunk_bytes);
                let fits = u64::try_from(state.chunks.len()).is_ok_and(|count| count < room);
                fits.then(|| state.chunks.push(*prefix))
            }
            Record::Piece { item, piece, digest } => {
                let size = laid.items().get(*item)?.pieces.get(*piece)?.size;
                let state = self.open(*item, *piece)?;
                let room = prefixes(size, chunk_bytes);
                let is_whole = u64::try_from(state.chunks.len()).is_ok_and(|count| count == room);
                is_whole.then(|| state.digest = Some(*digest))
            }
            Record::Done { item } => {
                let state = self.items.get_mut(*item)?;
                let is_whole = state.pieces.iter().all(|piece| piece.digest.is_some());
                is_whole.then(|| state.is_done = true)
            }
            Record::Back { item, pieces, chunks } => {
                let state = self.items.get_mut(*item)?;
                state.is_done = false;
                for piece in state.pieces.iter_mut().skip(*pieces) {
                    piece.digest = None;
                }
                for piece in state.pieces.iter_mut().skip(pieces.saturating_add(1)) {
                    piece.chunks.clear();
                }
                if let Some(piece) = state.pieces.get_mut(*pieces) {
                    piece.chunks.truncate(*chunks);
                }
                Some(())
            }
        }
    }

    /// A piece that is the next one of its item to be written.
    fn open(&mut self, item: usize, piece: usize) -> Option<&mut PieceState> {
        let state = self.items.get_mut(item).filter(|state| !state.is_done)?;
        let are_before = state.pieces.iter().take(piece).all(|before| before.digest.is_some());
        state.pieces.get_mut(piece).filter(|state| are_before && state.digest.is_none())
    }
}
