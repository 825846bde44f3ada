//! Opens files that somebody carried here: regular files only, without waiting for anything.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

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

/// Fills `buffer` from `offset`; fewer bytes are an error.
pub(super) fn read_at(
    file: &File,
    path: &Path,
    buffer: &mut [u8],
    offset: u64,
) -> Result<(), BundleError> {
    file.read_exact_at(buffer, offset).map_err(BundleError::io("read", path))
}
