//! A site's own store of images: what `serve` answers from and what an import fills.
//!
//! ```text
//! DIR/store.db               what is where, who refers to what (SQLite)
//! DIR/store.lock             held by whoever imports or frees space
//! DIR/blobs/<alg>/<2hex>/<hex>   blobs that were pushed, one file each
//! DIR/segments/              tar segments of bundles, adopted by hard link
//! DIR/uploads/               pushes under way
//! ```
//! Blobs of a bundle are never copied out of its segments: the database says at which offsets their
//! bytes lie ([`Extent`]). Everything here is blocking and is called from threads that may block.
//!
//! **What makes it survive a kill.** The database commit is the truth. Files are made durable before
//! the commit that names them, and deleted after the commit that forgets them; what lies between is
//! garbage that [`Store::gc`] finds. Files are put in place and taken away only inside a write
//! transaction, of which `SQLite` grants one at a time to all processes, so that a push and a
//! collection never race for one path.
//!
//! **Who may do what at once.** Any number of processes read and push. [`Store::exclusive`] is one
//! `flock` for imports, prunes and collections, which take turns.

mod abandoned;
mod blobs;
mod error;
mod files;
mod fsck;
mod gc;
mod holes;
mod listing;
mod manifests;
mod promises;
mod read;
mod referrers;
mod schema;
mod segments;
#[cfg(test)]
mod tests;
mod uploads;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use blobs::{Extent, Indexed};
pub use error::StoreError;
pub use fsck::{Damage, Fsck, FsckReport};
pub use gc::{Gc, GcReport};
pub use listing::{Held, Page, Totals};
pub use manifests::{Children, Put, PutManifest, Reference, StoredManifest};
pub use read::{BlobReader, PIECE_BYTES, Piece};
pub use segments::{Adopt, Adopted, SegmentId, SegmentName};
pub use uploads::{Upload, UploadId};

use error::{During as _, Of as _};

/// Idle reading connections that are kept. A registry answers a few clients at a time; each
/// connection costs a file handle and some cache.
const READERS_KEPT: usize = 8;

/// A site's store. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    uploads: uploads::Sessions,
}

/// The right to import, prune or free space; let go when dropped or when the process ends.
#[derive(Debug)]
pub struct Exclusive {
    _file: File,
}

impl Store {
    /// Opens the store in `dir`, making it where there is none.
    ///
    /// # Errors
    /// When the directory or the database cannot be made or read, or a newer version wrote it.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        files::make_private_dirs(dir)?;
        Self::attach(dir)
    }

    /// Opens the store in `dir`.
    ///
    /// # Errors
    /// [`StoreError::Absent`] where there is none, otherwise as [`Store::create`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        if !dir.join(schema::FILE).is_file() {
            return Err(StoreError::Absent { dir: dir.to_owned() });
        }
        Self::create(dir)
    }

    fn attach(dir: &Path) -> Result<Self, StoreError> {
        let writer = schema::open_writer(dir)?;
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            uploads: uploads::Sessions::default(),
        })))
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Takes the right to import, prune or free space, without waiting.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while somebody else has it.
    pub fn exclusive(&self) -> Result<Exclusive, StoreError> {
        let path = self.0.dir.join("store.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .of("open", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(Exclusive { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(StoreError::Busy { dir: self.0.dir.clone() })
            }
            Err(std::fs::TryLockError::Error(source)) => Err(source).of("lock", &path),
        }
    }

    /// Runs `work` in a write transaction and commits it. No other process writes meanwhile.
    fn write<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut conn = lock(&self.0.writer);
        let tx =
            conn.transaction_with_behavior(TransactionBehavior::Immediate).during(operation)?;
        let done = work(&tx)?;
        tx.commit().during(operation)?;
        Ok(done)
    }

    /// Runs `work` on a connection that sees one state of the database throughout.
    fn read<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let kept = lock(&self.0.readers).pop();
        let mut conn = match kept {
            Some(conn) => conn,
            None => schema::open_reader(&self.0.dir)?,
        };
        let done = {
            let tx = conn.transaction().during(operation)?;
            work(&tx)
        };
        let mut readers = lock(&self.0.readers);
        if readers.len() < READERS_KEPT {
            readers.push(conn);
        }
        done
    }
}

/// A connection is as good after a panic as before: its transaction was rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
