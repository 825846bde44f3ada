//! `kill -9` of the hub while it takes a publication: what it serves afterwards is entirely the old
//! set or entirely the new one, and never a set that was acknowledged and is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use channels::wire::ReleaseDocument;
use fairway::publisher::Content;
use signing::source::HttpLimits;
use signing::{Client, DirStore, HttpSource, RoleName, Sha256Digest};
use tokio::time::Instant;

use super::hub::{Hub, http, now};
use super::seed::Seed;
use super::vendor::{
    CHANNEL, CHANNELS_ROLE, PRODUCT, RELEASES_ROLE, Vendor, content, post, release,
};
use crate::e2e::process::run;

/// Kills in one run: each costs a start of the hub.
const ROUNDS: usize = 16;
/// Releases of the first publication; a real vendor's, and enough files to be killed among.
const FIRST_RELEASES: usize = 30;

/// When the hub is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// So long after the publication was sent.
    After(Duration),
    /// As soon as the new set is being written beside the old one.
    Staging,
    /// As soon as the new set is committed; its files may not be in place yet.
    Committed,
}

impl Moment {
    /// Every kind in turn, half of them by the clock.
    fn pick(round: usize, usual: Duration, seed: &mut Seed) -> Self {
        match round % 4 {
            1 => Self::Staging,
            3 => Self::Committed,
            _ => {
                let micros = u64::try_from(usual.as_micros()).expect("a short time");
                Self::After(Duration::from_micros(seed.below(micros)))
            }
        }
    }

    /// Waits for it.
    async fn come(self, data: &Path) {
        let file = match self {
            Self::After(time) => return tokio::time::sleep(time).await,
            Self::Staging => data.join("tuf/staged"),
            Self::Committed => data.join("tuf/staged/commit.json"),
        };
        // A busy look: the state lasts for less than a timer's tick.
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    }
}

/// Targets by path.
type Targets = BTreeMap<String, Sha256Digest>;

/// So many patch releases, each reachable from the one before it.
fn history(releases: usize) -> Content {
    let documents: Vec<ReleaseDocument> =
        (0..releases).map(|patch| release(&format!("4.0.{patch}"), "^4.0")).collect();
    let edges: Vec<(usize, usize)> = (1..releases).map(|to| (to - 1, to)).collect();
    content(&documents, &edges)
}

fn targets(content: &Content) -> Targets {
    let digest =
        |(path, bytes): (&_, &Vec<u8>)| (ToString::to_string(path), Sha256Digest::of(bytes));
    content.targets().iter().map(digest).collect()
}

/// A client of the hub that remembers below `memory` what it has seen.
fn client(hub: &Hub, root: &[u8], memory: &Path) -> Client<HttpSource, DirStore> {
    let source = HttpSource::new(&format!("{}/tuf/", hub.url()), HttpLimits::default());
    let store = DirStore::open(memory).expect("a memory");
    Client::open(root, source.expect("a source"), store).expect("a root")
}

/// Everything a client finds and can fetch.
async fn served(hub: &Hub, root: &[u8], memory: &Path) -> Targets {
    let mut client = client(hub, root, memory);
    client.refresh(now()).await.expect("metadata that verifies");
    let mut found = Targets::new();
    for role in [RELEASES_ROLE, CHANNELS_ROLE] {
        let role = RoleName::new(role).expect("a role");
        let listed = client.listed_targets(&role, now()).await.expect("a role that verifies");
        for target in listed {
            client.fetch_target(&target).await.expect("bytes that are as listed");
            found.insert(target.path.to_string(), target.digest);
        }
    }
    found
}

/// Looks at the hub all the time: a set that was seen once must never be taken back.
async fn keep_looking(hub: &Hub, root: &[u8], memory: &Path) -> Infallible {
    let mut client = client(hub, root, memory);
    loop {
        client.refresh(now()).await.expect("metadata that verifies");
    }
}

/// What plain clients get, too.
async fn plain_nodes(hub: &Hub) -> usize {
    let url = format!("{}/api/upgrades_info/{PRODUCT}/v1/graph?channel={CHANNEL}", hub.url());
    let answer = http().get(url).send().await.expect("an answer");
    let graph: serde_json::Value = answer.json().await.expect("a graph");
    graph["nodes"].as_array().expect("nodes").len()
}

fn verify(hub: &Hub, root: &Path) {
    let root = root.to_str().expect("a path that is text");
    let output = run(&["verify", "--server", &hub.url(), "--root", root], &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`verify` says no: {text}\n{}", hub.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_killed_while_it_publishes_serves_the_old_set_or_the_new_one() {
    let mut seed = Seed::take("killed while it publishes");
    let dir = tempfile::tempdir().expect("a directory");
    let mut hub = Hub::start(dir.path(), "").await;
    let mut vendor = Vendor::establish(&hub).await;
    let root = dir.path().join("root.json");
    std::fs::write(&root, vendor.root()).expect("a root");
    let memory = dir.path().join("client");
    let mut old = history(FIRST_RELEASES);
    let begun = Instant::now();
    vendor.publish(&hub, &old).await;
    // Signing included: some moments find the publication done, and that must hold, too.
    let usual = begun.elapsed();
    let mut outcomes = BTreeSet::new();
    for round in 1..=ROUNDS {
        let case = format!("round {round} of SEED={}", seed.first());
        let new = history(FIRST_RELEASES + round);
        let assembly = vendor.assemble(&new);
        let publication = assembly.publication(&case).expect("a publication");
        let moment = Moment::pick(round, usual, &mut seed);
        let data = hub.data();
        let acknowledged = tokio::select! {
            reply = post(&hub, &publication) => { reply.expect("published"); true }
            () = moment.come(&data) => false,
            never = keep_looking(&hub, vendor.root(), &memory) => match never {},
        };
        hub.kill();
        hub.restart().await;
        let found = served(&hub, vendor.root(), &memory).await;
        let is_new = found == targets(&new);
        assert!(is_new || found == targets(&old), "{case}: neither set: {found:#?}");
        let must_be_new = acknowledged || moment == Moment::Committed;
        assert!(is_new || !must_be_new, "{case}, {moment:?}: a committed publication is gone");
        let nodes = FIRST_RELEASES + if is_new { round } else { round - 1 };
        assert_eq!(plain_nodes(&hub).await, nodes, "{case}");
        verify(&hub, &root);
        let reply = post(&hub, &publication).await.expect("publishing again succeeds");
        assert_eq!(reply.changed, !is_new, "{case}");
        assert_eq!(served(&hub, vendor.root(), &memory).await, targets(&new), "{case}");
        vendor.accepted(assembly);
        old = new;
        outcomes.insert(is_new);
    }
    verify(&hub, &root);
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
    assert!(outcomes.contains(&true), "at least what was committed survives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_killed_at_its_first_publication_serves_nothing_or_all_of_it() {
    for moment in [Moment::Staging, Moment::Committed] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut hub = Hub::start(dir.path(), "").await;
        let mut vendor = Vendor::establish(&hub).await;
        let new = history(FIRST_RELEASES);
        let publication = vendor.assemble(&new).publication("first").expect("a publication");
        let data = hub.data();
        tokio::select! {
            reply = post(&hub, &publication) => { reply.expect("published"); }
            () = moment.come(&data) => {}
        }
        hub.kill();
        hub.restart().await;
        let url = format!("{}/tuf/metadata/timestamp.json", hub.url());
        let there = http().get(url).send().await.expect("an answer").status().is_success();
        assert!(there || moment != Moment::Committed, "a committed publication is gone");
        let memory = dir.path().join("client");
        if there {
            assert_eq!(served(&hub, vendor.root(), &memory).await, targets(&new), "{moment:?}");
        }
        let reply = post(&hub, &publication).await.expect("publishing again succeeds");
        assert_eq!(reply.changed, !there, "{moment:?}");
        assert_eq!(served(&hub, vendor.root(), &memory).await, targets(&new), "{moment:?}");
    }
}
