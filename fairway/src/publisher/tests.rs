//! Real keys, real signatures, and our own client as the judge.

use signing::PublicKey;

use super::testing::{World, acme, content, day, release, secret};
use super::*;

fn signed(assembly: &Assembly) -> Vec<(String, u64, Why)> {
    let line = |change: &Change| (change.role.to_string(), change.version, change.why);
    assembly.changes.iter().map(line).collect()
}

fn line(role: &str, version: u64, why: Why) -> (String, u64, Why) {
    (role.to_owned(), version, why)
}

#[test]
fn a_first_publication_is_accepted_by_our_client() {
    let mut world = World::new();
    let (assembly, verified) = world.publish(&content(&["1.0.0", "1.1.0"]), day(0));
    assert_eq!(
        signed(&assembly),
        [
            line("acme.releases", 1, Why::New),
            line("acme.channels", 1, Why::New),
            line("acme", 1, Why::New),
            line("targets", 1, Why::New),
        ]
    );
    assert_eq!(verified.targets.len(), 3);
}

#[test]
fn nothing_is_signed_when_nothing_changed() {
    let mut world = World::new();
    let content = content(&["1.0.0"]);
    let (first, _) = world.publish(&content, day(0));
    world.keyring = MemoryKeyring::default(); // No key is at hand, and none is needed.
    let (second, _) = world.publish(&content, day(30));
    assert_eq!(signed(&second), []);
    assert_eq!(second.publication("").unwrap(), first.publication("").unwrap());
}

#[test]
fn a_new_release_is_signed_by_the_two_roles_that_list_it() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let (assembly, verified) = world.publish(&content(&["1.0.0", "1.1.0"]), day(1));
    let expected = [line("acme.releases", 2, Why::Content), line("acme.channels", 2, Why::Content)];
    assert_eq!(signed(&assembly), expected);
    let added: Vec<String> = assembly.changes[0].added.iter().map(ToString::to_string).collect();
    assert_eq!(added, ["acme/app/1.1.0.release.json"]);
    assert_eq!(verified.targets.len(), 3);
}

#[test]
fn a_plan_says_what_will_be_signed_without_any_key() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let next = content(&["1.0.0", "1.1.0"]);
    for now in [day(1), day(250)] {
        let planned = plan(&next, &world.layout, &world.published, &Terms::default(), now).unwrap();
        assert_eq!(planned, world.assemble(&next, now).unwrap().changes);
    }
}

#[test]
fn a_release_that_changed_is_refused() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let mut changed = content(&["1.0.0"]);
    changed.add_release(&release("1.0.0", "https://elsewhere.example")).unwrap();
    let error = world.assemble(&changed, day(1)).unwrap_err();
    assert!(matches!(error, PublisherError::ReleaseChanged { .. }), "{error}");
}

#[test]
fn a_release_that_vanished_is_refused() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0", "1.1.0"]), day(0));
    let error = world.assemble(&content(&["1.1.0"]), day(1)).unwrap_err();
    let path = "acme/app/1.0.0.release.json";
    assert_eq!(
        error.to_string(),
        format!("{path} was published and is gone from the channel repository")
    );
}

#[test]
fn signatures_are_renewed_before_they_expire() {
    let mut world = World::new();
    let content = content(&["1.0.0"]);
    world.publish(&content, day(0));
    let (quiet, _) = world.publish(&content, day(240));
    assert_eq!(signed(&quiet), []);
    let (renewed, _) = world.publish(&content, day(250));
    assert_eq!(
        signed(&renewed),
        [
            line("root", 2, Why::Expiry),
            line("acme.releases", 2, Why::Expiry),
            line("acme.channels", 2, Why::Expiry),
            line("acme", 2, Why::Expiry),
            line("targets", 2, Why::Expiry),
        ]
    );
    // The chain from root 1 carries a client over the end of root 1's life.
    let (_, verified) = world.publish(&content, day(400));
    assert_eq!(verified.targets.len(), 2);
}

#[test]
fn a_root_whose_keys_are_offline_is_reported_and_does_not_stop_a_publication() {
    let mut world = World::new();
    let content = content(&["1.0.0"]);
    world.publish(&content, day(0));
    let mut online = MemoryKeyring::default();
    for seed in 2..=5 {
        online.add(secret(seed));
    }
    world.keyring = online;
    let assembly = world.assemble(&content, day(250)).unwrap();
    assert_eq!(assembly.root_expires, Some(day(365)));
    assert_eq!(assembly.changes.len(), 4);
}

#[test]
fn a_changed_key_is_delegated_and_signs() {
    let mut world = World::new();
    let content = content(&["1.0.0"]);
    world.publish(&content, day(0));
    let new: PublicKey = world.keyring.add(secret(40));
    if let Some(keys) = world.layout.vendors.get_mut(&acme()) {
        keys.channels = RoleKeys::single(new);
    }
    let (assembly, _) = world.publish(&content, day(1));
    assert_eq!(
        signed(&assembly),
        [line("acme.channels", 2, Why::Keys), line("acme", 2, Why::Content)]
    );
}

#[test]
fn a_threshold_that_is_not_reached_stops_the_publication() {
    let mut world = World::new();
    let absent = secret(41).public().clone();
    if let Some(keys) = world.layout.vendors.get_mut(&acme()) {
        keys.releases.keys.push(absent);
        keys.releases.threshold = 2;
    }
    let error = world.assemble(&content(&["1.0.0"]), day(0)).unwrap_err();
    assert!(matches!(error, PublisherError::Keys { .. }), "{error}");
    assert_eq!(error.to_string(), "failed to open the keys of role acme.releases");
}

#[test]
fn another_vendors_product_is_refused() {
    let mut world = World::new();
    let mut foreign = release("1.0.0", "https://x.example");
    foreign.vendor = "mallory".parse().unwrap();
    let mut content = content(&["1.0.0"]);
    content.add_release(&foreign).unwrap();
    let error = world.assemble(&content, day(0)).unwrap_err();
    assert!(matches!(error, PublisherError::StrangeVendor { .. }), "{error}");
}

#[test]
fn targets_keys_that_root_does_not_name_are_refused() {
    let mut world = World::new();
    let other = world.keyring.add(secret(42));
    world.layout.targets = RoleKeys::single(other);
    let error = world.assemble(&content(&["1.0.0"]), day(0)).unwrap_err();
    assert_eq!(error.to_string(), "root 1 does not name the targets keys that are configured");
}

#[test]
fn a_vendor_that_is_configured_no_longer_is_named_as_revoked() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let keys = world.layout.vendors.remove(&acme()).unwrap();
    let (assembly, verified) = world.publish(&Content::default(), day(1));
    assert_eq!(assembly.revoked, [vendor_role(&acme()).unwrap()]);
    assert_eq!(verified.targets.len(), 0);
    let (assembly, _) = world.publish(&Content::default(), day(2));
    assert_eq!(assembly.revoked, []);
    // Back again, above the versions that the hub has not forgotten.
    world.layout.vendors.insert(acme(), keys);
    let floor = |role: Result<signing::RoleName, _>, version| (role.unwrap(), version);
    let floors = Floors::from([
        floor(vendor_role(&acme()), 1),
        floor(releases_role(&acme()), 4),
        floor(channels_role(&acme()), 6),
    ]);
    let (layout, keyring) = (&world.layout, &mut world.keyring);
    let terms = Terms::default();
    let (content, published) = (content(&["1.0.0"]), &world.published);
    let assembly =
        assemble_above(&content, layout, keyring, published, &floors, &terms, day(3)).unwrap();
    let planned = plan_above(&content, layout, published, &floors, &terms, day(3)).unwrap();
    assert_eq!(planned, assembly.changes);
    assert_eq!(
        signed(&assembly),
        [
            line("acme.releases", 5, Why::Keys),
            line("acme.channels", 7, Why::Keys),
            line("acme", 2, Why::Keys),
            line("targets", 3, Why::Content),
        ]
    );
}

#[test]
fn a_first_publication_names_its_keys_and_replaces_nobodys() {
    let mut world = World::new();
    let (assembly, _) = world.publish(&content(&["1.0.0"]), day(0));
    assert!(assembly.changes.iter().all(|change| change.is_first));
    let acme = vendor_role(&acme()).unwrap();
    let own = assembly.changes.iter().find(|change| change.role == acme).unwrap();
    let releases = releases_role(&crate::publisher::testing::acme()).unwrap();
    let key = secret(4).public().clone();
    assert!(own.trust.contains(&TrustChange::KeyAdded { role: releases, key }), "{own:?}");
}

#[test]
fn keys_and_delegations_that_the_layout_gained_are_told_before_they_are_signed() {
    let mut world = World::new();
    let content = content(&["1.0.0"]);
    world.publish(&content, day(0));
    let (mallory, evil) = (secret(200).public().clone(), "evil".parse().unwrap());
    let releases = &mut world.layout.vendors.get_mut(&acme()).unwrap().releases;
    releases.keys.push(mallory.clone());
    let imported = ImportedVendor {
        keys: RoleKeys::single(mallory.clone()),
        paths: vec!["evil/*/*".to_owned()],
        terminating: true,
    };
    world.layout.imported.insert(evil, imported);
    let terms = Terms::default();
    let planned = plan(&content, &world.layout, &world.published, &terms, day(1)).unwrap();
    assert!(planned.iter().all(|change| !change.is_first));
    let trust: Vec<_> = planned.iter().flat_map(|change| change.trust.clone()).collect();
    let (acme, evil) = (releases_role(&acme()).unwrap(), signing::RoleName::new("evil").unwrap());
    let added = |role: &signing::RoleName| TrustChange::KeyAdded {
        role: role.clone(),
        key: mallory.clone(),
    };
    let paths = vec!["evil/*/*".to_owned()];
    let delegated = TrustChange::DelegationAdded { role: evil.clone(), paths, terminating: true };
    let threshold = TrustChange::Threshold { role: evil.clone(), old: None, new: 1 };
    assert_eq!(trust, [added(&acme), delegated, added(&evil), threshold]);
}

#[test]
fn root_keys_that_are_here_and_do_not_open_stop_the_publication() {
    /// Holds every key and opens none of root's.
    struct Locked(MemoryKeyring);
    impl Keyring for Locked {
        fn open(
            &mut self,
            role: &signing::RoleName,
            keys: &RoleKeys,
        ) -> Result<Vec<Box<dyn signing::Signer>>, KeyringError> {
            match role.as_top() {
                Some(signing::TopRole::Root) => Err("the passphrase does not open it".into()),
                _ => self.0.open(role, keys),
            }
        }
        fn is_at_hand(&self, key: &PublicKey) -> bool {
            self.0.is_at_hand(key)
        }
    }
    let mut world = World::new();
    let content = content(&["1.0.0"]);
    world.publish(&content, day(0));
    let (mut keyring, terms) = (Locked(world.keyring.clone()), Terms::default());
    let error = assemble(&content, &world.layout, &mut keyring, &world.published, &terms, day(250))
        .unwrap_err();
    let root = signing::RoleName::from(signing::TopRole::Root);
    assert!(matches!(&error, PublisherError::Keys { role, .. } if *role == root), "{error}");
}
