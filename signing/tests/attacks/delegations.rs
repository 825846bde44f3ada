//! Who may list what: patterns, order, termination, diamonds, bounds.

use crate::kit::{Delegate, RELEASE, Repo, at, download, path, role};
use crate::refused;
use serde_json::json;
use signing::{Error, Sha256Digest};

/// Who signs for `target`, as a fresh client sees it.
async fn signer_of(repo: &Repo, target: &str) -> Option<String> {
    let mut client = repo.trusting().await;
    let found = client.target(&path(target), at(0)).await.unwrap();
    found.map(|target| target.role.to_string())
}

#[tokio::test]
async fn target_is_found_over_two_delegations_and_says_who_signed() {
    assert_eq!(signer_of(&Repo::new(), RELEASE).await.unwrap(), "acme.releases");
}

#[tokio::test]
async fn target_outside_a_roles_paths_is_not_found() {
    let mut repo = Repo::new();
    let acme = repo.delegate("acme.releases");
    acme.targets.insert("other/app/9.release.json".to_owned(), b"x".to_vec());
    acme.targets.insert("acme/app/deep/9.release.json".to_owned(), b"x".to_vec());
    acme.targets.insert("acme/app/9.graph.json".to_owned(), b"x".to_vec());
    repo.publish_next();
    for target in
        ["other/app/9.release.json", "acme/app/deep/9.release.json", "acme/app/9.graph.json"]
    {
        assert_eq!(signer_of(&repo, target).await, None, "{target}");
    }
}

#[tokio::test]
async fn delegator_comes_before_its_delegates_and_the_first_delegate_before_the_second() {
    let mut repo = Repo::new();
    repo.delegates.insert(
        "zz".to_owned(),
        Delegate::new("targets", 70, &["acme/*/*"]).with("acme/app/x", b"zz"),
    );
    for name in ["acme", "zz"] {
        repo.delegate(name).terminating = false;
    }
    repo.delegate("acme").targets.insert("acme/app/y".to_owned(), b"acme".to_vec());
    repo.publish_next();
    assert_eq!(signer_of(&repo, "acme/app/x").await.unwrap(), "zz");
    assert_eq!(signer_of(&repo, "acme/app/y").await.unwrap(), "acme");
    repo.delegate("zz").targets.insert("acme/app/y".to_owned(), b"zz".to_vec());
    repo.delegate("acme").targets.insert("acme/app/x".to_owned(), b"acme".to_vec());
    repo.publish_next();
    assert_eq!(signer_of(&repo, "acme/app/x").await.unwrap(), "acme");
    repo.top.insert("acme/app/x".to_owned(), b"top".to_vec());
    repo.publish_next();
    assert_eq!(signer_of(&repo, "acme/app/x").await.unwrap(), "targets");
}

#[tokio::test]
async fn terminating_delegation_ends_the_search() {
    let mut repo = Repo::new();
    repo.delegates.insert(
        "zz".to_owned(),
        Delegate::new("targets", 70, &["acme/*/*"]).with("acme/app/x", b"zz"),
    );
    repo.publish_next();
    assert_eq!(signer_of(&repo, "acme/app/x").await, None);
    repo.delegate("acme").terminating = false;
    repo.publish_next();
    assert_eq!(signer_of(&repo, "acme/app/x").await.unwrap(), "zz");
}

#[tokio::test]
async fn each_delegator_must_vouch_for_a_shared_delegate_itself() {
    let mut repo = Repo::new();
    let shared = Delegate::new("acme", 80, &["acme/*/*", "other/*/*"]);
    let mut shared = shared.with("acme/app/s", b"s").with("other/app/s", b"s");
    shared.from.push("other");
    repo.delegates.insert("shared".to_owned(), shared);
    // The second delegator wants another key.
    repo.edit("other", |signed| {
        let key = crate::kit::key(81).public().clone();
        let id = key.key_id().to_string();
        signed["delegations"]["keys"] = json!({&id: key.to_tuf_json()});
        signed["delegations"]["roles"][0]["keyids"] = json!([id]);
    });
    repo.publish_next();
    let mut client = repo.trusting().await;
    assert!(client.target(&path("acme/app/s"), at(0)).await.unwrap().is_some());
    refused!(
        client.target(&path("other/app/s"), at(0)).await,
        ArbitrarySoftware,
        Error::Signatures { valid: 0, .. }
    );
}

#[tokio::test]
async fn reserved_names_cannot_be_delegated_to() {
    for name in ["root", "snapshot", "timestamp", "targets"] {
        let mut repo = Repo::new();
        repo.edit("acme", move |signed| {
            signed["delegations"]["roles"][0]["name"] = json!(name);
        });
        repo.publish_next();
        let mut client = repo.trusting().await;
        let before = client.trusted_versions();
        refused!(
            download(&mut client, RELEASE).await,
            ArbitrarySoftware,
            Error::ReservedRole { role, .. } if role.as_str() == name
        );
        assert_eq!(client.trusted_versions(), before);
        assert_eq!(repo.client().trusted_versions().timestamp, before.timestamp);
    }
}

#[tokio::test]
async fn role_named_like_a_stored_root_does_not_replace_it() {
    let mut repo = Repo::new();
    repo.publish_next_root(&[]);
    for name in ["root.2", "2.root", "timestamp.etag"] {
        let delegate = Delegate::new("targets", 70, &["x/*"]).with("x/y", b"z");
        repo.delegates = std::iter::once((name.to_owned(), delegate)).collect();
        repo.snapshot.rotate(&[30 + u8::try_from(repo.root.version).unwrap()]);
        repo.publish_next_root(&[]);
        repo.publish_next();
        assert_eq!(signer_of(&repo, "x/y").await.unwrap(), name);
        assert_eq!(repo.client().trusted_versions().root, repo.root.version);
    }
}

#[tokio::test]
async fn roles_visited_for_one_target_are_bounded() {
    let mut repo = Repo::new();
    let mut names = vec!["targets".to_owned()];
    names.extend((0..40).map(|n| format!("chain{n:02}")));
    repo.delegates.clear();
    for pair in names.windows(2) {
        let from = Box::leak(pair[0].clone().into_boxed_str());
        repo.delegates.insert(pair[1].clone(), Delegate::new(from, 70, &["deep"]));
    }
    repo.delegate("chain39").targets.insert("deep".to_owned(), b"x".to_vec());
    repo.delegate("chain31").targets.insert("edge".to_owned(), b"x".to_vec());
    for delegate in repo.delegates.values_mut() {
        delegate.paths.push("edge".to_owned());
    }
    repo.snapshot.rotate(&[31]);
    repo.publish_next_root(&[]);
    repo.publish_next();
    let mut client = repo.trusting().await;
    refused!(download(&mut client, "deep").await, EndlessData, Error::TooManyRoles { limit: 32 });
    assert!(download(&mut client, "edge").await.unwrap().is_some());
}

#[tokio::test]
async fn delegations_in_a_circle_end() {
    let mut repo = Repo::new();
    for (name, from) in [("a", "b"), ("b", "a")] {
        let mut delegate = Delegate::new(from, 70, &["x"]);
        delegate.from.push("targets");
        delegate.terminating = false;
        repo.delegates.insert(name.to_owned(), delegate);
    }
    repo.publish_next();
    assert_eq!(signer_of(&repo, "x").await, None);
    assert!(repo.trusting().await.roles(at(0)).await.unwrap().usable.contains_key(&role("b")));
}

#[tokio::test]
async fn hash_prefixes_select_paths_by_the_hash_of_their_name() {
    let target = "acme/app/x.release.json";
    let hex = Sha256Digest::of(target.as_bytes()).hex();
    let other = if hex.starts_with('0') { "1" } else { "0" };
    for (prefix, found) in [(hex[..3].to_owned(), true), (other.to_owned(), false)] {
        let mut repo = Repo::new();
        repo.delegate("acme.releases").targets.insert(target.to_owned(), b"x".to_vec());
        repo.edit("acme", move |signed| {
            let role = signed["delegations"]["roles"][0].as_object_mut().unwrap();
            role.remove("paths").unwrap();
            role.insert("path_hash_prefixes".to_owned(), json!([prefix]));
        });
        repo.publish_next();
        assert_eq!(signer_of(&repo, target).await.is_some(), found);
    }
}

#[tokio::test]
async fn role_that_the_snapshot_does_not_list_is_skipped_without_a_request() {
    let mut repo = Repo::new();
    repo.edit("snapshot", |signed| {
        signed["meta"].as_object_mut().unwrap().remove("acme.releases.json").unwrap();
    });
    repo.publish();
    let mut client = repo.trusting().await;
    assert!(download(&mut client, RELEASE).await.unwrap().is_none());
    assert!(!repo.files.asked().iter().any(|path| path.contains("acme.releases")));
}

#[tokio::test]
async fn listing_gives_what_a_role_may_list_and_nothing_else() {
    let mut repo = Repo::new();
    let acme = repo.delegate("acme.releases");
    acme.targets.insert("acme/app/2.0.0.release.json".to_owned(), b"2".to_vec());
    acme.targets.insert("other/app/9.release.json".to_owned(), b"x".to_vec());
    repo.publish_next();
    let mut client = repo.trusting().await;
    repo.files.asked();
    let listed = client.listed_targets(&role("acme.releases"), at(0)).await.unwrap();
    let paths: Vec<_> = listed.iter().map(|target| target.path.as_str()).collect();
    assert_eq!(paths, [RELEASE, "acme/app/2.0.0.release.json"]);
    let asked = repo.files.asked();
    assert!(!asked.iter().any(|path| path.contains("other")), "{asked:?}");
    refused!(client.listed_targets(&role("nobody"), at(0)).await, None, Error::UnknownRole { .. });
}

#[tokio::test]
async fn names_that_climb_out_of_the_repository_are_only_names() {
    let mut repo = Repo::new();
    let odd = Delegate::new("targets", 70, &["x/*"]).with("x/y", b"z");
    repo.delegates.insert("../../etc/passwd".to_owned(), odd);
    repo.publish_next();
    assert_eq!(signer_of(&repo, "x/y").await.unwrap(), "../../etc/passwd");
    let file = "metadata/2...%2F..%2Fetc%2Fpasswd.json";
    assert!(repo.files.asked().iter().any(|path| path == file));
}

#[tokio::test]
async fn listed_name_that_climbs_is_an_error_of_its_role() {
    let mut repo = Repo::new();
    repo.edit("acme.releases", |signed| {
        let entry = signed["targets"][RELEASE].clone();
        signed["targets"]["acme/../../x.release.json"] = entry;
    });
    repo.publish_next();
    let mut client = repo.trusting().await;
    let listed = client.listed_targets(&role("acme.releases"), at(0)).await;
    refused!(listed, None, Error::Name { .. });
    assert!(download(&mut client, RELEASE).await.unwrap().is_some());
}

#[tokio::test]
async fn terminating_delegation_ends_the_search_for_its_delegators_siblings_too() {
    let mut repo = Repo::new();
    repo.delegate("acme").terminating = false;
    repo.delegates.insert(
        "zz".to_owned(),
        Delegate::new("targets", 70, &["acme/*/*"]).with("acme/app/9.release.json", b"zz"),
    );
    repo.publish_next();
    assert_eq!(signer_of(&repo, "acme/app/9.release.json").await, None);
    repo.delegate("acme.releases").terminating = false;
    repo.publish_next();
    assert_eq!(signer_of(&repo, "acme/app/9.release.json").await.unwrap(), "zz");
}

#[tokio::test]
async fn role_is_found_whatever_its_delegator_called_it() {
    let mut repo = Repo::new();
    let path = "acme/app/x.graph.json";
    let odd = Delegate::new("acme", 70, &["acme/*/*.graph.json"]).with(path, b"x");
    repo.delegates.insert("called-otherwise".to_owned(), odd);
    repo.publish_next();
    let mut client = repo.trusting().await;
    let listed = client.listed_targets(&role("called-otherwise"), at(0)).await.unwrap();
    assert_eq!(listed.iter().map(|target| target.path.as_str()).collect::<Vec<_>>(), [path]);
}

#[tokio::test]
async fn broken_role_is_named_without_loading_other_vendors() {
    let mut repo = Repo::new();
    repo.delegate("acme.releases").role.signers = vec![99];
    repo.publish_next();
    let mut client = repo.trusting().await;
    repo.files.asked();
    refused!(
        client.listed_targets(&role("acme.releases"), at(0)).await,
        ArbitrarySoftware,
        Error::Signatures { .. }
    );
    let asked = repo.files.asked();
    assert!(!asked.iter().any(|path| path.contains("other")), "{asked:?}");
}

#[tokio::test]
async fn delegations_of_the_top_are_told_with_their_keys_and_paths() {
    let repo = Repo::new();
    let client = repo.trusting().await;
    let delegations = client.delegations(at(0)).unwrap();
    let told: Vec<_> =
        delegations.iter().map(|edge| (edge.name.as_str(), edge.patterns().to_vec())).collect();
    let paths = |vendor: &str| vec![format!("{vendor}/*/*")];
    assert_eq!(told, [("acme", paths("acme")), ("other", paths("other"))]);
    let keys: Vec<_> = delegations[0].keys.keys.values().cloned().collect();
    assert_eq!(keys, crate::kit::public(&[50]));
    refused!(client.delegations(at(25)), Freeze, Error::Expired { .. });
}
