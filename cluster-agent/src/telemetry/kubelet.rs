//! Kubelets' pages: they want a token, and their serving certificates are often nobody's.
//!
//! The token is sent to configured addresses of nodes only, over TLS only.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::scrape::ScrapeError;

/// Tokens of service accounts have about a kilobyte.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

/// Largest file of certificates.
const CA_BYTES_MAX: u64 = 4 * 1024 * 1024;

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
    client: reqwest::Client,
    access: KubeletAccess,
    urls: BTreeSet<String>,
}

impl Kubelets {
    pub(super) fn new(
        builder: reqwest::ClientBuilder,
        access: KubeletAccess,
        urls: BTreeSet<String>,
    ) -> Result<Self, ScrapeError> {
        let mut builder = builder;
        if let Some(path) = &access.ca {
            let pem = small_file(path, CA_BYTES_MAX)?;
            let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(ScrapeError::Client)?;
            builder = builder.tls_certs_only(found);
        }
        if access.insecure {
            tracing::warn!(
                "kubernetes.kubelet.insecure: serving certificates of kubelets are not checked, so \
                 whoever answers in a kubelet's place gets the token and may report any health"
            );
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let client = builder.build().map_err(ScrapeError::Client)?;
        Ok(Self { client, access, urls })
    }

    /// The request for a page, if it is one of a kubelet's.
    pub(super) fn get(&self, url: &str) -> Option<Result<reqwest::RequestBuilder, ScrapeError>> {
        if !self.urls.contains(url) {
            return None;
        }
        let request = self.client.get(url);
        let Some(path) = &self.access.token_file else { return Some(Ok(request)) };
        Some(small_file(path, TOKEN_BYTES_MAX).map(|token| {
            let token = String::from_utf8_lossy(&token);
            request.bearer_auth(token.trim())
        }))
    }
}

fn small_file(path: &Path, limit: u64) -> Result<Vec<u8>, ScrapeError> {
    let refused = |why: String| ScrapeError::Credentials { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if size > limit {
        return Err(refused(format!("it is larger than {limit} bytes")));
    }
    std::fs::read(path).map_err(|error| refused(error.to_string()))
}
