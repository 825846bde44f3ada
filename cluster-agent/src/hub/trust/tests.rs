//! Every refusal, against a repository in memory.

mod refusals;
mod world;

use std::sync::atomic::Ordering;

use channels::names::{Arch, ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use jiff::{SignedDuration, Timestamp};
use signing::MemStore;

use super::*;
use world::{Swap, World, now};

fn product() -> ProductRef {
    "acme/kafka".parse().unwrap()
}

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

fn channel() -> (ChannelName, Arch) {
    ("stable".parse().unwrap(), "amd64".parse().unwrap())
}

type Releases = TrustedReleases<Swap, MemStore>;

/// The graph of the one channel.
async fn graph(releases: &mut Releases, at: Timestamp) -> Result<Arc<VerifiedGraph>, TrustError> {
    let (channel, arch) = channel();
    releases.graph(&product(), &channel, &arch, at).await
}

/// All that stands between 4.2.0 and 4.3.1.
async fn edge(releases: &mut Releases) -> Result<(), TrustError> {
    releases.refresh(now(), None).await?;
    let graph = graph(releases, now()).await?;
    let release = releases.release(&product(), &version("4.3.1"), now()).await?;
    graph.check_edge(&version("4.2.0"), &release)
}

#[tokio::test]
async fn an_edge_that_channel_and_release_agree_on_is_good() {
    let world = World::new();
    let mut releases = world.open();
    edge(&mut releases).await.unwrap();
    let release = releases.release(&product(), &version("4.3.1"), now()).await.unwrap();
    assert_eq!(release.digest(), Sha256Digest::of(&world.release("4.3.1")));
    assert_eq!(release.document().version, version("4.3.1"));
    let graph = graph(&mut releases, now()).await.unwrap();
    assert_eq!(graph.graph().head(), Some(&version("4.3.1")));
    assert_eq!(graph.product(), &product());
}

#[tokio::test]
async fn what_was_verified_last_serves_while_the_hub_is_away_until_it_expires() {
    let world = World::new();
    let mut releases = world.open();
    edge(&mut releases).await.unwrap();
    world.source.down.store(true, Ordering::SeqCst);
    let soon = now() + SignedDuration::from_hours(20);
    let away = releases.refresh(soon, None).await.unwrap_err();
    assert!(away.is_transport(), "{away:?}");
    assert_eq!(away.kind(), "hub_unreachable");
    assert!(graph(&mut releases, soon).await.is_ok());
    let late = now() + SignedDuration::from_hours(25);
    let refused = graph(&mut releases, late).await.unwrap_err();
    assert_eq!(refused.kind(), "freeze");
}

#[tokio::test]
async fn the_same_holds_after_a_restart_without_the_hub() {
    let world = World::new();
    edge(&mut world.open()).await.unwrap();
    world.source.down.store(true, Ordering::SeqCst);
    let mut releases = world.open();
    assert!(releases.refresh(now(), None).await.unwrap_err().is_transport());
    graph(&mut releases, now()).await.unwrap();
    releases.release(&product(), &version("4.3.1"), now()).await.unwrap();
    let late = now() + SignedDuration::from_hours(25);
    let mut releases = world.open();
    assert!(releases.refresh(late, None).await.is_err());
    assert!(graph(&mut releases, late).await.is_err());
}

#[tokio::test]
async fn a_kept_document_that_was_changed_on_disk_is_not_used() {
    let world = World::new();
    edge(&mut world.open()).await.unwrap();
    let mut documents = world.documents.clone();
    for name in documents.names() {
        documents.save(&name, b"{}").unwrap();
    }
    edge(&mut world.open()).await.unwrap();
    world.source.down.store(true, Ordering::SeqCst);
    for name in documents.names() {
        documents.save(&name, b"{}").unwrap();
    }
    let mut releases = world.open();
    let _ = releases.refresh(now(), None).await;
    assert!(graph(&mut releases, now()).await.unwrap_err().is_transport());
}

#[tokio::test]
async fn the_same_hint_saves_the_request_and_never_outlives_an_expiry_or_an_hour() {
    let world = World::new();
    let mut releases = world.open();
    let hint = world.timestamp_etag().await;
    let fetches = || world.source.fetches.load(Ordering::SeqCst);
    releases.refresh(now(), Some(&hint)).await.unwrap();
    let before = fetches();
    let again = releases.refresh(now(), Some(&hint)).await.unwrap();
    assert!(!again.changed);
    assert_eq!(fetches(), before);
    releases.refresh(now(), Some("\"b\"")).await.unwrap();
    assert!(fetches() > before, "another hint");
    let before = fetches();
    releases.refresh(now(), None).await.unwrap();
    assert!(fetches() > before, "no hint");
    releases.refresh(now(), Some(&hint)).await.unwrap();
    let before = fetches();
    let hour = now() + SignedDuration::from_hours(1);
    releases.refresh(hour, Some(&hint)).await.unwrap();
    assert!(fetches() > before, "an hour later");
    let minutes = |m: i64| now() + SignedDuration::from_mins(m);
    releases.refresh(minutes(24 * 60 - 10), Some(&hint)).await.unwrap();
    let past = releases.refresh(minutes(24 * 60 + 10), Some(&hint)).await;
    assert_eq!(past.unwrap_err().kind(), "freeze");
}

#[tokio::test]
async fn a_hint_of_what_another_replica_has_already_is_followed_until_it_was_served() {
    let mut world = World::new();
    let mut releases = world.open();
    releases.refresh(now(), None).await.unwrap();
    let behind = world.source.copy();
    world.publish();
    let hint = world.timestamp_etag().await;
    // The report went to the one, and the request for the timestamp to the other.
    let ahead = world.source.exchange(&behind);
    let found = releases.refresh(now(), Some(&hint)).await.unwrap();
    assert!(!found.changed);
    world.source.exchange(&ahead);
    let found = releases.refresh(now(), Some(&hint)).await.unwrap();
    assert!(found.changed, "the hint of what was not served yet stood in for a look");
}

#[tokio::test]
async fn a_new_publication_is_seen_and_replaces_the_old_graph() {
    let mut world = World::new();
    let mut releases = world.open();
    edge(&mut releases).await.unwrap();
    let old = graph(&mut releases, now()).await.unwrap().digest();
    world.edges.clear();
    world.publish();
    assert!(releases.refresh(now(), None).await.unwrap().changed);
    let new = graph(&mut releases, now()).await.unwrap();
    assert_ne!(new.digest(), old);
    let refused = edge(&mut releases).await.unwrap_err();
    assert!(matches!(refused, TrustError::NotOffered { .. }), "{refused}");
}
