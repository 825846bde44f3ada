//! Writes a set: many items at once, each at its place, over as many runs as it takes.
//!
//! ```text
//! <dir>/<name>-0001.tar.partial   the segments, at their full length from the start
//! <dir>/<name>.work/journal       what is on disk; locked by the process that writes
//! ```
//! [`Writer::finish`] gives the segments their names, [`super::seal`] writes the manifest and removes
//! the working state. Until then the set is no bundle.
//!
//! Content is synced before the journal calls an item done, in batches, by a thread of the writer's
//! own. Writing is plain blocking code: a piece of a network answer goes to the page cache in
//! microseconds, so callers do it in their receive loop. Only when the disk is 512 MiB behind do they
//! wait for it.

mod item;
mod journal;
mod repack;
mod room;
mod segments;
mod shared;
mod state;
mod syncer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use item::ItemWriter;
pub use room::{Room, room};
pub(super) use segments::sync_dir;
pub(super) use state::prefixes;

use self::journal::{Journal, replay};
use self::segments::refuse_occupied;
use self::shared::{Shared, lock, restore};
use self::state::State;
use self::syncer::Syncer;
use super::error::BundleError;
use super::layout::{Item, Laid, Piece, Planned};
use super::manifest::{BundleName, CHUNK_BYTES, Content, Encoding, Entry, Part, Segment};
use super::seal::remove_work;

/// Folder of the working state of a set. Others may keep files of their own in it until the set is
/// sealed.
pub fn work_dir(dir: &Path, name: &BundleName) -> PathBuf {
    dir.join(format!("{name}.work"))
}

/// Segments and entries of a set whose every byte is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// For [`super::BundleManifest::segments`].
    pub segments: Vec<Segment>,
    /// For [`super::BundleManifest::entries`].
    pub entries: Vec<Entry>,
}

/// Writes a set. Cheap to clone; clones write the same set.
#[derive(Debug, Clone)]
pub struct Writer {
    /// Ends with the last clone; stands first so that it ends before what it syncs.
    _syncer: Arc<Syncer>,
    shared: Arc<Shared>,
}

impl Writer {
    /// Begins the set in `dir`, or goes on with it where an earlier run stopped.
    ///
    /// # Errors
    /// [`BundleError::Sealed`], [`BundleError::Occupied`], [`BundleError::OtherPlan`],
    /// [`BundleError::Locked`], [`BundleError::NoRoom`] or [`BundleError::Io`].
    pub fn open(dir: &Path, laid: Laid) -> Result<Self, BundleError> {
        Self::open_with(dir, laid, CHUNK_BYTES)
    }

    fn open_with(dir: &Path, laid: Laid, chunk_bytes: u64) -> Result<Self, BundleError> {
        let manifest = dir.join(laid.name().manifest_file());
        let work = work_dir(dir, laid.name());
        if manifest.exists() {
            // Left by a run that died right after it wrote the manifest.
            remove_work(dir, laid.name())?;
            return Err(BundleError::Sealed { manifest });
        }
        let (mut journal, bytes) = Journal::open(&work)?;
        let replayed = replay(&bytes);
        let state = match replayed.layout {
            None => {
                refuse_occupied(dir, &laid)?;
                room::require(dir, &laid)?;
                journal.cut(0)?;
                journal.begin(&laid.digest())?;
                sync_dir(dir)?;
                State::new(&laid)
            }
            Some((layout, _)) if layout == laid.digest() => {
                room::require(dir, &laid)?;
                restore(&mut journal, &replayed, &laid, chunk_bytes)?
            }
            Some(_) => return Err(BundleError::OtherPlan { work }),
        };
        let shared = Shared::new(dir, laid, chunk_bytes, journal, state);
        shared.make_segments()?;
        Self::over(shared)
    }

    fn over(shared: Shared) -> Result<Self, BundleError> {
        let shared = Arc::new(shared);
        let syncer = Syncer::start(&shared)?;
        Ok(Self { shared, _syncer: Arc::new(syncer) })
    }

    /// What is written where.
    pub fn laid(&self) -> &Laid {
        &self.shared.laid
    }

    /// Whether an item is written and has its digest.
    pub fn done(&self, item: usize) -> bool {
        lock(&self.shared.live).state.items.get(item).is_some_and(|state| state.is_done)
    }

    /// Numbers of the items that are not done, in the order of the bundle.
    pub fn left(&self) -> Vec<usize> {
        let live = lock(&self.shared.live);
        let items = live.state.items.iter().enumerate();
        items.filter(|(_, state)| !state.is_done).map(|(item, _)| item).collect()
    }

    /// Starts or goes on with an item. What an earlier run wrote of it is read back and compared
    /// with the journal, which takes half a second per gigabyte: not for a thread that others wait
    /// for.
    ///
    /// # Errors
    /// [`BundleError::NotOpen`] or [`BundleError::Io`].
    pub fn begin(&self, item: usize) -> Result<ItemWriter, BundleError> {
        ItemWriter::open(Arc::clone(&self.shared), item)
    }

    /// Writes a whole item from memory; nothing when it is done already.
    ///
    /// # Errors
    /// As [`Writer::begin`], [`ItemWriter::write`] and [`ItemWriter::finish`].
    pub fn put(&self, item: usize, bytes: &[u8]) -> Result<(), BundleError> {
        if self.done(item) {
            return Ok(());
        }
        let mut writer = self.begin(item)?;
        let from = usize::try_from(writer.resume_at()).unwrap_or(usize::MAX);
        writer.write(bytes.get(from..).unwrap_or_default())?;
        writer.finish()
    }

    /// Waits until everything written so far is on disk and in the journal.
    ///
    /// # Errors
    /// [`BundleError::Io`]; the set must then be opened again.
    pub fn sync(&self) -> Result<(), BundleError> {
        self.shared.sync()
    }

    /// Writes what lies around the entries, syncs all, and gives the segments their names.
    ///
    /// # Errors
    /// [`BundleError::Unfinished`] or [`BundleError::Io`].
    pub fn finish(self) -> Result<Written, BundleError> {
        let (left, all) = (self.left().len(), self.shared.laid.items().len());
        if left > 0 {
            return Err(BundleError::Unfinished { left, all });
        }
        self.shared.sync()?;
        self.shared.name_segments()?;
        let live = lock(&self.shared.live);
        let segments = self.shared.laid.segments().to_vec();
        let items = self.shared.laid.items().iter().zip(&live.state.items);
        let entries = items.flat_map(|(item, state)| entries(item, state)).collect();
        Ok(Written { segments, entries })
    }
}

/// The entries of an item that is done.
fn entries(item: &Item, state: &state::ItemState) -> Vec<Entry> {
    let whole = item.planned.digest;
    let pieces = item.pieces.iter().zip(&state.pieces);
    let entry = |(piece, state): (&Piece, &state::PieceState)| Entry {
        path: piece.path.clone(),
        segment: piece.segment,
        offset: piece.offset,
        size: piece.size,
        digest: state.digest.unwrap_or(whole),
        chunks: state.chunks.clone(),
        content: match &item.planned.what {
            Planned::File { .. } => Content::File,
            Planned::Manifest { media_type } => {
                Content::Manifest { media_type: media_type.clone() }
            }
            Planned::Blob => Content::Blob {
                blob: whole,
                encoding: Encoding::Identity,
                part: (item.pieces.len() > 1)
                    .then_some(Part { from: piece.from, of: item.planned.size }),
            },
        },
    };
    pieces.map(entry).collect()
}

#[cfg(test)]
mod tests;
