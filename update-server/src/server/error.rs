//! Why a hub does not run.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::tls::TlsError;
use crate::auth::NoRandomness;
use crate::http::sign_in::SignInSetupError;
use crate::publish::PublishError;
use crate::store::{LeaderError, OpenError, Refusal, SchemaError};

/// A hub that cannot start, or that ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data directory cannot be used.
    #[error("failed to {action} {path}", path = path.display())]
    DataDir {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("another update-server uses {path}", path = path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// A restore was interrupted.
    #[error(
        "a restore into {path} did not end: remove the directory and restore again",
        path = path.display()
    )]
    HalfRestored {
        /// The data directory.
        path: PathBuf,
    },
    /// The database that replicas share.
    #[error(transparent)]
    Join(#[from] LeaderError),
    /// The repository.
    #[error("failed to open the repository")]
    Repository(#[from] PublishError),
    /// The database.
    #[error("failed to open the store")]
    Store(#[from] OpenError),
    /// The database, for reading.
    #[error("failed to open the store for reading")]
    Reader(#[from] SchemaError),
    /// The client that sends events.
    #[error("failed to prepare webhooks")]
    Webhooks(#[from] crate::webhooks::ClientError),
    /// No randomness for the first token.
    #[error("failed to make the first admin token")]
    Token(#[from] NoRandomness),
    /// The first token's file exists and holds something else.
    #[error("{path} does not hold a token: remove it and start again", path = path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
    },
    /// The first token cannot be stored.
    #[error("failed to store the first admin token")]
    TokenStore(#[from] Refusal),
    /// Certificate, key or client authorities.
    #[error("failed to set TLS up")]
    Tls(#[from] TlsError),
    /// Sign-in of people.
    #[error("failed to prepare the sign-in of people")]
    SignIn(#[from] SignInSetupError),
    /// The socket.
    #[error("failed to listen on {listen}")]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The client that forwards metrics.
    #[error("failed to start remote-write")]
    RemoteWrite(#[source] reqwest::Error),
    /// The HTTP server ended.
    #[error("the HTTP server failed")]
    Server(#[source] std::io::Error),
}
