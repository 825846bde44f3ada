//! Content without the signatures it needs.

use crate::kit::{RELEASE, Repo, at, download, first_use, key, path, sealed};
use crate::refused;
use serde_json::{Value, json};
use signing::{Client, Error, MemStore};

const STRANGER: u8 = 99;

#[tokio::test]
async fn honest_repository_is_accepted_and_its_release_fetched() {
    let bytes = first_use(&Repo::new()).await.unwrap().unwrap();
    assert_eq!(bytes.as_slice(), b"one");
}

/// Every role in turn, its file signed by `signers`: the client must want more.
async fn each_role_signed_by(signers: &[u8]) {
    for name in ["targets", "snapshot", "timestamp", "acme", "acme.releases"] {
        let mut repo = Repo::new();
        let role = match name {
            "targets" => &mut repo.targets,
            "snapshot" => &mut repo.snapshot,
            "timestamp" => &mut repo.timestamp,
            delegate => &mut repo.delegate(delegate).role,
        };
        role.signers = signers.to_vec();
        repo.publish_next();
        let result = first_use(&repo).await;
        refused!(
            result.map(|_| name),
            ArbitrarySoftware,
            Error::Signatures { valid: 0, threshold: 1, role } if role.as_str() == name
        );
    }
}

#[tokio::test]
async fn unsigned_metadata_of_any_role_is_refused() {
    each_role_signed_by(&[]).await;
}

#[tokio::test]
async fn metadata_signed_by_a_stranger_is_refused_for_any_role() {
    each_role_signed_by(&[STRANGER]).await;
}

#[tokio::test]
async fn one_online_key_in_the_wrong_role_is_worth_nothing() {
    // The timestamp and snapshot keys are the ones a server holds.
    each_role_signed_by(&[10, 11, 12]).await;
    for name in ["targets", "acme", "acme.releases"] {
        let mut repo = Repo::new();
        let role =
            if name == "targets" { &mut repo.targets } else { &mut repo.delegate(name).role };
        role.signers = vec![30, 40];
        repo.publish_next();
        refused!(first_use(&repo).await, ArbitrarySoftware, Error::Signatures { .. });
    }
}

#[tokio::test]
async fn pinned_root_without_its_own_signatures_is_refused() {
    let repo = Repo::new();
    let mut root: Value = serde_json::from_slice(&repo.pinned()).unwrap();
    root["signatures"].as_array_mut().unwrap().truncate(1);
    let bytes = root.to_string().into_bytes();
    let result = Client::open(&bytes, repo.files, MemStore::new());
    refused!(
        result.map(|_| ()),
        ArbitrarySoftware,
        Error::Signatures { valid: 1, threshold: 2, .. }
    );
}

#[tokio::test]
async fn below_threshold_is_refused_and_at_threshold_accepted() {
    let mut repo = Repo::new();
    let releases = &mut repo.delegate("acme.releases").role;
    releases.keys = vec![51, 52, 53];
    releases.threshold = 2;
    releases.signers = vec![52];
    repo.publish_next();
    refused!(
        first_use(&repo).await,
        ArbitrarySoftware,
        Error::Signatures { valid: 1, threshold: 2, .. }
    );
    repo.delegate("acme.releases").role.signers = vec![52, 53];
    repo.publish_next();
    assert!(first_use(&repo).await.unwrap().is_some());
}

/// The same key listed under two ids, with both ids signing.
fn twice_the_same_key(delegations: &mut Value) {
    let id = key(51).public().key_id().to_string();
    let object = delegations["keys"][&id].clone();
    delegations["keys"]["second-id"] = object;
    delegations["roles"][0]["keyids"] = json!([id, "second-id"]);
    delegations["roles"][0]["threshold"] = json!(2);
}

#[tokio::test]
async fn the_same_key_under_two_ids_counts_once() {
    let mut repo = Repo::new();
    repo.edit("acme", |signed| twice_the_same_key(&mut signed["delegations"]));
    repo.edit("acme.releases", |_| ());
    repo.publish_next();
    let file = "metadata/2.acme.releases.json";
    let mut envelope: Value = serde_json::from_slice(&repo.files.get(file)).unwrap();
    let mut second = envelope["signatures"][0].clone();
    second["keyid"] = "second-id".into();
    envelope["signatures"].as_array_mut().unwrap().push(second);
    repo.files.put(file, envelope.to_string().into_bytes());
    unpin(&mut repo, "acme.releases");
    refused!(
        first_use(&repo).await,
        ArbitrarySoftware,
        Error::Signatures { valid: 1, threshold: 2, .. }
    );
}

/// Leaves only the version in the snapshot's pin of `role`, so that a test may alter the file.
fn unpin(repo: &mut Repo, role: &'static str) {
    let file = format!("{role}.json");
    let files = repo.files.copy();
    repo.edit("snapshot", move |signed| {
        let version = signed["meta"][&file]["version"].clone();
        signed["meta"][&file] = json!({"version": version});
    });
    repo.snapshot.version += 1;
    repo.timestamp.version += 1;
    repo.publish();
    let altered = files.into_iter().filter(|(path, _)| path.ends_with(&format!(".{role}.json")));
    for (path, bytes) in altered {
        repo.files.put(&path, bytes);
    }
}

#[tokio::test]
async fn two_signatures_with_one_key_id_are_refused() {
    let repo = Repo::new();
    let file = "metadata/timestamp.json";
    let mut envelope: Value = serde_json::from_slice(&repo.files.get(file)).unwrap();
    let again = envelope["signatures"][0].clone();
    envelope["signatures"].as_array_mut().unwrap().push(again);
    repo.files.put(file, envelope.to_string().into_bytes());
    refused!(first_use(&repo).await, ArbitrarySoftware, Error::DuplicateSignature { .. });
}

#[tokio::test]
async fn a_signature_that_is_not_hex_counts_for_nothing_and_spoils_nothing() {
    let repo = Repo::new();
    let file = "metadata/timestamp.json";
    let mut envelope: Value = serde_json::from_slice(&repo.files.get(file)).unwrap();
    let not_yet = json!({"keyid": "somebody-else", "sig": ""});
    envelope["signatures"].as_array_mut().unwrap().push(not_yet);
    repo.files.put(file, envelope.to_string().into_bytes());
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn threshold_zero_is_refused_in_root_and_in_delegations() {
    let mut repo = Repo::new();
    repo.edit("root", |signed| signed["roles"]["targets"]["threshold"] = json!(0));
    repo.publish_next_root(&[]);
    refused!(first_use(&repo).await, ArbitrarySoftware, Error::ZeroThreshold { .. });

    let mut repo = Repo::new();
    repo.edit("acme", |signed| signed["delegations"]["roles"][0]["threshold"] = json!(0));
    repo.publish_next();
    refused!(first_use(&repo).await, ArbitrarySoftware, Error::ZeroThreshold { .. });
}

#[tokio::test]
async fn altered_content_under_an_old_signature_is_refused() {
    for (field, value) in [("expires", json!("2036-01-01T00:00:00Z")), ("x-unknown", json!(1))] {
        let repo = Repo::new();
        let file = "metadata/timestamp.json";
        let mut envelope: Value = serde_json::from_slice(&repo.files.get(file)).unwrap();
        envelope["signed"][field] = value;
        repo.files.put(file, envelope.to_string().into_bytes());
        refused!(first_use(&repo).await, ArbitrarySoftware, Error::Signatures { valid: 0, .. });
    }
}

#[tokio::test]
async fn unknown_signed_members_are_accepted_and_covered() {
    let mut repo = Repo::new();
    repo.edit("targets", |signed| signed["x-more"] = json!({"deep": [1, "é"]}));
    repo.publish_next();
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn target_with_other_bytes_of_the_same_length_is_refused() {
    let repo = Repo::new();
    let file = repo.files.copy().into_keys().find(|path| path.ends_with(".1.0.0.release.json"));
    repo.files.put(&file.unwrap(), b"ONE".to_vec());
    refused!(first_use(&repo).await, ArbitrarySoftware, Error::Hash { .. });
}

#[tokio::test]
async fn target_pinned_by_an_unknown_hash_alone_is_refused() {
    let mut repo = Repo::new();
    repo.edit("acme.releases", |signed| {
        signed["targets"][RELEASE]["hashes"] = json!({"md5": "0"});
    });
    repo.publish_next();
    let mut client = repo.trusting().await;
    let target = client.target_file(&path(RELEASE), at(0)).await.unwrap().unwrap();
    refused!(target.check(b"one"), ArbitrarySoftware, Error::UnknownHash { .. });
}

#[tokio::test]
async fn target_pinned_by_sha512_alone_is_found_and_fetched() {
    use sha2::{Digest, Sha512};
    let hex = hex::encode(Sha512::digest(b"one"));
    let mut repo = Repo::new();
    repo.files.put(&format!("targets/acme/app/{hex}.1.0.0.release.json"), b"one".to_vec());
    repo.edit("acme.releases", move |signed| {
        signed["targets"][RELEASE]["hashes"] = json!({"sha512": hex});
    });
    repo.publish_next();
    let mut client = repo.trusting().await;
    let target = client.target_file(&path(RELEASE), at(0)).await.unwrap().unwrap();
    assert_eq!(client.fetch_file(&target).await.unwrap().as_slice(), b"one");
    refused!(client.target(&path(RELEASE), at(0)).await, None, Error::NoSha256 { .. });
}

#[tokio::test]
async fn duplicate_json_keys_are_refused_even_when_signed() {
    let repo = Repo::new();
    let text = String::from_utf8(repo.files.get("metadata/timestamp.json")).unwrap();
    let twice = text.replacen("\"signed\":{", "\"signed\":{\"version\":9,", 1);
    repo.files.put("metadata/timestamp.json", twice.into_bytes());
    refused!(first_use(&repo).await, None, Error::Malformed { .. });
}

#[tokio::test]
async fn another_major_specification_version_is_refused_and_another_minor_accepted() {
    for (version, accepted) in [("2.0.0", false), ("10.0", false), ("", false), ("1.99.0", true)] {
        let mut repo = Repo::new();
        repo.edit("timestamp", move |signed| signed["spec_version"] = json!(version));
        repo.publish_next();
        let result = first_use(&repo).await;
        if accepted {
            assert!(result.unwrap().is_some());
        } else {
            refused!(result, None, Error::SpecVersion { .. });
        }
    }
}

#[tokio::test]
async fn a_revoked_vendor_key_is_refused_although_the_cached_file_carries_it() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    assert!(download(&mut client, RELEASE).await.unwrap().is_some());
    // The delegator drops key 51 for 55; the vendor's file stays as it is, under the same pin.
    repo.delegate("acme.releases").role.keys = vec![55];
    repo.delegate("acme").role.version += 1;
    repo.snapshot.version += 1;
    repo.timestamp.version += 1;
    repo.publish();
    client.refresh(at(0)).await.unwrap();
    let result = download(&mut client, RELEASE).await;
    refused!(result, ArbitrarySoftware, Error::Signatures { valid: 0, .. });
}

#[tokio::test]
async fn keys_of_unknown_kinds_count_for_nothing() {
    let mut repo = Repo::new();
    repo.edit("root", |signed| {
        signed["keys"]["quantum"] = json!({"keytype": "q", "scheme": "q", "keyval": {}});
        let ids = signed["roles"]["timestamp"]["keyids"].as_array_mut().unwrap();
        ids.push("quantum".into());
    });
    repo.publish_next_root(&[]);
    assert!(first_use(&repo).await.unwrap().is_some());
    repo.edit("root", |signed| signed["roles"]["timestamp"]["threshold"] = json!(2));
    repo.publish_next_root(&[]);
    let error = Error::Signatures { role: crate::kit::role("timestamp"), valid: 1, threshold: 2 };
    assert_eq!(first_use(&repo).await.unwrap_err().to_string(), error.to_string());
}

#[tokio::test]
async fn another_kind_of_metadata_in_place_of_the_right_one_is_refused() {
    let repo = Repo::new();
    let snapshot = repo.files.get("metadata/1.snapshot.json");
    let signed: Value = serde_json::from_slice(&snapshot).unwrap();
    // Even signed with the timestamp key it stays a snapshot.
    repo.files.put("metadata/timestamp.json", sealed(&signed["signed"], &[40]));
    refused!(first_use(&repo).await, MixAndMatch, Error::WrongType { .. });
}
