//! Kubelets' pages: they want a token, and their serving certificates are often nobody's.
//!
//! The token is sent to configured addresses of nodes only, over TLS only.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::fetcher::{Fetcher, Trust};
use super::scrape::ScrapeError;
use crate::pem;

/// Tokens of service accounts have about a kilobyte.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// How kubelets are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubeletAccess {
    /// File with the bearer token; read at every request, because it rotates.
    pub token_file: Option<PathBuf>,
    /// Certificate authority of their serving certificates; without, the system's.
    pub ca: Option<PathBuf>,
    /// Whether serving certificates are not checked.
    pub insecure: bool,
}

/// A client for kubelets, and the pages it is for.
#[derive(Debug, Clone)]
pub(super) struct Kubelets {
    fetcher: Fetcher,
    access: KubeletAccess,
    urls: BTreeSet<String>,
}

impl Kubelets {
    pub(super) fn new(
        connect_timeout: Duration,
        access: KubeletAccess,
        urls: BTreeSet<String>,
    ) -> Result<Self, ScrapeError> {
        let trust = if access.insecure {
            tracing::warn!(
                "kubernetes.kubelet.insecure: serving certificates of kubelets are not checked, so \
                 whoever answers in a kubelet's place gets the token and may report any health"
            );
            Trust::Anybody
        } else {
            access.ca.as_deref().map_or(Trust::System, Trust::File)
        };
        let fetcher = Fetcher::new(connect_timeout)?.trusting(trust)?;
        Ok(Self { fetcher, access, urls })
    }

    /// The client for a page, if it is one of a kubelet's.
    pub(super) fn fetcher(&self, url: &str) -> Option<&Fetcher> {
        self.urls.contains(url).then_some(&self.fetcher)
    }

    /// The token that goes with it.
    pub(super) fn token(&self) -> Result<Option<String>, ScrapeError> {
        let Some(path) = &self.access.token_file else { return Ok(None) };
        let refused = |why| ScrapeError::Credentials { path: path.clone(), why };
        let token = pem::bytes(path, TOKEN_BYTES_MAX).map_err(refused)?;
        Ok(Some(String::from_utf8_lossy(&token).trim().to_owned()))
    }
}
