//! `kill -9` of the hub under a load of reports: what was acknowledged is there afterwards.

use channels::wire::{Hold, HoldRequest, HoldScope, Page};
use cluster_agent::hub::HubClient;
use signing::SecretKey;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::hub::{Hub, now};
use super::load::{check, check_audit, enrol, report, report_until_refused};
use super::seed::Seed;

/// Clusters that report at once; more than one group commit takes from any of them.
const CLUSTERS: usize = 32;
/// Kills in an ordinary run.
const ROUNDS: usize = 5;
/// Kills in the run of CI.
const ROUNDS_LONG: usize = 20;
/// Most reports that are acknowledged before a kill; others are on their way at any moment.
const ACKNOWLEDGED_MAX: u64 = 200;

/// `kill -9` so many times at moments of their own, each followed by a start from disk.
async fn kill_under_load(rounds: usize) {
    let mut seed = Seed::take("killed under load");
    let dir = tempfile::tempdir().expect("a directory");
    let mut hub = Hub::start(dir.path(), "report_interval_s = 1\n").await;
    let mut clusters = enrol(&hub, CLUSTERS).await;
    for round in 1..=rounds {
        let case = format!("round {round} of SEED={}", seed.first());
        let (count, mut counted) = watch::channel(0);
        let mut load = JoinSet::new();
        for cluster in clusters.drain(..) {
            let client = cluster.client(&hub);
            load.spawn(report_until_refused(cluster, client, count.clone()));
        }
        let enough = 1 + seed.below(ACKNOWLEDGED_MAX);
        counted.wait_for(|count| *count >= enough).await.expect("somebody counts");
        hub.kill();
        clusters = load.join_all().await;
        hub.restart().await;
        check(&clusters, &hub.clusters().await, &case);
        check_audit(&hub, &case).await;
    }
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_killed_under_load_loses_no_acknowledged_report() {
    kill_under_load(ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: twenty starts of the hub"]
async fn a_hub_killed_twenty_times_under_load_loses_no_acknowledged_report() {
    kill_under_load(ROUNDS_LONG).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_repeated_after_the_hub_was_killed_gets_the_same_answer() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut hub = Hub::start(dir.path(), "").await;
    let token = hub.invite(1).await;
    let key = SecretKey::generate().expect("a key");
    let client = HubClient::new(&hub.url(), key.clone()).expect("a client");
    let id = client.enrol(&token, "plant-7", "0.0.0", now()).await.expect("enrolled").cluster_id;
    let report = report(id, 1);
    let first = client.report(&report, now()).await.expect("an answer");
    hub.kill();
    hub.restart().await;
    let client = HubClient::new(&hub.url(), key).expect("a client");
    let again = client.report(&report, now()).await.expect("an answer");
    assert_eq!(again, first);
    let mut other = report;
    other.products.clear();
    other.full = false;
    let refused = client.report(&other, now()).await.expect_err("a replay");
    assert!(format!("{refused:?}").contains("replayed_report"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_hold_holds_after_the_hub_was_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut hub = Hub::start(dir.path(), "").await;
    let request = HoldRequest { scope: HoldScope::Fleet, reason: "audit".to_owned() };
    let body = serde_json::to_vec(&request).expect("JSON");
    let answer = hub.post("api/v1/holds", "application/json", body).send().await;
    let placed: Hold = answer.expect("an answer").json().await.expect("a hold");
    hub.kill();
    hub.restart().await;
    let holds: Page<Hold> = hub.get("api/v1/holds").await;
    assert_eq!(holds.items, [placed]);
    check_audit(&hub, "after a hold").await;
}
