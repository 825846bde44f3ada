//! Asks the site's hub what its clusters run.

use std::time::Duration;

use channels::wire::{ClusterRow, Page, Phase};
use serde::de::DeserializeOwned;

use super::error::PruneError;
use crate::server::ServerAccess;

/// The hub answers a page from memory.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Rows asked for at once.
const PAGE_ROWS: usize = 500;
/// Pages read at most: a site with more clusters than a million is none.
const PAGES_MAX: usize = 2000;
/// Longest page read, in bytes: some 10 KiB for every row.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A site's hub as `prune` reads it.
pub struct SiteHub {
    http: reqwest::Client,
    server: ServerAccess,
}

impl std::fmt::Debug for SiteHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SiteHub").field("server", &self.server).finish_non_exhaustive()
    }
}

impl SiteHub {
    /// The token needs the role viewer there.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(server: ServerAccess) -> Result<Self, PruneError> {
        let http = ServerAccess::client(TIMEOUT)
            .map_err(|source| PruneError::Unreachable { url: server.base().to_owned(), source })?;
        Ok(Self { http, server })
    }

    /// Every cluster; with its units where it is doing something, because units differ then.
    ///
    /// # Errors
    /// When the hub cannot be asked, refuses, or answers something else.
    pub(super) async fn clusters(&self) -> Result<Vec<ClusterRow>, PruneError> {
        let (mut rows, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..PAGES_MAX {
            let mut path = format!("/api/v1/clusters?limit={PAGE_ROWS}");
            if let Some(cursor) = &cursor {
                let escaped = percent_encoding::utf8_percent_encode(
                    cursor,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                path = format!("{path}&cursor={escaped}");
            }
            let page: Page<ClusterRow> = self.get(&path).await?;
            rows.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        if cursor.is_some() {
            let why = format!("more than {PAGES_MAX} pages");
            return Err(PruneError::Hub { url: self.server.base().to_owned(), why });
        }
        for row in &mut rows {
            if row.products.iter().any(|product| product.phase != Phase::Idle) {
                *row = self.get(&format!("/api/v1/clusters/{}", row.id)).await?;
            }
        }
        Ok(rows)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, PruneError> {
        let url = format!("{}{path}", self.server.base());
        let unreachable = |source| PruneError::Unreachable { url: url.clone(), source };
        let asked = self.http.get(&url).bearer_auth(self.server.token()).send();
        let mut response = asked.await.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        let refuse = |why: String| PruneError::Hub { url: url.clone(), why };
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            if bytes.len().saturating_add(piece.len()) > PAGE_BYTES_MAX {
                return Err(refuse(format!("more than {PAGE_BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
            return Err(refuse(format!("{status} {said}")));
        }
        serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))
    }
}
