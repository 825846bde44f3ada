//! What a client is told when something is refused (distribution spec, error codes), and what stops
//! the server from starting.

use std::net::SocketAddr;
use std::path::PathBuf;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde_json::json;

use super::access::TokenError;
use super::route::NoRoute;
use crate::oci::MANIFEST_BYTES_MAX;
use crate::store::StoreError;

/// The server cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[source] StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("cannot use {}: {why}", path.display())]
    Tls {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The token file cannot be used.
    #[error("the tokens cannot be used")]
    Tokens(#[source] TokenError),
    /// Settings that would open more than they say.
    #[error("{0}")]
    Unsafe(&'static str),
    /// The server broke.
    #[error("the server broke")]
    Server(#[source] std::io::Error),
}

/// An error as a client sees it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// A method that this registry does not do.
    pub(super) fn unsupported(why: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", why)
    }

    /// Something that did not go well here; the client learns no more than that.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %Chain(error), "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "see the registry's log")
    }

    pub(super) fn response(&self) -> HttpResponse {
        let Self { status, code, message } = self;
        let mut response = HttpResponse::build(*status);
        if *status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"offline-mirror\""));
        }
        if *status == StatusCode::TOO_MANY_REQUESTS {
            response.insert_header((header::RETRY_AFTER, "2"));
        }
        response.json(json!({"errors": [{"code": code, "message": message}]}))
    }
}

/// An error with its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl From<NoRoute> for Refusal {
    fn from(no: NoRoute) -> Self {
        let bad = |code, message: String| Self::new(StatusCode::BAD_REQUEST, code, message);
        match no {
            NoRoute::Unknown => Self::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "no such endpoint"),
            NoRoute::Name(name) => bad("NAME_INVALID", format!("{name:?} is no repository name")),
            NoRoute::Digest(text) => {
                bad("DIGEST_INVALID", format!("{text:?} is no sha256 or sha512 digest"))
            }
            NoRoute::Tag(text) => bad("MANIFEST_INVALID", format!("{text:?} is no tag")),
            NoRoute::Upload(text) => Self::new(
                StatusCode::NOT_FOUND,
                "BLOB_UPLOAD_UNKNOWN",
                format!("no upload {text:?}"),
            ),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        let refuse = |status, code| Self::new(status, code, message.clone());
        match &error {
            StoreError::NameUnknown { .. } => refuse(StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            StoreError::ManifestUnknown { .. } => refuse(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            StoreError::BlobUnknown { .. } => refuse(StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            StoreError::UploadUnknown { .. } => {
                refuse(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN")
            }
            StoreError::ManifestBlobUnknown { .. } => {
                refuse(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN")
            }
            StoreError::ManifestInvalid { .. } | StoreError::MediaType { .. } => {
                refuse(StatusCode::BAD_REQUEST, "MANIFEST_INVALID")
            }
            StoreError::Digest { .. } => refuse(StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            StoreError::OutOfOrder { .. } => {
                refuse(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID")
            }
            StoreError::TooLarge { .. } => refuse(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            StoreError::UploadBusy { .. } | StoreError::TooMuch { .. } => {
                refuse(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS")
            }
            StoreError::Full { .. } => {
                tracing::error!(error = %Chain(&error), "no space is left in the store");
                let (status, text) = (StatusCode::INSUFFICIENT_STORAGE, "no space is left");
                Self::new(status, "UNKNOWN", text)
            }
            StoreError::Absent { .. }
            | StoreError::Newer { .. }
            | StoreError::Busy { .. }
            | StoreError::Database { .. }
            | StoreError::File { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Extents { .. } => Self::internal(&error),
        }
    }
}

/// A manifest larger than registries take.
pub(super) fn manifest_too_large() -> Refusal {
    let message = format!("a manifest has at most {MANIFEST_BYTES_MAX} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_507_and_tells_no_path() {
        let path = PathBuf::from("/secret/place");
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let refusal = Refusal::from(StoreError::Full { operation: "write", path, source });
        assert_eq!(refusal.status, StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(refusal.message, "no space is left");
    }

    #[test]
    fn what_broke_here_is_500_and_tells_nothing() {
        let path = PathBuf::from("/secret/place");
        let source = std::io::Error::other("hardware");
        let refusal = Refusal::from(StoreError::File { operation: "read", path, source });
        assert_eq!(refusal.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!refusal.message.contains("secret") && !refusal.message.contains("hardware"));
    }
}
