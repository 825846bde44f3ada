//! Token, CA and client certificate as they lie on disk; read anew for every look, because
//! projected service account tokens and service CAs rotate under a running agent.

use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;

use super::QueryError;

/// Largest file of credentials: a CA bundle of a distribution has about 250 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where credentials lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaterialPaths {
    /// Bearer token.
    pub token: Option<PathBuf>,
    /// CA certificates (PEM) in place of the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM).
    pub cert: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
}

/// What makes a TLS client; another one is built when it changes.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct TlsMaterial {
    pub(super) ca: Option<Vec<u8>>,
    /// Certificate and key in one text, as the client wants them.
    pub(super) identity: Option<Vec<u8>>,
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // It holds a private key.
        let Self { ca, identity } = self;
        write!(f, "TlsMaterial {{ ca: {}, identity: {} }}", ca.is_some(), identity.is_some())
    }
}

impl MaterialPaths {
    /// The bearer token as a header, marked so that no log shows it.
    pub(super) async fn bearer(&self) -> Result<Option<HeaderValue>, QueryError> {
        let Some(path) = &self.token else { return Ok(None) };
        let unusable =
            |why| QueryError::CredentialsUnusable { what: "token", path: path.clone(), why };
        let bytes = read(path, "token").await?;
        let token = str::from_utf8(&bytes).map_err(|_| unusable("it is not text"))?.trim();
        if token.is_empty() {
            return Err(unusable("it is empty"));
        }
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| unusable("it cannot stand in a header"))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    pub(super) async fn tls(&self) -> Result<TlsMaterial, QueryError> {
        let ca = match &self.ca {
            Some(path) => Some(read(path, "CA certificate").await?),
            None => None,
        };
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let mut pem = read(cert, "client certificate").await?;
                pem.push(b'\n');
                pem.extend(read(key, "client key").await?);
                Some(pem)
            }
            (Some(_) | None, _) => None,
        };
        Ok(TlsMaterial { ca, identity })
    }
}

async fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, QueryError> {
    let failed = |source| QueryError::Credentials { what, path: path.to_owned(), source };
    let size = tokio::fs::metadata(path).await.map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        let why = "it is larger than 1 MiB";
        return Err(QueryError::CredentialsUnusable { what, path: path.to_owned(), why });
    }
    tokio::fs::read(path).await.map_err(failed)
}
