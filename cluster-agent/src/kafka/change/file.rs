//! The open change on disk: `quorum-change.json` in the state directory.
//!
//! Written by the command, read by the agent before every decision: while it is there, no unit
//! goes. A file that cannot be read is a change that is open.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::goal::Change;
use crate::state::{
    Durability, StateError, create_private_dir, encode, file_error, read_bounded, replace,
};

/// Its name.
const FILE: &str = "quorum-change.json";

/// The file of one state directory.
#[derive(Debug, Clone)]
pub struct ChangeFile {
    path: PathBuf,
}

impl ChangeFile {
    /// In `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(FILE) }
    }

    /// The change that is open.
    pub fn read(&self) -> Result<Option<Change>, StateError> {
        let Some(bytes) = read_bounded(&self.path)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StateError::Unreadable { path: self.path.clone(), source })
    }

    /// Opens a change or notes how far it is; on disk when this returns.
    pub fn write(&self, change: &Change) -> Result<(), StateError> {
        if let Some(dir) = self.path.parent() {
            // A change may be made before the agent has ever run.
            create_private_dir(dir)?;
        }
        replace(&self.path, &encode(&self.path, change)?, Durability::Flushed)
    }

    /// Closes it.
    pub fn remove(&self) -> Result<(), StateError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(file_error("remove", &self.path, source)),
        }
    }
}
