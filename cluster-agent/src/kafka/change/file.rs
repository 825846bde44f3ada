//! The open change on disk: `quorum-change.json` in the state directory.
//!
//! Written by the command, read by the agent before every decision: while it is there, no unit
//! goes. A file that cannot be read is a change that is open.
//!
//! One command at a time guides: it holds a lock for as long as it lives, and the kernel drops the
//! lock with the process. `quorum abort` needs no lock, or a forgotten command could not be
//! stopped: it takes the file away, and whoever guides finds it gone before the next act.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::goal::Change;
use crate::state::{
    Durability, StateError, create_private_dir, encode, file_error, lock_file, read_bounded,
    replace,
};

/// Its name.
const FILE: &str = "quorum-change.json";

/// Locked by the command that guides.
const GUIDED: &str = "quorum-change.lock";

/// Locked for the moment in which the file is compared and changed.
const GUARDED: &str = "quorum-change.guard";

/// The file of one state directory.
#[derive(Debug, Clone)]
pub struct ChangeFile {
    dir: PathBuf,
}

/// Held by the one command that may guide a change or raise a feature.
#[derive(Debug)]
#[must_use = "the lock ends with this value"]
pub struct Guiding {
    _lock: File,
}

/// What became of the file that a guide knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It is as the guide left it.
    Still,
    /// It is gone, or somebody else's: the change was closed.
    Closed,
}

impl ChangeFile {
    /// In `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Takes the lock for this process; `None` if another command has it.
    pub fn guide(&self) -> Result<Option<Guiding>, StateError> {
        // A change may be made before the agent has ever run.
        create_private_dir(&self.dir)?;
        let path = self.dir.join(GUIDED);
        let lock = lock_file(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Guiding { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(file_error("lock", &path, source)),
        }
    }

    /// Keeps others from comparing and changing the file; they do it in a moment.
    fn guard(&self) -> Result<File, StateError> {
        create_private_dir(&self.dir)?;
        let path = self.dir.join(GUARDED);
        let lock = lock_file(&path)?;
        lock.lock().map_err(|source| file_error("lock", &path, source))?;
        Ok(lock)
    }

    /// The change that is open.
    pub fn read(&self) -> Result<Option<Change>, StateError> {
        let path = self.path();
        let Some(bytes) = read_bounded(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StateError::Unreadable { path, source })
    }

    /// Whether the file is as the guide left it.
    pub fn held(&self, known: &Change) -> Result<Held, StateError> {
        Ok(if self.read()?.as_ref() == Some(known) { Held::Still } else { Held::Closed })
    }

    /// Opens a change; on disk when this returns.
    pub fn write(&self, change: &Change) -> Result<(), StateError> {
        let _guard = self.guard()?;
        self.put(change)
    }

    /// Notes how far a change is, unless it was closed meanwhile; on disk when this returns.
    pub fn note(&self, known: &Change, change: &Change) -> Result<Held, StateError> {
        let _guard = self.guard()?;
        let held = self.held(known)?;
        if held == Held::Still && known != change {
            self.put(change)?;
        }
        Ok(held)
    }

    /// Ends a change that is done, unless it was closed meanwhile.
    pub fn end(&self, known: &Change) -> Result<Held, StateError> {
        let _guard = self.guard()?;
        let held = self.held(known)?;
        if held == Held::Still {
            self.take_away()?;
        }
        Ok(held)
    }

    /// Closes it, whatever it is.
    pub fn remove(&self) -> Result<(), StateError> {
        let _guard = self.guard()?;
        self.take_away()
    }

    fn put(&self, change: &Change) -> Result<(), StateError> {
        let path = self.path();
        replace(&path, &encode(&path, change)?, Durability::Flushed)
    }

    fn take_away(&self) -> Result<(), StateError> {
        let path = self.path();
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(file_error("remove", &path, source)),
        }
    }
}
