//! The agent's memory on disk: one JSON document, replaced atomically, and a lock.
//!
//! `state.json` is written before every side effect: to a temporary file, flushed to the disk,
//! renamed over the old one, and the directory flushed. A `kill -9` or a power cut leaves the old
//! document or the new one, never a mixture. `lock` is held as long as the process lives, and the
//! kernel drops it with the process, so a crash leaves nothing to clean up.

mod control;
mod document;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use control::{
    Approval, Control, FinalizeApproval, GiveUpOrder, LevelUnchanged, LocalHold, ResumeOrder,
};
pub use document::{Document, FORMAT};

/// Largest state or control file read: a thousand units take well under a mebibyte.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The memory's file name.
const STATE_FILE: &str = "state.json";

/// The lock's file name.
const LOCK_FILE: &str = "lock";

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent uses the directory.
    #[error("{} is used by another agent: it holds the lock", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file is not what this program writes.
    #[error("{} cannot be read; move it away to start from what the cluster runs", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The file was written by a newer version.
    #[error("{} has format {found}, this version reads up to {known}: run the newer agent", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// What is known here.
        known: u32,
    },
    /// The file belongs to another cluster.
    #[error("{} belongs to cluster {found:?}, the configuration says {expected:?}", path.display())]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// A value could not be written as JSON.
    #[error("cannot encode {}", path.display())]
    Encode {
        /// The file it was for.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// The state directory of one agent, locked for this process.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Whether an agent uses the directory at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InUse {
    /// A process holds the lock.
    Yes,
    /// Nobody does.
    No,
}

impl StateDir {
    /// Creates the directory if it is missing (mode 0700) and takes its lock.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        create_private_dir(path)?;
        let lock_path = path.join(LOCK_FILE);
        let lock = lock_file(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(file_error("lock", &lock_path, source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the memory of `cluster`; a first start has an empty one.
    ///
    /// Report numbers go on at least from `now` in milliseconds: a hub takes only growing ones, and
    /// a memory that was moved away or restored from an old copy no longer knows how far they were.
    /// An agent sends far less than one report per millisecond, so numbers never overtake the clock.
    pub fn load(&self, cluster: &str, now: Timestamp) -> Result<Document, StateError> {
        let document = load(&self.path, cluster)?;
        let by_clock = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Ok(Document { seq: document.seq.max(by_clock), ..document })
    }

    /// Replaces the memory; when this returns, it is on the disk.
    pub fn save(&self, document: &Document) -> Result<(), StateError> {
        let path = self.path.join(STATE_FILE);
        let bytes = encode(&path, document)?;
        replace(&path, &bytes, Durability::Flushed)
    }
}

/// Opens a file that is only ever locked, never written.
pub(crate) fn lock_file(path: &Path) -> Result<File, StateError> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| file_error("open", path, source))
}

/// Reads the memory without taking the lock, for `status` and `check`.
pub fn load(state_dir: &Path, cluster: &str) -> Result<Document, StateError> {
    Ok(load_if_there(state_dir, cluster)?.unwrap_or_else(|| Document::new(cluster)))
}

/// The same; `None` if no agent ever ran with this directory.
pub fn load_if_there(state_dir: &Path, cluster: &str) -> Result<Option<Document>, StateError> {
    let path = state_dir.join(STATE_FILE);
    let Some(bytes) = read_bounded(&path)? else { return Ok(None) };
    document::parse(&path, &bytes, cluster).map(Some)
}

/// Whether an agent uses `state_dir`.
pub fn in_use(state_dir: &Path) -> Result<InUse, StateError> {
    let path = state_dir.join(LOCK_FILE);
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(InUse::No),
        Err(source) => return Err(file_error("open", &path, source)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(InUse::No),
        Err(TryLockError::WouldBlock) => Ok(InUse::Yes),
        Err(TryLockError::Error(source)) => Err(file_error("lock", &path, source)),
    }
}

/// Whether a write has to survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Flushed to the disk before returning.
    Flushed,
    /// Only atomic: a reader sees the old or the new content.
    Atomic,
}

/// Replaces a file by rename.
pub(crate) fn replace(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StateError> {
    let temporary = path.with_extension("tmp");
    let mut file =
        private_file(&temporary).map_err(|source| file_error("create", &temporary, source))?;
    file.write_all(bytes).map_err(|source| file_error("write", &temporary, source))?;
    if durability == Durability::Flushed {
        file.sync_all().map_err(|source| file_error("flush", &temporary, source))?;
    }
    fs::rename(&temporary, path).map_err(|source| file_error("replace", path, source))?;
    if durability == Durability::Flushed
        && let Some(parent) = path.parent()
    {
        File::open(parent)
            .and_then(|dir| dir.sync_all())
            .map_err(|source| file_error("flush", parent, source))?;
    }
    Ok(())
}

/// Reads a file of bounded size; `None` if it does not exist.
pub(crate) fn read_bounded(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file_error("open", path, source)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| file_error("read", path, source))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        let source = io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB");
        return Err(file_error("read", path, source));
    }
    Ok(Some(bytes))
}

pub(crate) fn encode<T: serde::Serialize>(path: &Path, value: &T) -> Result<Vec<u8>, StateError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|source| StateError::Encode { path: path.to_owned(), source })?;
    bytes.push(b'\n');
    Ok(bytes)
}

pub(crate) fn file_error(action: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::File { action, path: path.to_owned(), source }
}

pub(crate) fn create_private_dir(path: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| file_error("create", path, source))
}

fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().create(true).write(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_comes_back_as_it_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let mut document = state.load("east", Timestamp::UNIX_EPOCH).unwrap();
        document.seq = 41;
        state.save(&document).unwrap();
        assert_eq!(state.load("east", Timestamp::UNIX_EPOCH).unwrap(), document);
        assert!(!dir.path().join("state.tmp").exists());
    }

    #[test]
    fn report_numbers_go_on_above_all_that_were_sent_when_the_memory_is_lost_or_restored() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let first = state.load("east", now).unwrap().seq;
        let sent = first + 1_000;
        let copy = Document { seq: first + 10, ..Document::new("east") };
        state.save(&copy).unwrap();
        let later = Timestamp::from_second(1_800_003_600).unwrap();
        assert!(state.load("east", later).unwrap().seq > sent, "an old copy was restored");
        fs::remove_file(dir.path().join(STATE_FILE)).unwrap();
        let anew = state.load("east", later).unwrap().seq;
        assert!(anew > sent, "the memory was moved away");
        assert!(i64::try_from(anew).is_ok(), "what a hub can store");
    }

    #[test]
    fn report_numbers_never_shrink_with_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        state.save(&Document { seq: 1_800_000_000_007, ..Document::new("east") }).unwrap();
        let earlier = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(state.load("east", earlier).unwrap().seq, 1_800_000_000_007);
    }

    #[test]
    fn two_agents_cannot_share_a_state_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::open(dir.path()).unwrap();
        assert!(matches!(StateDir::open(dir.path()), Err(StateError::Locked { .. })));
        assert_eq!(in_use(dir.path()).unwrap(), InUse::Yes);
        drop(first);
        assert_eq!(in_use(dir.path()).unwrap(), InUse::No);
        StateDir::open(dir.path()).unwrap();
    }

    #[test]
    fn the_memory_of_another_cluster_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        state.save(&Document::new("east")).unwrap();
        let error = state.load("west", Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, StateError::OtherCluster { .. }), "{error}");
        assert!(error.to_string().contains("belongs to cluster \"east\""), "{error}");
    }

    #[test]
    fn a_newer_memory_is_refused_whatever_else_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        fs::write(dir.path().join("state.json"), r#"{"format": 3, "shape": "new"}"#).unwrap();
        let error = state.load("east", Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, StateError::Newer { found: 3, .. }), "{error}");
    }

    #[test]
    fn a_damaged_memory_is_an_error_and_never_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        for damaged in ["", "{", "{}", r#"{"format":1}"#] {
            fs::write(dir.path().join("state.json"), damaged).unwrap();
            let error = state.load("east", Timestamp::UNIX_EPOCH).unwrap_err();
            assert!(matches!(error, StateError::Unreadable { .. }), "{damaged:?}: {error}");
        }
    }
}
