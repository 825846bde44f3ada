//! A hub's repository with two vendors, every key at hand, and places to go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use channels::cincinnati::to_json;
use channels::graph::{GraphBuilder, Node, Origin, RELEASE_KEY};
use channels::wire::{ArchContent, Image, ReleaseDocument, Severity};
use jiff::{SignedDuration, Timestamp};
use signing::source::Mirrors;
use signing::{
    Delegation, Fetched, FileName, MemSource, MemStore, RoleName, RootSpec, SecretKey,
    Sha256Digest, Signer, Source, SourceError, StagedRepository, TargetEntry, TargetPath, TopRole,
    Versions, build_root, build_targets,
};

use super::super::TrustedReleases;
use super::{product, version};

/// The time all tests happen at.
pub(super) fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub(super) fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// A repository that can be exchanged and unplugged.
#[derive(Debug, Clone, Default)]
pub(super) struct Swap {
    files: Arc<Mutex<MemSource>>,
    pub(super) down: Arc<AtomicBool>,
    pub(super) fetches: Arc<AtomicUsize>,
}

impl Swap {
    /// What is on it now.
    pub(super) fn copy(&self) -> MemSource {
        self.files.lock().unwrap().clone()
    }

    /// Puts other files in the place of those that are on it, and gives these.
    pub(super) fn exchange(&self, files: &MemSource) -> MemSource {
        std::mem::replace(&mut *self.files.lock().unwrap(), files.clone())
    }
}

impl Source for Swap {
    async fn fetch(
        &self,
        file: &FileName,
        max_bytes: u64,
        if_none_match: Option<&str>,
    ) -> Result<Fetched, SourceError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(SourceError::Transport { reason: "unplugged".to_owned() });
        }
        let files = self.files.lock().unwrap().clone();
        files.fetch(file, max_bytes, if_none_match).await
    }
}

/// What is published next; every field may be bent before [`World::publish`].
pub(super) struct World {
    pub(super) source: Swap,
    pub(super) store: MemStore,
    pub(super) documents: MemStore,
    root: Vec<u8>,
    versions: Versions,
    /// Version of all targets roles; grows with every publication.
    pub(super) roles_version: u64,
    /// Version of `acme.channels` where it differs.
    pub(super) channels_version: Option<u64>,
    pub(super) channels_key: Option<SecretKey>,
    pub(super) releases_key: Option<SecretKey>,
    pub(super) channels_paths: Vec<String>,
    pub(super) origin_channel: &'static str,
    pub(super) edges: BTreeSet<(&'static str, &'static str)>,
    pub(super) upgrade_from: &'static str,
    /// Documents that replace the honest ones, by target path.
    pub(super) replaced: BTreeMap<String, Vec<u8>>,
    /// Releases that the graph names by another digest than theirs.
    pub(super) named: BTreeMap<&'static str, Sha256Digest>,
    /// Releases whose bytes are not on the server.
    pub(super) without_bytes: BTreeSet<String>,
    /// Releases that nobody lists.
    pub(super) unlisted: BTreeSet<&'static str>,
    /// Target paths that `acme.channels` lists instead of `acme.releases`.
    pub(super) by_channels: BTreeSet<String>,
    /// Whether `evil`'s metadata is signed by nobody.
    pub(super) evil_broken: bool,
}

const VERSIONS: [&str; 2] = ["4.2.0", "4.3.1"];

impl World {
    /// An honest repository, published.
    pub(super) fn new() -> Self {
        let one = |seed: u8| (vec![key(seed).public().clone()], 1);
        let roles = BTreeMap::from([
            (TopRole::Root, one(1)),
            (TopRole::Targets, one(2)),
            (TopRole::Snapshot, one(3)),
            (TopRole::Timestamp, one(4)),
        ]);
        let expires = now() + SignedDuration::from_hours(24 * 365);
        let spec = RootSpec { version: 1, expires, roles };
        let root = build_root(&spec, &[&key(1)], None).unwrap();
        let mut world = Self {
            source: Swap::default(),
            store: MemStore::new(),
            documents: MemStore::new(),
            root,
            versions: Versions::default(),
            roles_version: 0,
            channels_version: None,
            channels_key: Some(key(12)),
            releases_key: Some(key(11)),
            channels_paths: vec!["acme/*/*.graph.json".to_owned()],
            origin_channel: "stable",
            edges: BTreeSet::from([("4.2.0", "4.3.1")]),
            upgrade_from: ">=4.0.0, <4.3.1",
            replaced: BTreeMap::new(),
            named: BTreeMap::new(),
            without_bytes: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            by_channels: BTreeSet::new(),
            evil_broken: false,
        };
        world.publish();
        world
    }

    /// A key of the other vendor.
    pub(super) fn evil_key() -> SecretKey {
        key(66)
    }

    /// A client with this world's stores.
    pub(super) fn open(&self) -> TrustedReleases<Swap, MemStore> {
        let (store, documents) = (self.store.clone(), self.documents.clone());
        let mirrors = Mirrors::new(vec![("hub".to_owned(), self.source.clone())]).unwrap();
        TrustedReleases::new(&self.root, mirrors, store, documents).unwrap()
    }

    /// What a report's reply says about `timestamp.json`.
    pub(super) async fn timestamp_etag(&self) -> String {
        let found = self.source.copy().fetch(&FileName::timestamp(), 1 << 20, None).await;
        match found.unwrap() {
            Fetched::Body { etag, .. } => etag.unwrap(),
            other @ (Fetched::NotModified | Fetched::NotFound) => panic!("{other:?}"),
        }
    }

    /// The document of a release, as signed.
    pub(super) fn release(&self, text: &str) -> Vec<u8> {
        let path = format!("acme/kafka/{text}.release.json");
        if let Some(bytes) = self.replaced.get(&path) {
            return bytes.clone();
        }
        serde_json::to_vec(&self.document(text)).unwrap()
    }

    /// The same, to be bent.
    pub(super) fn document(&self, text: &str) -> ReleaseDocument {
        let image = Image { repository: "acme/kafka".to_owned(), digest: Sha256Digest::of(b"i") };
        let content = ArchContent { payload: image, components: Vec::new() };
        ReleaseDocument {
            format: ReleaseDocument::FORMAT,
            critical: Vec::new(),
            vendor: product().vendor,
            product: product().product,
            version: version(text),
            released_at: now(),
            severity: Severity::None,
            advisories: Vec::new(),
            url: None,
            upgrade_from: vec![self.upgrade_from.parse().unwrap()],
            downgrade_from: Vec::new(),
            dependencies: Vec::new(),
            arches: BTreeMap::from([("amd64".parse().unwrap(), content)]),
            finalize: None,
        }
    }

    fn graph(&self) -> Vec<u8> {
        let path = "acme/kafka/stable.amd64.graph.json";
        if let Some(bytes) = self.replaced.get(path) {
            return bytes.clone();
        }
        let mut builder = GraphBuilder::new(Some(Origin {
            product: product(),
            channel: self.origin_channel.parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        }));
        let mut handles = BTreeMap::new();
        for text in VERSIONS {
            let release = || Sha256Digest::of(&self.release(text));
            let release = self.named.get(text).copied().unwrap_or_else(release).to_string();
            let metadata = BTreeMap::from([(RELEASE_KEY.to_owned(), release)]);
            let node = Node { version: version(text), payload: String::new(), metadata };
            handles.insert(text, builder.node(node));
        }
        for (from, to) in &self.edges {
            builder.edge(handles[from], handles[to]);
        }
        to_json(&builder.build().unwrap())
    }

    /// Signs everything as it stands and puts it on the server.
    pub(super) fn publish(&mut self) {
        self.roles_version += 1;
        let mut staged = StagedRepository::new();
        let (mut by_releases, mut by_channels) = (BTreeMap::new(), BTreeMap::new());
        let mut documents = vec![("acme/kafka/stable.amd64.graph.json".to_owned(), self.graph())];
        for text in VERSIONS.into_iter().filter(|text| !self.unlisted.contains(text)) {
            documents.push((format!("acme/kafka/{text}.release.json"), self.release(text)));
        }
        for (path, bytes) in documents {
            let target = TargetPath::new(path.clone()).unwrap();
            let online = path.ends_with(".graph.json") || self.by_channels.contains(&path);
            let list = if online { &mut by_channels } else { &mut by_releases };
            list.insert(target.clone(), TargetEntry::of(&bytes));
            if !self.without_bytes.contains(&path) {
                staged.put_target(&target, bytes);
            }
        }
        let acme = [
            delegation("acme.releases", 11, &["acme/*/*.release.json"]),
            Delegation {
                paths: self.channels_paths.clone(),
                ..delegation("acme.channels", 12, &[])
            },
        ];
        // The first match ends the search, so a channels role that may list everything comes first.
        let acme = if self.by_channels.is_empty() {
            acme.to_vec()
        } else {
            acme.into_iter().rev().collect()
        };
        let top = [delegation("evil", 66, &["evil/*/*"]), delegation("acme", 10, &["acme/*/*"])];
        let none = BTreeMap::new();
        let version = self.roles_version;
        let evil = (!self.evil_broken).then(Self::evil_key);
        put(&mut staged, "targets", version, &none, &top, Some(&key(2)));
        put(&mut staged, "evil", version, &none, &[], evil.as_ref());
        put(&mut staged, "acme", version, &none, &acme, Some(&key(10)));
        let signer = self.releases_key.as_ref();
        put(&mut staged, "acme.releases", version, &by_releases, &[], signer);
        let version = self.channels_version.unwrap_or(version);
        let signer = self.channels_key.as_ref();
        put(&mut staged, "acme.channels", version, &by_channels, &[], signer);
        staged.put_metadata(&TopRole::Root.into(), self.root.clone()).unwrap();
        let staged = staged.with_online_roles(&key(3), &key(4), now(), self.versions).unwrap();
        let snapshot = staged.newest(&TopRole::Snapshot.into());
        // The timestamp takes the same number as the snapshot: both follow the clock.
        self.versions.snapshot = snapshot.map_or(0, |(version, _)| version);
        self.versions.timestamp = self.versions.snapshot;
        *self.source.files.lock().unwrap() = staged.as_source();
    }
}

fn delegation(name: &str, seed: u8, paths: &[&str]) -> Delegation {
    Delegation {
        role: role(name),
        keys: vec![key(seed).public().clone()],
        threshold: 1,
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
        terminating: true,
    }
}

fn put(
    staged: &mut StagedRepository,
    name: &str,
    version: u64,
    targets: &BTreeMap<TargetPath, TargetEntry>,
    delegations: &[Delegation],
    signer: Option<&SecretKey>,
) {
    let expires = now() + SignedDuration::from_hours(24 * 90);
    let mut signers: Vec<&dyn Signer> = Vec::new();
    if let Some(signer) = signer {
        signers.push(signer);
    }
    let bytes = build_targets(version, expires, targets, delegations, &signers).unwrap();
    staged.put_metadata(&role(name), bytes).unwrap();
}
