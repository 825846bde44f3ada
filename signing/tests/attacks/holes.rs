//! The holes that a green conformance suite leaves open, in every standing of the client. Those
//! over real connections are in `http`, those of ed25519 in `lax`.

use crate::kit::{Delegate, Fault, RELEASE, Repo, Standing, at, attacked, key, path, wanted};
use crate::{all_refused, refused};
use serde_json::{Value, json};
use signing::client::limits::MAX_TIMESTAMP_BYTES;
use signing::{Error, SourceError};

#[tokio::test]
async fn delegated_role_that_nobody_signed_is_refused() {
    for name in ["acme", "acme.releases"] {
        for signers in [vec![], vec![99]] {
            let tamper = |repo: &mut Repo| {
                repo.pin_versions_only();
                repo.delegate(name).role.signers = signers.clone();
                repo.publish_next();
            };
            all_refused!(
                attacked(Repo::new, tamper, 0).await,
                ArbitrarySoftware,
                Error::Signatures { role, valid: 0, .. } if role.as_str() == name
            );
        }
    }
}

#[tokio::test]
async fn timestamp_without_end_is_refused() {
    let tamper = |repo: &mut Repo| {
        let flood = Fault::Flood(usize::try_from(MAX_TIMESTAMP_BYTES).unwrap() + 1);
        repo.files.fault("metadata/timestamp.json", flood);
    };
    all_refused!(
        attacked(Repo::new, tamper, 0).await,
        EndlessData,
        Error::Fetch { source: SourceError::TooLarge { limit: MAX_TIMESTAMP_BYTES }, .. }
    );
}

#[tokio::test]
async fn file_of_another_length_than_pinned_is_refused_even_without_a_hash() {
    for (role, pin) in [("timestamp", "snapshot.json"), ("snapshot", "targets.json")] {
        for (longer, attack) in [(1_i64, "mix_and_match"), (-1, "endless_data")] {
            let tamper = |repo: &mut Repo| {
                repo.edit(role, move |signed| {
                    let pin = signed["meta"][pin].as_object_mut().unwrap();
                    pin.remove("hashes").unwrap();
                    let length = pin["length"].as_i64().unwrap();
                    pin["length"] = json!(length + longer);
                });
                repo.publish_next();
            };
            for (standing, answer) in attacked(Repo::new, tamper, 0).await {
                let error = answer.unwrap_err();
                assert_eq!(error.attack().unwrap().as_str(), attack, "{standing:?}: {error:?}");
                let named = matches!(
                    error,
                    Error::Length { .. }
                        | Error::Fetch { source: SourceError::TooLarge { .. }, .. }
                );
                assert!(named, "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn kept_timestamp_is_checked_for_expiry_whatever_the_answer() {
    // Answered "not modified"; and answered with the same version and a later expiry.
    let replayed = |_: &mut Repo| {};
    let same_version = |repo: &mut Repo| {
        repo.timestamp.expires = at(24 * 5);
        repo.publish();
    };
    let tampers: [&dyn Fn(&mut Repo); 2] = [&replayed, &same_version];
    for tamper in tampers {
        all_refused!(
            attacked(Repo::new, tamper, 25).await,
            Freeze,
            Error::Expired { role, .. } if role.as_str() == "timestamp"
        );
    }
}

#[tokio::test]
async fn one_key_under_two_ids_does_not_meet_a_threshold_of_two() {
    let tamper = |repo: &mut Repo| {
        repo.pin_versions_only();
        repo.edit("acme", |signed| {
            let delegations = &mut signed["delegations"];
            let id = key(51).public().key_id().to_string();
            delegations["keys"]["second-id"] = delegations["keys"][&id].clone();
            delegations["roles"][0]["keyids"] = json!([id, "second-id"]);
            delegations["roles"][0]["threshold"] = json!(2);
        });
        repo.publish_next();
        let file = "metadata/2.acme.releases.json";
        let mut envelope: Value = serde_json::from_slice(&repo.files.get(file)).unwrap();
        let mut second = envelope["signatures"][0].clone();
        second["keyid"] = "second-id".into();
        envelope["signatures"].as_array_mut().unwrap().push(second);
        repo.files.put(file, envelope.to_string().into_bytes());
    };
    all_refused!(
        attacked(Repo::new, tamper, 0).await,
        ArbitrarySoftware,
        Error::Signatures { valid: 1, threshold: 2, .. }
    );
}

#[tokio::test]
async fn delegate_named_like_a_top_level_role_is_refused_and_replaces_nothing() {
    for name in ["root", "snapshot", "timestamp", "targets"] {
        let tamper = |repo: &mut Repo| {
            repo.edit("acme", move |signed| {
                signed["delegations"]["roles"][0]["name"] = json!(name);
            });
            repo.publish_next();
        };
        all_refused!(
            attacked(Repo::new, tamper, 0).await,
            ArbitrarySoftware,
            Error::ReservedRole { role, .. } if role.as_str() == name
        );
    }
}

#[tokio::test]
async fn hash_prefixes_that_do_not_match_give_nothing() {
    let hex = signing::Sha256Digest::of(RELEASE.as_bytes()).hex();
    let prefixes = |prefixes: Value| {
        move |repo: &mut Repo| {
            let prefixes = prefixes.clone();
            repo.edit("acme", move |signed| {
                let role = signed["delegations"]["roles"][0].as_object_mut().unwrap();
                role.remove("paths").unwrap();
                role.insert("path_hash_prefixes".to_owned(), prefixes.clone());
            });
            repo.publish_next();
        }
    };
    let other = if hex.starts_with('0') { "1" } else { "0" };
    let longer = format!("{hex}0");
    for standing in [Standing::Running, Standing::Restarted] {
        for (list, found) in [
            (json!([hex[..2]]), true),
            (json!([other, hex]), true),
            (json!([other]), false),
            (json!([longer]), false),
            (json!([hex.to_uppercase()]), !hex.contains(char::is_alphabetic)),
            (json!([]), false),
        ] {
            let mut repo = Repo::new();
            let mut client = repo.trusting().await;
            prefixes(list.clone())(&mut repo);
            if standing == Standing::Restarted {
                client = repo.client();
            }
            let answer = wanted(&mut client, at(0)).await.unwrap();
            assert_eq!(answer.is_some(), found, "{standing:?} {list}");
        }
    }
}

#[tokio::test]
async fn chain_of_delegations_without_end_is_cut_off() {
    let tamper = |repo: &mut Repo| {
        repo.delegates.remove("acme.releases");
        let mut from = "acme".to_owned();
        for n in 0..40 {
            let name = format!("chain{n:02}");
            let delegator = Box::leak(from.into_boxed_str());
            repo.delegates.insert(name.clone(), Delegate::new(delegator, 70, &["acme/*/*"]));
            from = name;
        }
        // What vanished from the snapshot would be refused for that.
        repo.snapshot.rotate(&[31]);
        repo.publish_next_root(&[]);
        repo.publish_next();
    };
    all_refused!(
        attacked(Repo::new, tamper, 0).await,
        EndlessData,
        Error::TooManyRoles { limit: 32 }
    );
}

#[tokio::test]
async fn rotations_without_end_are_cut_off_in_every_refresh() {
    for standing in [Standing::Running, Standing::Restarted] {
        let mut repo = Repo::new();
        let mut client = repo.trusting().await;
        for _ in 0..257 {
            repo.publish_next_root(&[]);
        }
        if standing == Standing::Restarted {
            client = repo.client();
        }
        refused!(client.refresh(at(0)).await, EndlessData, Error::TooManyRotations { limit: 256 });
        // Each refresh is bounded, each takes the chain further, and nothing is usable meanwhile.
        let found = client.target(&path(RELEASE), at(0)).await;
        refused!(found, None, Error::NotRefreshed);
        assert_eq!(repo.client().trusted_versions().root, 257);
        assert!(wanted(&mut repo.client(), at(0)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn metadata_of_another_major_specification_is_refused_for_every_role() {
    for name in ["root", "timestamp", "snapshot", "targets", "acme", "acme.releases"] {
        for version in ["2.0.0", "0.9", "10.0", "1x", "", "01.0"] {
            let tamper = |repo: &mut Repo| {
                repo.edit(name, move |signed| signed["spec_version"] = json!(version));
                if name == "root" {
                    repo.publish_next_root(&[]);
                }
                repo.publish_next();
            };
            all_refused!(
                attacked(Repo::new, tamper, 0).await,
                None,
                Error::SpecVersion { role, found } if role.as_str() == name && found == version
            );
        }
    }
}
