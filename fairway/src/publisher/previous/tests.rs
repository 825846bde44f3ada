//! Metadata that somebody edited in the repository: nothing of it may be signed on.

use std::collections::BTreeMap;

use serde_json::Value;
use signing::repository::build_targets;
use signing::{FileName, RoleName, StagedRepository, TopRole};

use crate::publisher::testing::{World, acme, content, day, secret};
use crate::publisher::{RoleKeys, releases_role, targets_role, vendor_role};

/// What was published, with one file replaced by others.
fn replaced(world: &mut World, role: &RoleName, files: &[Vec<u8>]) {
    let mut edited = StagedRepository::new();
    for (name, bytes) in world.published.files() {
        if !matches!(name, FileName::Metadata { role: found, .. } if found == role) {
            edited.put_file(&name.relative_path(), bytes.to_vec()).unwrap();
        }
    }
    for bytes in files {
        edited.put_metadata(role, bytes.clone()).unwrap();
    }
    world.published = edited;
}

fn root() -> RoleName {
    TopRole::Root.into()
}

/// Root 1 with the timestamp key of somebody else.
fn with_other_timestamp_key(bytes: &[u8]) -> Vec<u8> {
    let mut other: Value = serde_json::from_slice(&World::with_seed(100).root).unwrap();
    let mut root: Value = serde_json::from_slice(bytes).unwrap();
    let id = other["signed"]["roles"]["timestamp"]["keyids"][0].as_str().unwrap().to_owned();
    root["signed"]["keys"][&id] = other["signed"]["keys"][&id].take();
    root["signed"]["roles"]["timestamp"]["keyids"][0] = id.into();
    serde_json::to_vec(&root).unwrap()
}

fn published() -> World {
    let mut world = World::new();
    world.publish(&content(&["1.0.0"]), day(0));
    world
}

#[test]
fn an_edited_root_is_not_renewed() {
    let mut world = published();
    let edited = with_other_timestamp_key(&world.root);
    replaced(&mut world, &root(), &[edited]);
    let error = world.assemble(&content(&["1.0.0"]), day(250)).unwrap_err();
    assert_eq!(error.to_string(), "the published roots are not signed from the first to the last");
}

#[test]
fn a_root_that_is_not_the_pinned_one_is_not_renewed() {
    let mut world = published();
    let other = World::with_seed(100);
    replaced(&mut world, &root(), &[other.root]);
    world.layout.targets = other.layout.targets;
    let error = world.assemble(&content(&["1.0.0"]), day(250)).unwrap_err();
    assert_eq!(error.to_string(), "root 1 as published is not the root that agents pin");
}

#[test]
fn a_missing_root_breaks_the_chain() {
    let mut world = published();
    world.publish(&content(&["1.0.0"]), day(250));
    let two = world.published.newest(&root()).unwrap().1.to_vec();
    replaced(&mut world, &root(), &[two]);
    let error = world.assemble(&content(&["1.0.0"]), day(251)).unwrap_err();
    assert_eq!(error.to_string(), "root 1 as published is not the root that agents pin");
}

#[test]
fn a_version_that_its_keys_did_not_sign_is_not_counted_on() {
    let mut world = published();
    let role = releases_role(&acme()).unwrap();
    let mallory = secret(200);
    let high = build_targets(u64::MAX - 1, day(365), &BTreeMap::new(), &[], &[&mallory]).unwrap();
    replaced(&mut world, &role, &[high]);
    let error = world.assemble(&content(&["1.0.0", "1.1.0"]), day(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the published metadata of role acme.releases is not signed by the keys that acme lists"
    );
}

#[test]
fn targets_that_no_published_root_accepts_are_not_counted_on() {
    let mut world = published();
    let high = build_targets(7, day(365), &BTreeMap::new(), &[], &[&secret(200)]).unwrap();
    replaced(&mut world, &targets_role(), &[high]);
    let error = world.assemble(&content(&["1.0.0"]), day(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the published metadata of role targets is not signed by the keys that root lists"
    );
}

#[test]
fn metadata_without_its_delegator_is_not_counted_on() {
    let mut world = published();
    replaced(&mut world, &vendor_role(&acme()).unwrap(), &[]);
    let error = world.assemble(&content(&["1.0.0"]), day(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is published metadata of role acme.releases, which acme does not list"
    );
}

#[test]
fn a_root_of_other_keys_than_the_configured_ones_is_not_renewed() {
    let mut world = published();
    let (own, other) = (secret(1).public().key_id(), secret(60).public().clone());
    world.layout.root.keys = RoleKeys { threshold: 2, ..RoleKeys::single(other.clone()) };
    let error = world.assemble(&content(&["1.0.0"]), day(250)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "root 1 and the root keys that are configured differ: it lists the strange key {own}, \
             it does not list the key {}, it asks for 1 signatures instead of 2",
            other.key_id()
        )
    );
}
