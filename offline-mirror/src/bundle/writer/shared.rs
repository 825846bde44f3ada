//! What the clones of a writer share: the state, the journal, what waits for the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bundle::error::BundleError;
use crate::bundle::layout::Laid;

use super::journal::{Journal, Record, Replayed};
use super::room::{Room, room};
use super::state::State;

/// Content written between two syncs. A crash of the machine costs at most about this much of a
/// download, and a sync every 128 MiB costs a disk little. The death of the process alone costs a
/// chunk per item that was being written.
pub(super) const SYNC_BYTES: u64 = 128 * 1024 * 1024;
/// Content that may wait for the disk: more would only fill the page cache.
pub(super) const WAIT_BYTES: u64 = 4 * SYNC_BYTES;

/// What all who write one set hold.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) laid: Laid,
    pub(super) chunk_bytes: u64,
    journal: Mutex<Journal>,
    /// Held while syncing, which takes long; nobody writes under it.
    syncing: Mutex<()>,
    pub(super) live: Mutex<Live>,
    /// Wakes the thread that syncs; none once the writer is gone.
    pub(super) wake: Mutex<Option<SyncSender<()>>>,
}

/// What changes while writing.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) state: State,
    /// Items that are done, whose content may not be on disk yet.
    pending: Vec<Record>,
    pending_bytes: u64,
    /// Segments with content that may not be on disk yet.
    dirty: BTreeMap<u32, Arc<File>>,
    /// Items that somebody is writing.
    pub(super) active: BTreeSet<usize>,
    /// Syncing or the journal failed, and how: nobody knows what of the pending content is on disk.
    pub(super) broken: Option<std::io::ErrorKind>,
}

/// A panic elsewhere while the lock was held leaves plain values behind it, each whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(
        dir: &Path,
        laid: Laid,
        chunk_bytes: u64,
        journal: Journal,
        state: State,
    ) -> Self {
        let live = Live {
            state,
            pending: Vec::new(),
            pending_bytes: 0,
            dirty: BTreeMap::new(),
            active: BTreeSet::new(),
            broken: None,
        };
        let (journal, live) = (Mutex::new(journal), Mutex::new(live));
        let (syncing, wake) = (Mutex::new(()), Mutex::new(None));
        Self { dir: dir.to_owned(), laid, chunk_bytes, journal, syncing, live, wake }
    }

    /// Notes that something was written; has it synced once enough was.
    ///
    /// What is written of an item goes into the journal at once: a later run reads it back and
    /// compares before it goes on, so it may be wrong. That an item is done is believed, so it goes
    /// there behind a sync.
    pub(super) fn note(
        &self,
        record: Record,
        bytes: u64,
        segment: Option<(u32, &Arc<File>)>,
    ) -> Result<(), BundleError> {
        let waiting = {
            let mut live = lock(&self.live);
            if let Some(kind) = live.broken {
                return Err(self.fault("write", self.dir.clone(), kind.into()));
            }
            if live.state.apply(&record, &self.laid, self.chunk_bytes).is_none() {
                // A mistake of this part, never of a caller: the journal would end here.
                return Ok(());
            }
            if let Some((index, file)) = segment {
                live.dirty.entry(index).or_insert_with(|| Arc::clone(file));
            }
            live.pending_bytes = live.pending_bytes.saturating_add(bytes);
            if matches!(record, Record::Done { .. }) {
                live.pending.push(record);
            } else {
                // Under the lock, so that the journal has one order with the state.
                let noted = lock(&self.journal).append(&[record]);
                if let Err(error) = noted {
                    return Err(self.broken_by(&mut live, error));
                }
            }
            live.pending_bytes
        };
        if waiting < SYNC_BYTES {
            return Ok(());
        }
        // A full channel means that the thread is about to look anyway.
        let is_woken = lock(&self.wake).as_ref().map(|wake| wake.try_send(())).is_some();
        if is_woken && waiting < WAIT_BYTES { Ok(()) } else { self.sync() }
    }

    /// Waits until all that was noted is on disk, and the journal too.
    pub(super) fn sync(&self) -> Result<(), BundleError> {
        let one_at_a_time = lock(&self.syncing);
        let (done, dirty) = {
            let mut live = lock(&self.live);
            if let Some(kind) = live.broken {
                return Err(self.fault("sync", self.dir.clone(), kind.into()));
            }
            live.pending_bytes = 0;
            (std::mem::take(&mut live.pending), std::mem::take(&mut live.dirty))
        };
        let synced = dirty.values().try_for_each(|file| file.sync_data());
        let noted = synced.map_err(BundleError::io("sync", &self.dir)).and_then(|()| {
            let journal = {
                let mut journal = lock(&self.journal);
                journal.append(&done)?;
                journal.file()
            };
            journal.sync_data().map_err(BundleError::io("sync", &self.dir))
        });
        drop(one_at_a_time);
        noted.map_err(|error| self.broken_by(&mut lock(&self.live), error))
    }

    /// After this failure nothing more is written: the set must be opened again.
    fn broken_by(&self, live: &mut Live, error: BundleError) -> BundleError {
        let BundleError::Io { operation, path, source } = error else { return error };
        live.broken = Some(source.kind());
        self.fault(operation, path, source)
    }

    /// A failure to write; a full disk is named with what is missing.
    pub(super) fn fault(
        &self,
        operation: &'static str,
        path: PathBuf,
        source: std::io::Error,
    ) -> BundleError {
        if source.kind() == std::io::ErrorKind::StorageFull
            && let Ok(Room { needed, free }) = room(&self.dir, &self.laid)
        {
            return BundleError::NoRoom { dir: self.dir.clone(), needed, free };
        }
        BundleError::Io { operation, path, source }
    }
}

/// The state that a journal tells of; what does not follow from the rest is cut off.
pub(super) fn restore(
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
