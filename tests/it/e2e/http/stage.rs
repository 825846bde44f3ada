//! A hub with a published product, and the paths to it.

use super::raw::ask;
use crate::e2e::client::Answer;
use crate::e2e::server::hub::Hub;
use crate::e2e::server::vendor::{PRODUCT, Vendor, content, release};

/// The path of the default product, as OpenShift's clients ask.
pub(super) const DEFAULT: &str = "/api/upgrades_info/v1/graph";
/// Releases that are published.
pub(super) const RELEASES: usize = 12;

/// A hub and its vendor; everything ends when it is dropped.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) hub: Hub,
    pub(super) vendor: Vendor,
    _dir: tempfile::TempDir,
}

impl Stage {
    /// Nothing is published yet.
    pub(super) async fn bare() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = format!("default_product = \"{PRODUCT}\"\n");
        let hub = Hub::start(dir.path(), &config).await;
        let vendor = Vendor::establish(&hub).await;
        Self { hub, vendor, _dir: dir }
    }

    /// So many releases in a row are published.
    pub(super) async fn publish(&mut self, releases: usize) {
        let documents: Vec<_> =
            (0..releases).map(|patch| release(&format!("4.0.{patch}"), "^4.0")).collect();
        let edges: Vec<_> = (1..releases).map(|to| (to - 1, to)).collect();
        self.vendor.publish(&self.hub, &content(&documents, &edges)).await;
    }

    /// [`RELEASES`] are published.
    pub(super) async fn set() -> Self {
        let mut stage = Self::bare().await;
        stage.publish(RELEASES).await;
        stage
    }

    /// GET of a path.
    pub(super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers).await
    }

    /// Any method.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> = headers.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
        ask(self.hub.address(), method, path, &headers).await
    }

    /// The hub has neither ended nor panicked.
    pub(super) async fn is_well(&self) {
        let answer = self.get(&graph(), &[]).await;
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        let log = self.hub.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// The path of the published graph, default product.
pub(super) fn graph() -> String {
    format!("{DEFAULT}?channel=stable")
}

/// How many releases an answer shows.
pub(super) fn nodes(answer: &Answer) -> usize {
    answer.json()["nodes"].as_array().expect("nodes").len()
}
