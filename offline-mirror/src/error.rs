//! What can go wrong between a hub and a site, each with what, where and what to do.

use std::path::PathBuf;

use signing::Sha256Digest;

/// Failure of an export or an import.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The TUF repository does not verify; the source names the attack where one was met.
    #[error("{what} does not verify")]
    Trust {
        /// Which document or step.
        what: String,
        /// What the TUF client found.
        #[source]
        source: Box<signing::Error>,
    },
    /// A signed document is not what its path says, or cannot be read.
    #[error("{path}: {why}")]
    Document {
        /// Target path.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The hub does not list what was asked for.
    #[error("{what} is not in the verified repository; check the name and that it was published")]
    NotListed {
        /// What was asked for.
        what: String,
    },
    /// A registry refused or broke.
    #[error("registry {registry}: {operation} failed")]
    Registry {
        /// Host and port.
        registry: String,
        /// What was tried.
        operation: String,
        /// What the client said.
        #[source]
        source: Box<oci_distribution::errors::OciDistributionError>,
    },
    /// Bytes do not have the digest that a signed document or a manifest names.
    #[error("{what}: expected {expected}, found {found}; fetch it again, and do not use this copy")]
    Digest {
        /// Which blob or file.
        what: String,
        /// From the signed document or the manifest.
        expected: Sha256Digest,
        /// Of the bytes at hand.
        found: Sha256Digest,
    },
    /// A blob is not as long as its descriptor says.
    #[error("{what}: expected {expected} bytes, found {found}")]
    Size {
        /// Which blob.
        what: String,
        /// From the descriptor.
        expected: u64,
        /// Of the bytes at hand.
        found: u64,
    },
    /// A manifest is not a manifest we may follow.
    #[error("manifest {digest}: {why}")]
    Manifest {
        /// Its digest.
        digest: String,
        /// What is wrong.
        why: String,
    },
    /// A blob the release needs is not in the directory.
    #[error("{what} is missing from {}; run the export again, it fetches only what is missing", dir.display())]
    Missing {
        /// Which blob.
        what: String,
        /// The export directory.
        dir: PathBuf,
    },
    /// The directory is not a finished export.
    #[error("{}: {why}", dir.display())]
    NotAnExport {
        /// The directory.
        dir: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{operation} {}", path.display())]
    Io {
        /// `read`, `write`, …
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The site's update server could not be reached.
    #[error("POST {url} failed")]
    Unreachable {
        /// The address.
        url: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// The site's update server refused the publication.
    #[error("the update server refused the publication ({status}): {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's own words.
        detail: String,
    },
}

impl Error {
    /// Wraps an I/O error with its file.
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }
}
