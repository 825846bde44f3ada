//! Why a query has no answer.

use std::path::PathBuf;

use super::answer::AnswerError;

/// A query that was not answered. Whoever asked takes it for *unknown*.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A file with credentials cannot be read.
    #[error("cannot read the {what} {}", path.display())]
    Credentials {
        /// What the file holds.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file with credentials holds something else.
    #[error("the {what} {} is unusable: {why}", path.display())]
    CredentialsUnusable {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A certificate or key does not parse.
    #[error("the {what} {} cannot be used", path.display())]
    Certificate {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the TLS library says.
        source: reqwest::Error,
    },
    /// The HTTP client cannot be built.
    #[error("the client of Prometheus cannot be made")]
    Client(#[source] reqwest::Error),
    /// No answer in time.
    #[error("no answer within {limit_ms} ms")]
    Timeout {
        /// The bound.
        limit_ms: u64,
    },
    /// No connection, or it broke.
    #[error("the request failed: {why}")]
    Transport {
        /// The innermost cause, for people.
        why: String,
    },
    /// An answer that sends us elsewhere: a token is for the address it was configured for.
    #[error("it answers with a redirect, status {status}, which is not followed")]
    Redirected {
        /// HTTP status code.
        status: u16,
    },
    /// An answer that is none.
    #[error("it answers with status {status}")]
    Status {
        /// HTTP status code.
        status: u16,
    },
    /// Prometheus says why it does not answer.
    #[error("it refuses with status {status}: {kind}: {message}")]
    Refused {
        /// HTTP status code.
        status: u16,
        /// Its `errorType`: `bad_data`, `execution`, `timeout`, …
        kind: String,
        /// Its words, shortened.
        message: String,
    },
    /// Something other than JSON.
    #[error("it answers with content type {found:?}, not application/json")]
    ContentType {
        /// What came.
        found: String,
    },
    /// A body beyond the bound.
    #[error("the answer is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// A body that is no answer to a query.
    #[error("the answer cannot be read")]
    Answer(#[source] AnswerError),
}
