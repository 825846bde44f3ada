//! Older metadata offered as current; and the way back when versions were run up.

use crate::kit::{RELEASE, Repo, at, download, first_use};
use crate::refused;
use signing::{Error, Store};

/// A repository at version 2 that a client trusts, and the files of version 1 with it.
async fn upgraded() -> (Repo, std::collections::BTreeMap<String, Vec<u8>>) {
    let mut repo = Repo::new();
    let old = repo.files.copy();
    repo.publish_next();
    let mut client = repo.trusting().await;
    download(&mut client, RELEASE).await.unwrap();
    (repo, old)
}

#[tokio::test]
async fn older_timestamp_is_refused_also_after_a_restart() {
    let (repo, old) = upgraded().await;
    let mut running = repo.trusting().await;
    repo.files.put("metadata/timestamp.json", old["metadata/timestamp.json"].clone());
    refused!(running.refresh(at(0)).await, Rollback, Error::Rollback { found: 1, floor: 2, .. });
    refused!(first_use(&repo).await, Rollback, Error::Rollback { found: 1, floor: 2, .. });
}

#[tokio::test]
async fn whole_older_repository_is_refused() {
    let (repo, old) = upgraded().await;
    repo.files.serve(old);
    refused!(first_use(&repo).await, Rollback, Error::Rollback { found: 1, floor: 2, .. });
}

#[tokio::test]
async fn floor_survives_the_expiry_of_the_local_copy() {
    let (mut repo, _) = upgraded().await;
    repo.timestamp.version = 1;
    repo.timestamp.expires = at(24 * 20);
    repo.snapshot.expires = at(24 * 20);
    repo.publish();
    let mut late = repo.client();
    let result = late.refresh(at(24 * 10)).await;
    refused!(result, Rollback, Error::Rollback { found: 1, floor: 2, .. });
}

#[tokio::test]
async fn newer_timestamp_that_names_an_older_snapshot_is_refused() {
    let (mut repo, _) = upgraded().await;
    repo.timestamp.version = 3;
    repo.snapshot.version = 1;
    repo.publish();
    refused!(first_use(&repo).await, Rollback, Error::Rollback { found: 1, floor: 2, .. });
}

#[tokio::test]
async fn snapshot_floor_holds_even_if_the_stored_timestamp_is_lost() {
    let (mut repo, old) = upgraded().await;
    repo.store.remove("timestamp.json").unwrap();
    repo.files.serve(old);
    refused!(first_use(&repo).await, Rollback, Error::Rollback { found: 1, floor: 2, .. });
}

#[tokio::test]
async fn newer_snapshot_with_an_older_role_is_refused_for_every_role() {
    for name in ["targets", "acme", "acme.releases", "other"] {
        let (mut repo, _) = upgraded().await;
        let role =
            if name == "targets" { &mut repo.targets } else { &mut repo.delegate(name).role };
        role.version = 1;
        repo.snapshot.version = 3;
        repo.timestamp.version = 3;
        repo.publish();
        let result = first_use(&repo).await;
        refused!(
            result,
            Rollback,
            Error::Rollback { role, found: 1, floor: 2 } if role.as_str() == name
        );
    }
}

#[tokio::test]
async fn role_that_vanishes_from_the_snapshot_is_refused() {
    let (mut repo, _) = upgraded().await;
    repo.edit("snapshot", |signed| {
        signed["meta"].as_object_mut().unwrap().remove("acme.releases.json").unwrap();
    });
    repo.snapshot.version = 3;
    repo.timestamp.version = 3;
    repo.publish();
    refused!(
        first_use(&repo).await,
        Rollback,
        Error::RoleRemoved { role } if role.as_str() == "acme.releases"
    );
}

#[tokio::test]
async fn equal_timestamp_version_with_other_content_changes_nothing() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    let before = client.trusted_versions();
    repo.snapshot.version = 5;
    repo.publish();
    assert!(!client.refresh(at(0)).await.unwrap().changed);
    assert_eq!(client.trusted_versions(), before);
}

/// Runs one version up to the limit, then rotates `keys` away and publishes sane versions.
async fn recovered(run_up: impl Fn(&mut Repo), rotate: impl Fn(&mut Repo)) -> Repo {
    let mut repo = Repo::new();
    repo.trusting().await;
    run_up(&mut repo);
    repo.publish();
    repo.trusting().await;
    for role in [&mut repo.targets, &mut repo.snapshot, &mut repo.timestamp] {
        role.version = 3;
    }
    repo.publish();
    refused!(first_use(&repo).await, Rollback, Error::Rollback { floor: u64::MAX, .. });
    rotate(&mut repo);
    repo.publish_next_root(&[]);
    repo.publish();
    repo
}

#[tokio::test]
async fn rotating_the_timestamp_key_recovers_from_a_fast_forward_of_the_timestamp() {
    let run_up = |repo: &mut Repo| repo.timestamp.version = u64::MAX;
    let repo = recovered(run_up, |repo| repo.timestamp.rotate(&[41])).await;
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn rotating_the_snapshot_key_alone_recovers_from_a_fast_forward_of_the_snapshot() {
    let run_up = |repo: &mut Repo| {
        repo.snapshot.version = u64::MAX;
        repo.timestamp.version = 2;
    };
    let repo = recovered(run_up, |repo| repo.snapshot.rotate(&[31])).await;
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn rotating_the_snapshot_key_recovers_from_a_fast_forward_of_targets() {
    let run_up = |repo: &mut Repo| {
        repo.targets.version = u64::MAX;
        repo.snapshot.version = 2;
        repo.timestamp.version = 2;
    };
    let rotate = |repo: &mut Repo| {
        repo.snapshot.rotate(&[31]);
        repo.snapshot.version = 3;
        repo.timestamp.version = 3;
    };
    let mut repo = Repo::new();
    repo.trusting().await;
    run_up(&mut repo);
    repo.publish();
    repo.trusting().await;
    repo.targets.version = 2;
    repo.snapshot.version = 3;
    repo.timestamp.version = 3;
    repo.publish();
    refused!(first_use(&repo).await, Rollback, Error::Rollback { floor: u64::MAX, .. });
    rotate(&mut repo);
    repo.publish_next_root(&[]);
    repo.publish();
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn floors_stay_when_a_root_changes_nothing_about_the_online_keys() {
    let (mut repo, old) = upgraded().await;
    repo.publish_next_root(&[]);
    repo.files.put("metadata/timestamp.json", old["metadata/timestamp.json"].clone());
    refused!(first_use(&repo).await, Rollback, Error::Rollback { found: 1, floor: 2, .. });
}

#[tokio::test]
async fn an_additional_key_is_not_a_rotation() {
    let (mut repo, old) = upgraded().await;
    repo.timestamp.keys = vec![40, 41];
    repo.publish_next_root(&[]);
    repo.files.put("metadata/timestamp.json", old["metadata/timestamp.json"].clone());
    refused!(first_use(&repo).await, Rollback, Error::Rollback { found: 1, floor: 2, .. });
}

#[tokio::test]
async fn damaged_store_is_dropped_not_fatal() {
    let (mut repo, _) = upgraded().await;
    for name in repo.store.names() {
        repo.store.save(&name, b"{\"garbage\":").unwrap();
    }
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn store_written_by_an_attacker_is_no_trust_anchor() {
    let evil = Repo::new();
    let mut repo = Repo::new();
    repo.timestamp.rotate(&[41]);
    repo.root.rotate(&[13, 14, 15]);
    repo.publish_root(&[]);
    repo.publish();
    // The store holds another repository's files; only the pinned root decides.
    evil.trusting().await;
    for name in evil.store.names() {
        let bytes = evil.store.load(&name).unwrap().unwrap();
        repo.store.save(&name, &bytes).unwrap();
    }
    let mut client = repo.client();
    assert_eq!(client.trusted_versions().timestamp, 0);
    assert!(client.refresh(at(0)).await.unwrap().changed);
}

#[tokio::test]
async fn rotating_the_timestamp_key_alone_lifts_the_floor_of_the_snapshot_as_well() {
    let run_up = |repo: &mut Repo| {
        repo.snapshot.version = u64::MAX;
        repo.timestamp.version = 2;
    };
    let repo = recovered(run_up, |repo| repo.timestamp.rotate(&[41])).await;
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn recovery_survives_a_crash_right_after_the_rotation() {
    let run_up = |repo: &mut Repo| {
        repo.snapshot.version = u64::MAX;
        repo.timestamp.version = 2;
    };
    let mut repo = recovered(run_up, |repo| repo.snapshot.rotate(&[31])).await;
    let timestamp = repo.files.get("metadata/timestamp.json");
    repo.files.remove("metadata/timestamp.json");
    // Without a validator the root step comes first, and the new root is stored.
    repo.store.remove("timestamp.etag").unwrap();
    refused!(first_use(&repo).await, None, Error::Missing { .. });
    assert_eq!(repo.client().trusted_versions().root, 2);
    repo.files.put("metadata/timestamp.json", timestamp);
    assert!(first_use(&repo).await.unwrap().is_some());
}
