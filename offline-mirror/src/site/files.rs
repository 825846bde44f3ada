//! Small files of a site directory: read with a bound, written so that a crash leaves the old or the
//! new one.

use std::io::{Read as _, Write as _};
use std::path::Path;

use super::error::SiteError;

/// The bytes of a regular file of at most `limit` bytes; none if it is not there.
///
/// # Errors
/// [`SiteError::TooLong`], or when it cannot be read.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, SiteError> {
    // Whoever hands a stick over can put a pipe where a file should be; opening one would wait.
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => {
            let why = "it is not a regular file".to_owned();
            return Err(SiteError::Malformed { path: path.to_owned(), why });
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SiteError::io("read", path)(source)),
    }
    let file = std::fs::File::open(path).map_err(SiteError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(SiteError::io("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(Some(bytes))
    } else {
        Err(SiteError::TooLong { path: path.to_owned(), limit })
    }
}

/// The same for a file that must be there.
///
/// # Errors
/// As [`read_at_most`], and when there is no such file.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, SiteError> {
    read_at_most(path, limit)?
        .ok_or_else(|| SiteError::io("read", path)(std::io::ErrorKind::NotFound.into()))
}

/// Writes beside the target and renames; both outlast a power cut.
///
/// # Errors
/// When something cannot be written.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), SiteError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::create_dir_all(folder).map_err(SiteError::io("create", folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let partial = path.with_file_name(format!(".{name}.partial"));
    let mut file = std::fs::File::create(&partial).map_err(SiteError::io("create", &partial))?;
    file.write_all(bytes).map_err(SiteError::io("write", &partial))?;
    file.sync_all().map_err(SiteError::io("sync", &partial))?;
    std::fs::rename(&partial, path).map_err(SiteError::io("rename to", path))?;
    let folder_file = std::fs::File::open(folder).map_err(SiteError::io("open", folder))?;
    folder_file.sync_all().map_err(SiteError::io("sync", folder))
}
