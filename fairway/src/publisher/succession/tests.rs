//! A new root, and the targets that go out with it.

use signing::SecretKey;
use signing::repository::request::{Signing, SigningRequest};

use super::*;
use crate::publisher::testing::{World, content, day, secret};
use crate::publisher::{Drafting, MemoryKeyring, NextRoot, Returned, RoleKeys, draft_next_root};

fn draft(world: &World, root: RoleKeys, targets: RoleKeys) -> SigningRequest {
    let trusted = TrustedRoots::verify(&world.published, &world.root).unwrap();
    let next = NextRoot { root, targets, replace_online: BTreeMap::new(), days: 365, renew: true };
    draft_next_root(trusted.newest(), &next, day(1)).unwrap()
}

fn signed(request: &SigningRequest, keys: &[SecretKey]) -> Vec<u8> {
    let mut request = request.clone();
    for key in keys {
        if let Signing::Added(more) = request.add_signature(key, day(1)).unwrap() {
            request = *more;
        }
    }
    request.completed().unwrap()
}

fn try_succeed(world: &mut World, root: &[u8]) -> Result<Succession, PublisherError> {
    let terms = Terms::default();
    succeed(&world.published, &world.layout, root, false, &mut world.keyring, &terms, day(1))
}

#[test]
fn a_rotated_root_key_goes_out_alone_and_clients_follow() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let keys = RoleKeys::single(secret(50).public().clone());
    let request = draft(&world, keys.clone(), world.layout.targets.clone());
    let root = signed(&request, &[secret(1), secret(50)]);
    world.layout.root.keys = keys;
    let succession = try_succeed(&mut world, &root).unwrap();
    assert_eq!((succession.root_version, succession.targets_version), (2, None));
    assert_eq!(succession.repository.files().count(), 2);
    world.published.put_metadata(&TopRole::Root.into(), root).unwrap();
    let (_, verified) = world.publish(&content(&["1.0.0"]), day(2));
    assert_eq!(verified.versions.root, 2);
}

#[test]
fn new_targets_keys_sign_the_same_targets_again() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let targets = RoleKeys::single(world.keyring.add(secret(51)));
    let root =
        signed(&draft(&world, world.layout.root.keys.clone(), targets.clone()), &[secret(1)]);
    world.layout.targets = targets;
    let succession = try_succeed(&mut world, &root).unwrap();
    assert_eq!(succession.targets_version, Some(2));
    for (name, bytes) in succession.repository.files() {
        world.published.put_file(&name.relative_path(), bytes.to_vec()).unwrap();
    }
    let (assembly, verified) = world.publish(&content(&["1.0.0"]), day(2));
    assert_eq!((assembly.changes.len(), verified.versions.root), (0, 2));
}

#[test]
fn new_targets_keys_that_are_not_at_hand_are_asked_for() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let targets = RoleKeys::single(secret(51).public().clone());
    let request = draft(&world, world.layout.root.keys.clone(), targets.clone());
    let root = signed(&request, &[secret(1)]);
    world.layout.targets = targets;
    let error = try_succeed(&mut world, &root).unwrap_err();
    assert!(
        matches!(&error, PublisherError::Keys { role, .. } if *role == targets_role()),
        "{error}"
    );
}

#[test]
fn new_targets_keys_that_are_elsewhere_sign_by_request() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let targets = RoleKeys::single(secret(51).public().clone());
    let request = draft(&world, world.layout.root.keys.clone(), targets.clone());
    let root = signed(&request, &[secret(1)]);
    world.layout.targets = targets;
    let (terms, none) = (Terms::default(), BTreeMap::new());
    let mut drafting = Drafting::new(&world.keyring, &none);
    succeed(&world.published, &world.layout, &root, false, &mut drafting, &terms, day(1)).unwrap();
    let [draft] = &drafting.into_drafts()[..] else { panic!() };
    let Signing::Added(done) = draft.add_signature(&secret(51), day(1)).unwrap() else { panic!() };
    let done = BTreeMap::from([(targets_role(), *done)]);
    let mut keyring = Returned::new(&mut world.keyring, &done);
    let succession =
        succeed(&world.published, &world.layout, &root, false, &mut keyring, &terms, day(5));
    assert_eq!(succession.unwrap().targets_version, Some(2));
}

#[test]
fn a_root_that_says_otherwise_than_the_configuration_is_not_published() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let keys = RoleKeys::single(secret(50).public().clone());
    let request = draft(&world, keys, world.layout.targets.clone());
    let root = signed(&request, &[secret(1), secret(50)]);
    let error = try_succeed(&mut world, &root).unwrap_err();
    assert!(matches!(error, PublisherError::RootKeys { version: 2, .. }), "{error}");
}

#[test]
fn a_root_that_the_old_keys_did_not_sign_is_not_published() {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    let keys = RoleKeys::single(secret(50).public().clone());
    let request = draft(&world, keys.clone(), world.layout.targets.clone());
    world.layout.root.keys = keys;
    let Signing::Added(half) = request.add_signature(&secret(50), day(1)).unwrap() else {
        panic!()
    };
    let error = try_succeed(&mut world, half.draft()).unwrap_err();
    assert!(matches!(error, PublisherError::RootChain { .. }), "{error}");
}

#[test]
fn a_first_root_is_held_against_the_configuration() {
    let mut world = World::new();
    let root = world.root.clone();
    check_first_root(&root, &world.layout).unwrap();
    world.layout.targets = RoleKeys::single(secret(60).public().clone());
    let error = check_first_root(&root, &world.layout).unwrap_err();
    assert!(matches!(error, PublisherError::TargetsKeys { .. }), "{error}");
    world.layout.root.keys = RoleKeys::single(secret(60).public().clone());
    let error = check_first_root(&root, &world.layout).unwrap_err();
    assert!(matches!(error, PublisherError::RootKeys { .. }), "{error}");
    world.keyring = MemoryKeyring::default();
}

/// Targets that hand everything of acme to a thief.
fn stolen(version: u64, signer: &SecretKey) -> Vec<u8> {
    let evil = Delegation {
        role: RoleName::new("evil").unwrap(),
        keys: vec![secret(200).public().clone()],
        threshold: 1,
        paths: vec!["acme/*/*".to_owned()],
        terminating: true,
    };
    let none = BTreeMap::new();
    repository::build_targets(version, day(365), &none, &[evil], &[signer]).unwrap()
}

/// Root 2 with other targets keys, not published yet.
fn replaced_targets_key(world: &mut World) -> Vec<u8> {
    world.publish(&content(&["1.0.0"]), day(0));
    let targets = RoleKeys::single(world.keyring.add(secret(51)));
    let request = draft(world, world.layout.root.keys.clone(), targets.clone());
    world.layout.targets = targets;
    signed(&request, &[secret(1)])
}

fn keep(world: &mut World, succession: &Succession) {
    for (name, bytes) in succession.repository.files() {
        world.published.put_file(&name.relative_path(), bytes.to_vec()).unwrap();
    }
}

#[test]
fn a_thief_s_delegations_are_never_signed_by_the_new_targets_keys() {
    let mut world = World::new();
    let root = replaced_targets_key(&mut world);
    world.published.put_metadata(&targets_role(), stolen(2, &secret(2))).unwrap();
    let error = try_succeed(&mut world, &root).unwrap_err();
    let PublisherError::Delegations { version: 2, changes } = error else { panic!("{error}") };
    let gone = TrustChange::DelegationRemoved { role: RoleName::new("evil").unwrap() };
    assert!(changes.contains(&gone), "{changes:?}");
    let terms = Terms::default();
    let succession =
        succeed(&world.published, &world.layout, &root, true, &mut world.keyring, &terms, day(1))
            .unwrap();
    assert_eq!(succession.targets_version, Some(3));
    keep(&mut world, &succession);
    // What was signed is what is configured: nothing is left to sign.
    let (assembly, _) = world.publish(&content(&["1.0.0"]), day(2));
    assert_eq!(assembly.changes, []);
}

#[test]
fn other_delegations_are_not_sent_again_after_a_lost_answer_either() {
    let mut world = World::new();
    let root = replaced_targets_key(&mut world);
    world.published.put_metadata(&targets_role(), stolen(2, &secret(51))).unwrap();
    let error = try_succeed(&mut world, &root).unwrap_err();
    assert!(matches!(error, PublisherError::Delegations { version: 2, .. }), "{error}");
}

#[test]
fn revoked_targets_keys_are_worth_nothing_once_others_have_signed() {
    let mut world = World::new();
    let root = replaced_targets_key(&mut world);
    let succession = try_succeed(&mut world, &root).unwrap();
    keep(&mut world, &succession);
    world.published.put_metadata(&targets_role(), stolen(3, &secret(2))).unwrap();
    let error = world.assemble(&content(&["1.0.0"]), day(2)).unwrap_err();
    assert!(
        matches!(&error, PublisherError::Unverified { role, .. } if *role == targets_role()),
        "{error}"
    );
}

#[test]
fn targets_keys_of_a_root_before_the_last_are_not_followed() {
    let mut world = World::new();
    let root = replaced_targets_key(&mut world);
    let succession = try_succeed(&mut world, &root).unwrap();
    keep(&mut world, &succession);
    let third = RoleKeys::single(world.keyring.add(secret(52)));
    let request = draft(&world, world.layout.root.keys.clone(), third.clone());
    world.layout.targets = third;
    let root = signed(&request, &[secret(1)]);
    world.published.put_metadata(&targets_role(), stolen(3, &secret(2))).unwrap();
    let error = try_succeed(&mut world, &root).unwrap_err();
    assert!(
        matches!(&error, PublisherError::Unverified { role, .. } if *role == targets_role()),
        "{error}"
    );
}

#[test]
fn a_thief_cannot_make_the_new_keys_sign_the_last_version_there_is() {
    let mut world = World::new();
    let root = replaced_targets_key(&mut world);
    world.published.put_metadata(&targets_role(), stolen(u64::MAX - 1, &secret(2))).unwrap();
    let terms = Terms::default();
    let error =
        succeed(&world.published, &world.layout, &root, true, &mut world.keyring, &terms, day(1))
            .unwrap_err();
    assert!(matches!(error, PublisherError::VersionLimit { .. }), "{error}");
}
