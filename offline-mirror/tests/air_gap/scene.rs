//! A hub with one release of two architectures, its registry, a directory between, and a site.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use offline_mirror::{
    Error, ExportRequest, Exported, Feed, ImportRequest, Imported, Registry, RegistryAccess,
    export, import,
};
use signing::Sha256Digest;

use crate::hub::{Hub, Named, Terms, release_document};
use crate::registry::Server;

pub(crate) const RELEASE: &str = "acme/app/1.2.0.release.json";
pub(crate) const GRAPH: &str = "acme/app/stable.amd64.graph.json";
/// The repository of all images.
pub(crate) const REPOSITORY: &str = "acme/app";
/// A layer of both architectures, and one of each.
pub(crate) const SHARED: &[u8] = b"a layer that both architectures share";
pub(crate) const AMD64: &[u8] = b"a layer for amd64 only";
pub(crate) const ARM64: &[u8] = b"a layer for arm64 only";

/// The time of all tests, plus some hours.
pub(crate) fn at(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

/// A plain-HTTP registry without users.
pub(crate) fn registry(host: &str) -> Registry {
    Registry::new(RegistryAccess {
        host: host.to_owned(),
        prefix: None,
        plain_http: true,
        credentials: None,
    })
    .unwrap()
}

/// The same with the user that [`crate::registry::SignIn`] asks for.
pub(crate) fn registry_of_ann(host: &str, password: &str) -> Registry {
    Registry::new(RegistryAccess {
        host: host.to_owned(),
        prefix: None,
        plain_http: true,
        credentials: Some(("ann".to_owned(), password.to_owned())),
    })
    .unwrap()
}

pub(crate) struct Scene {
    /// The registry at the hub's side.
    pub(crate) upstream: Server,
    /// Registry and update server of the site.
    pub(crate) site: Server,
    pub(crate) hub: Hub,
    /// Digest of the image for amd64, and for arm64.
    pub(crate) amd64: Sha256Digest,
    pub(crate) arm64: Sha256Digest,
    folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::as_of(at(0))
    }

    pub(crate) fn as_of(now: Timestamp) -> Self {
        let upstream = Server::start();
        let amd64 = upstream.put_image(REPOSITORY, &[SHARED, AMD64]);
        let arm64 = upstream.put_image(REPOSITORY, &[SHARED, ARM64]);
        let document = release_document("app", "1.2.0", &named(amd64, arm64));
        let (hub, folder) = (publish(document, 1, now), tempfile::tempdir().unwrap());
        Self { upstream, site: Server::start(), hub, amd64, arm64, folder }
    }

    /// The same with a release whose only image, for amd64, is `image`.
    pub(crate) fn with_image(image: impl FnOnce(&Server) -> Sha256Digest) -> Self {
        let mut scene = Self::new();
        let digest = image(&scene.upstream);
        let named = [Named { arch: "amd64", repository: REPOSITORY, digest }];
        scene.hub = publish(release_document("app", "1.2.0", &named), 1, at(0));
        scene
    }

    /// The same with other bytes as the release document.
    pub(crate) fn with_document(document: impl FnOnce(&Self) -> Vec<u8>) -> Self {
        let mut scene = Self::new();
        scene.hub = publish(document(&scene), 1, at(0));
        scene
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

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("export")
    }

    /// A folder for whatever else a test keeps.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn export_request(&self) -> ExportRequest {
        ExportRequest {
            product: "acme/app".parse().unwrap(),
            version: "1.2.0".parse().unwrap(),
            arches: vec![],
            root: self.hub.root_1.clone(),
            dir: self.dir(),
            view: None,
        }
    }

    pub(crate) fn import_request(&self) -> ImportRequest {
        ImportRequest {
            dir: self.dir(),
            root: self.hub.root_1.clone(),
            arches: vec![],
            state: None,
            accept_expired: None,
        }
    }

    pub(crate) async fn export(&self) -> Result<Exported, Error> {
        self.export_with(&self.export_request()).await
    }

    pub(crate) async fn export_with(&self, request: &ExportRequest) -> Result<Exported, Error> {
        self.export_at(request, at(1)).await
    }

    pub(crate) async fn export_at(
        &self,
        request: &ExportRequest,
        now: Timestamp,
    ) -> Result<Exported, Error> {
        export(request, self.hub.source(), &registry(&self.upstream.host), now).await
    }

    pub(crate) async fn import(&self) -> Result<Imported, Error> {
        self.import_with(&self.import_request(), at(2)).await
    }

    pub(crate) async fn import_with(
        &self,
        request: &ImportRequest,
        now: Timestamp,
    ) -> Result<Imported, Error> {
        let feed = Feed::new(&format!("http://{}", self.site.host), "secret".to_owned()).unwrap();
        import(request, Some(&registry(&self.site.host)), Some(&feed), now).await
    }

    /// Imports, which must fail without anything having reached the site.
    pub(crate) async fn refused(&self) -> Error {
        let error = self.import().await.unwrap_err();
        assert_eq!(self.site.asked(), Vec::<String>::new(), "{error}");
        error
    }

    /// The file of a blob or manifest in the export.
    pub(crate) fn blob_path(&self, digest: Sha256Digest) -> PathBuf {
        self.dir().join("blobs/sha256").join(digest.hex())
    }

    /// The files below a folder of the exported TUF repository.
    pub(crate) fn tuf_files(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir().join("tuf").join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

fn named(amd64: Sha256Digest, arm64: Sha256Digest) -> [Named<'static>; 2] {
    [("amd64", amd64), ("arm64", arm64)].map(|(arch, digest)| Named {
        arch,
        repository: REPOSITORY,
        digest,
    })
}

fn publish(document: Vec<u8>, version: u64, now: Timestamp) -> Hub {
    Hub::publish(&[(RELEASE, document), (GRAPH, graph())], version, now)
}

fn graph() -> Vec<u8> {
    br#"{"version":1,"nodes":[],"edges":[],"conditionalEdges":[]}"#.to_vec()
}

/// Flips one bit in the middle of a file.
pub(crate) fn flip_bit(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
