//! Every row of the table of attacks, against a client that goes on running, one that was started
//! again, and one that was started again after it refused.

use crate::kit::{Fault, Repo, Standing, at, attacked, sealed, wanted};
use crate::{all_refused, refused};
use serde_json::{Value, json};
use signing::client::limits::{
    MAX_ROOT_BYTES, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES,
};
use signing::{Client, DirStore, Error, MemStore, SourceError};

const STRANGER: u8 = 99;
/// Every role but root, which has its own chain of custody.
const ROLES: [&str; 5] = ["timestamp", "snapshot", "targets", "acme", "acme.releases"];
/// Roles whose file a snapshot or timestamp pins.
const PINNED: [&str; 4] = ["snapshot", "targets", "acme", "acme.releases"];

/// Every role but root needs two of its three keys.
fn two_of_three() -> Repo {
    let mut repo = Repo::new();
    for name in ROLES {
        let role = repo.any_role(name);
        let first = role.keys[0];
        role.rotate(&[first, first + 100, first + 120]);
        role.threshold = 2;
    }
    repo.publish_root(&[]);
    repo.publish();
    repo
}

#[tokio::test]
async fn content_without_its_signatures_is_refused_for_every_role() {
    for name in ROLES {
        for signers in [&[][..], &[STRANGER, 98], &[30], &[40, 10, 11, 12]] {
            let tamper = |repo: &mut Repo| {
                let role = repo.any_role(name);
                let mut signers = signers.to_vec();
                if signers.len() == 1 {
                    // One good signature, and one that counts for nothing.
                    signers = vec![role.keys[1], STRANGER];
                } else {
                    signers.retain(|seed| !role.keys.contains(seed));
                }
                role.signers = signers;
                repo.publish_next();
            };
            all_refused!(
                attacked(two_of_three, tamper, 0).await,
                ArbitrarySoftware,
                Error::Signatures { role, threshold: 2, valid: 0 | 1 } if role.as_str() == name
            );
        }
    }
}

#[tokio::test]
async fn root_without_the_signatures_of_old_and_new_is_refused() {
    // Nobody; a stranger; one of the old two; the new keys alone; the old keys alone.
    for signers in [&[][..], &[STRANGER], &[10], &[13, 14], &[10, 11]] {
        let tamper = |repo: &mut Repo| {
            repo.root.rotate(&[13, 14, 15]);
            repo.root.signers = signers.to_vec();
            repo.publish_next_root(&[]);
        };
        all_refused!(
            attacked(Repo::new, tamper, 0).await,
            ArbitrarySoftware,
            Error::Signatures { role, threshold: 2, .. } if role.as_str() == "root"
        );
    }
}

/// A repository at version 2.
fn upgraded() -> Repo {
    let mut repo = Repo::new();
    repo.publish_next();
    repo
}

#[tokio::test]
async fn older_version_is_refused_for_every_role_and_after_the_local_copy_expired() {
    // Right away, and when the local timestamp and snapshot have expired.
    for hours in [0, 24 * 10] {
        for name in ROLES {
            let tamper = |repo: &mut Repo| {
                for online in [&mut repo.timestamp, &mut repo.snapshot] {
                    online.version += 1;
                    online.expires = at(24 * 20);
                }
                repo.any_role(name).version = 1;
                repo.publish();
            };
            all_refused!(
                attacked(upgraded, tamper, hours).await,
                Rollback,
                Error::Rollback { role, found: 1, floor: 2 } if role.as_str() == name
            );
        }
    }
}

#[tokio::test]
async fn role_that_vanishes_from_the_snapshot_is_refused_in_every_standing() {
    let tamper = |repo: &mut Repo| {
        repo.edit("snapshot", |signed| {
            signed["meta"].as_object_mut().unwrap().remove("acme.json").unwrap();
        });
        repo.publish_next();
    };
    all_refused!(
        attacked(Repo::new, tamper, 0).await,
        Rollback,
        Error::RoleRemoved { role } if role.as_str() == "acme"
    );
}

#[tokio::test]
async fn metadata_replayed_past_its_expiry_is_refused_for_every_role() {
    for name in ["root", "timestamp", "snapshot", "targets", "acme", "acme.releases"] {
        let honest = || {
            let mut repo = Repo::new();
            for online in [&mut repo.timestamp, &mut repo.snapshot] {
                online.expires = at(24 * 30);
            }
            repo.any_role(name).expires = at(10);
            repo.publish_root(&[]);
            repo.publish();
            repo
        };
        // Nothing is changed: the attacker goes on serving what was good once. Exactly at its
        // expiry a file has expired.
        for hours in [10, 11] {
            all_refused!(
                attacked(honest, |_| {}, hours).await,
                Freeze,
                Error::Expired { role, .. } if role.as_str() == name
            );
        }
    }
}

#[tokio::test]
async fn file_of_another_version_under_the_right_name_is_refused_for_every_role() {
    for name in PINNED {
        let tamper = |repo: &mut Repo| {
            let old = repo.files.get(&format!("metadata/1.{name}.json"));
            repo.publish_next();
            repo.files.put(&format!("metadata/2.{name}.json"), old);
        };
        all_refused!(
            attacked(Repo::new, tamper, 0).await,
            MixAndMatch,
            Error::Hash { .. } | Error::Length { .. }
        );
        let tamper = |repo: &mut Repo| {
            repo.pin_versions_only();
            tamper(repo);
        };
        all_refused!(
            attacked(Repo::new, tamper, 0).await,
            MixAndMatch,
            Error::Version { role, found: 1, expected: 2 } if role.as_str() == name
        );
    }
}

/// The version of `name` is run up to the limit, and trusted.
fn run_up(name: &str) -> Repo {
    let mut repo = Repo::new();
    repo.any_role(name).version = u64::MAX;
    repo.publish();
    repo
}

#[tokio::test]
async fn versions_run_up_to_the_limit_block_until_a_key_rotates_and_then_recover() {
    for name in ROLES {
        let sane = |repo: &mut Repo| {
            for role in ROLES {
                repo.any_role(role).version = 3;
            }
            repo.publish();
        };
        all_refused!(
            attacked(|| run_up(name), sane, 0).await,
            Rollback,
            Error::Rollback { role, floor: u64::MAX, .. } if role.as_str() == name
        );
        for standing in [Standing::Running, Standing::Restarted] {
            let mut repo = run_up(name);
            let mut client = repo.trusting().await;
            let online = if name == "timestamp" { "timestamp" } else { "snapshot" };
            repo.any_role(online).rotate(&[41]);
            repo.publish_next_root(&[]);
            sane(&mut repo);
            if standing == Standing::Restarted {
                client = repo.client();
            }
            assert!(wanted(&mut client, at(0)).await.unwrap().is_some(), "{name} {standing:?}");
        }
    }
}

#[tokio::test]
async fn root_version_cannot_be_run_up() {
    let tamper = |repo: &mut Repo| {
        let mut root: Value = serde_json::from_slice(&repo.pinned()).unwrap();
        root["signed"]["version"] = json!(u64::MAX);
        repo.files.put("metadata/2.root.json", sealed(&root["signed"], &[10, 11]));
    };
    all_refused!(
        attacked(Repo::new, tamper, 0).await,
        MixAndMatch,
        Error::Version { found: u64::MAX, expected: 2, .. }
    );
    // Not even as the pinned one: there could never be a next root.
    let repo = Repo::new();
    let mut root: Value = serde_json::from_slice(&repo.pinned()).unwrap();
    root["signed"]["version"] = json!(u64::MAX);
    let pinned = sealed(&root["signed"], &[10, 11]);
    let opened = Client::open(&pinned, repo.files, MemStore::new());
    refused!(opened.map(|_| ()), None, Error::Malformed { .. });
}

#[tokio::test]
async fn answer_above_the_limit_of_its_role_is_refused_for_every_role() {
    for (file, limit) in [
        ("2.root.json", MAX_ROOT_BYTES),
        ("timestamp.json", MAX_TIMESTAMP_BYTES),
        ("2.snapshot.json", MAX_SNAPSHOT_BYTES),
        ("2.targets.json", MAX_TARGETS_BYTES),
        ("2.acme.json", MAX_TARGETS_BYTES),
    ] {
        let tamper = |repo: &mut Repo| {
            repo.pin_versions_only();
            repo.publish_next();
            let flood = Fault::Flood(usize::try_from(limit).unwrap() + 1);
            repo.files.fault(&format!("metadata/{file}"), flood);
        };
        all_refused!(
            attacked(Repo::new, tamper, 0).await,
            EndlessData,
            Error::Fetch { source: SourceError::TooLarge { limit: found }, .. } if *found == limit
        );
    }
}

#[tokio::test]
async fn slow_answer_is_named_for_every_role() {
    for file in
        ["timestamp.json", "2.root.json", "2.snapshot.json", "2.targets.json", "2.acme.json"]
    {
        let tamper = |repo: &mut Repo| {
            repo.publish_next();
            repo.files.fault(&format!("metadata/{file}"), Fault::TooSlow);
        };
        all_refused!(attacked(Repo::new, tamper, 0).await, SlowRetrieval, Error::Fetch { .. });
    }
}

/// What a thief of online keys may try, with all the signatures those keys can make.
#[tokio::test]
async fn online_keys_in_an_attackers_hand_install_nothing() {
    for name in ["targets", "acme", "acme.releases"] {
        let tamper = |repo: &mut Repo| {
            // Timestamp and snapshot pin whatever the thief wrote; only its own signature is bad.
            repo.delegate("acme.releases")
                .targets
                .insert(crate::kit::RELEASE.into(), b"evil".into());
            repo.any_role(name).signers = vec![30, 40];
            repo.publish_next();
        };
        all_refused!(
            attacked(Repo::new, tamper, 0).await,
            ArbitrarySoftware,
            Error::Signatures { role, valid: 0, .. } if role.as_str() == name
        );
    }
    // A root that hands itself the other roles.
    let tamper = |repo: &mut Repo| {
        repo.targets.rotate(&[STRANGER]);
        repo.root.signers = vec![30, 40];
        repo.publish_next_root(&[]);
    };
    all_refused!(
        attacked(Repo::new, tamper, 0).await,
        ArbitrarySoftware,
        Error::Signatures { role, .. } if role.as_str() == "root"
    );
}

#[tokio::test]
async fn promote_key_in_an_attackers_hand_adds_no_release() {
    for standing in Standing::ALL {
        let honest = || {
            let mut repo = Repo::new();
            let channels = crate::kit::Delegate::new("acme", 52, &["acme/*/*.graph.json"]);
            repo.delegates.insert("acme.channels".to_owned(), channels);
            repo.publish();
            repo
        };
        let mut repo = honest();
        let mut client = repo.trusting().await;
        let evil = "acme/app/6.6.6.release.json";
        repo.delegate("acme.channels").targets.insert(evil.to_owned(), b"evil".to_vec());
        repo.publish_next();
        if standing != Standing::Running {
            client = repo.client();
        }
        client.refresh(at(0)).await.unwrap();
        let found = client.target(&crate::kit::path(evil), at(0)).await.unwrap();
        assert!(found.is_none(), "{standing:?}: {found:?}");
        // Nor can it take the place of the role that may.
        repo.delegate("acme.releases").role.signers = vec![52];
        repo.publish_next();
        refused!(
            wanted(&mut client, at(0)).await,
            ArbitrarySoftware,
            Error::Signatures { role, valid: 0, .. } if role.as_str() == "acme.releases"
        );
    }
}

#[tokio::test]
async fn floors_on_a_disk_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let open = |repo: &Repo| {
        let store = DirStore::open(directory.path()).unwrap();
        Client::open(&repo.pinned(), repo.files.clone(), store).unwrap()
    };
    let repo = Repo::new();
    let old = repo.files.copy();
    let mut repo = repo;
    repo.publish_next();
    assert!(wanted(&mut open(&repo), at(0)).await.unwrap().is_some());
    repo.files.serve(old);
    refused!(
        wanted(&mut open(&repo), at(0)).await,
        Rollback,
        Error::Rollback { found: 1, floor: 2, .. }
    );
}
