//! The root chain: one step at a time, signed by the old and the new thresholds.

use crate::kit::{Fault, Repo, add_root_signature, at, first_use, sealed};
use crate::refused;
use serde_json::Value;
use signing::{Error, Source};

#[tokio::test]
async fn chain_of_rotations_is_followed_and_kept() {
    let mut repo = Repo::new();
    for seed in 13..18 {
        let before = repo.root.keys.clone();
        repo.root.rotate(&[seed, seed + 1, seed + 2]);
        repo.publish_next_root(&before.iter().copied().filter(|k| *k < seed).collect::<Vec<_>>());
    }
    let mut client = repo.trusting().await;
    assert_eq!(client.trusted_versions().root, 6);
    assert_eq!(repo.client().trusted_versions().root, 6);
    assert!(!client.refresh(at(0)).await.unwrap().changed);
}

#[tokio::test]
async fn root_without_the_threshold_of_its_predecessor_is_refused() {
    let mut repo = Repo::new();
    repo.root.rotate(&[13, 14, 15]);
    repo.publish_next_root(&[10]);
    refused!(
        first_use(&repo).await,
        ArbitrarySoftware,
        Error::Signatures { valid: 1, threshold: 2, .. }
    );
    add_root_signature(&repo.files, "metadata/2.root.json", 12);
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn root_without_its_own_threshold_is_refused() {
    let mut repo = Repo::new();
    repo.root.rotate(&[13, 14, 15]);
    repo.root.signers = vec![13];
    repo.publish_next_root(&[10, 11]);
    refused!(
        first_use(&repo).await,
        ArbitrarySoftware,
        Error::Signatures { valid: 1, threshold: 2, .. }
    );
}

#[tokio::test]
async fn old_root_in_place_of_the_next_is_refused() {
    let repo = Repo::new();
    repo.files.put("metadata/2.root.json", repo.pinned());
    refused!(first_use(&repo).await, Rollback, Error::Rollback { found: 1, floor: 2, .. });
}

#[tokio::test]
async fn root_that_skips_a_version_is_refused() {
    let repo = Repo::new();
    let mut root: Value = serde_json::from_slice(&repo.pinned()).unwrap();
    root["signed"]["version"] = 3.into();
    repo.files.put("metadata/2.root.json", sealed(&root["signed"], &[10, 11]));
    refused!(first_use(&repo).await, MixAndMatch, Error::Version { found: 3, expected: 2, .. });
}

#[tokio::test]
async fn server_error_on_the_next_root_is_not_taken_for_its_absence() {
    for code in [500, 502, 429, 401] {
        let repo = Repo::new();
        repo.files.fault("metadata/2.root.json", Fault::Status(code));
        refused!(first_use(&repo).await, None, Error::Fetch { .. });
    }
}

#[tokio::test]
async fn number_of_rotations_in_one_refresh_is_bounded_and_progress_is_kept() {
    let mut repo = Repo::new();
    for _ in 0..260 {
        repo.publish_next_root(&[]);
    }
    refused!(first_use(&repo).await, EndlessData, Error::TooManyRotations { limit: 256 });
    assert_eq!(repo.client().trusted_versions().root, 257);
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn metadata_signed_with_a_retired_key_is_refused_after_the_rotation() {
    let mut repo = Repo::new();
    repo.trusting().await;
    repo.targets.rotate(&[21]);
    repo.publish_next_root(&[]);
    // The server still has the targets of the old key.
    refused!(
        first_use(&repo).await,
        ArbitrarySoftware,
        Error::Signatures { role, .. } if role.as_str() == "targets"
    );
    repo.publish_next();
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn timestamp_fetched_before_a_rotation_is_fetched_again() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    repo.timestamp.rotate(&[41]);
    repo.publish_next_root(&[]);
    repo.publish_next();
    repo.files.asked();
    assert!(client.refresh(at(0)).await.unwrap().changed);
    let asked = repo.files.asked();
    assert_eq!(
        asked[..4],
        ["timestamp.json", "2.root.json", "3.root.json", "timestamp.json"]
            .map(|name| format!("metadata/{name}"))
    );
}

#[tokio::test]
async fn expired_root_is_replaced_although_the_timestamp_did_not_change() {
    let mut repo = Repo::new();
    for role in [&mut repo.timestamp, &mut repo.snapshot] {
        role.expires = at(24 * 200);
    }
    repo.root.expires = at(10);
    repo.publish_root(&[]);
    repo.publish_next();
    let mut client = repo.trusting().await;
    refused!(
        client.refresh(at(11)).await,
        Freeze,
        Error::Expired { role, .. } if role.as_str() == "root"
    );
    repo.root.expires = at(24 * 365);
    repo.publish_next_root(&[]);
    client.refresh(at(11)).await.unwrap();
    assert_eq!(client.trusted_versions().root, 2);
}

#[tokio::test]
async fn futures_of_client_and_sources_can_move_between_threads() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let repo = Repo::new();
    let mut client = repo.client();
    send(client.refresh(at(0))).await.unwrap();
    send(client.target(&crate::kit::path("a"), at(0))).await.unwrap();
    send(client.roles(at(0))).await.unwrap();
    send(client.listed_targets(&crate::kit::role("acme"), at(0))).await.unwrap();
    let file = signing::FileName::timestamp();
    send(signing::DirSource::new("/nonexistent").fetch(&file, 1, None)).await.unwrap();
}

#[tokio::test]
async fn expired_root_is_replaced_even_where_the_validator_does_not_cover_roots() {
    let mut repo = Repo::new();
    repo.files.be_a_plain_mirror();
    for role in [&mut repo.timestamp, &mut repo.snapshot] {
        role.expires = at(24 * 200);
    }
    repo.root.expires = at(10);
    repo.publish_root(&[]);
    repo.publish_next();
    let mut client = repo.trusting().await;
    repo.root.expires = at(24 * 365);
    repo.publish_next_root(&[]);
    client.refresh(at(9)).await.unwrap();
    assert_eq!(client.trusted_versions().root, 1);
    client.refresh(at(11)).await.unwrap();
    assert_eq!(client.trusted_versions().root, 2);
}

#[tokio::test]
async fn set_that_stood_on_the_old_root_is_not_used_after_a_refresh_that_failed_behind_the_new() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    repo.targets.rotate(&[21]);
    repo.publish_next_root(&[]);
    repo.publish_next();
    repo.files.remove("metadata/2.targets.json");
    refused!(client.refresh(at(0)).await, None, Error::Missing { .. });
    let found = client.target(&crate::kit::path(crate::kit::RELEASE), at(0)).await;
    refused!(found, None, Error::NotRefreshed);
}

#[tokio::test]
async fn damaged_copy_of_a_stored_root_is_fetched_again() {
    use signing::Store;
    let mut repo = Repo::new();
    repo.publish_next_root(&[]);
    repo.publish_next_root(&[]);
    repo.trusting().await;
    repo.store.save("root.2", b"{}").unwrap();
    let mut client = repo.client();
    assert_eq!(client.trusted_versions().root, 1);
    client.refresh(at(0)).await.unwrap();
    assert_eq!(client.trusted_versions().root, 3);
}

#[tokio::test]
async fn repository_without_versions_and_hashes_in_its_file_names_is_read_too() {
    let mut repo = Repo::new();
    repo.edit("root", |signed| signed["consistent_snapshot"] = false.into());
    repo.publish_next_root(&[]);
    for name in ["snapshot", "targets", "acme", "acme.releases"] {
        let file = format!("metadata/1.{name}.json");
        repo.files.put(&format!("metadata/{name}.json"), repo.files.get(&file));
        repo.files.remove(&file);
    }
    let hashed = repo.files.copy().into_keys().find(|path| path.ends_with(".1.0.0.release.json"));
    repo.files.remove(&hashed.unwrap());
    repo.files.put(&format!("targets/{}", crate::kit::RELEASE), b"one".to_vec());
    assert_eq!(first_use(&repo).await.unwrap().unwrap().as_slice(), b"one");
}

#[tokio::test]
async fn root_with_a_role_that_needs_no_signature_is_not_taken() {
    for name in ["root", "targets", "snapshot", "timestamp"] {
        let mut repo = Repo::new();
        let mut client = repo.trusting().await;
        repo.edit("root", move |signed| signed["roles"][name]["threshold"] = 0.into());
        repo.publish_next_root(&[]);
        repo.publish_next();
        refused!(
            client.refresh(at(0)).await,
            ArbitrarySoftware,
            Error::ZeroThreshold { role } if role.as_str() == name
        );
        assert_eq!(client.trusted_versions().root, 1);
        assert_eq!(repo.client().trusted_versions().root, 1);
    }
}
