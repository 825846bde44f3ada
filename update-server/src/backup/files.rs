//! Files and folders of a backup: private, durable, and hashed while they are copied.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use signing::Sha256Hasher;

use super::FileEntry;
use super::error::{BackupError, disk};

/// Large enough that a gigabyte takes few calls, small enough for any machine.
const BUFFER_BYTES: usize = 256 * 1024;

/// Makes a folder, and those above it, that only its owner can enter.
pub(super) fn make_dir(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(disk("create", path))
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(disk("flush", path))
}

/// Whether nothing is there, or an empty directory.
pub(super) fn is_free(path: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(disk("list", path)(error)),
    }
}

/// Copies one file to a path where none is, private and durable. `None` if it went away meanwhile.
pub(super) fn copy(from: &Path, to: &Path, name: &str) -> Result<Option<FileEntry>, BackupError> {
    let mut source = match File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk("read", from)(error)),
    };
    if let Some(parent) = to.parent() {
        make_dir(parent)?;
    }
    let mut target = create(to)?;
    let entry = pump(&mut source, &mut target, name).map_err(disk("copy", from))?;
    target.sync_all().map_err(disk("flush", to))?;
    Ok(Some(entry))
}

/// Creates a file that must not exist, for its owner only.
pub(super) fn create(path: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(disk("create", path))
}

/// Size and digest of a file.
pub(super) fn measure(path: &Path, name: &str) -> Result<FileEntry, BackupError> {
    let mut file = File::open(path).map_err(disk("read", path))?;
    pump(&mut file, &mut io::sink(), name).map_err(disk("read", path))
}

fn pump(from: &mut impl Read, to: &mut impl Write, name: &str) -> io::Result<FileEntry> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut hasher = Sha256Hasher::new();
    let mut bytes = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = buffer.get(..read).unwrap_or_default();
        hasher.update(chunk);
        to.write_all(chunk)?;
        bytes += u64::try_from(read).unwrap_or(u64::MAX);
    }
    Ok(FileEntry { path: name.to_owned(), bytes, sha256: hasher.finish() })
}

/// Names of all files below a folder, as `<prefix>/a/b`, sorted; none if it does not exist. What goes
/// away meanwhile is left out.
pub(super) fn names(folder: &Path, prefix: &str) -> Result<Vec<String>, BackupError> {
    let mut found = Vec::new();
    let mut open = vec![(folder.to_owned(), prefix.to_owned())];
    while let Some((folder, prefix)) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(disk("list", &folder)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(disk("list", &folder))?;
            let odd = || BackupError::Odd { path: entry.path() };
            let file_name = entry.file_name();
            let name = format!("{prefix}/{}", file_name.to_str().ok_or_else(odd)?);
            let kind = entry.file_type().map_err(disk("list", &folder))?;
            if kind.is_dir() {
                open.push((entry.path(), name));
            } else if kind.is_file() {
                found.push(name);
            } else {
                return Err(odd());
            }
        }
    }
    found.sort();
    Ok(found)
}
