//! Opens files that somebody carried here: regular files only, without waiting for anything.

use std::fs::File;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, pread};

use super::error::BundleError;

/// Opens a file for reading and tells its length. A pipe does not block, a device is refused.
///
/// # Errors
/// [`BundleError::NotAFile`] or [`BundleError::Io`].
pub(super) fn open_regular(path: &Path) -> Result<(File, u64), BundleError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from);
    let file = File::from(opened.map_err(BundleError::io("open", path))?);
    let meta = file.metadata().map_err(BundleError::io("look at", path))?;
    if meta.is_file() {
        return Ok((file, meta.len()));
    }
    Err(BundleError::NotAFile { file: path.to_owned() })
}

/// Reads `length` bytes from `offset`; fewer are an error. The caller bounds the length.
pub(super) fn read_piece(
    file: &File,
    path: &Path,
    length: usize,
    offset: u64,
) -> Result<Vec<u8>, BundleError> {
    // Read into fresh memory, which need not be cleared first.
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let read = match pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => Ok(read),
            Err(Errno::INTR) => continue,
            Err(error) => Err(std::io::Error::from(error)),
        };
        read.map_err(BundleError::io("read", path))?;
    }
    // The allocator may have given more than was asked for.
    bytes.truncate(length);
    Ok(bytes)
}
