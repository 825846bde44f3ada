//! Whether a directory has room for what is to be written into it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::bundle::error::BundleError;
use crate::bundle::layout::Laid;

use super::segments::partial;

/// Unit of [`MetadataExt::blocks`], whatever the file system's own blocks are.
const STAT_BLOCK_BYTES: u64 = 512;
/// Journal, manifest and the file system's own books, beside the segments.
const BESIDE_BYTES: u64 = 16 * 1024 * 1024;

/// What is to be written and what is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are not on disk yet.
    pub needed: u64,
    /// Bytes that this user may still write there.
    pub free: u64,
}

impl Room {
    /// Whether it fits.
    pub fn fits(self) -> bool {
        self.needed <= self.free
    }

    /// Free bytes of the file system of `dir`, against `needed`.
    ///
    /// # Errors
    /// [`BundleError::Io`].
    pub fn of(dir: &Path, needed: u64) -> Result<Self, BundleError> {
        let stat = rustix::fs::statvfs(dir).map_err(std::io::Error::from);
        let stat = stat.map_err(BundleError::io("look at the free space of", dir))?;
        Ok(Self { needed, free: stat.f_bavail.saturating_mul(stat.f_frsize) })
    }
}

/// What writing the rest of a set needs, and what is free.
///
/// # Errors
/// [`BundleError::Io`].
pub fn room(dir: &Path, laid: &Laid) -> Result<Room, BundleError> {
    let left = laid.segments().iter().map(|segment| {
        let there = [dir.join(&segment.file), partial(dir, &segment.file)];
        let allocated = there.iter().filter_map(|file| file.metadata().ok());
        let allocated: u64 = allocated.map(|meta| meta.blocks() * STAT_BLOCK_BYTES).sum();
        segment.size.saturating_sub(allocated)
    });
    Room::of(dir, left.sum::<u64>().saturating_add(BESIDE_BYTES))
}

/// Refuses what does not fit.
pub(super) fn require(dir: &Path, laid: &Laid) -> Result<(), BundleError> {
    let Room { needed, free } = room(dir, laid)?;
    if needed <= free {
        return Ok(());
    }
    Err(BundleError::NoRoom { dir: dir.to_owned(), needed, free })
}
