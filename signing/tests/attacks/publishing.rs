//! The writing side: what is staged, in which order it is written, and what is refused.

use crate::kit::{OTHER_RELEASE, RELEASE, Repo, at, key, path, public, role};
use crate::refused;
use signing::repository::{
    SNAPSHOT_LIFETIME, TIMESTAMP_LIFETIME, add_signature, check_root_chain, merge_signatures,
    progress,
};
use signing::{
    BuildError, Delegation, Error, MemStore, RootSpec, StagedRepository, TargetEntry, TopRole,
    Versions, build_root, build_targets, metadata, verify_staged,
};
use std::collections::BTreeMap;

/// The test repository's offline files, staged as a publisher would.
fn staged(repo: &Repo) -> StagedRepository {
    let mut staged = StagedRepository::new();
    for (path, bytes) in repo.files.copy() {
        if !path.contains("snapshot") && !path.contains("timestamp") {
            staged.put_file(&path, bytes).unwrap();
        }
    }
    staged
}

fn online(staged: StagedRepository, hours: i64, previous: Versions) -> StagedRepository {
    staged.with_online_roles(&key(30), &key(40), at(hours), previous).unwrap()
}

#[test]
fn staged_repository_is_accepted_with_everything_it_lists() {
    let repo = Repo::new();
    let staged = online(staged(&repo), 0, Versions::default());
    let mut verified = verify_staged(&repo.pinned(), &staged, MemStore::new(), at(0)).unwrap();
    let unix = u64::try_from(at(0).as_second()).unwrap();
    assert_eq!(
        verified.versions,
        Versions { root: 1, timestamp: unix, snapshot: unix, targets: 1 }
    );
    let listed: Vec<_> =
        verified.targets.iter().map(|t| (t.target.path.as_str(), t.present)).collect();
    assert_eq!(listed, [(RELEASE, true), (OTHER_RELEASE, true)]);
    assert_eq!(verified.require(&role("acme.releases")).unwrap(), 1);
    assert!(verified.broken.is_empty());
}

#[test]
fn repository_goes_on_after_more_roots_than_one_refresh_follows() {
    let mut repo = Repo::new();
    for _ in 0..260 {
        repo.publish_next_root(&[]);
    }
    let staged = online(staged(&repo), 0, Versions::default());
    let verified = verify_staged(&repo.pinned(), &staged, MemStore::new(), at(0)).unwrap();
    assert_eq!(verified.versions.root, 261);
}

#[test]
fn versions_never_go_back_and_lifetimes_are_the_documented_ones() {
    let repo = Repo::new();
    let ahead = Versions { snapshot: u64::MAX / 2, timestamp: 7, ..Versions::default() };
    let staged = online(staged(&repo), 0, ahead);
    assert_eq!(staged.newest(&role("snapshot")).unwrap().0, u64::MAX / 2 + 1);
    let verified = verify_staged(&repo.pinned(), &staged, MemStore::new(), at(0)).unwrap();
    assert_eq!(verified.versions.timestamp, u64::try_from(at(0).as_second()).unwrap());
    assert_eq!(verified.expires, at(0) + TIMESTAMP_LIFETIME);
    assert!(SNAPSHOT_LIFETIME > TIMESTAMP_LIFETIME);
    let end = Versions { snapshot: u64::MAX, ..Versions::default() };
    let result = staged.with_online_roles(&key(30), &key(40), at(0), end);
    assert!(matches!(result, Err(BuildError::Range { .. })));
}

#[test]
fn renewed_timestamp_keeps_the_snapshot() {
    let repo = Repo::new();
    let first = online(staged(&repo), 0, Versions::default());
    let snapshot = first.newest(&role("snapshot")).unwrap().0;
    let renewed = first.with_timestamp(&key(40), at(20), Versions::default()).unwrap();
    let verified = verify_staged(&repo.pinned(), &renewed, MemStore::new(), at(30)).unwrap();
    assert_eq!(verified.versions.snapshot, snapshot);
    assert_eq!(verified.expires, at(20) + TIMESTAMP_LIFETIME);
}

#[test]
fn publication_below_the_floors_of_the_store_is_refused() {
    let repo = Repo::new();
    let store = MemStore::new();
    let later = online(staged(&repo), 5, Versions::default());
    verify_staged(&repo.pinned(), &later, store.clone(), at(5)).unwrap();
    let earlier = online(staged(&repo), 0, Versions::default());
    let result = verify_staged(&repo.pinned(), &earlier, store, at(5));
    refused!(result, Rollback, Error::Rollback { .. });
}

#[test]
fn top_level_faults_refuse_the_publication_and_vendor_faults_only_the_vendor() {
    let mut repo = Repo::new();
    repo.targets.signers = vec![99];
    repo.publish();
    let staged_bad = online(staged(&repo), 0, Versions::default());
    let result = verify_staged(&repo.pinned(), &staged_bad, MemStore::new(), at(0));
    refused!(result, ArbitrarySoftware, Error::Signatures { .. });

    let mut repo = Repo::new();
    repo.delegate("acme.releases").role.signers = vec![99];
    repo.publish();
    let staged_bad = online(staged(&repo), 0, Versions::default());
    let mut verified = verify_staged(&repo.pinned(), &staged_bad, MemStore::new(), at(0)).unwrap();
    refused!(verified.require(&role("acme.releases")), ArbitrarySoftware, Error::Signatures { .. });
    assert_eq!(verified.targets.len(), 1);
}

#[test]
fn vendor_that_lists_foreign_or_shadowed_paths_is_told_at_publication() {
    for (lister, listed) in [("acme.releases", OTHER_RELEASE), ("acme", RELEASE)] {
        let mut repo = Repo::new();
        repo.delegate(lister).targets.insert(listed.to_owned(), b"new".to_vec());
        repo.publish();
        let staged = online(staged(&repo), 0, Versions::default());
        let mut verified = verify_staged(&repo.pinned(), &staged, MemStore::new(), at(0)).unwrap();
        let result = verified.require(&role("acme.releases"));
        refused!(result, ArbitrarySoftware, Error::ForeignTarget { .. });
    }
}

#[test]
fn listed_target_without_bytes_is_reported_as_absent() {
    let repo = Repo::new();
    let mut files = repo.files.copy();
    files.retain(|path, _| !path.ends_with("release.json") || path.starts_with("metadata"));
    repo.files.serve(files);
    let staged = online(staged(&repo), 0, Versions::default());
    let verified = verify_staged(&repo.pinned(), &staged, MemStore::new(), at(0)).unwrap();
    assert!(verified.targets.iter().all(|target| !target.present));
}

#[test]
fn write_order_never_promises_a_file_that_is_not_there_yet() {
    let repo = Repo::new();
    let order = online(staged(&repo), 0, Versions::default()).write_order();
    let rank = |path: &str| {
        if path.starts_with("targets/") {
            0
        } else if path == "metadata/timestamp.json" {
            3
        } else if path.ends_with(".snapshot.json") {
            2
        } else {
            1
        }
    };
    let ranks: Vec<_> = order.iter().map(|(path, _)| rank(path)).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
    assert_eq!((ranks.first(), ranks.last()), (Some(&0), Some(&3)));
}

#[test]
fn published_versions_are_immutable_while_staged() {
    let repo = Repo::new();
    let mut staged = staged(&repo);
    let again = build_targets(1, at(9), &BTreeMap::new(), &[], &[&key(50)]).unwrap();
    let result = staged.put_metadata(&role("acme"), again.clone());
    assert!(matches!(result, Err(BuildError::Conflict { .. })));
    let result = staged.put_file("metadata/2.acme.json", again);
    assert!(matches!(result, Err(BuildError::Conflict { .. })));
    let hash = "0".repeat(64);
    let result = staged.put_file(&format!("targets/acme/app/{hash}.x"), b"x".to_vec());
    assert!(matches!(result, Err(BuildError::Conflict { .. })));
}

#[test]
fn repository_directory_written_in_order_is_readable_as_a_source() {
    let repo = Repo::new();
    let staged = online(staged(&repo), 0, Versions::default());
    let directory = tempfile::tempdir().unwrap();
    for (relative, bytes) in staged.write_order() {
        let file = directory.path().join(relative);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &*bytes).unwrap();
    }
    let source = signing::DirSource::new(directory.path());
    let store = signing::DirStore::open(directory.path().join("state")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut client = signing::Client::open(&repo.pinned(), source, store).unwrap();
        client.refresh(at(0)).await.unwrap();
        let target = client.target(&path(RELEASE), at(0)).await.unwrap().unwrap();
        assert_eq!(client.fetch_target(&target).await.unwrap().as_slice(), b"one");
    });
}

fn spec(version: u64) -> RootSpec {
    let one = |seed| (public(&[seed]), 1);
    RootSpec {
        version,
        expires: at(1000),
        roles: BTreeMap::from([
            (TopRole::Root, (public(&[10, 11, 12]), 2)),
            (TopRole::Targets, one(20)),
            (TopRole::Snapshot, one(30)),
            (TopRole::Timestamp, one(40)),
        ]),
    }
}

#[test]
fn root_is_signed_in_turns_and_complete_at_its_threshold() {
    type Root = metadata::Root;
    let name = role("root");
    let draft = build_root(&spec(1), &[], None).unwrap();
    let a = add_signature::<Root>(&name, &draft, &key(10)).unwrap();
    let b = add_signature::<Root>(&name, &draft, &key(12)).unwrap();
    let parse = |bytes: &[u8]| metadata::Document::<Root>::parse(&name, bytes).unwrap();
    let root = parse(&a);
    let shown = progress(&root, root.body.keys(TopRole::Root));
    assert_eq!((shown.signed.len(), shown.open.len(), shown.is_complete()), (1, 2, false));
    refused!(check_root_chain(&a, []), ArbitrarySoftware, Error::Signatures { valid: 1, .. });

    let whole = merge_signatures::<Root>(&name, &a, &b).unwrap();
    let root = parse(&whole);
    assert!(progress(&root, root.body.keys(TopRole::Root)).is_complete());
    let two = build_root(&spec(2), &[&key(10), &key(11)], Some(&whole)).unwrap();
    assert_eq!(check_root_chain(&whole, [two.as_slice()]).unwrap(), 2);
    let other = build_root(&spec(3), &[], Some(&two)).unwrap();
    assert!(matches!(
        merge_signatures::<Root>(&name, &whole, &other),
        Err(BuildError::Different { .. })
    ));
}

#[test]
fn roots_that_nobody_could_follow_are_not_built() {
    let one = build_root(&spec(1), &[&key(10), &key(11)], None).unwrap();
    let result = build_root(&spec(3), &[&key(10)], Some(&one));
    assert!(matches!(result, Err(BuildError::Version { found: 3, expected: 2, .. })));
    let result = build_root(&spec(1), &[&key(99)], None);
    assert!(matches!(result, Err(BuildError::StrangeSigner { .. })));
    assert!(matches!(build_root(&spec(0), &[], None), Err(BuildError::VersionZero { .. })));
    for (keys, threshold) in [(vec![10], 2), (vec![10, 10], 2), (vec![10], 0), (vec![], 1)] {
        let mut spec = spec(1);
        spec.roles.insert(TopRole::Snapshot, (public(&keys), threshold));
        let result = build_root(&spec, &[], None);
        assert!(matches!(result, Err(BuildError::Threshold { .. })), "{keys:?} {threshold}");
    }
    let mut incomplete = spec(1);
    incomplete.roles.remove(&TopRole::Timestamp);
    assert!(matches!(build_root(&incomplete, &[], None), Err(BuildError::MissingRole { .. })));
}

#[test]
fn delegations_that_a_client_refuses_are_not_built() {
    let build = |delegations: &[Delegation]| {
        build_targets(1, at(9), &BTreeMap::new(), delegations, &[&key(20)])
    };
    let good = Delegation {
        role: role("acme"),
        keys: public(&[50]),
        threshold: 1,
        paths: vec!["acme/*/*".to_owned()],
        terminating: true,
    };
    assert!(build(std::slice::from_ref(&good)).is_ok());
    let reserved = Delegation { role: role("snapshot"), ..good.clone() };
    assert!(matches!(build(&[reserved]), Err(BuildError::DelegateName { .. })));
    let twice = [good.clone(), good.clone()];
    assert!(matches!(build(&twice), Err(BuildError::DelegateName { .. })));
    let nothing = Delegation { paths: vec![], ..good.clone() };
    assert!(matches!(build(&[nothing]), Err(BuildError::NoPaths { .. })));
    let free = Delegation { threshold: 0, ..good };
    assert!(matches!(build(&[free]), Err(BuildError::Threshold { .. })));
}

#[test]
fn fractions_in_custom_are_refused_because_they_have_no_canonical_form() {
    let mut entry = TargetEntry::of(b"x");
    entry.custom = Some(serde_json::json!({"share": 0.5}));
    let targets = BTreeMap::from([(path("a"), entry)]);
    let result = build_targets(1, at(9), &targets, &[], &[&key(20)]);
    assert!(matches!(result, Err(BuildError::Canonical(_))));
}

#[test]
fn staged_bytes_that_differ_from_their_listing_are_told_at_publication() {
    let mut repo = Repo::new();
    repo.edit("acme.releases", |signed| {
        signed["targets"][RELEASE]["length"] = serde_json::json!(4);
    });
    repo.publish();
    let staged = online(staged(&repo), 0, Versions::default());
    let mut verified = verify_staged(&repo.pinned(), &staged, MemStore::new(), at(0)).unwrap();
    refused!(
        verified.require(&role("acme.releases")),
        ArbitrarySoftware,
        Error::Length { found: 3, expected: 4, .. }
    );
}

#[test]
fn snapshot_pins_the_newest_staged_version_of_every_role() {
    let mut repo = Repo::new();
    for _ in 0..10 {
        repo.publish_next();
    }
    let staged = online(staged(&repo), 0, Versions::default());
    let verified = verify_staged(&repo.pinned(), &staged, MemStore::new(), at(0)).unwrap();
    assert!(verified.roles.values().all(|version| *version == 11), "{:?}", verified.roles);
}

#[test]
fn bytes_that_differ_from_the_listing_of_the_top_role_refuse_the_publication() {
    let mut repo = Repo::new();
    repo.top.insert("hub/about.json".to_owned(), b"one".to_vec());
    repo.edit("targets", |signed| {
        signed["targets"]["hub/about.json"]["length"] = serde_json::json!(4);
    });
    repo.publish();
    let staged = online(staged(&repo), 0, Versions::default());
    let result = verify_staged(&repo.pinned(), &staged, MemStore::new(), at(0));
    refused!(result, ArbitrarySoftware, Error::Length { found: 3, expected: 4, .. });
}
