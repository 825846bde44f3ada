//! `kill -9` of the hub under a load of reports: what was acknowledged is there afterwards.

use std::collections::BTreeMap;

use channels::names::ClusterId;
use channels::wire::{
    ClusterHeader, ClusterRow, HealthSummary, Hold, HoldRequest, HoldScope, Page, Phase,
    ProductState, Progress, Report,
};
use cluster_agent::hub::HubClient;
use signing::SecretKey;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::hub::{Hub, now};
use super::seed::Seed;
use super::vendor::{CHANNEL, PRODUCT};

/// Clusters that report at once; more than one group commit takes from any of them.
const CLUSTERS: usize = 32;
/// Kills in one run.
const ROUNDS: usize = 6;
/// Most reports that are acknowledged before a kill; others are on their way at any moment.
const ACKNOWLEDGED_MAX: u64 = 200;

/// One cluster as it sees itself.
#[derive(Debug)]
struct Cluster {
    id: ClusterId,
    key: SecretKey,
    /// The highest `seq` the hub has acknowledged.
    acknowledged: u64,
    /// A report that was sent and not answered.
    open: Option<Report>,
}

/// A report whose content says its number, so that a row shows which report it is of.
fn report(id: ClusterId, seq: u64) -> Report {
    let number = u32::try_from(seq).expect("few reports");
    let state = ProductState {
        product: PRODUCT.parse().expect("a product"),
        channel: CHANNEL.parse().expect("a channel"),
        arch: "amd64".parse().expect("an architecture"),
        version: "3.9.1".parse().expect("a version"),
        target: None,
        phase: Phase::Soak,
        since: now(),
        unit: Some(format!("c-{seq}").parse().expect("a name")),
        progress: Some(Progress { done: number, total: number }),
        health: HealthSummary::default(),
        waiting_on: vec![],
        failure: None,
        wants: None,
        units: vec![],
    };
    let agent_version = "0.0.0".to_owned();
    let cluster =
        ClusterHeader { id, seq, sent_at: now(), agent_version, instance: None, heard_seq: None };
    Report { cluster, full: true, products: vec![state] }
}

async fn enrol(hub: &Hub) -> Vec<Cluster> {
    let token = hub.invite(u32::try_from(CLUSTERS).expect("few clusters")).await;
    let mut clusters = Vec::new();
    for number in 0..CLUSTERS {
        let key = SecretKey::generate().expect("a key");
        let client = HubClient::new(&hub.url(), key.clone()).expect("a client");
        let name = format!("cluster-{number}");
        let reply = client.enrol(&token, &name, "0.0.0", now()).await.expect("enrolled");
        clusters.push(Cluster { id: reply.cluster_id, key, acknowledged: 0, open: None });
    }
    clusters
}

/// Reports as fast as it is answered, until it is not.
async fn report_until_cut_off(
    mut cluster: Cluster,
    url: String,
    count: watch::Sender<u64>,
) -> Cluster {
    let client = HubClient::new(&url, cluster.key.clone()).expect("a client");
    loop {
        let next = || report(cluster.id, cluster.acknowledged + 1);
        // What was not answered is sent again first, exactly as it was.
        let report = cluster.open.take().unwrap_or_else(next);
        let Ok(reply) = client.report(&report, now()).await else {
            cluster.open = Some(report);
            return cluster;
        };
        assert_eq!(reply.seq, report.cluster.seq);
        cluster.acknowledged = reply.seq;
        count.send_modify(|count| *count += 1);
    }
}

fn check(clusters: &[Cluster], rows: &[ClusterRow], case: &str) {
    let rows: BTreeMap<ClusterId, &ClusterRow> = rows.iter().map(|row| (row.id, row)).collect();
    assert_eq!(rows.len(), CLUSTERS, "{case}: an enrolment is gone");
    for cluster in clusters {
        let row = rows[&cluster.id];
        let last = cluster.open.as_ref().map_or(cluster.acknowledged, |open| open.cluster.seq);
        let range = cluster.acknowledged..=last;
        assert!(range.contains(&row.seq), "{case}: seq {} is not in {range:?}", row.seq);
        let told = row.products.first().and_then(|product| product.progress);
        let told = told.map(|progress| u64::from(progress.done));
        let expected = (row.seq > 0).then_some(row.seq);
        assert_eq!(told, expected, "{case}: seq and content are of different reports");
    }
}

async fn check_audit(hub: &Hub, case: &str) {
    let check: serde_json::Value = hub.get("api/v1/audit/verify").await;
    assert_eq!(check.get("broken_at").filter(|at| !at.is_null()), None, "{case}: {check}");
    assert!(check["rows"].as_u64() > Some(0), "{case}: {check}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_killed_under_load_loses_no_acknowledged_report() {
    let mut seed = Seed::take("killed under load");
    let dir = tempfile::tempdir().expect("a directory");
    let mut hub = Hub::start(dir.path(), "report_interval_s = 1\n").await;
    let mut clusters = enrol(&hub).await;
    for round in 1..=ROUNDS {
        let case = format!("round {round} of SEED={}", seed.first());
        let (count, mut counted) = watch::channel(0);
        let mut load = JoinSet::new();
        for cluster in clusters.drain(..) {
            load.spawn(report_until_cut_off(cluster, hub.url(), count.clone()));
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
