//! Expired metadata offered as current, and clocks that are wrong.

use crate::kit::{RELEASE, Repo, at, download, first_use};
use crate::refused;
use signing::Error;

#[tokio::test]
async fn expired_metadata_of_any_role_is_refused() {
    for name in ["root", "targets", "snapshot", "timestamp", "acme", "acme.releases"] {
        let mut repo = Repo::new();
        let expired = match name {
            "root" => &mut repo.root,
            "targets" => &mut repo.targets,
            "snapshot" => &mut repo.snapshot,
            "timestamp" => &mut repo.timestamp,
            delegate => &mut repo.delegate(delegate).role,
        };
        expired.expires = at(-1);
        repo.publish_next_root(&[]);
        repo.publish_next();
        refused!(
            first_use(&repo).await,
            Freeze,
            Error::Expired { role, .. } if role.as_str() == name
        );
    }
}

#[tokio::test]
async fn expiry_must_be_later_than_now_not_equal() {
    let mut repo = Repo::new();
    repo.timestamp.expires = at(0);
    repo.publish_next();
    refused!(first_use(&repo).await, Freeze, Error::Expired { .. });
}

#[tokio::test]
async fn expired_root_on_the_way_to_a_good_one_does_no_harm() {
    let mut repo = Repo::new();
    let expires = repo.root.expires;
    repo.root.expires = at(-1000);
    repo.publish_root(&[]);
    repo.publish_next_root(&[]);
    repo.root.expires = expires;
    repo.publish_next_root(&[]);
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn timestamp_replayed_past_its_expiry_is_refused() {
    let repo = Repo::new();
    let mut client = repo.trusting().await;
    refused!(client.refresh(at(25)).await, Freeze, Error::Expired { .. });
    refused!(repo.client().refresh(at(25)).await, Freeze, Error::Expired { .. });
}

#[tokio::test]
async fn not_modified_past_expiry_is_refused() {
    let repo = Repo::new();
    let mut client = repo.trusting().await;
    repo.files.asked();
    assert!(!client.refresh(at(23)).await.unwrap().changed);
    refused!(
        client.refresh(at(25)).await,
        Freeze,
        Error::Expired { role, .. } if role.as_str() == "timestamp"
    );
    // Both were answered with 304: nothing else was asked for.
    assert_eq!(repo.files.asked(), ["metadata/timestamp.json"; 2]);
}

#[tokio::test]
async fn kept_timestamp_of_equal_version_is_checked_for_expiry() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    // Same version, later expiry: it is not taken, so its expiry does not help.
    repo.timestamp.expires = at(24 * 5);
    repo.publish();
    refused!(client.refresh(at(25)).await, Freeze, Error::Expired { .. });
}

#[tokio::test]
async fn long_running_client_checks_expiry_at_every_use() {
    let mut repo = Repo::new();
    let delegate = &mut repo.delegate("acme.releases").role;
    delegate.expires = at(10);
    repo.publish_next();
    let mut client = repo.trusting().await;
    download(&mut client, RELEASE).await.unwrap();
    let path = crate::kit::path(RELEASE);
    assert!(client.target(&path, at(9)).await.unwrap().is_some());
    refused!(
        client.target(&path, at(11)).await,
        Freeze,
        Error::Expired { role, .. } if role.as_str() == "acme.releases"
    );
    refused!(
        client.target(&path, at(25)).await,
        Freeze,
        Error::Expired { role, .. } if role.as_str() == "timestamp"
    );
}

#[tokio::test]
async fn lookup_before_the_first_refresh_is_refused() {
    let mut client = Repo::new().client();
    refused!(download(&mut client, RELEASE).await, None, Error::NotRefreshed);
}

#[tokio::test]
async fn clock_that_falls_back_does_not_revive_expired_metadata() {
    let mut repo = Repo::new();
    repo.signed_at = at(100);
    repo.timestamp.expires = at(110);
    repo.publish_next();
    repo.client().refresh(at(100)).await.unwrap();
    // Versions may grow, but the snapshot had expired when this client last knew the time.
    repo.snapshot.expires = at(99);
    repo.snapshot.version += 1;
    repo.timestamp.version += 1;
    repo.publish();
    refused!(
        repo.client().refresh(at(0)).await,
        Freeze,
        Error::Expired { role, now, .. } if role.as_str() == "snapshot" && *now == at(100)
    );
}

#[tokio::test]
async fn signed_time_over_thirty_days_ahead_of_the_clock_is_refused() {
    let mut repo = Repo::new();
    for role in [&mut repo.timestamp, &mut repo.snapshot] {
        role.expires = at(24 * 90);
    }
    repo.signed_at = at(24 * 30);
    repo.publish_next();
    assert!(first_use(&repo).await.unwrap().is_some());
    repo.signed_at = at(24 * 31);
    repo.publish_next();
    refused!(first_use(&repo).await, None, Error::SignedInFuture { .. });
}

#[tokio::test]
async fn time_floor_is_dropped_when_the_timestamp_key_rotates() {
    let mut repo = Repo::new();
    repo.signed_at = at(24 * 29);
    repo.timestamp.expires = at(24 * 30);
    repo.snapshot.expires = at(24 * 30);
    repo.publish_next();
    repo.trusting().await;
    // A thief of the timestamp key moved time ahead; honest metadata looks expired…
    repo.signed_at = at(0);
    repo.timestamp.expires = at(24);
    repo.publish_next();
    refused!(first_use(&repo).await, Freeze, Error::Expired { .. });
    // … until root takes the key away.
    repo.timestamp.rotate(&[41]);
    repo.publish_next_root(&[]);
    repo.publish_next();
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn repositories_that_do_not_say_when_they_signed_are_accepted() {
    let mut repo = Repo::new();
    repo.edit("timestamp", |signed| {
        signed.as_object_mut().unwrap().remove("x-signed-at").unwrap();
    });
    repo.publish_next();
    assert!(first_use(&repo).await.unwrap().is_some());
}

#[tokio::test]
async fn expired_root_is_named_before_anything_else_is_asked_for() {
    let mut repo = Repo::new();
    repo.root.expires = at(-1);
    repo.publish_next_root(&[]);
    repo.files.remove("metadata/timestamp.json");
    refused!(first_use(&repo).await, Freeze, Error::Expired { .. });
}

#[tokio::test]
async fn signed_time_counts_for_the_root_too() {
    let mut repo = Repo::new();
    repo.root.expires = at(10);
    repo.publish_root(&[]);
    repo.signed_at = at(20);
    repo.publish_next();
    refused!(
        repo.client().refresh(at(0)).await,
        Freeze,
        Error::Expired { role, .. } if role.as_str() == "root"
    );
}

#[tokio::test]
async fn time_that_was_accepted_once_stays_accepted_when_the_clock_falls_far_back() {
    let mut repo = Repo::new();
    for role in [&mut repo.timestamp, &mut repo.snapshot] {
        role.expires = at(24 * 50);
    }
    repo.signed_at = at(24 * 40);
    repo.publish_next();
    repo.client().refresh(at(24 * 40)).await.unwrap();
    assert!(!repo.client().refresh(at(0)).await.unwrap().changed);
}

#[tokio::test]
async fn expiry_of_every_top_level_role_is_checked_at_every_use() {
    for name in ["root", "snapshot", "targets"] {
        let mut repo = Repo::new();
        for role in [&mut repo.timestamp, &mut repo.snapshot] {
            role.expires = at(24 * 30);
        }
        let early = match name {
            "root" => &mut repo.root,
            "snapshot" => &mut repo.snapshot,
            _ => &mut repo.targets,
        };
        early.expires = at(10);
        repo.publish_root(&[]);
        repo.publish_next();
        let mut client = repo.trusting().await;
        let path = crate::kit::path(RELEASE);
        assert!(client.target(&path, at(9)).await.unwrap().is_some());
        refused!(
            client.target(&path, at(11)).await,
            Freeze,
            Error::Expired { role, .. } if role.as_str() == name
        );
    }
}
