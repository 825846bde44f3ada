//! Where a client keeps what it trusted, so that rollback floors outlive a restart.
//!
//! A store is never a trust anchor: whatever it returns is verified again from the pinned root.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Largest document read back, in bytes: above every limit of the client.
const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// The store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {name:?}")]
pub struct StoreError {
    /// `load`, `save` or `remove`.
    pub action: &'static str,
    /// The document.
    pub name: String,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// Keeps small named documents. Names are plain file names, made by the client.
pub trait Store: Send + Sync {
    /// The document, or none if it was never saved.
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Saves durably and atomically: after a crash the old or the new document is there.
    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;
    /// Removes the document; removing what is not there succeeds.
    fn remove(&mut self, name: &str) -> Result<(), StoreError>;
}

/// One file per document in one directory.
#[derive(Debug, Clone)]
pub struct DirStore {
    directory: PathBuf,
}

impl DirStore {
    /// Uses `directory`, making it if needed. One client per directory.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let directory = directory.into();
        fs::create_dir_all(&directory).map_err(|source| StoreError {
            action: "open",
            name: directory.display().to_string(),
            source,
        })?;
        Ok(Self { directory })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file name"));
        }
        Ok(self.directory.join(name))
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(name)?) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut bytes = Vec::new();
        file.take(MAX_DOCUMENT_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name)?;
        // A name of its own beside the file: a rename within one directory is atomic.
        let temporary = self.path(&format!("{name}.new"))?;
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.directory)?.sync_all()
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)?) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => File::open(&self.directory)?.sync_all(),
        }
    }
}

fn failed(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> StoreError {
    let name = name.to_owned();
    move |source| StoreError { action, name, source }
}

impl Store for DirStore {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(name).map_err(failed("load", name))
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.replace(name, bytes).map_err(failed("save", name))
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.delete(name).map_err(failed("remove", name))
    }
}

/// Documents in memory. Clones share them, so a clone survives the client it was given to.
#[derive(Debug, Clone, Default)]
pub struct MemStore {
    documents: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl MemStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The names of all documents, sorted.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        // Every change is one map operation, so a poisoned map is still whole.
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemStore {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().get(name).cloned())
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.lock().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.lock().remove(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exercise(store: &mut impl Store) {
        assert_eq!(store.load("a.json").unwrap(), None);
        store.save("a.json", b"one").unwrap();
        store.save("a.json", b"two").unwrap();
        assert_eq!(store.load("a.json").unwrap().unwrap(), b"two");
        store.remove("a.json").unwrap();
        store.remove("a.json").unwrap();
        assert_eq!(store.load("a.json").unwrap(), None);
    }

    #[test]
    fn both_stores_keep_the_last_document() {
        let directory = tempfile::tempdir().unwrap();
        exercise(&mut DirStore::open(directory.path().join("new")).unwrap());
        exercise(&mut MemStore::new());
    }

    #[test]
    fn directory_store_keeps_documents_over_a_restart_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        DirStore::open(directory.path()).unwrap().save("a", b"x").unwrap();
        let again = DirStore::open(directory.path()).unwrap();
        assert_eq!(again.load("a").unwrap().unwrap(), b"x");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    /// A floor that came back cut short would be no floor.
    #[test]
    fn directory_store_gives_the_largest_metadata_back_whole() {
        let directory = tempfile::tempdir().unwrap();
        let largest =
            vec![b' '; usize::try_from(crate::client::limits::MAX_TARGETS_BYTES).unwrap()];
        let mut store = DirStore::open(directory.path()).unwrap();
        store.save("a", &largest).unwrap();
        assert_eq!(store.load("a").unwrap().unwrap().len(), largest.len());
    }

    #[test]
    fn names_that_are_not_plain_file_names_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = DirStore::open(directory.path()).unwrap();
        for bad in ["", ".", "..", "a/b", "../a", "/a"] {
            assert!(store.save(bad, b"x").is_err(), "{bad}");
        }
    }
}
