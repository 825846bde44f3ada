//! A hub with one release of two architectures and its registry.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use offline_mirror::plan::Routes;
use offline_mirror::registry::{Registry, RegistryAccess};
use signing::Sha256Digest;

use crate::hub::{Hub, Named, Terms, release_document};
use crate::registry::Server;

pub(crate) const RELEASE: &str = "acme/app/1.2.0.release.json";
pub(crate) const GRAPH: &str = "acme/app/stable.amd64.graph.json";
/// The repository of all images.
pub(crate) const REPOSITORY: &str = "acme/app";

/// The time of all tests, plus some hours.
pub(crate) fn at(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

/// A plain-HTTP registry without users, for everything.
pub(crate) fn registry(host: &str) -> (Routes, Vec<Registry>) {
    let text = format!("[default]\nhost = \"{host}\"\nplain_http = true\nanonymous = true");
    let routes = Routes::new(&toml::from_str(&text).unwrap());
    let open = |access: &RegistryAccess| Registry::new(access.clone()).unwrap();
    let registries = routes.accesses().iter().map(open).collect();
    (routes, registries)
}

pub(crate) struct Scene {
    pub(crate) upstream: Server,
    pub(crate) hub: Hub,
    /// Digest of the image for amd64, and for arm64.
    amd64: Sha256Digest,
    arm64: Sha256Digest,
    folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let upstream = Server::start();
        let image = |layers: &[&[u8]]| {
            let digest = upstream.image(REPOSITORY, layers).digest.to_string();
            digest.parse::<Sha256Digest>().unwrap()
        };
        let (amd64, arm64) = (image(&[b"shared", b"amd64"]), image(&[b"shared", b"arm64"]));
        let document = release_document("app", "1.2.0", &named(amd64, arm64));
        let (hub, folder) = (publish(document, 1, at(0)), tempfile::tempdir().unwrap());
        Self { upstream, hub, amd64, arm64, folder }
    }

    /// Publishes a newer set of vendor metadata at the hub.
    pub(crate) fn publish_again(&mut self, version: u64, now: Timestamp) {
        self.publish_as(&Terms::of(now), version, now);
    }

    /// The same on other terms.
    pub(crate) fn publish_as(&mut self, terms: &Terms, version: u64, now: Timestamp) {
        let document = release_document("app", "1.2.0", &named(self.amd64, self.arm64));
        self.hub = Hub::publish_as(terms, &[(RELEASE, document), (GRAPH, graph())], version, now);
    }

    /// A folder for whatever a test keeps.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn named(amd64: Sha256Digest, arm64: Sha256Digest) -> [Named<'static>; 2] {
    [("amd64", amd64), ("arm64", arm64)].map(|(arch, digest)| Named {
        arch,
        repository: REPOSITORY,
        digest,
    })
}

pub(crate) fn publish(document: Vec<u8>, version: u64, now: Timestamp) -> Hub {
    Hub::publish(&[(RELEASE, document), (GRAPH, graph())], version, now)
}

fn graph() -> Vec<u8> {
    br#"{"version":1,"nodes":[],"edges":[],"conditionalEdges":[]}"#.to_vec()
}
