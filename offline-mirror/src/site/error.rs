//! What can be wrong with a site directory or with what a site signed.

use std::path::PathBuf;

use signing::{Attack, BuildError, KeyError, StatementError};

/// Failure around a site directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SiteError {
    /// The directory of a new site has something in it.
    #[error("{} is not empty", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory is no site's.
    #[error("{} is not a site directory: {why}", dir.display())]
    NotASite {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another command works on the site.
    #[error("another command is at work in {}", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of the site cannot be read as what it should be.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where there are any.
        why: String,
    },
    /// A file is longer than it may be.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// No key could be made.
    #[error("cannot make a key")]
    NewKey {
        /// What the system said.
        #[source]
        source: KeyError,
    },
    /// The key file cannot be read or written.
    #[error("the key file {}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: signing::keyfile::KeyFileError,
    },
    /// A document could not be signed.
    #[error("cannot sign the {what}")]
    Sign {
        /// Kind of document.
        what: &'static str,
        /// What the signer said.
        #[source]
        source: BuildError,
    },
    /// An inventory or a receipt does not verify.
    #[error("the {what} does not verify")]
    Statement {
        /// Kind of document.
        what: &'static str,
        /// Why not.
        #[source]
        source: StatementError,
    },
    /// A document of a later version than this program reads.
    #[error("the {what} has format {found}, this version reads {known}")]
    Format {
        /// Kind of document.
        what: &'static str,
        /// Its format.
        found: u32,
        /// What is read.
        known: u32,
    },
    /// A file could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// `read`, `write`, …
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl SiteError {
    /// Wraps an I/O error with its file.
    pub(crate) fn io(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { operation, path, source }
    }

    /// The attack this failure would be, if it is one.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Statement { source, .. } => source.attack(),
            Self::TooLong { .. } => Some(Attack::EndlessData),
            Self::NotEmpty { .. }
            | Self::NotASite { .. }
            | Self::Busy { .. }
            | Self::Malformed { .. }
            | Self::NewKey { .. }
            | Self::KeyFile { .. }
            | Self::Sign { .. }
            | Self::Format { .. }
            | Self::Io { .. } => None,
        }
    }

    /// Whether something was looked at and refused, rather than not got at.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Statement { .. }
                | Self::TooLong { .. }
                | Self::Format { .. }
                | Self::Malformed { .. }
        )
    }

    /// What a person can do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotEmpty { .. } => "name a directory that is not there yet",
            Self::NotASite { .. } => {
                "make one: offline-mirror site init DIR --name NAME --root FILE"
            }
            Self::Busy { .. } => "wait until it has ended",
            Self::Statement { .. } => {
                "compare the site's public key with the one that was handed over; do not use this \
                 file"
            }
            Self::Format { .. } => "update offline-mirror on this machine",
            Self::Malformed { .. } | Self::TooLong { .. } => {
                "put the file back from a backup, or carry it again"
            }
            Self::KeyFile { .. } => "the file must be readable by this user alone (0600)",
            Self::NewKey { .. } | Self::Sign { .. } => return None,
            Self::Io { .. } => "check the path, its rights and the free space",
        };
        Some(hint.to_owned())
    }
}
