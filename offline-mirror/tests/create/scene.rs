//! A hub with two vendors, its registry, a view, and a directory for bundles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use offline_mirror::bundle::{BundleDir, BundleManifest, Reader, SegmentSize};
use offline_mirror::create::{CreateError, CreateRequest, Created, Progress, create};
use offline_mirror::oci::Digest;
use offline_mirror::plan::{PlanError, Presumed, ProductRequest, Report, Request, Routes, plan};
use offline_mirror::registry::{Registry, RegistryAccess};
use offline_mirror::{
    DEFAULT_LIFE_DAYS, DEFAULT_ROOT_DAYS, Holders, ViewInit, view_accept, view_init,
};
use signing::repository::request::{Signing, SigningRequest};
use signing::{Client, FileName, KeySet, MemSource, MemStore, TopRole};

use crate::hub::{Hub, ROOT, graph, key, release};
use crate::registry::{Image, Server};

/// Threads that hash what is checked.
pub(crate) const THREADS: std::num::NonZero<usize> = std::num::NonZero::<usize>::MIN;
pub(crate) const REPOSITORY: &str = "acme/app";
pub(crate) const SHARED: &[u8] = b"a layer that all images share";

/// The time of all tests, plus some hours.
pub(crate) fn at(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

/// The sequence of the first bundle that a view makes at such a time.
pub(crate) fn sequence(hours: i64) -> u64 {
    at(hours).as_second().try_into().unwrap()
}

/// A layer that is different from all others and longer than a rehearsal's segment.
pub(crate) fn long(seed: u32) -> Vec<u8> {
    (0..30_000_u32).flat_map(|at| (at ^ seed.wrapping_mul(0x9E37_79B9)).to_le_bytes()).collect()
}

pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) hub: Hub,
    /// Images of acme/app 1.0.0, 1.1.0 and 1.2.0.
    pub(crate) images: Vec<Image>,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "1.2.0"];

impl Scene {
    /// As of [`at`] 0, with a view.
    pub(crate) async fn new() -> Self {
        Self::as_of(at(0)).await
    }

    pub(crate) async fn as_of(now: Timestamp) -> Self {
        let server = Server::start();
        let images: Vec<_> = (1..=3_u32)
            .map(|seed| server.image(REPOSITORY, &[SHARED, &long(seed), &seed.to_le_bytes()]))
            .collect();
        let other = server.docker_image("other/db", &[SHARED, &long(9)]);
        let mut targets = vec![graph("acme/app", "stable", "amd64", &VERSIONS)];
        for (version, image) in VERSIONS.iter().zip(&images) {
            targets.push(release("acme/app", version, &[("amd64", image)]));
        }
        targets.push(graph("other/db", "fast", "amd64", &["5.0.0"]));
        targets.push(release("other/db", "5.0.0", &[("amd64", &other)]));
        let hub = Hub::publish(&targets, 1, now);
        server.serve_tuf(hub.files());
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { server, hub, images, folder };
        scene.make_view(now).await;
        scene
    }

    async fn make_view(&self, now: Timestamp) {
        let init = ViewInit {
            dir: self.view(),
            root: self.hub.root.clone(),
            holders: Holders::Hub,
            days: DEFAULT_LIFE_DAYS,
            root_days: DEFAULT_ROOT_DAYS,
        };
        let drafted = view_init(&init, self.hub.source(), now).await.unwrap();
        let draft = SigningRequest::from_json(&std::fs::read(&drafted.request).unwrap()).unwrap();
        let Signing::Added(signed) = draft.add_signature(&key(ROOT), now).unwrap() else {
            panic!()
        };
        std::fs::write(&drafted.request, signed.to_json().unwrap()).unwrap();
        view_accept(&self.view(), &[drafted.request]).unwrap();
    }

    pub(crate) fn view(&self) -> PathBuf {
        self.folder.path().join("view")
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Everything of both vendors from 1.0.0 on.
    pub(crate) fn request(&self) -> Request {
        let product = |text: &str| -> ProductRequest { toml::from_str(text).unwrap() };
        Request {
            name: "b".parse().unwrap(),
            root: self.hub.root.clone(),
            view: Some(self.view()),
            routes: self.routes(),
            products: vec![
                product("product = \"acme/app\"\nchannel = \"stable\"\nfrom = \"1.0.0\""),
                product("product = \"other/db\"\nchannel = \"fast\""),
            ],
            images: Vec::new(),
            sites: Vec::new(),
            base: Presumed::Nothing,
            segment_size: SegmentSize::rehearsal(64 * 1024),
            concurrency: 3,
            keep_going: false,
        }
    }

    pub(crate) fn routes(&self) -> Routes {
        let host = &self.server.host;
        let text = format!("[default]\nhost = \"{host}\"\nplain_http = true\nanonymous = true");
        Routes::new(&toml::from_str(&text).unwrap())
    }

    pub(crate) fn registries(&self) -> Vec<Registry> {
        let access = |access: &RegistryAccess| Registry::new(access.clone()).unwrap();
        self.routes().accesses().iter().map(access).collect()
    }

    pub(crate) async fn plan(&self, request: &Request) -> Result<Report, PlanError> {
        plan(request, self.hub.source(), &self.registries(), at(1)).await
    }

    pub(crate) fn create_request(&self) -> CreateRequest {
        CreateRequest { plan: self.request(), dir: self.dir(), restart: false }
    }

    pub(crate) async fn create(&self, request: &CreateRequest) -> Result<Created, CreateError> {
        self.create_at(request, at(1)).await
    }

    pub(crate) async fn create_at(
        &self,
        request: &CreateRequest,
        now: Timestamp,
    ) -> Result<Created, CreateError> {
        let progress = Progress::nothing();
        create(request, self.hub.source(), &self.registries(), &progress, now).await
    }

    /// Opens a bundle as a site does: over its TUF files from the view's root to the manifest's key.
    pub(crate) async fn open(&self, created: &Created) -> Reader {
        let dir = BundleDir::open(&created.manifest, &[]).unwrap();
        let keys = self.manifest_keys(&dir).await;
        dir.reader(&keys).unwrap()
    }

    async fn manifest_keys(&self, dir: &BundleDir) -> KeySet {
        let files = dir.files().unwrap();
        let tuf = files.iter().filter_map(|(path, bytes)| {
            let path = path.strip_prefix("tuf/")?;
            Some((path.to_owned(), bytes.as_slice().into()))
        });
        let source = MemSource::new(tuf.collect::<BTreeMap<_, _>>());
        let root = std::fs::read(self.view().join("root.json")).unwrap();
        let mut client = Client::open(&root, source, MemStore::new()).unwrap();
        client.refresh(at(24)).await.unwrap();
        client.keys(TopRole::Snapshot, at(24)).unwrap().clone()
    }
}

/// The manifest of a bundle, unverified.
pub(crate) fn claims(created: &Created) -> BundleManifest {
    BundleDir::open(&created.manifest, &[]).unwrap().claims().clone()
}

/// The files of a directory by name, without folders.
pub(crate) fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

/// Copies a folder with everything below it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Digests of blobs in a bundle.
pub(crate) fn has(reader: &Reader, bytes: &[u8]) -> bool {
    reader.has(&Digest::of(bytes))
}

/// Whether a name is of a view's own role.
pub(crate) fn is_of_view(path: &str) -> bool {
    let Some(name) = path.strip_prefix("tuf/") else { return false };
    let Ok(FileName::Metadata { role, .. }) = FileName::from_relative_path(name) else {
        return false;
    };
    matches!(role.as_top(), Some(TopRole::Timestamp | TopRole::Snapshot))
}
