//! One vendor's broken metadata never stops another vendor's updates.

use crate::kit::{Delegate, OTHER_RELEASE, RELEASE, Repo, at, download, role};
use signing::{Attack, Error};

/// Breaks the first vendor, checks its error by name, and uses the second.
async fn other_vendor_unharmed(repo: &Repo, name: &str, is: impl Fn(&Error) -> bool) {
    // The second client is the first one after a restart.
    for _ in 0..2 {
        let mut client = repo.trusting().await;
        let error = download(&mut client, RELEASE).await.unwrap_err();
        assert!(is(&error), "{error:?}");
        assert!(download(&mut client, OTHER_RELEASE).await.unwrap().is_some());
        let listed = client.listed_targets(&role("other"), at(0)).await.unwrap();
        assert_eq!(listed.len(), 1);
        let roles = client.roles(at(0)).await.unwrap();
        assert_eq!(roles.broken.into_keys().collect::<Vec<_>>(), [role(name)]);
        assert!(roles.usable.contains_key(&role("other")));
    }
}

#[tokio::test]
async fn expired_vendor_stops_nobody_else() {
    let mut repo = Repo::new();
    repo.delegate("acme").role.expires = at(-1);
    repo.publish_next();
    other_vendor_unharmed(&repo, "acme", |e| e.attack() == Some(Attack::Freeze)).await;
}

#[tokio::test]
async fn badly_signed_vendor_stops_nobody_else() {
    let mut repo = Repo::new();
    repo.delegate("acme.releases").role.signers = vec![99];
    repo.publish_next();
    let named = |e: &Error| e.attack() == Some(Attack::ArbitrarySoftware);
    other_vendor_unharmed(&repo, "acme.releases", named).await;
}

#[tokio::test]
async fn missing_vendor_stops_nobody_else() {
    let mut repo = Repo::new();
    repo.publish_next();
    repo.files.remove("metadata/2.acme.json");
    other_vendor_unharmed(&repo, "acme", |e| matches!(e, Error::Missing { .. })).await;
}

#[tokio::test]
async fn vendor_that_lists_foreign_paths_stops_nobody_and_gives_nothing() {
    let mut repo = Repo::new();
    repo.delegate("acme").targets.insert(OTHER_RELEASE.to_owned(), b"evil".to_vec());
    repo.delegate("acme.releases").targets.insert(OTHER_RELEASE.to_owned(), b"evil".to_vec());
    repo.publish_next();
    for _ in 0..2 {
        let mut client = repo.trusting().await;
        let bytes = download(&mut client, OTHER_RELEASE).await.unwrap().unwrap();
        assert_eq!(bytes.as_slice(), b"two");
        assert!(client.listed_targets(&role("acme"), at(0)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn vendor_that_delegates_to_another_vendors_role_spoils_nothing() {
    for keys_of_its_own in [false, true] {
        let mut repo = Repo::new();
        // `a` comes first and claims `acme.releases`, with the right keys or with its own.
        repo.delegates.insert("a".to_owned(), Delegate::new("targets", 90, &["a/*/*"]));
        repo.delegate("acme.releases").from.push("a");
        repo.edit("a", move |signed| {
            let key = crate::kit::key(if keys_of_its_own { 90 } else { 51 }).public().clone();
            let id = key.key_id().to_string();
            signed["delegations"]["keys"][&id] = key.to_tuf_json();
            signed["delegations"]["roles"][0]["keyids"] = serde_json::json!([id]);
        });
        repo.publish_next();
        let mut client = repo.trusting().await;
        assert!(download(&mut client, RELEASE).await.unwrap().is_some());
        let listed = client.listed_targets(&role("acme.releases"), at(0)).await.unwrap();
        assert_eq!(listed.len(), 1);
        let roles = client.roles(at(0)).await.unwrap();
        assert!(roles.broken.is_empty(), "{:?}", roles.broken);
        assert!(roles.usable.contains_key(&role("acme.releases")));
    }
}

#[tokio::test]
async fn vendor_with_endless_delegations_is_cut_off_alone() {
    let mut repo = Repo::new();
    for n in 0..70 {
        let delegate = Delegate::new("acme", 51, &["acme/*/*"]);
        repo.delegates.insert(format!("acme.{n}"), delegate);
    }
    repo.publish_next();
    let mut client = repo.trusting().await;
    let roles = client.roles(at(0)).await.unwrap();
    assert!(roles.usable.contains_key(&role("other")));
    let error = roles.broken.get(&role("acme"));
    assert!(matches!(error, Some(Error::TooManyRoles { .. })), "{error:?}");
    assert!(download(&mut client, OTHER_RELEASE).await.unwrap().is_some());
    let listed = client.listed_targets(&role("other"), at(0)).await.unwrap();
    assert_eq!(listed.len(), 1);
}

/// The first vendor with `below` delegations of its own, that of its releases included.
fn delegating(below: usize) -> Repo {
    let mut repo = Repo::new();
    for n in 1..below {
        repo.delegates.insert(format!("acme.{n}"), Delegate::new("acme", 51, &["acme/*/*"]));
    }
    repo.publish_next();
    repo
}

#[tokio::test]
async fn vendor_with_as_many_delegations_as_allowed_is_listed_whole() {
    // Its own role is the first of the sixty-four.
    let roles = delegating(63).trusting().await.roles(at(0)).await.unwrap();
    assert!(roles.broken.is_empty(), "{:?}", roles.broken);
    assert_eq!(roles.usable.len(), 66);
    let roles = delegating(64).trusting().await.roles(at(0)).await.unwrap();
    let error = roles.broken.get(&role("acme"));
    assert!(matches!(error, Some(Error::TooManyRoles { limit: 64 })), "{error:?}");
    assert_eq!(roles.usable.into_keys().collect::<Vec<_>>(), [role("other"), role("targets")]);
}
