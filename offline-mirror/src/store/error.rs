//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::oci::{Digest, ManifestError, Repository};

/// Failure of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store in the directory.
    #[error("{} holds no store", dir.display())]
    Absent {
        /// The directory.
        dir: PathBuf,
    },
    /// A newer version wrote the database.
    #[error("{} has schema {found}; this version knows up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The newest known one.
        known: usize,
    },
    /// Somebody else imports, prunes or frees space.
    #[error("{} is being changed by another import, prune or gc", dir.display())]
    Busy {
        /// The store.
        dir: PathBuf,
    },
    /// The database refused.
    #[error("the store's database cannot {operation}")]
    Database {
        /// What was tried.
        operation: &'static str,
        /// What `SQLite` says.
        #[source]
        source: rusqlite::Error,
    },
    /// A file cannot be used.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space is left to {operation} {}", path.display())]
    Full {
        /// What was tried.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The database holds something that this version cannot have written.
    #[error("the store's database holds {what} {value:?}")]
    Corrupt {
        /// Which kind of value.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// Extents of a blob do not lie where they are said to.
    #[error("blob {digest}: {why}")]
    Extents {
        /// The blob.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// No such repository.
    #[error("repository {repository} is unknown")]
    NameUnknown {
        /// Its name.
        repository: Repository,
    },
    /// The repository has no such manifest or tag.
    #[error("{repository} has no manifest {reference}")]
    ManifestUnknown {
        /// The repository.
        repository: Repository,
        /// Tag or digest.
        reference: String,
    },
    /// The repository has no such blob.
    #[error("{repository} has no blob {digest}")]
    BlobUnknown {
        /// The repository.
        repository: Repository,
        /// The blob.
        digest: Digest,
    },
    /// A manifest needs something that its repository does not have.
    #[error("manifest {manifest} needs blob {digest}, which {repository} does not have")]
    ManifestBlobUnknown {
        /// The repository.
        repository: Repository,
        /// The manifest.
        manifest: Digest,
        /// What is missing.
        digest: Digest,
    },
    /// Bytes that are no manifest we keep.
    #[error("the manifest cannot be kept")]
    ManifestInvalid {
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// The request says another media type than the manifest.
    #[error("pushed as {said:?}, but the manifest is {found:?}")]
    MediaType {
        /// `Content-Type` of the push.
        said: String,
        /// The manifest's own word, or what its members make it.
        found: String,
    },
    /// Bytes have another digest than was said.
    #[error("expected {expected}, found {found}")]
    Digest {
        /// What was said.
        expected: Digest,
        /// Of the bytes.
        found: Digest,
    },
    /// No such upload in the repository.
    #[error("{repository} has no upload {id}")]
    UploadUnknown {
        /// The repository.
        repository: Repository,
        /// The upload.
        id: String,
    },
    /// A piece of an upload does not begin where the last one ended.
    #[error("the piece begins at {found}, the upload is at {expected}")]
    OutOfOrder {
        /// Where the upload is, in bytes.
        expected: u64,
        /// Where the piece begins.
        found: u64,
    },
    /// Somebody else is sending to the same upload right now.
    #[error("upload {id} is being written to by another request")]
    UploadBusy {
        /// The upload.
        id: String,
    },
    /// Larger than the store takes.
    #[error("{what}: at most {limit} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The bound in bytes.
        limit: u64,
    },
    /// More at once than the store takes.
    #[error("{what}: at most {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
}

impl StoreError {
    /// What somebody can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Absent { .. } => {
                "import a bundle into it first, or start serve with --allow-push"
            }
            Self::Newer { .. } => "use the newer offline-mirror that wrote it",
            Self::Busy { .. } => "wait for the other command to end, then run this again",
            Self::Full { .. } => "free space on that file system (offline-mirror store gc)",
            Self::Corrupt { .. } => {
                "move the store away and import the bundles again; offline-mirror store fsck says \
                 what is damaged"
            }
            Self::Database { .. }
            | Self::File { .. }
            | Self::Extents { .. }
            | Self::NameUnknown { .. }
            | Self::ManifestUnknown { .. }
            | Self::BlobUnknown { .. }
            | Self::ManifestBlobUnknown { .. }
            | Self::ManifestInvalid { .. }
            | Self::MediaType { .. }
            | Self::Digest { .. }
            | Self::UploadUnknown { .. }
            | Self::OutOfOrder { .. }
            | Self::UploadBusy { .. }
            | Self::TooLarge { .. }
            | Self::TooMuch { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Says what the database was doing.
pub(super) trait During<T> {
    fn during(self, operation: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, rusqlite::Error> {
    fn during(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { operation, source })
    }
}

/// Says which file it was about.
pub(super) trait Of<T> {
    fn of(self, operation: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Of<T> for Result<T, io::Error> {
    fn of(self, operation: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| {
            let path = path.to_owned();
            let is_full =
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            if is_full {
                StoreError::Full { operation, path, source }
            } else {
                StoreError::File { operation, path, source }
            }
        })
    }
}
