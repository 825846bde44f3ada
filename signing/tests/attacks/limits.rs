//! Answers without end, and answers that take for ever.

use crate::kit::{Fault, RELEASE, Repo, at, download, first_use, key, path};
use crate::refused;
use serde_json::json;
use signing::client::limits::{
    MAX_ROOT_BYTES, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES,
};
use signing::{Error, SourceError};

fn too_many(limit: u64) -> usize {
    usize::try_from(limit).unwrap() + 1
}

#[tokio::test]
async fn files_above_the_limit_of_their_role_are_refused() {
    for (file, limit) in [
        ("metadata/2.root.json", MAX_ROOT_BYTES),
        ("metadata/timestamp.json", MAX_TIMESTAMP_BYTES),
        ("metadata/2.snapshot.json", MAX_SNAPSHOT_BYTES),
        ("metadata/2.targets.json", MAX_TARGETS_BYTES),
        ("metadata/2.acme.json", MAX_TARGETS_BYTES),
    ] {
        let mut repo = Repo::new();
        // Without pinned lengths the role's own limit counts.
        repo.edit("timestamp", |s| s["meta"]["snapshot.json"] = json!({"version": 2}));
        repo.edit("snapshot", |signed| {
            for pin in signed["meta"].as_object_mut().unwrap().values_mut() {
                *pin = json!({"version": 2});
            }
        });
        repo.publish_next();
        repo.files.fault(file, Fault::Flood(too_many(limit)));
        refused!(
            first_use(&repo).await,
            EndlessData,
            Error::Fetch { source: SourceError::TooLarge { limit: found }, .. } if *found == limit
        );
    }
}

#[tokio::test]
async fn file_longer_than_its_pin_is_cut_off_at_the_pin() {
    for name in ["snapshot", "targets", "acme", "acme.releases"] {
        let repo = Repo::new();
        let file = format!("metadata/1.{name}.json");
        let mut bytes = repo.files.get(&file);
        let pinned = u64::try_from(bytes.len()).unwrap();
        bytes.push(b' ');
        repo.files.put(&file, bytes);
        refused!(
            first_use(&repo).await,
            EndlessData,
            Error::Fetch { source: SourceError::TooLarge { limit }, .. } if *limit == pinned
        );
    }
}

#[tokio::test]
async fn target_longer_than_listed_is_refused_even_by_a_source_without_limits() {
    let repo = Repo::new();
    let mut client = repo.trusting().await;
    let target = client.target(&path(RELEASE), at(0)).await.unwrap().unwrap();
    let file = signing::FileName::target(target.path.clone(), target.digest);
    repo.files.fault(&file.relative_path(), Fault::Flood(4));
    refused!(client.fetch_target(&target).await, EndlessData, Error::Fetch { .. });
    repo.files.fault(&file.relative_path(), Fault::Flood(2));
    refused!(
        client.fetch_target(&target).await,
        ArbitrarySoftware,
        Error::Length { found: 2, expected: 3, .. }
    );
}

#[tokio::test]
async fn slow_answer_is_named() {
    for file in ["metadata/timestamp.json", "metadata/1.targets.json", "metadata/1.acme.json"] {
        let repo = Repo::new();
        repo.files.fault(file, Fault::TooSlow);
        refused!(first_use(&repo).await, SlowRetrieval, Error::Fetch { .. });
    }
}

#[tokio::test]
async fn a_bad_mirror_can_be_told_from_a_bad_repository() {
    let repo = Repo::new();
    repo.files.fault("metadata/timestamp.json", Fault::Status(503));
    assert!(first_use(&repo).await.unwrap_err().is_transport());
    let mut repo = Repo::new();
    repo.timestamp.signers.clear();
    repo.publish();
    assert!(!first_use(&repo).await.unwrap_err().is_transport());
}

#[tokio::test]
async fn deeply_nested_metadata_is_refused_before_it_is_understood() {
    let repo = Repo::new();
    let bomb = format!("{}{}", "[".repeat(7000), "]".repeat(7000));
    repo.files.put("metadata/timestamp.json", bomb.into_bytes());
    refused!(first_use(&repo).await, None, Error::Malformed { .. });
    assert!(download(&mut Repo::new().trusting().await, RELEASE).await.unwrap().is_some());
}

#[tokio::test]
async fn pinned_length_does_not_lift_the_limit_of_the_role() {
    let mut repo = Repo::new();
    repo.edit("timestamp", |signed| {
        signed["meta"]["snapshot.json"]["length"] = json!(MAX_SNAPSHOT_BYTES * 2);
    });
    repo.publish_next();
    repo.files.fault("metadata/2.snapshot.json", Fault::Flood(too_many(MAX_SNAPSHOT_BYTES)));
    refused!(
        first_use(&repo).await,
        EndlessData,
        Error::Fetch { source: SourceError::TooLarge { limit: MAX_SNAPSHOT_BYTES }, .. }
    );
}

#[tokio::test]
async fn delegation_with_more_patterns_than_anyone_needs_is_refused() {
    for name in ["paths", "path_hash_prefixes"] {
        let mut repo = Repo::new();
        repo.edit("targets", move |signed| {
            let role = signed["delegations"]["roles"][0].as_object_mut().unwrap();
            role.remove("paths");
            role.insert(name.to_owned(), json!(vec!["acme/*/*"; 65]));
        });
        repo.publish_next();
        refused!(first_use(&repo).await, EndlessData, Error::TooMany { found: 65, limit: 64, .. });
    }
}

#[tokio::test]
async fn delegation_with_more_keys_than_anyone_has_is_refused() {
    let mut repo = Repo::new();
    repo.edit("targets", |signed| {
        let keys: Vec<_> = (100..165).map(key).collect();
        for key in &keys {
            let id = key.public().key_id().as_str().to_owned();
            signed["delegations"]["keys"][&id] = serde_json::to_value(key.public()).unwrap();
        }
        let ids: Vec<_> =
            keys.iter().map(|key| key.public().key_id().as_str().to_owned()).collect();
        signed["delegations"]["roles"][0]["keyids"] = json!(ids);
    });
    repo.publish_next();
    refused!(first_use(&repo).await, EndlessData, Error::TooMany { found: 65, limit: 64, .. });
}

#[tokio::test]
async fn document_with_more_signatures_than_anyone_checks_is_refused() {
    let repo = Repo::new();
    let file = "metadata/timestamp.json";
    let mut document: serde_json::Value = serde_json::from_slice(&repo.files.get(file)).unwrap();
    let signatures = document["signatures"].as_array_mut().unwrap();
    signatures.extend((0..256).map(|n| json!({"keyid": format!("{n:x}"), "sig": ""})));
    repo.files.put(file, serde_json::to_vec(&document).unwrap());
    refused!(first_use(&repo).await, EndlessData, Error::TooMany { found: 257, limit: 256, .. });
}
