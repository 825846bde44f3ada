//! Which stretches of a segment nobody needs, and giving their space back.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::FallocateFlags;

use super::error::{Of as _, StoreError};
use super::files;

/// File systems free whole blocks; 4 KiB is the block of nearly all of them.
const BLOCK_BYTES: u64 = 4096;
/// Smaller stretches lie between blobs as tar headers; punching them only fragments the file.
const HOLE_BYTES_MIN: u64 = 64 * 1024;

/// Stretches of a file of `size` bytes that none of `live` touches, rounded inward to blocks, without
/// the small ones. `live` is in the order of its starts.
pub(super) fn dead(live: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let mut dead = Vec::new();
    let mut from = 0_u64;
    for range in live.iter().cloned().chain(std::iter::once(size..size)) {
        let start = from.next_multiple_of(BLOCK_BYTES);
        let end = range.start - range.start % BLOCK_BYTES;
        if end.saturating_sub(start) >= HOLE_BYTES_MIN {
            dead.push(start..end);
        }
        from = from.max(range.end);
    }
    dead
}

/// Whether the file has another name, by which somebody may still want all of its bytes.
pub(super) fn is_shared(path: &Path) -> Result<bool, StoreError> {
    Ok(std::fs::metadata(path).of("look at", path)?.nlink() > 1)
}

/// Bytes of disk that a file occupies.
pub(super) fn disk_bytes(path: &Path) -> u64 {
    /// Unit of `st_blocks`, whatever the block size (POSIX `stat`).
    const UNIT: u64 = 512;
    std::fs::metadata(path).map_or(0, |meta| meta.blocks().saturating_mul(UNIT))
}

/// Gives the space of `holes` back; says how many bytes of disk that freed. A file system that cannot
/// do it frees none.
pub(super) fn punch(path: &Path, holes: &[Range<u64>]) -> Result<u64, StoreError> {
    let before = disk_bytes(path);
    files::make_writable(path)?;
    let punched = punch_all(path, holes);
    files::make_read_only(path)?;
    punched?;
    Ok(before.saturating_sub(disk_bytes(path)))
}

fn punch_all(path: &Path, holes: &[Range<u64>]) -> Result<(), StoreError> {
    let file = File::options().write(true).open(path).of("open", path)?;
    for hole in holes {
        let length = hole.end.saturating_sub(hole.start);
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&file, flags, hole.start, length) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                tracing::warn!(
                    path = %path.display(),
                    "the file system cannot give back parts of a file; the segment keeps its size"
                );
                return Ok(());
            }
            Err(error) => return Err(std::io::Error::from(error)).of("punch holes into", path),
        }
    }
    file.sync_all().of("sync", path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_between_two_blobs_is_rounded_inward() {
        let live = [512..100_000, 300_000..400_000];
        let holes = dead(&live, 1_000_000);
        assert_eq!(holes, [102_400..299_008, 401_408..999_424]);
    }

    proptest! {
        #[test]
        fn no_hole_touches_a_live_byte(
            mut cuts in prop::collection::vec(0_u64..4_000_000, 0..12), size in 0_u64..4_000_000,
        ) {
            cuts.sort_unstable();
            let live: Vec<_> =
                cuts.chunks_exact(2).map(|c| c[0]..c[1]).filter(|r| r.end <= size).collect();
            for hole in dead(&live, size) {
                prop_assert!(hole.start % BLOCK_BYTES == 0 && hole.end % BLOCK_BYTES == 0);
                prop_assert!(hole.end <= size && hole.end - hole.start >= HOLE_BYTES_MIN);
                for range in &live {
                    prop_assert!(hole.end <= range.start || range.end <= hole.start);
                }
            }
        }
    }
}
