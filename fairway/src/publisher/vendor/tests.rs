//! A vendor with a hub of somebody else.

use signing::SecretKey;

use super::*;
use crate::publisher::testing::{acme, content, day, release, secret};
use crate::publisher::{
    MemoryKeyring, RoleKeys, VendorKeys, Why, channels_role, releases_role, vendor_role,
};

/// A vendor, what its hub has of it and what lies in its own directory.
struct Vendor {
    keyring: MemoryKeyring,
    layout: VendorLayout,
    on_hub: StagedRepository,
    here: StagedRepository,
    floors: Floors,
    /// Who may sign the vendor's role by the hub's word, if not the same as by its own.
    delegated: Option<KeySet>,
}

impl Vendor {
    fn new() -> Self {
        let mut keyring = MemoryKeyring::default();
        let mut single = |seed| RoleKeys::single(keyring.add(secret(seed)));
        let keys = VendorKeys { vendor: single(3), releases: single(4), channels: single(5) };
        Self {
            keyring,
            layout: VendorLayout { vendor: acme(), keys },
            on_hub: StagedRepository::new(),
            here: StagedRepository::new(),
            floors: Floors::new(),
            delegated: None,
        }
    }

    fn assemble(&mut self, content: &Content, now: Timestamp) -> Result<Assembly, PublisherError> {
        let found = [&self.on_hub, &self.here];
        let (layout, floors) = (&self.layout, &self.floors);
        let delegated = layout.keys.vendor.key_set();
        let delegated = self.delegated.as_ref().unwrap_or(&delegated);
        let set = VendorSet { content, layout, found: &found, floors, delegated: Some(delegated) };
        let planned = plan_vendor(set, &Terms::default(), now);
        let made = assemble_vendor(set, &mut self.keyring, &Terms::default(), now);
        if let Ok(made) = &made {
            assert_eq!(made.changes, planned.unwrap());
        }
        made
    }

    /// Publishes: the hub has it and pins its versions, and it lies here too.
    fn publish(&mut self, content: &Content, now: Timestamp) -> Vec<(String, u64, Why)> {
        let made = self.assemble(content, now).unwrap();
        (self.on_hub, self.here) = (made.repository.clone(), made.repository);
        for change in &made.changes {
            self.floors.insert(change.role.clone(), change.version);
        }
        made.changes.iter().map(|c| (c.role.to_string(), c.version, c.why)).collect()
    }

    fn replace(&mut self, pick: impl FnOnce(&mut VendorKeys) -> &mut RoleKeys, seed: u8) {
        *pick(&mut self.layout.keys) = RoleKeys::single(self.keyring.add(secret(seed)));
    }
}

fn line(role: &str, version: u64, why: Why) -> (String, u64, Why) {
    (role.to_owned(), version, why)
}

#[test]
fn three_roles_and_their_targets_are_sent_and_nothing_of_the_hubs() {
    let made = Vendor::new().assemble(&content(&["1.0.0"]), day(0)).unwrap();
    let publication = made.publication("").unwrap();
    let paths: Vec<&str> = publication.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "metadata/1.acme.json",
            "metadata/1.acme.channels.json",
            "metadata/1.acme.releases.json",
            "targets/acme/app/1.0.0.release.json",
            "targets/acme/app/stable.amd64.graph.json",
        ]
    );
}

#[test]
fn what_is_published_is_signed_no_second_time() {
    let mut vendor = Vendor::new();
    assert_eq!(vendor.publish(&content(&["1.0.0"]), day(0)).len(), 3);
    vendor.keyring = MemoryKeyring::default(); // No key is at hand, and none is needed.
    assert_eq!(vendor.publish(&content(&["1.0.0"]), day(1)), []);
    // On another machine nothing lies here, and what the hub has is enough.
    vendor.here = StagedRepository::new();
    assert_eq!(vendor.publish(&content(&["1.0.0"]), day(1)), []);
}

#[test]
fn what_the_hub_lost_is_sent_again_as_it_was() {
    let mut vendor = Vendor::new();
    vendor.publish(&content(&["1.0.0"]), day(0));
    let (old, floors) = (vendor.on_hub.clone(), vendor.floors.clone());
    vendor.publish(&content(&["1.0.0", "1.1.0"]), day(1));
    let newest = vendor.here.clone();
    (vendor.on_hub, vendor.floors) = (old, floors);
    let made = vendor.assemble(&content(&["1.0.0", "1.1.0"]), day(2)).unwrap();
    assert_eq!(made.changes, []);
    let role = releases_role(&acme()).unwrap();
    assert_eq!(made.repository.newest(&role), newest.newest(&role));
}

#[test]
fn a_new_key_of_the_vendor_signs_its_own_role_anew_and_nothing_else() {
    let mut vendor = Vendor::new();
    vendor.publish(&content(&["1.0.0"]), day(0));
    vendor.replace(|keys| &mut keys.vendor, 30);
    assert_eq!(vendor.publish(&content(&["1.0.0"]), day(1)), [line("acme", 2, Why::Keys)]);
}

#[test]
fn a_new_key_of_the_channels_is_named_and_signs() {
    let mut vendor = Vendor::new();
    vendor.publish(&content(&["1.0.0"]), day(0));
    vendor.replace(|keys| &mut keys.channels, 30);
    let expected = [line("acme.channels", 2, Why::Keys), line("acme", 2, Why::Content)];
    assert_eq!(vendor.publish(&content(&["1.0.0"]), day(1)), expected);
}

#[test]
fn a_vendor_with_all_new_keys_goes_on_above_what_the_hub_has_seen() {
    let mut old = Vendor::new();
    old.publish(&content(&["1.0.0"]), day(0));
    old.publish(&content(&["1.0.0", "1.1.0"]), day(0));
    let mut vendor = Vendor::new();
    vendor.replace(|keys| &mut keys.vendor, 30);
    vendor.replace(|keys| &mut keys.releases, 31);
    vendor.replace(|keys| &mut keys.channels, 32);
    (vendor.on_hub, vendor.floors) = (old.on_hub, old.floors);
    let expected = [
        line("acme.releases", 3, Why::Keys),
        line("acme.channels", 3, Why::Keys),
        line("acme", 2, Why::Keys),
    ];
    assert_eq!(vendor.publish(&content(&["1.0.0"]), day(1)), expected);
}

#[test]
fn metadata_of_strangers_is_neither_kept_nor_counted_on() {
    let mut vendor = Vendor::new();
    vendor.publish(&content(&["1.0.0"]), day(0));
    let role = vendor_role(&acme()).unwrap();
    let stranger = secret(99);
    let high = forged(&role, u64::MAX - 1, &stranger);
    // In the directory, where others may write: the hub has pinned no such version.
    vendor.here.put_metadata(&role, high).unwrap();
    assert_eq!(vendor.publish(&content(&["1.0.0"]), day(1)), []);
}

#[test]
fn keys_that_a_strangers_delegator_names_are_not_believed() {
    let mut vendor = Vendor::new();
    vendor.publish(&content(&["1.0.0", "1.1.0"]), day(0));
    let (own, releases) = (vendor_role(&acme()).unwrap(), releases_role(&acme()).unwrap());
    let stranger = secret(99);
    let mut forged_set = StagedRepository::new();
    for role in [&own, &releases, &channels_role(&acme()).unwrap()] {
        forged_set.put_metadata(role, forged(role, 7, &stranger)).unwrap();
        vendor.floors.insert(role.clone(), 7);
    }
    vendor.on_hub = forged_set;
    let signed = vendor.publish(&content(&["1.0.0", "1.1.0"]), day(1));
    assert_eq!(signed.len(), 3, "everything is signed anew, above the forger: {signed:?}");
    assert!(signed.iter().all(|(_, version, why)| (*version, *why) == (8, Why::Keys)));
}

/// Metadata of a role that says its own signer signs everything below it.
fn forged(role: &signing::RoleName, version: u64, signer: &SecretKey) -> Vec<u8> {
    let below = signing::Delegation {
        role: releases_role(&acme()).unwrap(),
        keys: vec![signer.public().clone()],
        threshold: 1,
        paths: vec!["acme/*/*".to_owned()],
        terminating: true,
    };
    let delegations = if role.as_str() == "acme" { vec![below] } else { Vec::new() };
    let none = std::collections::BTreeMap::new();
    signing::build_targets(version, day(365), &none, &delegations, &[signer]).unwrap()
}

#[test]
fn a_release_that_changed_or_vanished_is_refused_here_already() {
    let mut vendor = Vendor::new();
    vendor.publish(&content(&["1.0.0"]), day(0));
    vendor.here = StagedRepository::new();
    let mut changed = content(&["1.0.0"]);
    changed.add_release(&release("1.0.0", "https://elsewhere.example")).unwrap();
    let error = vendor.assemble(&changed, day(1)).unwrap_err();
    assert!(matches!(error, PublisherError::ReleaseChanged { .. }), "{error}");
    let error = vendor.assemble(&content(&["1.1.0"]), day(1)).unwrap_err();
    assert!(matches!(error, PublisherError::ReleaseRemoved { .. }), "{error}");
}

#[test]
fn another_vendors_product_is_not_published() {
    let mut foreign = release("1.0.0", "https://x.example");
    foreign.vendor = "mallory".parse().unwrap();
    let mut content = content(&["1.0.0"]);
    content.add_release(&foreign).unwrap();
    let error = Vendor::new().assemble(&content, day(0)).unwrap_err();
    assert!(matches!(error, PublisherError::StrangeVendor { .. }), "{error}");
}

#[test]
fn a_version_that_the_hubs_online_keys_made_up_is_not_followed() {
    let mut vendor = Vendor::new();
    vendor.publish(&content(&["1.0.0"]), day(0));
    let role = releases_role(&acme()).unwrap();
    for far in [u64::MAX - 1, 1_000_002] {
        vendor.floors.insert(role.clone(), far);
        let error = vendor.assemble(&content(&["1.0.0", "1.1.0"]), day(1)).unwrap_err();
        let PublisherError::VersionJump { newest: 1, found, .. } = error else { panic!("{error}") };
        assert_eq!(found, far);
    }
    vendor.floors.insert(role, 1_000_001);
    vendor.assemble(&content(&["1.0.0", "1.1.0"]), day(1)).unwrap();
}

#[test]
fn other_keys_below_the_vendor_are_told_against_what_agents_believe() {
    let mut vendor = Vendor::new();
    vendor.publish(&content(&["1.0.0"]), day(0));
    // Both keys count while the hub hears of the new one; the old one signed last.
    let mut both = vendor.layout.keys.vendor.clone();
    vendor.replace(|keys| &mut keys.vendor, 30);
    both.keys.extend(vendor.layout.keys.vendor.keys.clone());
    vendor.delegated = Some(both.key_set());
    let made = vendor.assemble(&content(&["1.0.0"]), day(1)).unwrap();
    assert!(made.changes.iter().all(|change| change.trust.is_empty()), "{:?}", made.changes);
    vendor.replace(|keys| &mut keys.releases, 31);
    let made = vendor.assemble(&content(&["1.0.0"]), day(1)).unwrap();
    let trust: Vec<_> = made.changes.iter().flat_map(|change| &change.trust).collect();
    assert_eq!(trust.len(), 2, "one key comes, one goes: {trust:?}");
    assert!(made.changes.iter().all(|change| !change.is_first));
    // With the old key stolen nothing that agents believe is left: all of it is news.
    vendor.delegated = None;
    let made = vendor.assemble(&content(&["1.0.0"]), day(1)).unwrap();
    let trust: Vec<_> = made.changes.iter().flat_map(|change| &change.trust).collect();
    assert_eq!(trust.len(), 6, "two delegations, their keys and thresholds: {trust:?}");
    assert!(made.changes.iter().all(|change| !change.is_first));
}
