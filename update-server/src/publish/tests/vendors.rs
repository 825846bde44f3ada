//! Several vendors on one hub: what one of them does, loses or is told never stops another.

use std::collections::BTreeMap;
use std::path::Path;

use channels::wire::PublicationReply;
use signing::{
    Attack, MemStore, RoleName, StagedRepository, VerifiedRepository, build_targets, verify_staged,
};

use super::super::PublishError;
use super::super::fixture::{Fixture, Vendor, hours, open, publication, t0};
use super::super::online::parse_snapshot;
use super::{Code, files_below, kafka, stable, with_beta};
use crate::catalog::Catalog;
use crate::publish::Publisher;

/// Files of one publication.
type Files = BTreeMap<String, Vec<u8>>;

/// A hub that serves `acme` and `beta`, and what it serves.
struct Hub {
    dir: tempfile::TempDir,
    publisher: Publisher,
    catalog: Catalog,
    fixture: Fixture,
}

impl Hub {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (publisher, catalog) = open(dir.path(), t0());
        let fixture = with_beta(hours(24 * 300));
        publisher.publish(fixture.publication(), t0()).unwrap();
        Self { dir, publisher, catalog, fixture }
    }

    fn beta(&mut self) -> &mut Vendor {
        &mut self.fixture.vendors[1]
    }

    /// What one vendor has, signed with the keys it has now.
    fn files_of(&self, vendor: &str) -> Files {
        let mut files = self.fixture.files();
        files.retain(|path, _| {
            path.starts_with(&format!("targets/{vendor}/"))
                || path.split('.').nth(1) == Some(vendor)
        });
        files
    }

    /// The hub's admin changes who the vendors are and which keys they have.
    fn delegate(&mut self, change: impl FnOnce(&mut Fixture)) -> PublicationReply {
        change(&mut self.fixture);
        self.fixture.targets_version += 1;
        let path = format!("metadata/{}.targets.json", self.fixture.targets_version);
        self.send(BTreeMap::from([(path, self.fixture.targets())])).unwrap()
    }

    fn send(&self, files: Files) -> Result<PublicationReply, PublishError> {
        self.publisher.publish(publication(files), hours(1))
    }

    /// `acme` releases 1.2.0, alone.
    #[track_caller]
    fn acme_goes_on(&mut self) {
        self.fixture.next_release();
        self.send(self.files_of("acme")).unwrap();
        assert!(stable(&self.catalog, "acme").unwrap().contains(&"1.2.0".to_owned()));
    }

    /// What a client finds; `store` holds what it saw before.
    fn client(&self, store: MemStore) -> VerifiedRepository {
        let staged = staged(self.dir.path());
        let root = &self.fixture.files()["metadata/1.root.json"];
        verify_staged(root, &staged, store, hours(1)).unwrap()
    }

    fn beta_is_served(&self) -> bool {
        stable(&self.catalog, "beta").is_some()
    }

    fn restart(mut self) -> Self {
        drop(self.publisher);
        (self.publisher, self.catalog) = open(self.dir.path(), hours(1));
        self
    }
}

fn staged(data_dir: &Path) -> StagedRepository {
    let mut staged = StagedRepository::new();
    for (path, bytes) in files_below(&data_dir.join("tuf")) {
        staged.put_file(&path, bytes).unwrap();
    }
    staged
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

/// A refusal that names a role.
#[track_caller]
fn assert_role(error: &PublishError, name: &str, attack: Option<Attack>) {
    assert_eq!((error.code(), error.attack()), (Code::PublicationUnverified, attack), "{error}");
    let found = matches!(error, PublishError::Role { role: found, .. } if *found == role(name));
    assert!(found, "{}", error.chain());
}

#[test]
fn a_vendor_whose_key_was_rotated_stops_alone_until_it_signs_anew() {
    let mut hub = Hub::new();
    let client = MemStore::new();
    hub.client(client.clone());
    hub.delegate(|fixture| fixture.vendors[1].own_key = 77);
    assert!(!hub.beta_is_served(), "its graph hangs on a key that is no longer trusted");
    let found = hub.client(client.clone());
    let refused = &found.broken[&role("beta")];
    assert_eq!(refused.attack(), Some(Attack::ArbitrarySoftware), "{refused}");
    hub.acme_goes_on();
    let mut hub = hub.restart();
    assert_eq!(stable(&hub.catalog, "acme").unwrap().len(), 3);
    assert!(!hub.beta_is_served());
    // The vendor's own role alone is signed anew; its files need not be sent again.
    hub.beta().own_version = 2;
    let mut files = hub.files_of("beta");
    files.retain(|path, _| path == "metadata/2.beta.json");
    let reply = hub.send(files).unwrap();
    assert_eq!(reply.graphs, ["beta/kafka stable amd64"]);
    let found = hub.client(client);
    assert!(found.broken.is_empty(), "{:?}", found.broken);
}

#[test]
fn until_then_its_other_roles_are_refused_by_the_name_of_the_role_that_must_be_signed() {
    let mut hub = Hub::new();
    hub.delegate(|fixture| fixture.vendors[1].own_key = 77);
    hub.beta().channels_version = 2;
    let mut files = hub.files_of("beta");
    files.remove("metadata/1.beta.json");
    let error = hub.send(files).unwrap_err();
    assert_role(&error, "beta", Some(Attack::ArbitrarySoftware));
    // The old key signs nothing any more either.
    hub.beta().own_version = 2;
    hub.beta().own_key = 40;
    let error = hub.send(hub.files_of("beta")).unwrap_err();
    assert_role(&error, "beta", Some(Attack::ArbitrarySoftware));
}

#[test]
fn releases_survive_a_rotation_and_cannot_be_dropped_by_it() {
    let mut hub = Hub::new();
    hub.delegate(|fixture| fixture.vendors[1].own_key = 77);
    let beta = hub.beta();
    (beta.own_version, beta.releases_version) = (2, 2);
    beta.releases.clear();
    let error = hub.send(hub.files_of("beta")).unwrap_err();
    assert!(matches!(error, PublishError::ReleaseRemoved { .. }), "{error}");
}

#[test]
fn a_revoked_vendor_is_served_no_longer_and_no_client_calls_that_a_rollback() {
    let mut hub = Hub::new();
    let client = MemStore::new();
    assert_eq!(hub.client(client.clone()).roles.len(), 7);
    hub.delegate(|fixture| drop(fixture.vendors.pop()));
    assert!(!hub.beta_is_served());
    assert!(hub.catalog.release(&kafka("beta"), &"2.0.0".parse().unwrap()).is_none());
    let hub = hub.restart();
    let found = hub.client(client);
    assert!(found.broken.is_empty(), "{:?}", found.broken);
    assert_eq!(found.roles.len(), 4);
    assert!(found.targets.iter().all(|listed| listed.target.path.as_str().starts_with("acme/")));
    let staged = staged(hub.dir.path());
    let (_, bytes) = staged.newest(&role("snapshot")).unwrap();
    let snapshot = parse_snapshot(bytes).unwrap();
    for name in ["beta", "beta.releases", "beta.channels"] {
        assert!(snapshot.body.pin(&role(name)).is_some(), "{name} vanished from the snapshot");
    }
}

#[test]
fn a_revoked_vendor_publishes_nothing_more() {
    let mut hub = Hub::new();
    hub.fixture.vendors.push(hub.fixture.vendors[1].clone());
    hub.delegate(|fixture| fixture.vendors.truncate(1));
    let mut vendor = with_beta(hours(24 * 300)).vendors.remove(1);
    vendor.channels_version = 2;
    hub.fixture.vendors.push(vendor);
    let error = hub.send(hub.files_of("beta")).unwrap_err();
    assert_role(&error, "beta.channels", None);
    hub.acme_goes_on();
}

#[test]
fn a_vendor_that_comes_back_with_new_keys_goes_on_from_its_old_versions() {
    let mut hub = Hub::new();
    let old = hub.fixture.vendors[1].clone();
    hub.delegate(|fixture| drop(fixture.vendors.pop()));
    let mut back = Vendor::new("beta", 90);
    back.release("2.1.0", &[]);
    back.graph("stable", &["2.1.0"], &[]);
    hub.delegate(|fixture| fixture.vendors.push(back));
    assert!(!hub.beta_is_served(), "what the old keys signed does not come back");
    let error = hub.send(hub.files_of("beta")).unwrap_err();
    assert_eq!(error.code(), Code::PublicationConflict, "{error}");
    let beta = hub.beta();
    (beta.own_version, beta.releases_version, beta.channels_version) = (2, 2, 2);
    // A release of the old time does not come back as something else.
    hub.beta().release("2.0.0", &["*"]);
    let error = hub.send(hub.files_of("beta")).unwrap_err();
    assert!(matches!(error, PublishError::Immutable { .. }), "{error}");
    hub.beta().releases = old.releases.clone();
    hub.beta().release("2.1.0", &[]);
    hub.send(hub.files_of("beta")).unwrap();
    assert_eq!(stable(&hub.catalog, "beta").unwrap(), ["2.1.0"]);
}

#[test]
fn a_vendor_that_comes_back_cannot_forget_a_release_to_publish_it_with_other_bytes() {
    let mut hub = Hub::new();
    hub.delegate(|fixture| drop(fixture.vendors.pop()));
    let mut back = Vendor::new("beta", 90);
    back.release("2.1.0", &[]);
    back.graph("stable", &["2.1.0"], &[]);
    hub.delegate(|fixture| fixture.vendors.push(back));
    let beta = hub.beta();
    (beta.own_version, beta.releases_version, beta.channels_version) = (2, 2, 2);
    let error = hub.send(hub.files_of("beta")).unwrap_err();
    let forgotten =
        matches!(&error, PublishError::ReleaseRemoved { path } if path.contains("2.0.0"));
    assert!(forgotten, "{error}");
    assert_eq!(error.code(), Code::ReleaseRemoved);
    hub.beta().release("2.0.0", &["*"]);
    hub.beta().releases_version = 3;
    let error = hub.send(hub.files_of("beta")).unwrap_err();
    assert!(matches!(error, PublishError::Immutable { .. }), "{error}");
    hub.acme_goes_on();
}

#[test]
fn a_vendor_that_comes_back_with_its_old_keys_sends_its_files_again_and_nobody_waits_for_them() {
    let mut hub = Hub::new();
    let beta = hub.fixture.vendors[1].clone();
    hub.delegate(|fixture| drop(fixture.vendors.pop()));
    hub.delegate(|fixture| fixture.vendors.push(beta));
    hub.acme_goes_on();
    // Until the last set that had the files is forgotten, a restart would find them again.
    for _ in 0..super::super::KEPT_SETS {
        hub.delegate(|_| ());
    }
    let hub = hub.restart();
    assert!(!hub.beta_is_served());
    let reply = hub.send(hub.files_of("beta")).unwrap();
    assert!(reply.changed);
    assert!(hub.beta_is_served());
}

#[test]
fn a_vendor_that_never_published_stops_nobody() {
    let mut hub = Hub::new();
    hub.delegate(|fixture| fixture.vendors.push(Vendor::new("gamma", 60)));
    hub.acme_goes_on();
    let found = hub.restart().client(MemStore::new());
    assert!(found.broken.is_empty(), "{:?}", found.broken);
}

#[test]
fn nobody_publishes_for_another_vendor_whatever_token_it_has() {
    for victim in ["beta", "beta.releases", "beta.channels"] {
        let mut hub = Hub::new();
        let (acme, beta) = (hub.fixture.vendors[0].clone(), hub.beta());
        match victim {
            "beta" => (beta.own_version, beta.own_key) = (2, acme.own_key),
            "beta.releases" => {
                (beta.releases_version, beta.releases_key) = (2, acme.releases_key);
            }
            _ => (beta.channels_version, beta.channels_key) = (2, acme.channels_key),
        }
        let mut files = hub.files_of("beta");
        // Only the role itself is forged; what delegates to it stays the honest one.
        files.retain(|path, _| *path == format!("metadata/2.{victim}.json"));
        assert_eq!(files.len(), 1);
        let error = hub.send(files).unwrap_err();
        assert_role(&error, victim, Some(Attack::ArbitrarySoftware));
        assert!(hub.beta_is_served());
    }
}

#[test]
fn a_role_nobody_delegates_is_refused_whoever_signed_it() {
    let hub = Hub::new();
    let signer = signing::SecretKey::from_seed([20; 32]);
    let none = BTreeMap::new();
    for name in ["beta.extra", "gamma"] {
        let bytes = build_targets(1, hours(24), &none, &[], &[&signer]).unwrap();
        let files = BTreeMap::from([(format!("metadata/1.{name}.json"), bytes)]);
        assert_role(&hub.send(files).unwrap_err(), name, None);
    }
}

#[test]
fn a_vendor_that_would_break_its_own_role_is_told() {
    let mut hub = Hub::new();
    let beta = hub.beta();
    (beta.own_version, beta.channels_key) = (2, 98);
    let mut files = hub.files_of("beta");
    files.retain(|path, _| path == "metadata/2.beta.json");
    assert_role(&hub.send(files).unwrap_err(), "beta.channels", Some(Attack::ArbitrarySoftware));
    assert!(hub.beta_is_served());
}

#[test]
fn an_expired_vendor_and_a_rotated_one_together_stop_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    let mut fixture = with_beta(hours(240));
    let mut gamma = Vendor::new("gamma", 60);
    gamma.release("1.0.0", &[]);
    gamma.graph("stable", &["1.0.0"], &[]);
    fixture.vendors.push(gamma);
    publisher.publish(fixture.publication(), t0()).unwrap();
    fixture.vendors[2].own_key = 88;
    fixture.targets_version = 2;
    let targets = BTreeMap::from([("metadata/2.targets.json".to_owned(), fixture.targets())]);
    publisher.publish(publication(targets), hours(480)).unwrap();
    fixture.next_release();
    let mut files = fixture.files();
    files.retain(|path, _| path.contains("acme"));
    publisher.publish(publication(files), hours(481)).unwrap();
    let served = |vendor| stable(&catalog, vendor).map(|versions| versions.len());
    let all = [served("acme"), served("beta"), served("gamma")];
    assert_eq!(all, [Some(3), Some(1), None], "expired stays served, unsigned does not");
}

#[test]
fn a_file_that_a_start_does_not_find_is_a_loss_and_not_a_vendor_that_has_still_to_send_it() {
    let hub = Hub::new();
    let targets = hub.dir.path().join("tuf/targets");
    let start = || {
        let keys = super::super::fixture::online_keys();
        Publisher::open(hub.dir.path(), keys, None, hours(1)).map(drop)
    };
    let (name, bytes) = files_below(&targets.join("beta")).pop().unwrap();
    std::fs::remove_file(targets.join("beta").join(&name)).unwrap();
    let error = start().unwrap_err();
    assert!(matches!(error, PublishError::Missing { .. }), "{error}");
    std::fs::write(targets.join("beta").join(&name), bytes).unwrap();
    start().unwrap();
    std::fs::remove_dir_all(&targets).unwrap();
    let error = start().unwrap_err();
    assert!(matches!(error, PublishError::Missing { .. }), "{error}");
}
