//! Whether a directory has ever published.
//!
//! A first publication replaces nobody's keys, so nobody is asked about them. What lies in git
//! cannot say that it is the first: files can be removed there. The command that made the keys
//! leaves a mark that no commit can make, and the first publication takes it away.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{CliError, Result};
use crate::files::{read_local, write_local};

/// Its place below the directory; `.gitignore` names it.
pub(crate) const UNPUBLISHED_FILE: &str = "keys/never.published";

/// Longest mark read; it holds two words.
const MAX_MARK_BYTES: u64 = 64;

/// Marks a directory that was just made.
pub(crate) fn mark(dir: &Path) -> Result<()> {
    let path = place(dir);
    write_local(&path, "never published")
        .map_err(|error| CliError::failed(format!("failed to write {}: {error}", path.display())))
}

/// Whether nothing was published since the directory was made.
pub(crate) fn is_marked(dir: &Path) -> bool {
    read_local(&place(dir), MAX_MARK_BYTES).is_some()
}

/// Takes the mark away: something was published.
pub(crate) fn unmark(dir: &Path) -> Result<()> {
    let path = place(dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(CliError::failed(format!("failed to remove {}: {error}", path.display())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn place(dir: &Path) -> PathBuf {
    dir.join(UNPUBLISHED_FILE)
}
