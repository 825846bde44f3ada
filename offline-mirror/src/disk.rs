//! Small files that must never be seen half written, and files of which nobody knows how long they
//! are. Blobs do not go through here.

use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::error::Error;

/// The bytes of a file, or nothing when there are more than `bytes_max`; reads one byte further.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn read_at_most(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max);
    Ok(fits.then_some(bytes))
}

/// Writes beside the target and renames, so that a reader never sees half a file.
///
/// # Errors
/// When the folder, the file or its name cannot be written.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let partial = path.with_file_name(format!(".{name}.partial"));
    let mut file = std::fs::File::create(&partial).map_err(Error::io("create", &partial))?;
    file.write_all(bytes).map_err(Error::io("write", &partial))?;
    file.sync_all().map_err(Error::io("sync", &partial))?;
    std::fs::rename(&partial, path).map_err(Error::io("rename to", path))?;
    sync_folder(path)
}

/// Makes a rename last: sticks get pulled.
///
/// # Errors
/// When the folder cannot be synced.
pub(crate) fn sync_folder(path: &Path) -> Result<(), Error> {
    let Some(folder) = path.parent() else { return Ok(()) };
    // A bare file name lies in the working directory.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/file");
        write_file(&path, b"12345").unwrap();
        assert_eq!(read_at_most(&path, 5).unwrap().as_deref(), Some(b"12345".as_slice()));
        assert_eq!(read_at_most(&path, 4).unwrap(), None);
        assert_eq!(read_at_most(Path::new("/dev/zero"), 4).unwrap(), None);
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing partial stays");
    }
}
