//! Where a client gets files from. A source is never trusted: it can withhold, delay and lie,
//! and only the client decides what an answer is worth.

mod dir;
#[cfg(feature = "http")]
mod http;
mod mem;
mod mirrors;
mod recording;

pub use dir::DirSource;
#[cfg(feature = "http")]
pub use http::{HttpLimits, HttpSource, install_tls_provider};
pub(crate) use mem::etag_of;
pub use mem::{MemSource, timestamp_etag};
pub use mirrors::{MAX_MIRROR_NAME_BYTES, MAX_MIRRORS, Mirrors, MirrorsError};
pub use recording::Recording;

use crate::attack::Attack;
use crate::names::FileName;
use std::future::Future;

/// A source's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The file.
    Body {
        /// Its bytes, decoded, at most as many as were allowed.
        bytes: Vec<u8>,
        /// Validator for a conditional request later.
        etag: Option<String>,
    },
    /// The validator still holds.
    NotModified,
    /// The source says that there is no such file (HTTP 404 or 403, never another failure).
    NotFound,
}

/// Fetches repository files.
///
/// An implementation reads at most `max_bytes` (after any decoding) and answers
/// [`SourceError::TooLarge`] when there is more. It answers [`Fetched::NotFound`] only when the
/// file is known not to exist: a server error reported as "not found" would hide root rotations.
pub trait Source: Send + Sync {
    /// Fetches one file.
    fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> impl Future<Output = Result<Fetched, SourceError>> + Send;
}

impl<S: Source> Source for &S {
    fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> impl Future<Output = Result<Fetched, SourceError>> + Send {
        (**self).fetch(file, max_bytes, if_none_match)
    }
}

impl<S: Source> Source for std::sync::Arc<S> {
    fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> impl Future<Output = Result<Fetched, SourceError>> + Send {
        (**self).fetch(file, max_bytes, if_none_match)
    }
}

/// The source gave no file. Nothing is known about the repository's content.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// More bytes than allowed.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The most that was allowed.
        limit: u64,
    },
    /// Too few bytes per second, or the overall deadline passed.
    #[error("too slow: {received} bytes in {elapsed_ms} ms")]
    TooSlow {
        /// Bytes received until then.
        received: u64,
        /// Time since the request began.
        elapsed_ms: u64,
    },
    /// A status that is neither success nor "not found" nor "not modified".
    #[error("HTTP status {code}")]
    Status {
        /// The status code.
        code: u16,
    },
    /// The answer is compressed although it was asked for as it is: its real size is unknown.
    #[error("the answer is encoded as {encoding:?}, which was not asked for")]
    Encoded {
        /// The `Content-Encoding`.
        encoding: String,
    },
    /// Name resolution, connection, TLS or protocol failure.
    #[error("transport failed: {reason}")]
    Transport {
        /// What the HTTP client said.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// An address that is not an `http` or `https` URL.
    #[error("not an http or https URL: {url:?}")]
    Url {
        /// What was given.
        url: String,
    },
    /// `NotModified` to a request without a condition.
    #[error("answered \"not modified\" to an unconditional request")]
    Unconditional,
}

impl SourceError {
    /// The attack this may be.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::TooLarge { .. } => Some(Attack::EndlessData),
            Self::TooSlow { .. } => Some(Attack::SlowRetrieval),
            Self::Status { .. }
            | Self::Encoded { .. }
            | Self::Transport { .. }
            | Self::Io { .. }
            | Self::Url { .. }
            | Self::Unconditional => None,
        }
    }
}

#[cfg(test)]
mod tests;
