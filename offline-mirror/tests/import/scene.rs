//! A hub's view with one release of two architectures, a bundle of it, and a site.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use offline_mirror::bundle::{CarriedRelease, ImageRole};
use offline_mirror::import::{Evidence, ImportError, ImportRequest, Log, Target, import, verify};
use offline_mirror::registry::{Registry, RegistryAccess};
use offline_mirror::site::{SiteDir, SiteInit};
use offline_mirror::store::Store;
use offline_mirror::{Feed, ServerAccess};
use signing::Sha256Digest;

use crate::hub::{Hub, Named, Terms, release_document};
use crate::maker::{Maker, image};
use crate::registry::Server;

pub(crate) const RELEASE: &str = "acme/app/1.2.0.release.json";
pub(crate) const GRAPH: &str = "acme/app/stable.amd64.graph.json";
pub(crate) const REPOSITORY: &str = "acme/app";
pub(crate) const SHARED: &[u8] = b"a layer that both architectures share";
pub(crate) const AMD64: &[u8] = b"a layer for amd64 only";
pub(crate) const ARM64: &[u8] = b"a layer for arm64 only";
/// Seed of the view's snapshot key.
pub(crate) const SNAPSHOT: u8 = 3;

/// The time of all tests, plus some hours.
pub(crate) fn at(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

/// A plain-HTTP registry without users.
pub(crate) fn registry(host: &str) -> Registry {
    let access = RegistryAccess {
        plain_http: true,
        anonymous: true,
        ..RegistryAccess::new(host.parse().unwrap())
    };
    Registry::new(access).unwrap()
}

/// A server on this machine, with a token.
pub(crate) fn access(server: &str) -> ServerAccess {
    ServerAccess::new(server, "secret".to_owned(), false).unwrap()
}

pub(crate) struct Scene {
    /// Registry and update server of the site.
    pub(crate) server: Server,
    pub(crate) hub: Hub,
    pub(crate) amd64: Vec<u8>,
    pub(crate) arm64: Vec<u8>,
    hour: AtomicI64,
    folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::as_of(at(0))
    }

    pub(crate) fn as_of(now: Timestamp) -> Self {
        let (amd64, arm64) = (image(&[SHARED, AMD64], None), image(&[SHARED, ARM64], None));
        let hub = publish(&Terms::of(now), &amd64, &arm64, 1, now);
        let folder = tempfile::tempdir().unwrap();
        let hour = AtomicI64::new(2);
        Self { server: Server::start(), hub, amd64, arm64, hour, folder }
    }

    /// Publishes a newer set of metadata, for the next bundle.
    pub(crate) fn publish_as(&mut self, terms: &Terms, version: u64, now: Timestamp) {
        self.hub = publish(terms, &self.amd64, &self.arm64, version, now);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// From here on it is so many hours later.
    pub(crate) fn set_hour(&self, hour: i64) {
        self.hour.store(hour, Ordering::Relaxed);
    }

    pub(crate) fn site_path(&self) -> PathBuf {
        self.folder().join("north")
    }

    /// The site, made at the first call.
    pub(crate) fn site(&self) -> SiteDir {
        let path = self.site_path();
        if path.exists() {
            return SiteDir::open(&path).unwrap();
        }
        let images = vec!["registry.example.com/tools/*".parse().unwrap()];
        let root = self.hub.root_1.clone();
        let init = SiteInit { name: "north".parse().unwrap(), root, images };
        SiteDir::init(&path, init).unwrap()
    }

    /// A full bundle with the release, as the hub is now.
    pub(crate) fn maker(&self, name: &str, sequence: u64) -> Maker {
        let mut maker = Maker {
            name: name.to_owned(),
            sequence,
            created_at: at(0),
            sites: Vec::new(),
            required: Vec::new(),
            missing: Vec::new(),
            complete: true,
            releases: vec![CarriedRelease {
                product: "acme/app".parse().unwrap(),
                version: "1.2.0".parse().unwrap(),
                arches: ["amd64", "arm64"].map(|arch| arch.parse().unwrap()).to_vec(),
            }],
            images: Vec::new(),
            tuf: self.hub.files(),
            manifests: Vec::new(),
            blobs: Vec::new(),
            signer: SNAPSHOT,
            segment_bytes: 64 * 1024,
        };
        for manifest in [&self.amd64, &self.arm64] {
            maker.carry(REPOSITORY, manifest, &[], ImageRole::Release);
        }
        for blob in [SHARED, AMD64, ARM64, b"{}"] {
            maker.add_blob(blob);
        }
        maker
    }

    /// Makes the bundle.
    pub(crate) fn made(&self, maker: &Maker) -> PathBuf {
        maker.make(&self.folder().join("bundles"))
    }

    /// A full bundle, made.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.made(&self.maker("north-1", 1))
    }

    pub(crate) fn store(&self) -> Store {
        Store::create(&self.folder().join("store")).unwrap()
    }

    pub(crate) fn to_registry(&self) -> Target {
        Target::Registry(registry(&self.server.host))
    }

    pub(crate) fn to_store(&self) -> Target {
        Target::Store(self.store())
    }

    pub(crate) fn feed(&self) -> Feed {
        Feed::new(access(&format!("http://{}", self.server.host))).unwrap()
    }

    pub(crate) async fn import_with(
        &self,
        request: &ImportRequest,
        target: &Target,
    ) -> Result<Evidence, ImportError> {
        let clock = || at(self.hour.load(Ordering::Relaxed));
        let log = Log::new(&clock, &|_| {});
        let feed = self.feed();
        import(&self.site(), request, target, Some(&feed), log).await
    }

    /// Imports into the registry.
    pub(crate) async fn import(&self, bundles: &[&Path]) -> Result<Evidence, ImportError> {
        self.import_with(&request(bundles), &self.to_registry()).await
    }

    pub(crate) async fn verify(&self, bundles: &[&Path]) -> Result<Evidence, ImportError> {
        let clock = || at(self.hour.load(Ordering::Relaxed));
        let log = Log::new(&clock, &|_| {});
        let root = &self.hub.root_1;
        verify(Some(&self.site()), root, &request(bundles), log).await
    }

    /// Imports, which must fail without anything having been asked of the site's servers.
    pub(crate) async fn refused(&self, bundles: &[&Path]) -> ImportError {
        let error = self.import(bundles).await.unwrap_err();
        assert_eq!(self.server.asked(), Vec::<String>::new(), "{error}");
        error
    }
}

pub(crate) fn request(bundles: &[&Path]) -> ImportRequest {
    let bundles = bundles.iter().map(|path| path.to_path_buf()).collect();
    ImportRequest { bundles, ..ImportRequest::default() }
}

pub(crate) fn graph() -> Vec<u8> {
    br#"{"version":1,"nodes":[],"edges":[],"conditionalEdges":[]}"#.to_vec()
}

fn publish(terms: &Terms, amd64: &[u8], arm64: &[u8], version: u64, now: Timestamp) -> Hub {
    let named = [("amd64", amd64), ("arm64", arm64)].map(|(arch, manifest)| Named {
        arch,
        repository: REPOSITORY,
        digest: Sha256Digest::of(manifest),
    });
    let document = release_document("app", "1.2.0", &named);
    Hub::publish_as(terms, &[(RELEASE, document), (GRAPH, graph())], version, now)
}

/// Changes one bit of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
