//! Files that were each valid once, but never together.

use crate::kit::{Repo, at, first_use};
use crate::refused;
use serde_json::json;
use signing::Error;

#[tokio::test]
async fn any_pinned_file_of_another_version_is_refused() {
    for name in ["snapshot", "targets", "acme", "acme.releases"] {
        let mut repo = Repo::new();
        let old = repo.files.get(&format!("metadata/1.{name}.json"));
        repo.publish_next();
        repo.files.put(&format!("metadata/2.{name}.json"), old);
        refused!(first_use(&repo).await, MixAndMatch, Error::Hash { .. } | Error::Length { .. });
    }
}

#[tokio::test]
async fn version_is_compared_where_only_the_version_is_pinned() {
    for name in ["targets", "acme", "acme.releases"] {
        let mut repo = Repo::new();
        let old = repo.files.get(&format!("metadata/1.{name}.json"));
        let pin = format!("{name}.json");
        repo.edit("snapshot", move |signed| signed["meta"][&pin] = json!({"version": 2}));
        repo.publish_next();
        repo.files.put(&format!("metadata/2.{name}.json"), old);
        refused!(first_use(&repo).await, MixAndMatch, Error::Version { found: 1, expected: 2, .. });
    }
}

#[tokio::test]
async fn snapshot_of_another_version_than_the_timestamp_says_is_refused() {
    let mut repo = Repo::new();
    let old = repo.files.get("metadata/1.snapshot.json");
    repo.edit("timestamp", |signed| signed["meta"]["snapshot.json"] = json!({"version": 2}));
    repo.publish_next();
    repo.files.put("metadata/2.snapshot.json", old);
    refused!(first_use(&repo).await, MixAndMatch, Error::Version { found: 1, expected: 2, .. });
}

#[tokio::test]
async fn version_in_the_content_must_be_the_one_in_the_pin() {
    let mut repo = Repo::new();
    repo.edit("snapshot", |signed| signed["version"] = json!(7));
    repo.publish_next();
    refused!(first_use(&repo).await, MixAndMatch, Error::Version { found: 7, expected: 2, .. });
}

#[tokio::test]
async fn length_pin_counts_even_where_no_hash_is_pinned() {
    let mut repo = Repo::new();
    repo.edit("snapshot", |signed| {
        let pin = signed["meta"]["targets.json"].as_object_mut().unwrap();
        pin.remove("hashes").unwrap();
        let length = pin["length"].as_u64().unwrap();
        pin["length"] = json!(length + 1);
    });
    repo.publish_next();
    refused!(first_use(&repo).await, MixAndMatch, Error::Length { .. });
}

#[tokio::test]
async fn promised_file_that_is_missing_is_named() {
    for name in ["snapshot", "targets", "acme", "acme.releases"] {
        let mut repo = Repo::new();
        repo.publish_next();
        repo.files.remove(&format!("metadata/2.{name}.json"));
        refused!(first_use(&repo).await, None, Error::Missing { .. });
    }
    let repo = Repo::new();
    repo.files.remove("metadata/timestamp.json");
    refused!(first_use(&repo).await, None, Error::Missing { .. });
}

#[tokio::test]
async fn failed_refresh_leaves_the_old_set_usable_until_it_expires() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    repo.publish_next();
    repo.files.remove("metadata/2.targets.json");
    refused!(client.refresh(at(0)).await, None, Error::Missing { .. });
    let path = crate::kit::path(crate::kit::RELEASE);
    assert!(client.target(&path, at(0)).await.unwrap().is_some());
    // The floors rose all the same, and once the file is there the update completes.
    repo.publish();
    let refreshed = client.refresh(at(0)).await.unwrap();
    assert_eq!((refreshed.timestamp_version, refreshed.snapshot_version), (2, 2));
}

#[tokio::test]
async fn snapshot_that_pins_no_targets_is_refused_before_it_counts() {
    let mut repo = Repo::new();
    repo.edit("snapshot", |signed| {
        signed["meta"].as_object_mut().unwrap().remove("targets.json").unwrap();
    });
    repo.publish();
    refused!(
        first_use(&repo).await,
        None,
        Error::Malformed { role, .. } if role.as_str() == "snapshot"
    );
    assert_eq!(repo.client().trusted_versions().snapshot, 0);
}
