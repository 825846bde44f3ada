//! The segment files of a set that is being written: made, opened, framed, named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::bundle::error::BundleError;
use crate::bundle::framing::{END_BYTES, headers, padded};
use crate::bundle::layout::Laid;
use crate::bundle::manifest::Segment;

use super::journal::Record;
use super::shared::{Shared, lock};

/// Name of a segment until the set is finished.
pub(super) fn partial(dir: &Path, file: &str) -> PathBuf {
    dir.join(format!("{file}.partial"))
}

/// Refuses to begin where files lie that this run did not make.
pub(super) fn refuse_occupied(dir: &Path, laid: &Laid) -> Result<(), BundleError> {
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
pub(in crate::bundle) fn sync_dir(dir: &Path) -> Result<(), BundleError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(BundleError::io("sync", dir))
}

impl Shared {
    /// Makes the segment files that are not there, and forgets what was in one that is gone.
    pub(super) fn make_segments(&self) -> Result<(), BundleError> {
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
        self.forget(&lost.keys().copied().collect())?;
        self.sync()?;
        for (open, size) in lost.values() {
            let file = File::options().create(true).truncate(false).write(true).open(open);
            let made = file.and_then(|file| reserve(&file, *size));
            made.map_err(|e| self.fault("make", open.clone(), e))?;
        }
        sync_dir(&self.dir)
    }

    /// Items lose everything from their first piece on that lies in one of these segments.
    pub(super) fn forget(&self, lost: &BTreeSet<u32>) -> Result<(), BundleError> {
        for (item, laid) in self.laid.items().iter().enumerate() {
            let Some(pieces) = laid.pieces.iter().position(|p| lost.contains(&p.segment)) else {
                continue;
            };
            let back = Record::Back { item, pieces, chunks: 0 };
            let is_begun = lock(&self.live).state.items.get(item).is_some_and(|state| {
                let at = state.pieces.get(pieces);
                at.is_some_and(|piece| piece.digest.is_some() || !piece.chunks.is_empty())
            });
            if is_begun {
                self.note(back, 0, None)?;
            }
        }
        Ok(())
    }

    pub(super) fn segment_path(&self, segment: u32) -> PathBuf {
        partial(&self.dir, &self.laid.name().segment_file(segment))
    }

    /// The segment file of a piece, while the set is being written.
    pub(super) fn open_segment(&self, segment: u32) -> Result<File, BundleError> {
        let path = self.segment_path(segment);
        let opened = File::options().read(true).write(true).open(&path);
        opened.map_err(BundleError::io("open", &path))
    }

    pub(super) fn name_segments(&self) -> Result<(), BundleError> {
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
    pub(super) fn write_framing(
        &self,
        index: usize,
        segment: &Segment,
        file: &File,
    ) -> std::io::Result<()> {
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
