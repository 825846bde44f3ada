//! A vendor with its keys in memory, and whoever stole some of them.

use std::collections::BTreeMap;

use channels::graph::{GraphBuilder, Node, Origin};
use channels::names::{Arch, ChannelName, ProductRef};
use channels::wire::{
    ArchContent, Component, Image, Publication, PublicationReply, ReleaseDocument, Role, Severity,
    media_type,
};
use fairway::publisher::{
    Assembly, Ceremony, CeremonySpec, Content, Terms, assemble, hold_ceremony,
};
use jiff::SignedDuration;
use signing::{
    FileName, RoleName, SecretKey, Sha256Digest, StagedRepository, TargetEntry, TargetPath, keyfile,
};

use super::hub::{Hub, now};

/// The product of these tests.
pub(crate) const PRODUCT: &str = "acme/kafka";
/// Its channel.
pub(crate) const CHANNEL: &str = "stable";
/// Where its graph lies.
pub(crate) const GRAPH: &str = "acme/kafka/stable.amd64.graph.json";
/// Who signs it.
pub(crate) const CHANNELS_ROLE: &str = "acme.channels";
/// Who signs releases.
pub(crate) const RELEASES_ROLE: &str = "acme.releases";

/// All keys of a hub's repository, and what was published last.
#[derive(Debug)]
pub(crate) struct Vendor {
    ceremony: Ceremony,
    published: StagedRepository,
    /// The hub's own keys, for repositories that a thief signs.
    snapshot: SecretKey,
    timestamp: SecretKey,
}

impl Vendor {
    /// Makes keys for `acme` and `mallory`, and root 1 over the hub's.
    pub(crate) async fn establish(hub: &Hub) -> Self {
        let vendors = ["acme", "mallory"].map(|name| name.parse().expect("a vendor"));
        let spec = CeremonySpec { vendors: vendors.to_vec(), root_keys: 1, root_threshold: 1 };
        let keys = hub.keys().await;
        let ceremony = hold_ceremony(&spec, &keys, &Terms::default(), now()).expect("a ceremony");
        let stolen = |role: &str| {
            let pem = keyfile::read(hub.data().join(format!("keys/{role}.pem"))).expect("a key");
            keyfile::from_plain_pem(&pem).expect("a key")
        };
        let published = ceremony.repository.clone();
        Self { snapshot: stolen("snapshot"), timestamp: stolen("timestamp"), ceremony, published }
    }

    /// The root that agents pin.
    pub(crate) fn root(&self) -> &[u8] {
        &self.ceremony.root
    }

    /// A private key by the name of its role.
    pub(crate) fn key(&self, role: &str) -> &SecretKey {
        &self.ceremony.keys[role]
    }

    /// Signs `content` as it should be, on top of what was published.
    pub(crate) fn assemble(&mut self, content: &Content) -> Assembly {
        let ceremony = &mut self.ceremony;
        let (layout, keyring) = (&ceremony.layout, &mut ceremony.keyring);
        assemble(content, layout, keyring, &self.published, &Terms::default(), now())
            .expect("a signed set")
    }

    /// Publishes `content`.
    pub(crate) async fn publish(&mut self, hub: &Hub, content: &Content) -> PublicationReply {
        let assembly = self.assemble(content);
        let publication = assembly.publication("test").expect("a publication");
        let reply = post(hub, &publication).await.expect("published");
        self.accepted(assembly);
        reply
    }

    /// Remembers that the hub has taken an assembly.
    pub(crate) fn accepted(&mut self, assembly: Assembly) {
        self.published = assembly.repository;
    }

    /// Publishes `role` again with the one target it lists, signed for `life` from now.
    pub(crate) async fn republish_for(
        &mut self,
        hub: &Hub,
        role: &str,
        target: &str,
        life: SignedDuration,
    ) {
        let path = TargetPath::new(target).expect("a path");
        let mut targets = BTreeMap::new();
        let mut newest = self.published.clone();
        // A publication holds one version of a role.
        let mut repository = StagedRepository::new();
        for (name, bytes) in self.published.files() {
            match name {
                FileName::Metadata { role: found, .. } if found.as_str() == role => continue,
                FileName::Target { path: found, .. } if *found == path => {
                    targets.insert(path.clone(), bytes.to_vec());
                }
                FileName::Target { .. } | FileName::Metadata { .. } => {}
            }
            repository.put_file(&name.relative_path(), bytes.to_vec()).expect("a file");
        }
        put_role(&mut newest, role, &targets, Some(self.key(role)), life);
        let name = RoleName::new(role).expect("a role");
        let (_, renewed) = newest.newest(&name).expect("the new version");
        repository.put_metadata(&name, renewed.to_vec()).expect("metadata");
        let assembly =
            Assembly { repository, changes: Vec::new(), root_expires: None, revoked: Vec::new() };
        let publication = assembly.publication("short-lived").expect("a publication");
        post(hub, &publication).await.expect("published");
        self.accepted(assembly);
    }

    /// What was published last, without the hub's two roles.
    pub(crate) fn published(&self) -> &StagedRepository {
        &self.published
    }

    /// Signs snapshot and timestamp with the hub's stolen keys, as if `age` ago, in versions above
    /// `floor`.
    pub(crate) fn with_stolen_online_keys(
        &self,
        repository: StagedRepository,
        age: SignedDuration,
        floor: signing::Versions,
    ) -> StagedRepository {
        let moment = now() - age;
        repository
            .with_online_roles(&self.snapshot, &self.timestamp, moment, floor)
            .expect("an online signature")
    }

    /// The hub's timestamp key, stolen.
    pub(crate) fn timestamp_key(&self) -> &SecretKey {
        &self.timestamp
    }
}

/// Stages a version of `role` that nobody has published, with these targets, signed by `signer` or
/// by nobody.
pub(crate) fn forge_role(
    repository: &mut StagedRepository,
    role: &str,
    targets: &BTreeMap<TargetPath, Vec<u8>>,
    signer: Option<&SecretKey>,
) {
    put_role(repository, role, targets, signer, SignedDuration::from_hours(24));
}

/// Stages the next version of `role`, signed for `life` by `signer` or by nobody.
fn put_role(
    repository: &mut StagedRepository,
    role: &str,
    targets: &BTreeMap<TargetPath, Vec<u8>>,
    signer: Option<&SecretKey>,
    life: SignedDuration,
) {
    let role = RoleName::new(role).expect("a role");
    let version = repository.newest(&role).map_or(1, |(version, _)| version + 1);
    let entries = targets.iter().map(|(path, bytes)| (path.clone(), TargetEntry::of(bytes)));
    let signers: Vec<&dyn signing::Signer> =
        signer.into_iter().map(|key| -> &dyn signing::Signer { key }).collect();
    let expires = now() + life;
    let bytes = signing::build_targets(version, expires, &entries.collect(), &[], &signers)
        .expect("targets metadata");
    repository.put_metadata(&role, bytes).expect("metadata of a new version");
    for (path, bytes) in targets {
        repository.put_target(path, bytes.clone());
    }
}

/// Hands a publication to the hub.
pub(crate) async fn post(hub: &Hub, publication: &Publication) -> Result<PublicationReply, String> {
    let body = serde_json::to_vec(publication).expect("JSON");
    let request = hub.post("api/v1/publications", media_type::PUBLICATION, body);
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    if !status.is_success() {
        return Err(format!("{status}: {text}"));
    }
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// A release with a controller component of its own version.
pub(crate) fn release(version: &str, upgrade_from: &str) -> ReleaseDocument {
    let image = |name: &str| Image {
        repository: format!("acme/{name}"),
        digest: Sha256Digest::of(format!("{name} {version}").as_bytes()),
    };
    let component =
        Component { role: Role::Controller, version: version.into(), image: image("controller") };
    ReleaseDocument {
        format: ReleaseDocument::FORMAT,
        critical: vec![],
        vendor: "acme".parse().expect("a vendor"),
        product: "kafka".parse().expect("a product"),
        version: version.parse().expect("a version"),
        released_at: "2026-01-01T00:00:00Z".parse().expect("a time"),
        severity: Severity::None,
        advisories: vec![],
        url: None,
        upgrade_from: vec![upgrade_from.parse().expect("a requirement")],
        downgrade_from: vec![],
        dependencies: vec![],
        arches: BTreeMap::from([(
            arch(),
            ArchContent { payload: image("payload"), components: vec![component] },
        )]),
        finalize: None,
    }
}

fn arch() -> Arch {
    "amd64".parse().expect("an architecture")
}

/// These releases, and a channel with all of them and these edges (by position).
pub(crate) fn content(releases: &[ReleaseDocument], edges: &[(usize, usize)]) -> Content {
    let mut content = graph_only(releases, edges);
    for release in releases {
        content.add_release(release).expect("a release document");
    }
    content
}

/// Only the channel.
pub(crate) fn graph_only(releases: &[ReleaseDocument], edges: &[(usize, usize)]) -> Content {
    let product: ProductRef = PRODUCT.parse().expect("a product");
    let channel: ChannelName = CHANNEL.parse().expect("a channel");
    let origin = Origin { product: product.clone(), channel: channel.clone(), arch: arch() };
    let mut builder = GraphBuilder::new(Some(origin));
    let nodes: Vec<usize> = releases
        .iter()
        .map(|release| {
            let version = release.version.clone();
            builder.node(Node { version, payload: String::new(), metadata: BTreeMap::new() })
        })
        .collect();
    for &(from, to) in edges {
        builder.edge(nodes[from], nodes[to]);
    }
    let graph = builder.build().expect("a graph");
    let mut content = Content::default();
    content.add_graph(&product, &channel, &arch(), &graph).expect("a graph target");
    content
}
