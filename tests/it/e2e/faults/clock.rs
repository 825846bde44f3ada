//! The hub's clock jumps by more than a year, in either direction, and back: nothing panics, nothing
//! is lost, nothing lives longer than it should, and agents whose clock is right are told so.
//!
//! `libfaketime` answers for the system's clock from a file that the test rewrites. Clusters sign by
//! that clock too where they are to be believed.

use std::path::{Path, PathBuf};

use channels::wire::{ClusterRow, Freshness, Grant, GrantRequest, Phase, Report};
use cluster_agent::hub::{HubClient, HubError};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use signing::SecretKey;

use super::stage::refused;
use crate::e2e::server::hub::{Hub, Surroundings, now, until};
use crate::e2e::server::load::{check_audit, report};
use crate::e2e::server::vendor::{Vendor, content, release};

/// How far the clock jumps, either way.
const JUMP: SignedDuration = SignedDuration::from_hours(400 * 24);
/// How long a grant of this hub is valid.
const GRANT_TTL: SignedDuration = SignedDuration::from_secs(60);
/// Between the clock of the test and that of the hub, and between a request and its answer.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(30);

/// The clock that the hub reads.
#[derive(Debug)]
struct Clock {
    file: PathBuf,
    ahead: SignedDuration,
}

impl Clock {
    fn new(file: PathBuf) -> Self {
        let mut clock = Self { file, ahead: SignedDuration::ZERO };
        clock.set(SignedDuration::ZERO);
        clock
    }

    /// Jumps to so far ahead of the true time.
    fn set(&mut self, ahead: SignedDuration) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{:+}\n", ahead.as_secs())).expect("a file");
        std::fs::rename(&next, &self.file).expect("a file");
        self.ahead = ahead;
    }

    fn now(&self) -> Timestamp {
        now() + self.ahead
    }
}

/// The library, where Debian's package `faketime` puts it.
fn library() -> PathBuf {
    let dirs = std::fs::read_dir("/usr/lib").expect("libraries").filter_map(Result::ok);
    let paths = dirs.map(|dir| dir.path().join("faketime/libfaketime.so.1"));
    paths.into_iter().find(|path| path.exists()).expect("libfaketime is installed")
}

fn surroundings(clock: &Clock) -> Surroundings {
    let text = |path: &Path| path.to_str().expect("a path that is text").to_owned();
    let envs = [
        ("LD_PRELOAD", text(&library())),
        ("FAKETIME_TIMESTAMP_FILE", text(&clock.file)),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        // Timers must go on as they are: it is the time of day that jumps.
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let envs = envs.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Surroundings { envs, ..Surroundings::default() }
}

/// A cluster that wants to go to the newest release, at whatever time its own clock shows.
#[derive(Debug)]
struct Asking {
    client: HubClient,
    id: channels::names::ClusterId,
    seq: u64,
    wants: GrantRequest,
}

impl Asking {
    fn report(&mut self, at: Timestamp) -> Report {
        self.seq += 1;
        let mut report = report(self.id, self.seq);
        report.cluster.sent_at = at;
        let state = &mut report.products[0];
        (state.since, state.phase, state.unit, state.progress) = (at, Phase::Waiting, None, None);
        state.wants = Some(self.wants.clone());
        report
    }

    async fn ask(&mut self, at: Timestamp) -> Result<Option<Grant>, HubError> {
        let report = self.report(at);
        let reply = self.client.report(&report, at).await?;
        let grant = reply.directives.into_iter().find_map(|directive| directive.grant);
        Ok(grant)
    }

    /// A grant of the hub as its clock stands, which lives as long as grants do and no longer.
    async fn is_granted(&mut self, clock: &Clock) -> Grant {
        let asked = clock.now();
        let grant = self.ask(asked).await.expect("an answer").expect("a grant");
        let life = grant.expires_at.duration_since(asked);
        assert!((GRANT_TTL - life).abs() < TOLERANCE, "{life:#} at {asked}");
        grant
    }
}

async fn set_up(hub: &Hub) -> (Vendor, Asking) {
    let mut vendor = Vendor::establish(hub).await;
    let releases = [release("3.9.1", "^3.8"), release("4.0.0", "^3.9")];
    vendor.publish(hub, &content(&releases, &[(0, 1)])).await;
    let digest = vendor
        .published()
        .files()
        .find_map(|(name, bytes)| match name {
            signing::FileName::Target { path, .. }
                if path.as_str().ends_with("/4.0.0.release.json") =>
            {
                Some(signing::Sha256Digest::of(bytes))
            }
            signing::FileName::Target { .. } | signing::FileName::Metadata { .. } => None,
        })
        .expect("the release's document");
    let key = SecretKey::generate().expect("a key");
    let client = HubClient::new(&hub.url(), key).expect("a client");
    let token = hub.invite(1).await;
    let enrolled = client.enrol(&token, "vega", "0.0.0", now()).await.expect("enrolled");
    let to = releases[1].version.clone();
    let wants = GrantRequest { to, release_digest: digest, renews: None };
    (vendor, Asking { client, id: enrolled.cluster_id, seq: 0, wants })
}

async fn row(hub: &Hub) -> ClusterRow {
    hub.clusters().await.pop().expect("a row")
}

/// A token for an hour; whether it opens anything.
async fn token_for_an_hour(hub: &Hub) -> String {
    let wish = json!({ "name": "shift", "access": "viewer", "expires_in_s": 3600 });
    let body = serde_json::to_vec(&wish).expect("JSON");
    let request = hub.post("api/v1/tokens", "application/json", body);
    let answer: Value = request.send().await.expect("an answer").json().await.expect("a token");
    answer["token"].as_str().expect("a secret").to_owned()
}

async fn opens(hub: &Hub, token: &str) -> u16 {
    let url = format!("{}/api/v1/clusters", hub.url());
    let client = crate::e2e::server::hub::http();
    client.get(url).bearer_auth(token).send().await.expect("an answer").status().as_u16()
}

async fn history(hub: &Hub) -> usize {
    let page: Value = hub.get("api/v1/clusters/vega/history?limit=500").await;
    page["items"].as_array().expect("rows").len()
}

fn timestamp_version(bytes: &[u8]) -> u64 {
    let document: Value = serde_json::from_slice(bytes).expect("JSON");
    document["signed"]["version"].as_u64().expect("a version")
}

async fn served_version(hub: &Hub) -> u64 {
    timestamp_version(&hub.ask("tuf/metadata/timestamp.json").await.bytes().await.expect("bytes"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs libfaketime (Debian package faketime)"]
async fn a_clock_that_jumps_and_comes_back_lets_nothing_live_on_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut clock = Clock::new(dir.path().join("clock"));
    let config = format!("report_interval_s = 5\ngrant_ttl_s = {}\n", GRANT_TTL.as_secs());
    let hub = Hub::start_in(surroundings(&clock), &dir.path().join("hub"), &config).await;
    let (_vendor, mut cluster) = set_up(&hub).await;
    let first = cluster.is_granted(&clock).await;
    let short = token_for_an_hour(&hub).await;
    let invited = hub.invite(1).await;
    let (rows, version) = (history(&hub).await, served_version(&hub).await);
    assert!(rows > 0);

    // Far ahead.
    clock.set(JUMP);
    until("the tick has seen it, and keeps history this once", async || {
        if hub.log().contains("history kept this once") { Ok(()) } else { Err(hub.log()) }
    })
    .await;
    assert_eq!(row(&hub).await.freshness, Freshness::Gone);
    assert_eq!(history(&hub).await, rows, "nothing is pruned by a clock");
    assert_eq!(opens(&hub, &short).await, 401, "a token for an hour is over");
    let stranger = HubClient::new(&hub.url(), SecretKey::generate().expect("a key")).expect("one");
    let late = stranger.enrol(&invited, "late", "0.0.0", clock.now()).await.expect_err("too late");
    assert!(format!("{late:?}").contains("invalid_join_token"), "{late:?}");
    let told = cluster.ask(now()).await.expect_err("its clock is right, the hub's is not");
    assert!(format!("{told:?}").contains("signature_expired"), "{told:?}");
    let ahead = cluster.is_granted(&clock).await;
    assert!(ahead.generation > first.generation, "the one before is worth nothing");
    assert_eq!(row(&hub).await.freshness, Freshness::Fresh);

    // Far behind.
    clock.set(-JUMP);
    let told = cluster.ask(now()).await.expect_err("signed in the future");
    assert!(format!("{told:?}").contains("signature_expired"), "{told:?}");
    let behind = cluster.is_granted(&clock).await;
    assert!(behind.generation > ahead.generation);
    let seen = row(&hub).await;
    assert_eq!(seen.freshness, Freshness::Fresh);
    let at = seen.last_seen.expect("it reported");
    assert!(at.duration_since(clock.now()).abs() < TOLERANCE, "{at}");
    assert_eq!(opens(&hub, hub.token()).await, 200);

    // And as it should be.
    clock.set(SignedDuration::ZERO);
    let right = cluster.is_granted(&clock).await;
    assert!(right.generation > behind.generation);
    assert_eq!(row(&hub).await.freshness, Freshness::Fresh);
    assert!(history(&hub).await >= rows, "nothing of before is gone");
    assert_eq!(opens(&hub, &short).await, 200, "its hour is not over");
    assert!(served_version(&hub).await >= version, "published versions never go back");
    check_audit(&hub, "after the jumps").await;
    let answer = hub.ask("api/v1/clusters/none").await;
    assert_eq!(refused(answer).await.status, 404);
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
}
