//! A signed repository in a directory, for an agent that has no hub: what benchmarks and tests of
//! the real program need around them.

use std::collections::BTreeMap;
use std::path::Path;

use channels::cincinnati::to_json;
use channels::graph::{GraphBuilder, Node, Origin, RELEASE_KEY};
use channels::wire::{ArchContent, Component, Image, ReleaseDocument, Role, Severity};
use cluster_agent::clock;
use jiff::SignedDuration;
use signing::{
    Delegation, RoleName, RootSpec, SecretKey, Sha256Digest, Signer, StagedRepository, TargetEntry,
    TargetPath, TopRole, Versions, build_root, build_targets,
};

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// Publishes one release of each of two products to move to; gives the root to pin.
pub(crate) fn publish(dir: &Path) -> anyhow::Result<Vec<u8>> {
    let now = clock::now();
    let later = now + SignedDuration::from_hours(24);
    let one = |seed: u8| (vec![key(seed).public().clone()], 1);
    let roles = BTreeMap::from([
        (TopRole::Root, one(1)),
        (TopRole::Targets, one(2)),
        (TopRole::Snapshot, one(3)),
        (TopRole::Timestamp, one(4)),
    ]);
    let root = build_root(&RootSpec { version: 1, expires: later, roles }, &[&key(1)], None)?;
    let mut staged = StagedRepository::new();
    let mut listed = [BTreeMap::new(), BTreeMap::new()];
    for (product, role, from, to) in [
        ("acme/kafka", Role::Controller, "3.9.0", "4.0.0"),
        ("acme/platform", Role::Node, "1.32.0", "1.33.0"),
    ] {
        for (path, bytes) in documents(product, role, from, to)? {
            let online = usize::from(path.ends_with(".graph.json"));
            let target = TargetPath::new(path)?;
            if let Some(list) = listed.get_mut(online) {
                list.insert(target.clone(), TargetEntry::of(&bytes));
            }
            staged.put_target(&target, bytes);
        }
    }
    let delegation = |name: &str, seed: u8, paths: &str| {
        anyhow::Ok(Delegation {
            role: RoleName::new(name)?,
            keys: vec![key(seed).public().clone()],
            threshold: 1,
            paths: vec![paths.to_owned()],
            terminating: true,
        })
    };
    let top = [delegation("acme", 10, "acme/*/*")?];
    let acme = [
        delegation("acme.releases", 11, "acme/*/*.release.json")?,
        delegation("acme.channels", 12, "acme/*/*.graph.json")?,
    ];
    let [releases, graphs] = listed;
    let none = BTreeMap::new();
    for (name, targets, delegations, seed) in [
        ("targets", &none, &top[..], 2),
        ("acme", &none, &acme[..], 10),
        ("acme.releases", &releases, &[][..], 11),
        ("acme.channels", &graphs, &[][..], 12),
    ] {
        let signer = key(seed);
        let signers: [&dyn Signer; 1] = [&signer];
        let bytes = build_targets(1, later, targets, delegations, &signers)?;
        staged.put_metadata(&RoleName::new(name)?, bytes)?;
    }
    staged.put_metadata(&TopRole::Root.into(), root.clone())?;
    let staged = staged.with_online_roles(&key(3), &key(4), now, Versions::default())?;
    for (path, bytes) in staged.write_order() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
        std::fs::write(path, &*bytes)?;
    }
    Ok(root)
}

/// A graph of one edge and the releases at its ends.
fn documents(
    product: &str,
    role: Role,
    from: &str,
    to: &str,
) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let product: channels::names::ProductRef = product.parse()?;
    let image = Image { repository: product.to_string(), digest: Sha256Digest::of(b"image") };
    let mut builder = GraphBuilder::new(Some(Origin {
        product: product.clone(),
        channel: "stable".parse()?,
        arch: "amd64".parse()?,
    }));
    let mut documents = Vec::new();
    for version in [from, to] {
        let component = Component { role, version: version.to_owned(), image: image.clone() };
        let content = ArchContent { payload: image.clone(), components: vec![component] };
        let release = ReleaseDocument {
            format: ReleaseDocument::FORMAT,
            critical: vec![],
            vendor: product.vendor.clone(),
            product: product.product.clone(),
            version: version.parse()?,
            released_at: clock::now(),
            severity: Severity::None,
            advisories: vec![],
            url: None,
            upgrade_from: vec![">=0.1.0".parse()?],
            downgrade_from: vec![],
            dependencies: vec![],
            arches: BTreeMap::from([("amd64".parse()?, content)]),
            finalize: None,
        };
        let bytes = serde_json::to_vec(&release)?;
        let digest = Sha256Digest::of(&bytes).to_string();
        builder.node(Node {
            version: version.parse()?,
            payload: String::new(),
            metadata: BTreeMap::from([(RELEASE_KEY.to_owned(), digest)]),
        });
        documents.push((format!("{product}/{version}.release.json"), bytes));
    }
    builder.edge(0, 1);
    documents.push((format!("{product}/stable.amd64.graph.json"), to_json(&builder.build()?)));
    Ok(documents)
}
