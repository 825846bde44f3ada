//! A publisher with its hub's online keys, for tests of everything that signs or verifies.

use std::collections::BTreeMap;

use channels::graph::{GraphBuilder, Node, Origin};
use channels::names::{ProductRef, VendorName};
use channels::version::ReleaseVersion;
use channels::wire::{ArchContent, Component, HubKeys, Image, ReleaseDocument, Role, Severity};
use jiff::{SignedDuration, Timestamp};
use signing::client::Versions;
use signing::repository::{VerifiedRepository, verify_staged};
use signing::{MemStore, SecretKey, Sha256Digest, StagedRepository};

use super::*;

pub(crate) fn day(number: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * number)
}

pub(crate) fn secret(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub(crate) fn acme() -> VendorName {
    "acme".parse().unwrap()
}

pub(crate) fn release(version: &str, url: &str) -> ReleaseDocument {
    let image =
        Image { repository: "acme/app".into(), digest: Sha256Digest::of(version.as_bytes()) };
    let component = Component { role: Role::Node, version: version.into(), image: image.clone() };
    ReleaseDocument {
        format: ReleaseDocument::FORMAT,
        critical: vec![],
        vendor: acme(),
        product: "app".parse().unwrap(),
        version: version.parse().unwrap(),
        released_at: day(0),
        severity: Severity::None,
        advisories: vec![],
        url: Some(url.into()),
        upgrade_from: vec!["<1.9.0".parse().unwrap()],
        downgrade_from: vec![],
        dependencies: vec![],
        arches: BTreeMap::from([(
            "amd64".parse().unwrap(),
            ArchContent { payload: image, components: vec![component] },
        )]),
        finalize: None,
    }
}

/// A product with these releases and one channel that has them all.
pub(crate) fn content(versions: &[&str]) -> Content {
    let product: ProductRef = "acme/app".parse().unwrap();
    let (channel, arch) = ("stable".parse().unwrap(), "amd64".parse().unwrap());
    let origin = Origin {
        product: product.clone(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
    };
    let mut builder = GraphBuilder::new(Some(origin));
    let mut content = Content::default();
    for version in versions {
        content.add_release(&release(version, "https://acme.example")).unwrap();
        let version: ReleaseVersion = version.parse().unwrap();
        builder.node(Node { version, payload: String::new(), metadata: BTreeMap::new() });
    }
    content.add_graph(&product, &channel, &arch, &builder.build().unwrap()).unwrap();
    content
}

/// A publisher and the online keys of its hub.
pub(crate) struct World {
    pub(crate) keyring: MemoryKeyring,
    pub(crate) layout: Layout,
    pub(crate) snapshot: SecretKey,
    pub(crate) timestamp: SecretKey,
    pub(crate) published: StagedRepository,
    pub(crate) root: Vec<u8>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_seed(0)
    }

    /// All keys of seeds above `first`.
    pub(crate) fn with_seed(first: u8) -> Self {
        let mut keyring = MemoryKeyring::default();
        let secret = |seed| secret(first + seed);
        let mut single = |seed| RoleKeys::single(keyring.add(secret(seed)));
        let (root_keys, targets) = (single(1), single(2));
        let vendor = VendorKeys { vendor: single(3), releases: single(4), channels: single(5) };
        let (snapshot, timestamp) = (secret(8), secret(9));
        let hub = HubKeys {
            snapshot: snapshot.public().to_spki_pem(),
            timestamp: timestamp.public().to_spki_pem(),
            ..HubKeys::default()
        };
        let keys = RootKeys::with_hub(root_keys.clone(), targets.clone(), &hub).unwrap();
        let root = first_root(&keys, &mut keyring, &Terms::default(), day(0)).unwrap();
        let layout = Layout {
            root: RootTrust { pinned: root.clone(), keys: root_keys },
            targets,
            vendors: BTreeMap::from([(acme(), vendor)]),
            imported: BTreeMap::new(),
        };
        let mut published = StagedRepository::new();
        published.put_metadata(&signing::TopRole::Root.into(), root.clone()).unwrap();
        Self { keyring, layout, snapshot, timestamp, published, root }
    }

    pub(crate) fn assemble(
        &mut self,
        content: &Content,
        now: Timestamp,
    ) -> Result<Assembly, PublisherError> {
        let terms = Terms::default();
        assemble(content, &self.layout, &mut self.keyring, &self.published, &terms, now)
    }

    /// Publishes as the hub would: adds the online roles, asks the client.
    pub(crate) fn publish(
        &mut self,
        content: &Content,
        now: Timestamp,
    ) -> (Assembly, VerifiedRepository) {
        let assembly = self.assemble(content, now).unwrap();
        let verified = self.verify(&assembly, now).unwrap();
        assert!(verified.broken.is_empty(), "{:?}", verified.broken);
        self.published = assembly.repository.clone();
        (assembly, verified)
    }

    pub(crate) fn verify(
        &self,
        assembly: &Assembly,
        now: Timestamp,
    ) -> Result<VerifiedRepository, signing::Error> {
        let staged = self.online(assembly, now);
        verify_staged(&self.root, &staged, MemStore::new(), now)
    }

    /// The assembly with the hub's two roles on top.
    fn online(&self, assembly: &Assembly, now: Timestamp) -> StagedRepository {
        let staged = assembly.repository.clone();
        let (snapshot, timestamp) = (&self.snapshot, &self.timestamp);
        staged.with_online_roles(snapshot, timestamp, now, Versions::default()).unwrap()
    }

    /// A published repository, as a server would hold it.
    pub(crate) fn staged(&mut self, content: &Content, now: Timestamp) -> StagedRepository {
        let (assembly, _) = self.publish(content, now);
        self.online(&assembly, now)
    }
}
