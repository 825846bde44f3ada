//! A directory that is written whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use channels::import::Files;

use crate::error::{CliError, Result};

/// How a directory came to hold the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// They were written.
    Written,
    /// It held exactly these files before.
    WasThere,
}

/// Puts `files` into `dir`, which must be missing, empty, or hold just them; `check` sees them
/// first, in another place.
pub(super) fn place(
    dir: &Path,
    files: &Files,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<Placed> {
    let failed =
        |error: io::Error| CliError::because(format!("failed to write {}", dir.display()), &error);
    let there = match present(dir) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => {
            return Err(CliError::because(format!("cannot read {}", dir.display()), &error));
        }
    };
    let same = there.len() == files.len()
        && files
            .iter()
            .all(|(path, text)| there.get(path).is_some_and(|own| own == text.as_bytes()));
    if !there.is_empty() && !same {
        return Err(CliError::failed(format!("{} is not empty", dir.display()))
            .hint("an import never changes files that are there; name a new directory"));
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed)?;
    let staged = tempfile::Builder::new().prefix(".fairway-").tempdir_in(parent).map_err(failed)?;
    let written = staged.path().join("import");
    write(&written, files).map_err(failed)?;
    check(&written)?;
    if same {
        return Ok(Placed::WasThere);
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    fs::rename(&written, dir).map_err(failed)?;
    Ok(Placed::Written)
}

fn write(dir: &Path, files: &Files) -> io::Result<()> {
    fs::create_dir(dir)?;
    for (path, text) in files {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

/// Every file below a directory; an entry that is no plain file counts as an empty one, so that
/// it is never taken for part of an import.
fn present(dir: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(dir.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let bytes = fs::read(entry.path())?;
                found.insert(path, bytes);
            } else {
                found.insert(path, Vec::new());
            }
        }
    }
    Ok(found)
}
