//! What one replica takes, all of them serve, byte for byte.

use std::collections::BTreeMap;

use signing::source::{HttpLimits, HttpSource};
use signing::{Client, MemStore};

use super::{Stage, nobody_panicked};
use crate::e2e::server::hub::{Hub, now, until};
use crate::e2e::server::vendor::{Vendor, content, release};

/// Entity tag and body of a public file.
async fn file(hub: &Hub, path: &str) -> Result<(String, Vec<u8>), String> {
    let answer = reqwest_get(&format!("{}/{path}", hub.url())).await?;
    let tag = answer.headers().get("etag").ok_or("no tag")?.to_str().map_err(|e| e.to_string())?;
    let tag = tag.to_owned();
    Ok((tag, answer.bytes().await.map_err(|error| error.to_string())?.to_vec()))
}

async fn reqwest_get(url: &str) -> Result<reqwest::Response, String> {
    let answer = crate::e2e::server::hub::http().get(url).send().await;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    if answer.status().is_success() { Ok(answer) } else { Err(answer.status().to_string()) }
}

/// Files below a directory by their paths.
fn files(dir: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name =
                    path.strip_prefix(dir).expect("below").to_str().expect("utf-8").to_owned();
                found.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

async fn same(stage: &Stage, what: &str) {
    let graph = "api/upgrades_info/acme/kafka/v1/graph?channel=stable&arch=amd64";
    for path in ["tuf/metadata/timestamp.json", graph] {
        until(what, async || {
            let (one, other) = (file(&stage.a, path).await?, file(&stage.b, path).await?);
            if one == other { Ok(()) } else { Err(format!("{path}: {} and {}", one.0, other.0)) }
        })
        .await;
    }
    until("the copies on disk are the same", async || {
        let [one, other] = [&stage.a, &stage.b].map(|hub| files(&hub.data().join("tuf")));
        if one == other { Ok(()) } else { Err(format!("{:?}\n{:?}", one.keys(), other.keys())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_publication_at_one_replica_is_served_by_the_other_byte_for_byte() {
    let mut stage = Stage::set().await;
    let mut vendor = Vendor::establish(&stage.a).await;
    let mut documents = vec![release("4.0.0", "^4.0")];
    vendor.publish(&stage.a, &content(&documents, &[])).await;
    same(&stage, "B serves what A took").await;

    // On top of what the other took, at once.
    documents.push(release("4.0.1", "^4.0"));
    let reply = vendor.publish(&stage.b, &content(&documents, &[(0, 1)])).await;
    assert!(reply.changed && reply.root_version == 1, "{reply:?}");
    documents.push(release("4.0.2", "^4.0"));
    let next = vendor.publish(&stage.a, &content(&documents, &[(0, 1), (1, 2)])).await;
    assert!(next.timestamp_version > reply.timestamp_version, "{next:?} after {reply:?}");
    same(&stage, "both serve the newest set").await;
    // The same set again, sent to the one that did not take it.
    let again = vendor.publish(&stage.b, &content(&documents, &[(0, 1), (1, 2)])).await;
    assert!(!again.changed, "{again:?}");

    // A replica without any files fetches all of them.
    stage.b.kill();
    std::fs::remove_dir_all(stage.b.data().join("tuf")).expect("its copy goes");
    stage.b.restart().await;
    same(&stage, "a replica that starts serves the newest set").await;
    nobody_panicked(&[&stage.a, &stage.b]);
    assert!(stage.path("a").exists());
}

/// Publications in a row.
const PUBLICATIONS: u32 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_client_that_goes_from_one_replica_to_the_other_is_never_given_an_older_set() {
    let stage = Stage::set().await;
    let mut vendor = Vendor::establish(&stage.a).await;
    let mut documents = vec![release("4.0.0", "^4.0")];
    vendor.publish(&stage.a, &content(&documents, &[])).await;
    same(&stage, "B serves what A took").await;
    let client = Reader::new(&stage.a.url()).await;
    for patch in 1..=PUBLICATIONS {
        documents.push(release(&format!("4.0.{patch}"), "^4.0"));
        // Both in turn: each is the one that is behind.
        let hubs = if patch % 2 == 0 { [&stage.b, &stage.a] } else { [&stage.a, &stage.b] };
        let reply = vendor.publish(hubs[0], &content(&documents, &[])).await;
        let there = client.refresh(&hubs[0].url()).await.expect("the one that took it");
        assert_eq!(there, reply.timestamp_version);
        // At once: no time passes in which the other could have looked.
        let here = client.refresh(&hubs[1].url()).await.expect("nothing older");
        assert_eq!(here, reply.timestamp_version);
        // Whoever has only the newest timestamp finds what it promises.
        let path = format!("tuf/metadata/{}.snapshot.json", reply.snapshot_version);
        file(hubs[1], &path).await.expect("the snapshot");
    }
    nobody_panicked(&[&stage.a, &stage.b]);
}

/// A TUF client that asks whomever it is told.
struct Reader {
    root: Vec<u8>,
    store: MemStore,
}

impl Reader {
    async fn new(url: &str) -> Self {
        let root = reqwest_get(&format!("{url}/tuf/metadata/1.root.json")).await.expect("a root");
        let root = root.bytes().await.expect("its bytes").to_vec();
        Self { root, store: MemStore::new() }
    }

    /// Version of the timestamp that it believes after a look at this replica.
    async fn refresh(&self, url: &str) -> Result<u64, signing::Error> {
        let source = HttpSource::new(&format!("{url}/tuf/"), HttpLimits::default());
        let source = source.expect("a source");
        let mut client = Client::open(&self.root, source, self.store.clone())?;
        Ok(client.refresh(now()).await?.timestamp_version)
    }
}
