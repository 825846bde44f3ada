//! The data directory: made private, locked by one process, and told where the hub listens.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::RunError;

/// Locked while a hub runs; its content means nothing.
const LOCK_FILE: &str = "lock";
/// Address and port the hub really listens on, while it does.
const ADDRESS_FILE: &str = "address";

/// A data directory that this process owns.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The lock goes with the file handle, also when the process is killed.
    _lock: File,
}

/// Turns an I/O error into what was tried on which path.
pub(super) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> RunError + use<> {
    let path = path.to_owned();
    move |source| RunError::DataDir { action, path, source }
}

impl DataDir {
    /// Makes the directory if need be and takes its lock.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("create", path))?;
        let lock_path = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(RunError::Locked { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &lock_path)(source)),
        }
        let this = Self { path: path.to_owned(), _lock: lock };
        // Left by a hub that was killed: it listens there no more.
        this.remove_address();
        Ok(this)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Tells where the hub listens: `address:port` and a newline, replaced as a whole.
    pub(super) fn write_address(&self, address: SocketAddr) -> Result<(), RunError> {
        let path = self.path.join(ADDRESS_FILE);
        let temporary = self.path.join(".address.new");
        std::fs::write(&temporary, format!("{address}\n")).map_err(failed("write", &temporary))?;
        std::fs::rename(&temporary, &path).map_err(failed("write", &path))
    }

    fn remove_address(&self) {
        // Absent is what is wanted.
        let _ = std::fs::remove_file(self.path.join(ADDRESS_FILE));
    }

    /// Ends the ownership.
    pub fn close(self) {
        self.remove_address();
    }
}

/// Writes a file that must not exist yet, readable by its owner only, durable on return.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), RunError> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(failed("write", path))
}
