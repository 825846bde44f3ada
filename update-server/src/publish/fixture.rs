//! Publications for tests, really signed: a root, an offline targets role, vendors with a role for
//! releases and one for channels.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channels::graph::{GraphBuilder, Node, Origin};
use channels::names::{ChannelName, ProductRef};
use channels::wire::{Publication, PublicationFile};
use jiff::{SignedDuration, Timestamp};
use signing::{
    Delegation, PublicKey, RoleName, RootSpec, SecretKey, Signer, TargetEntry, TargetPath, TopRole,
    build_root, build_targets,
};

use super::{OnlineKeys, Publisher};
use crate::catalog::Catalog;

/// When tests begin.
pub(crate) fn t0() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// So many hours later.
pub(crate) fn hours(hours: i64) -> Timestamp {
    t0() + SignedDuration::from_hours(hours)
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// The hub's keys, the same in every test.
pub(crate) fn online_keys() -> OnlineKeys {
    OnlineKeys { snapshot: key(1), timestamp: key(2) }
}

/// A root whose online roles any one of the given keys may sign.
pub(crate) fn root(
    version: u64,
    expires: Timestamp,
    snapshot: &[&PublicKey],
    timestamp: &[&PublicKey],
    previous: Option<&[u8]>,
) -> Vec<u8> {
    let offline = |key: &SecretKey| (vec![key.public().clone()], 1);
    let online = |keys: &[&PublicKey]| (keys.iter().map(|key| (*key).clone()).collect(), 1);
    let roles = BTreeMap::from([
        (TopRole::Root, offline(&key(10))),
        (TopRole::Targets, offline(&key(11))),
        (TopRole::Snapshot, online(snapshot)),
        (TopRole::Timestamp, online(timestamp)),
    ]);
    build_root(&RootSpec { version, expires, roles }, &[&key(10)], previous).unwrap()
}

/// A publisher over `data_dir` with `acme/kafka` as default product.
pub(crate) fn open(data_dir: &Path, now: Timestamp) -> (Publisher, Catalog) {
    let product = Some("acme/kafka".parse().unwrap());
    Publisher::open(data_dir, online_keys(), product, now).unwrap()
}

/// A version nobody publishes above in earnest.
const HIGH_VERSION: u64 = 1 << 50;

/// One vendor with its product `kafka`.
#[derive(Debug, Clone)]
pub(crate) struct Vendor {
    pub(crate) name: &'static str,
    /// What its roles are called; its name, unless a test says otherwise.
    pub(crate) role_prefix: &'static str,
    pub(crate) own_version: u64,
    pub(crate) own_key: u8,
    /// Further roles it delegates to, all signed by its releases key at a high version.
    pub(crate) also_delegates: Vec<String>,
    pub(crate) releases_key: u8,
    pub(crate) channels_key: u8,
    pub(crate) releases_version: u64,
    pub(crate) channels_version: u64,
    pub(crate) expires: Timestamp,
    pub(crate) releases: BTreeMap<String, Vec<u8>>,
    pub(crate) graphs: BTreeMap<String, Vec<u8>>,
}

impl Vendor {
    pub(crate) fn new(name: &'static str, first_key: u8) -> Self {
        Self {
            name,
            role_prefix: name,
            own_version: 1,
            own_key: first_key,
            also_delegates: Vec::new(),
            releases_key: first_key + 1,
            channels_key: first_key + 2,
            releases_version: 1,
            channels_version: 1,
            expires: hours(24 * 300),
            releases: BTreeMap::new(),
            graphs: BTreeMap::new(),
        }
    }

    fn product(&self) -> ProductRef {
        format!("{}/kafka", self.name).parse().unwrap()
    }

    /// Adds the document of a release.
    pub(crate) fn release(&mut self, version: &str, upgrade_from: &[&str]) {
        let document = serde_json::json!({
            "format": 1, "vendor": self.name, "product": "kafka", "version": version,
            "released_at": "2026-11-01T00:00:00Z", "upgrade_from": upgrade_from, "arches": {},
        });
        let path = format!("{}/kafka/{version}.release.json", self.name);
        self.releases.insert(path, document.to_string().into_bytes());
    }

    /// Sets the graph of a channel for amd64.
    pub(crate) fn graph(&mut self, channel: &str, nodes: &[&str], edges: &[(usize, usize)]) {
        let channel: ChannelName = channel.parse().unwrap();
        let (product, arch) = (self.product(), "amd64".parse().unwrap());
        let path = channels::cincinnati::target_path(&product, &channel, &arch);
        let mut builder = GraphBuilder::new(Some(Origin { product, channel, arch }));
        for node in nodes {
            builder.node(Node {
                version: node.parse().unwrap(),
                payload: format!("registry.example/kafka@sha256:{}", "0".repeat(64)),
                metadata: BTreeMap::new(),
            });
        }
        for (from, to) in edges {
            builder.edge(*from, *to);
        }
        let graph = builder.build().unwrap();
        self.graphs.insert(path, channels::cincinnati::to_json(&graph));
    }

    fn role(&self, of: &str) -> RoleName {
        RoleName::new(format!("{}{of}", self.role_prefix)).unwrap()
    }

    /// `<vendor>`, `<vendor>.releases` and `<vendor>.channels` with their versions.
    fn metadata(&self) -> Vec<(u64, RoleName, Vec<u8>)> {
        let delegate = |of: &str, suffix: &str, signer: u8| Delegation {
            role: self.role(of),
            keys: vec![key(signer).public().clone()],
            threshold: 1,
            paths: vec![format!("{}/*/*.{suffix}.json", self.name)],
            terminating: true,
        };
        let mut delegations = vec![
            delegate(".releases", "release", self.releases_key),
            delegate(".channels", "graph", self.channels_key),
        ];
        let also = |name: &String| Delegation {
            role: RoleName::new(name.as_str()).unwrap(),
            ..delegate(".also", "also", self.releases_key)
        };
        delegations.extend(self.also_delegates.iter().map(also));
        let build = |version, files: &BTreeMap<String, Vec<u8>>, delegations: &[_], signer| {
            let entries = files.iter().map(|(path, bytes)| {
                (TargetPath::new(path.as_str()).unwrap(), TargetEntry::of(bytes))
            });
            let signer: &dyn Signer = &key(signer);
            build_targets(version, self.expires, &entries.collect(), delegations, &[signer])
                .unwrap()
        };
        let (releases, channels) = (self.releases_version, self.channels_version);
        let (own, none) = (self.own_version, BTreeMap::new());
        let mut roles = vec![
            (own, self.role(""), build(own, &none, &delegations, self.own_key)),
            (
                releases,
                self.role(".releases"),
                build(releases, &self.releases, &[], self.releases_key),
            ),
            (
                channels,
                self.role(".channels"),
                build(channels, &self.graphs, &[], self.channels_key),
            ),
        ];
        for delegate in &delegations[2..] {
            let bytes = build(HIGH_VERSION, &none, &[], self.releases_key);
            roles.push((HIGH_VERSION, delegate.role.clone(), bytes));
        }
        roles
    }
}

/// A whole repository as its owners hold it.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    /// Roots are published up to this version.
    pub(crate) root_version: u64,
    pub(crate) targets_version: u64,
    pub(crate) expires: Timestamp,
    pub(crate) online: OnlineKeys,
    pub(crate) vendors: Vec<Vendor>,
}

impl Fixture {
    /// `acme/kafka` 1.0.0 → 1.1.0 in `stable`.
    pub(crate) fn new() -> Self {
        let mut acme = Vendor::new("acme", 20);
        acme.release("1.0.0", &[]);
        acme.release("1.1.0", &["^1.0"]);
        acme.graph("stable", &["1.0.0", "1.1.0"], &[(0, 1)]);
        Self {
            root_version: 1,
            targets_version: 1,
            expires: hours(24 * 365),
            online: online_keys(),
            vendors: vec![acme],
        }
    }

    /// The first vendor, `acme`.
    pub(crate) fn acme(&mut self) -> &mut Vendor {
        &mut self.vendors[0]
    }

    /// Releases 1.2.0 and puts it into `stable`.
    pub(crate) fn next_release(&mut self) {
        let acme = self.acme();
        acme.release("1.2.0", &["^1.1"]);
        acme.graph("stable", &["1.0.0", "1.1.0", "1.2.0"], &[(0, 1), (1, 2)]);
        acme.releases_version += 1;
        acme.channels_version += 1;
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        let (snapshot, timestamp) = (self.online.snapshot.public(), self.online.timestamp.public());
        let mut roots: Vec<Vec<u8>> = Vec::new();
        for version in 1..=self.root_version {
            let previous = roots.last().map(Vec::as_slice);
            roots.push(root(version, self.expires, &[snapshot], &[timestamp], previous));
        }
        roots
    }

    /// The top-level targets, which name every vendor's key.
    pub(crate) fn targets(&self) -> Vec<u8> {
        let delegations: Vec<Delegation> = self
            .vendors
            .iter()
            .map(|vendor| Delegation {
                role: vendor.role(""),
                keys: vec![key(vendor.own_key).public().clone()],
                threshold: 1,
                paths: vec![format!("{}/*/*", vendor.name)],
                terminating: true,
            })
            .collect();
        let (version, none) = (self.targets_version, BTreeMap::new());
        build_targets(version, self.expires, &none, &delegations, &[&key(11)]).unwrap()
    }

    /// All files, by publication path.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for (version, root) in (1..).zip(self.roots()) {
            files.insert(format!("metadata/{version}.root.json"), root);
        }
        files.insert(format!("metadata/{}.targets.json", self.targets_version), self.targets());
        for vendor in &self.vendors {
            for (version, role, bytes) in vendor.metadata() {
                files.insert(format!("metadata/{version}.{}.json", role.quoted()), bytes);
            }
            for (path, bytes) in vendor.releases.iter().chain(&vendor.graphs) {
                files.insert(format!("targets/{path}"), bytes.clone());
            }
        }
        files
    }

    /// All files as one publication.
    pub(crate) fn publication(&self) -> Publication {
        publication(self.files())
    }
}

/// A publication of `files`.
pub(crate) fn publication(files: BTreeMap<String, Vec<u8>>) -> Publication {
    let files = files
        .into_iter()
        .map(|(path, bytes)| PublicationFile { path, base64: STANDARD.encode(bytes) });
    Publication { message: "test".to_owned(), files: files.collect() }
}
