//! A hub's TUF repository with several vendors, made with the same builders as a real one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use signing::{
    Delegation, MemSource, RootSpec, SecretKey, StagedRepository, TargetEntry, TargetPath, TopRole,
    Versions, build_root, build_targets,
};

use crate::registry::Image;

/// Life of everything that is signed offline.
const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Seed of the root key; the others follow.
pub(crate) const ROOT: u8 = 1;
const TARGETS: u8 = 2;
const ONLINE: [u8; 2] = [3, 4];

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// What the hub serves, and the root that is pinned.
pub(crate) struct Hub {
    staged: StagedRepository,
    pub(crate) root: Vec<u8>,
}

/// A release document; images by architecture.
pub(crate) fn release(
    product: &str,
    version: &str,
    images: &[(&str, &Image)],
) -> (String, Vec<u8>) {
    let (vendor, name) = product.split_once('/').unwrap();
    let mut arches = BTreeMap::new();
    for (arch, image) in images {
        let link = json!({"repository": image.repository, "digest": image.digest});
        let component = json!({"role": "workload", "version": version, "image": link});
        arches.insert(*arch, json!({"payload": link, "components": [component]}));
    }
    let document = json!({
        "format": 1, "vendor": vendor, "product": name, "version": version,
        "released_at": "2026-11-01T00:00:00Z", "upgrade_from": ["<99.0.0"], "arches": arches,
    });
    (format!("{product}/{version}.release.json"), document.to_string().into_bytes())
}

/// A graph whose releases follow one another.
pub(crate) fn graph(
    product: &str,
    channel: &str,
    arch: &str,
    versions: &[&str],
) -> (String, Vec<u8>) {
    let node = |version: &&str| json!({"version": version, "payload": "", "metadata": {}});
    let nodes: Vec<Value> = versions.iter().map(node).collect();
    let edges: Vec<Value> = (1..versions.len()).map(|to| json!([to - 1, to])).collect();
    let document = json!({"version": 1, "nodes": nodes, "edges": edges, "conditionalEdges": []});
    (format!("{product}/{channel}.{arch}.graph.json"), document.to_string().into_bytes())
}

impl Hub {
    /// Publishes targets (path and bytes) of any vendors as of `now`.
    pub(crate) fn publish(targets: &[(String, Vec<u8>)], version: u64, now: Timestamp) -> Self {
        let root = root(now);
        let mut staged = StagedRepository::new();
        staged.put_metadata(&TopRole::Root.into(), root.clone()).unwrap();
        let mut vendors: BTreeMap<&str, [BTreeMap<TargetPath, TargetEntry>; 2]> = BTreeMap::new();
        for (path, bytes) in targets {
            let (vendor, _) = path.split_once('/').unwrap();
            let kind = usize::from(path.ends_with(".graph.json"));
            let path = TargetPath::new(path).unwrap();
            let listed = &mut vendors.entry(vendor).or_default()[kind];
            listed.insert(path.clone(), TargetEntry::of(bytes));
            staged.put_target(&path, bytes.clone());
        }
        let (expires, none) = (now + YEAR, BTreeMap::new());
        let mut put =
            |name: &str, seed: u8, targets: &BTreeMap<_, _>, delegations: &[Delegation]| {
                let bytes = build_targets(version, expires, targets, delegations, &[&key(seed)]);
                staged.put_metadata(&name.parse().unwrap(), bytes.unwrap()).unwrap();
            };
        let mut top = Vec::new();
        for (seed, (vendor, [releases, graphs])) in (10_u8..).step_by(3).zip(&vendors) {
            top.push(delegation(vendor, seed, &format!("{vendor}/*/*")));
            let (of_releases, of_channels) =
                (format!("{vendor}.releases"), format!("{vendor}.channels"));
            let below = [
                delegation(&of_releases, seed + 1, &format!("{vendor}/*/*.release.json")),
                delegation(&of_channels, seed + 2, &format!("{vendor}/*/*.graph.json")),
            ];
            put(vendor, seed, &none, &below);
            put(&of_releases, seed + 1, releases, &[]);
            put(&of_channels, seed + 2, graphs, &[]);
        }
        put("targets", TARGETS, &none, &top);
        let [snapshot, timestamp] = ONLINE.map(key);
        let staged = staged.with_online_roles(&snapshot, &timestamp, now, Versions::default());
        Self { staged: staged.unwrap(), root }
    }

    /// The repository as a TUF client reads it.
    pub(crate) fn source(&self) -> MemSource {
        self.staged.as_source()
    }

    /// All files by their path below `/tuf/`.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.staged.files().map(|(name, bytes)| (name.relative_path(), bytes.to_vec())).collect()
    }
}

fn delegation(name: &str, seed: u8, paths: &str) -> Delegation {
    Delegation {
        role: name.parse().unwrap(),
        keys: vec![key(seed).public().clone()],
        threshold: 1,
        paths: vec![paths.to_owned()],
        terminating: true,
    }
}

fn root(now: Timestamp) -> Vec<u8> {
    let [snapshot, timestamp] = ONLINE;
    let roles = [
        (TopRole::Root, ROOT),
        (TopRole::Targets, TARGETS),
        (TopRole::Snapshot, snapshot),
        (TopRole::Timestamp, timestamp),
    ]
    .map(|(role, seed)| (role, (vec![key(seed).public().clone()], 1)));
    let spec = RootSpec { version: 1, expires: now + YEAR, roles: roles.into() };
    build_root(&spec, &[&key(ROOT)], None).unwrap()
}
