//! Why a backup was not taken or not restored.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::SnapshotError;

/// A backup or a restore that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system refused.
    #[error("failed to {action} {path}", path = path.display())]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The target holds something.
    #[error("{path} exists and is not an empty directory; name another one", path = path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The source is no data directory, or the hub's data are elsewhere.
    #[error(
        "{path} holds no hub's data (a hub in PostgreSQL is backed up with pg_dump)",
        path = path.display()
    )]
    NoHub {
        /// The directory.
        path: PathBuf,
    },
    /// The database.
    #[error("the database of {path} cannot be used", path = path.display())]
    Database {
        /// Of which directory.
        path: PathBuf,
        /// Why.
        source: SnapshotError,
    },
    /// Publications follow each other too closely.
    #[error("the repository changed while it was copied, {attempts} times in a row; try again")]
    Unsettled {
        /// How often it was tried.
        attempts: u32,
    },
    /// A name that is not text, or neither a file nor a folder.
    #[error("{path} is nothing a hub writes; move it away", path = path.display())]
    Odd {
        /// What was found.
        path: PathBuf,
    },
    /// The list of content cannot be used.
    #[error("backup.json cannot be used: {why}")]
    Manifest {
        /// What is wrong.
        why: String,
    },
    /// A file is not what the list says.
    #[error("{path} is damaged: it is not the file that was backed up")]
    Damaged {
        /// Its path in the backup.
        path: String,
    },
    /// The database is not the one that was backed up.
    #[error("the database holds something else than backup.json says")]
    OtherDatabase,
    /// A hub uses the new directory.
    #[error("another process uses {path}", path = path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
}

/// Turns an I/O error into what was tried on which path.
pub(super) fn disk(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Disk { action, path, source }
}
