//! Writes a set: many items at once, each at its place, over as many runs as it takes.
//!
//! ```text
//! <dir>/<name>-0001.tar.partial   the segments, at their full length from the start
//! <dir>/<name>.work/journal       what is on disk; locked by the process that writes
//! ```
//! [`Writer::finish`] gives the segments their names, [`super::seal`] writes the manifest and removes
//! the working state. Until then the set is no bundle.
//!
//! Content is synced before the journal speaks of it, in batches of [`SYNC_BYTES`], by a thread of the
//! writer's own. Writing is plain blocking code: a piece of a network answer goes to the page cache in
//! microseconds, so callers do it in their receive loop. Only when the disk is [`WAIT_BYTES`] behind do
//! they wait for it.

mod item;
mod journal;
mod repack;
mod room;
mod state;
mod syncer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

pub use item::ItemWriter;
pub use room::{Room, room};
pub(super) use state::prefixes;

use self::journal::{Journal, Record, Replayed, replay};
use self::state::State;
use self::syncer::Syncer;
use super::error::BundleError;
use super::framing::{END_BYTES, headers, padded};
use super::layout::{Item, Laid, Piece, Planned};
use super::manifest::{BundleName, CHUNK_BYTES, Content, Encoding, Entry, Part, Segment};
use super::seal::remove_work;

/// Content written between two syncs: a crash of the machine costs at most this much of a download,
/// and a sync every 128 MiB costs a disk little. The death of the process alone costs a chunk per
/// item that was being written.
const SYNC_BYTES: u64 = 128 * 1024 * 1024;
/// Content that may wait for the disk: more would only fill the page cache.
const WAIT_BYTES: u64 = 4 * SYNC_BYTES;

/// Folder of the working state of a set. Others may keep files of their own in it until the set is
/// sealed.
pub fn work_dir(dir: &Path, name: &BundleName) -> PathBuf {
    dir.join(format!("{name}.work"))
}

/// Name of a segment until the set is finished.
fn partial(dir: &Path, file: &str) -> PathBuf {
    dir.join(format!("{file}.partial"))
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

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    laid: Laid,
    chunk_bytes: u64,
    /// Held while syncing, so that records follow each other.
    journal: Mutex<Journal>,
    live: Mutex<Live>,
    /// Wakes the thread that syncs; none once the writer is gone.
    wake: Mutex<Option<SyncSender<()>>>,
}

/// What changes while writing.
#[derive(Debug)]
struct Live {
    state: State,
    /// Records whose content may not be on disk yet.
    pending: Vec<Record>,
    pending_bytes: u64,
    /// Segments with content that may not be on disk yet.
    dirty: BTreeMap<u32, Arc<File>>,
    /// Items that somebody is writing.
    active: BTreeSet<usize>,
    /// A sync failed, and how: nobody knows what of the pending content is on disk.
    broken: Option<std::io::ErrorKind>,
}

/// A panic elsewhere while the lock was held leaves plain values behind it, each whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The state that a journal tells of; what does not follow from the rest is cut off.
fn restore(
    journal: &mut Journal,
    replayed: &Replayed,
    laid: &Laid,
    chunk_bytes: u64,
) -> Result<State, BundleError> {
    let mut state = State::new(laid);
    let mut end = replayed.layout.map_or(0, |(_, end)| end);
    for (record, after) in &replayed.records {
        if state.apply(record, laid, chunk_bytes).is_none() {
            break;
        }
        end = *after;
    }
    journal.cut(end)?;
    Ok(state)
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

/// Refuses to begin where files lie that this run did not make.
fn refuse_occupied(dir: &Path, laid: &Laid) -> Result<(), BundleError> {
    let names = laid.segments().iter().map(|segment| segment.file.as_str());
    let mut all = names.flat_map(|file| [dir.join(file), partial(dir, file)]);
    match all.find(|file| file.symlink_metadata().is_ok()) {
        Some(file) => Err(BundleError::Occupied { file }),
        None => Ok(()),
    }
}

/// Gives a file its length and, where the file system can, its room on disk: then the disk cannot
/// become full half-way, and writing costs half as much.
fn reserve(file: &File, size: u64) -> std::io::Result<()> {
    // Other failures: not every file system can, and every one can be written.
    if let Err(Errno::NOSPC) = fallocate(file, FallocateFlags::empty(), 0, size) {
        return Err(Errno::NOSPC.into());
    }
    file.set_len(size)
}

/// Makes renames and new files in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), BundleError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(BundleError::io("sync", dir))
}

impl Shared {
    fn new(dir: &Path, laid: Laid, chunk_bytes: u64, journal: Journal, state: State) -> Self {
        let live = Live {
            state,
            pending: Vec::new(),
            pending_bytes: 0,
            dirty: BTreeMap::new(),
            active: BTreeSet::new(),
            broken: None,
        };
        let (journal, live) = (Mutex::new(journal), Mutex::new(live));
        Self { dir: dir.to_owned(), laid, chunk_bytes, journal, live, wake: Mutex::new(None) }
    }

    /// Makes the segment files that are not there, and forgets what was in one that is gone.
    fn make_segments(&self) -> Result<(), BundleError> {
        let mut lost = BTreeMap::new();
        for (index, segment) in (0_u32..).zip(self.laid.segments()) {
            let (done, open) = (self.dir.join(&segment.file), partial(&self.dir, &segment.file));
            if done.symlink_metadata().is_ok() {
                // Only a finished set renames its segments.
                if lock(&self.live).state.items.iter().all(|item| item.is_done) {
                    continue;
                }
                return Err(BundleError::Occupied { file: done });
            }
            if !open.metadata().is_ok_and(|meta| meta.len() == segment.size) {
                lost.insert(index, (open, segment.size));
            }
        }
        // The journal must not speak of content in a file that was made after it.
        self.forget(&lost.keys().copied().collect());
        self.sync()?;
        for (open, size) in lost.values() {
            let file = File::options().create(true).truncate(false).write(true).open(open);
            let made = file.and_then(|file| reserve(&file, *size));
            made.map_err(|e| self.fault("make", open.clone(), e))?;
        }
        sync_dir(&self.dir)
    }

    /// Items lose everything from their first piece on that lies in one of these segments.
    fn forget(&self, lost: &BTreeSet<u32>) {
        let mut live = lock(&self.live);
        for (item, laid) in self.laid.items().iter().enumerate() {
            let Some(pieces) = laid.pieces.iter().position(|p| lost.contains(&p.segment)) else {
                continue;
            };
            let back = Record::Back { item, pieces, chunks: 0 };
            let is_begun = live.state.items.get(item).is_some_and(|state| {
                let at = state.pieces.get(pieces);
                at.is_some_and(|piece| piece.digest.is_some() || !piece.chunks.is_empty())
            });
            if is_begun {
                live.take(back, &self.laid, self.chunk_bytes);
            }
        }
    }

    fn segment_path(&self, segment: u32) -> PathBuf {
        partial(&self.dir, &self.laid.name().segment_file(segment))
    }

    /// The segment file of a piece, while the set is being written.
    fn open_segment(&self, segment: u32) -> Result<File, BundleError> {
        let path = self.segment_path(segment);
        let opened = File::options().read(true).write(true).open(&path);
        opened.map_err(BundleError::io("open", &path))
    }

    /// Notes that something was written; syncs once enough was.
    fn note(
        &self,
        record: Record,
        bytes: u64,
        segment: Option<(u32, &Arc<File>)>,
    ) -> Result<(), BundleError> {
        let waiting = {
            let mut live = lock(&self.live);
            live.take(record, &self.laid, self.chunk_bytes);
            if let Some((index, file)) = segment {
                live.dirty.entry(index).or_insert_with(|| Arc::clone(file));
            }
            live.pending_bytes = live.pending_bytes.saturating_add(bytes);
            live.pending_bytes
        };
        if waiting < SYNC_BYTES {
            return Ok(());
        }
        // A full channel means that the thread is about to look anyway.
        let is_woken = lock(&self.wake).as_ref().map(|wake| wake.try_send(())).is_some();
        if is_woken && waiting < WAIT_BYTES { Ok(()) } else { self.sync() }
    }

    fn sync(&self) -> Result<(), BundleError> {
        let mut journal = lock(&self.journal);
        let (pending, dirty) = {
            let mut live = lock(&self.live);
            if let Some(kind) = live.broken {
                return Err(self.fault("sync", self.dir.clone(), kind.into()));
            }
            live.pending_bytes = 0;
            (std::mem::take(&mut live.pending), std::mem::take(&mut live.dirty))
        };
        let synced = dirty.values().try_for_each(|file| file.sync_data());
        let noted = synced
            .map_err(BundleError::io("sync", &self.dir))
            .and_then(|()| if pending.is_empty() { Ok(()) } else { journal.append(&pending) });
        if let Err(error) = &noted {
            let of_io =
                if let BundleError::Io { source, .. } = error { Some(source.kind()) } else { None };
            lock(&self.live).broken = Some(of_io.unwrap_or(std::io::ErrorKind::StorageFull));
        }
        noted
    }

    /// A failure to write; a full disk is named with what is missing.
    fn fault(&self, operation: &'static str, path: PathBuf, source: std::io::Error) -> BundleError {
        if source.kind() == std::io::ErrorKind::StorageFull
            && let Ok(Room { needed, free }) = room(&self.dir, &self.laid)
        {
            return BundleError::NoRoom { dir: self.dir.clone(), needed, free };
        }
        BundleError::Io { operation, path, source }
    }

    fn name_segments(&self) -> Result<(), BundleError> {
        for (index, segment) in self.laid.segments().iter().enumerate() {
            let (open, done) = (partial(&self.dir, &segment.file), self.dir.join(&segment.file));
            if done.exists() && !open.exists() {
                continue;
            }
            let file = File::options().write(true).open(&open);
            let file = file.map_err(BundleError::io("open", &open))?;
            let framed = self.write_framing(index, segment, &file).and_then(|()| file.sync_all());
            framed.map_err(|e| self.fault("write", open.clone(), e))?;
            std::fs::rename(&open, &done).map_err(BundleError::io("name", &done))?;
        }
        sync_dir(&self.dir)
    }

    /// Headers, padding and the end of one segment.
    fn write_framing(&self, index: usize, segment: &Segment, file: &File) -> std::io::Result<()> {
        let pieces = self.laid.items().iter().flat_map(|item| &item.pieces);
        let here = pieces.filter(|piece| usize::try_from(piece.segment).is_ok_and(|s| s == index));
        for piece in here {
            let headers = headers(&piece.path, piece.size);
            let length = u64::try_from(headers.len()).unwrap_or(u64::MAX);
            file.write_all_at(&headers, piece.offset.saturating_sub(length))?;
            let end = piece.offset.saturating_add(piece.size);
            let zeros = usize::try_from(padded(piece.size).saturating_sub(piece.size));
            file.write_all_at(&[0; 512][..zeros.unwrap_or_default().min(512)], end)?;
        }
        file.write_all_at(&[0; 1024], segment.size.saturating_sub(END_BYTES))
    }
}

impl Live {
    /// Takes a record in. What does not follow is a mistake of this module, never of a caller; the
    /// item is then written again from its start.
    fn take(&mut self, record: Record, laid: &Laid, chunk_bytes: u64) {
        if self.state.apply(&record, laid, chunk_bytes).is_some() {
            self.pending.push(record);
        }
    }
}

#[cfg(test)]
mod tests;
