//! What a poll costs, and what a restart costs.

use crate::kit::{RELEASE, Repo, at, download};
use signing::{Client, MemStore, Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn first_refresh_asks_for_each_file_once() {
    let repo = Repo::new();
    repo.trusting().await;
    assert_eq!(
        repo.files.asked(),
        ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
            .map(|name| format!("metadata/{name}"))
    );
}

#[tokio::test]
async fn poll_that_finds_nothing_new_is_one_conditional_request() {
    let repo = Repo::new();
    let mut client = repo.trusting().await;
    repo.files.asked();
    let refreshed = client.refresh(at(1)).await.unwrap();
    assert!(!refreshed.changed);
    assert_eq!(refreshed.expires, at(24));
    assert_eq!(repo.files.asked(), ["metadata/timestamp.json"]);
}

#[tokio::test]
async fn poll_after_a_restart_is_one_conditional_request_too() {
    let repo = Repo::new();
    repo.trusting().await;
    repo.files.asked();
    assert!(!repo.client().refresh(at(1)).await.unwrap().changed);
    assert_eq!(repo.files.asked(), ["metadata/timestamp.json"]);
}

#[tokio::test]
async fn new_root_is_noticed_by_the_conditional_request() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    repo.publish_next_root(&[]);
    assert!(client.refresh(at(1)).await.unwrap().changed);
    assert_eq!(client.trusted_versions().root, 2);
}

#[tokio::test]
async fn renewed_timestamp_costs_nothing_but_itself_and_the_root_question() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    repo.timestamp.version += 1;
    repo.publish();
    repo.files.asked();
    assert!(client.refresh(at(1)).await.unwrap().changed);
    assert_eq!(repo.files.asked(), ["metadata/timestamp.json", "metadata/2.root.json"]);
}

#[tokio::test]
async fn unchanged_delegated_roles_are_not_fetched_again() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    download(&mut client, RELEASE).await.unwrap();
    repo.snapshot.version += 1;
    repo.timestamp.version += 1;
    repo.publish();
    client.refresh(at(0)).await.unwrap();
    repo.files.asked();
    client.target(&crate::kit::path(RELEASE), at(0)).await.unwrap().unwrap();
    assert!(repo.files.asked().is_empty());
}

#[tokio::test]
async fn delegated_roles_are_loaded_only_on_the_way_to_a_wanted_target() {
    let repo = Repo::new();
    let mut client = repo.trusting().await;
    repo.files.asked();
    client.target(&crate::kit::path(RELEASE), at(0)).await.unwrap().unwrap();
    assert_eq!(repo.files.asked(), ["metadata/1.acme.json", "metadata/1.acme.releases.json"]);
}

#[tokio::test]
async fn stored_validator_of_another_timestamp_is_not_used() {
    let mut repo = Repo::new();
    repo.trusting().await;
    let stale = repo.store.load("timestamp.etag").unwrap().unwrap();
    repo.publish_next();
    repo.trusting().await;
    repo.store.save("timestamp.etag", &stale).unwrap();
    repo.files.asked();
    repo.client().refresh(at(0)).await.unwrap();
    assert_eq!(repo.files.asked()[0], "metadata/2.root.json");
}

#[tokio::test]
async fn nothing_unverified_is_stored() {
    let mut repo = Repo::new();
    repo.trusting().await;
    let before: Vec<_> = repo.store.names();
    repo.timestamp.signers = vec![99];
    repo.publish_next();
    assert!(repo.client().refresh(at(0)).await.is_err());
    assert_eq!(repo.store.names(), before);
    assert_eq!(repo.client().trusted_versions().timestamp, 1);
}

#[tokio::test]
async fn stored_validator_of_another_root_is_not_used() {
    let mut repo = Repo::new();
    repo.trusting().await;
    repo.publish_next_root(&[]);
    // As after a crash between the new root and everything else.
    repo.store.save("root.2", &repo.files.get("metadata/2.root.json")).unwrap();
    repo.files.asked();
    repo.client().refresh(at(0)).await.unwrap();
    assert_eq!(repo.files.asked()[0], "metadata/3.root.json");
}

#[tokio::test]
async fn validator_of_a_timestamp_that_was_not_taken_is_not_kept() {
    let mut repo = Repo::new();
    let mut client = repo.trusting().await;
    // Another file of the same version, as two hubs with one key would sign it.
    repo.edit("timestamp", |signed| signed["x-other"] = serde_json::json!(1));
    repo.publish();
    assert!(!client.refresh(at(1)).await.unwrap().changed);
    repo.files.asked();
    client.refresh(at(1)).await.unwrap();
    assert_eq!(repo.files.asked()[0], "metadata/2.root.json", "asked without a condition");
}

/// Counts what is written.
#[derive(Debug, Clone)]
struct Counting(MemStore, Arc<AtomicUsize>);

impl Store for Counting {
    fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.load(name)
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.save(name, bytes)
    }

    fn remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.0.remove(name)
    }
}

#[tokio::test]
async fn poll_that_finds_nothing_new_writes_nothing_whatever_the_answer() {
    let mut repo = Repo::new();
    let writes = Arc::new(AtomicUsize::new(0));
    let store = Counting(MemStore::new(), writes.clone());
    let mut client = Client::open(&repo.pinned(), repo.files.clone(), store).unwrap();
    client.refresh(at(0)).await.unwrap();
    // Timestamp, snapshot, targets and the validator.
    assert_eq!(writes.swap(0, Ordering::Relaxed), 4);
    // Not modified; and a whole answer of the same version.
    client.refresh(at(1)).await.unwrap();
    repo.edit("timestamp", |signed| signed["x-other"] = serde_json::json!(1));
    repo.publish();
    client.refresh(at(1)).await.unwrap();
    client.refresh(at(1)).await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn client_knows_the_tag_that_a_hub_gives_what_it_holds() {
    let mut repo = Repo::new();
    assert_eq!(repo.client().hub_etag(), None);
    let mut client = repo.trusting().await;
    let given = |repo: &Repo| {
        let note = repo.store.load("timestamp.etag").unwrap().unwrap();
        let note: serde_json::Value = serde_json::from_slice(&note).unwrap();
        note["etag"].as_str().map(str::to_owned)
    };
    let first = client.hub_etag();
    assert_eq!((first.is_some(), &first), (true, &given(&repo)));
    repo.publish_next_root(&[]);
    client.refresh(at(1)).await.unwrap();
    assert_eq!(client.hub_etag(), given(&repo));
    assert_ne!(client.hub_etag(), first);
}
