//! A hub's TUF repository, made with the same builders as a real one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use signing::{
    Delegation, PublicKey, RoleName, RootSpec, SecretKey, Sha256Digest, Signer, StagedRepository,
    TargetEntry, TargetPath, TopRole, Versions, build_root, build_targets,
};

/// Life of everything that is signed offline.
const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Seeds of the keys, by role.
pub(crate) const ROOT: u8 = 1;
const TARGETS: u8 = 2;
/// Snapshot and timestamp.
const ONLINE: [u8; 2] = [3, 4];
const ACME: u8 = 5;
const RELEASES: u8 = 6;
const CHANNELS: u8 = 7;

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn public(seed: u8) -> PublicKey {
    key(seed).public().clone()
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// An image a release names.
pub(crate) struct Named<'a> {
    pub(crate) arch: &'a str,
    pub(crate) repository: &'a str,
    pub(crate) digest: Sha256Digest,
}

/// A release document of `acme/<product>`.
pub(crate) fn release_document(product: &str, version: &str, images: &[Named<'_>]) -> Vec<u8> {
    let mut arches = BTreeMap::new();
    for image in images {
        let link = json!({"repository": image.repository, "digest": image.digest});
        let component = json!({"role": "workload", "version": version, "image": link});
        arches.insert(image.arch, json!({"payload": link, "components": [component]}));
    }
    json!({
        "format": 1, "vendor": "acme", "product": product, "version": version,
        "released_at": "2026-11-01T00:00:00Z", "upgrade_from": [], "arches": arches,
    })
    .to_string()
    .into_bytes()
}

/// What differs from one hub to another.
pub(crate) struct Terms {
    /// Seed of the root key; another than the first is named by a third root.
    pub(crate) root: u8,
    /// Seed of the targets key; another than the first is named by a third root.
    pub(crate) targets: u8,
    /// Seeds of the keys of snapshot and timestamp; likewise.
    pub(crate) online: [u8; 2],
    /// When the vendor's list of releases expires.
    pub(crate) releases_until: Timestamp,
}

impl Terms {
    pub(crate) fn of(now: Timestamp) -> Self {
        Self { root: ROOT, targets: TARGETS, online: ONLINE, releases_until: now + YEAR }
    }
}

/// What the hub serves, and the root that is pinned.
pub(crate) struct Hub {
    staged: StagedRepository,
    /// The first root.
    pub(crate) root_1: Vec<u8>,
}

impl Hub {
    /// Publishes `targets` (path and bytes) as of `now`; `version` is that of all vendor roles.
    pub(crate) fn publish(targets: &[(&str, Vec<u8>)], version: u64, now: Timestamp) -> Self {
        Self::publish_as(&Terms::of(now), targets, version, now)
    }

    /// The same on other terms.
    pub(crate) fn publish_as(
        terms: &Terms,
        targets: &[(&str, Vec<u8>)],
        version: u64,
        now: Timestamp,
    ) -> Self {
        let [root_1, root_2, root_3] = roots(terms, now);
        let mut staged = StagedRepository::new();
        staged.put_metadata(&role("root"), root_1.clone()).unwrap();
        staged.put_metadata(&role("root"), root_2).unwrap();
        if (terms.root, terms.targets, terms.online) != (ROOT, TARGETS, ONLINE) {
            staged.put_metadata(&role("root"), root_3).unwrap();
        }
        let expires = now + YEAR;
        let mut listed = [BTreeMap::new(), BTreeMap::new()];
        for (path, bytes) in targets {
            let kind = usize::from(path.ends_with(".graph.json"));
            let path = TargetPath::new(*path).unwrap();
            listed[kind].insert(path.clone(), TargetEntry::of(bytes));
            staged.put_target(&path, bytes.clone());
        }
        let none = BTreeMap::new();
        let vendor = delegation("acme", ACME, "acme/*/*");
        let releases = delegation("acme.releases", RELEASES, "acme/*/*.release.json");
        let channels = delegation("acme.channels", CHANNELS, "acme/*/*.graph.json");
        for (name, seed, targets, delegations) in [
            ("targets", terms.targets, &none, vec![vendor]),
            ("acme", ACME, &none, vec![releases, channels]),
            ("acme.releases", RELEASES, &listed[0], vec![]),
            ("acme.channels", CHANNELS, &listed[1], vec![]),
        ] {
            let expires = if seed == RELEASES { terms.releases_until } else { expires };
            let bytes = build_targets(version, expires, targets, &delegations, &[&key(seed)]);
            staged.put_metadata(&role(name), bytes.unwrap()).unwrap();
        }
        let [snapshot, timestamp] = terms.online.map(key);
        let staged = staged.with_online_roles(&snapshot, &timestamp, now, Versions::default());
        Self { staged: staged.unwrap(), root_1 }
    }

    /// All files by their path below `/tuf/`.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.staged.files().map(|(name, bytes)| (name.relative_path(), bytes.to_vec())).collect()
    }
}

fn delegation(name: &str, seed: u8, paths: &str) -> Delegation {
    Delegation {
        role: role(name),
        keys: vec![public(seed)],
        threshold: 1,
        paths: vec![paths.to_owned()],
        terminating: true,
    }
}

fn roots(terms: &Terms, now: Timestamp) -> [Vec<u8>; 3] {
    let spec = |version, root, targets, [snapshot, timestamp]: [u8; 2]| RootSpec {
        version,
        expires: now + YEAR,
        roles: [
            (TopRole::Root, root),
            (TopRole::Targets, targets),
            (TopRole::Snapshot, snapshot),
            (TopRole::Timestamp, timestamp),
        ]
        .map(|(role, seed)| (role, (vec![public(seed)], 1)))
        .into(),
    };
    let root = key(ROOT);
    let first = build_root(&spec(1, ROOT, TARGETS, ONLINE), &[&root], None).unwrap();
    let second = build_root(&spec(2, ROOT, TARGETS, ONLINE), &[&root], Some(&first)).unwrap();
    let third = spec(3, terms.root, terms.targets, terms.online);
    let new = key(terms.root);
    let signers: &[&dyn Signer] = if terms.root == ROOT { &[&root] } else { &[&root, &new] };
    let third = build_root(&third, signers, Some(&second)).unwrap();
    [first, second, third]
}
