//! Members of the cluster that give no proof of health.

use channels::names::UnitName;
use cluster_agent::sim::Fault;

use super::scene::{Mode, Scene, controllers};
use crate::e2e::server::vendor::{content, release};

/// A scene in which everything but the members allows 4.0.0; the agent does not run yet.
async fn scene() -> Scene {
    let releases = [release("3.9.1", "<3.9.1"), release("4.0.0", ">=3.9.0, <4.0.0")];
    Scene::set(&content(&releases, &[(0, 1)]), Mode::Auto).await
}

/// Sets `fault` on `units`, requires the refusal, clears it, requires that the roll begins.
async fn refuses_while(
    mut scene: Scene,
    units: &[UnitName],
    fault: &Fault,
    gate: &str,
    words: &[&str],
) {
    scene.fault(units, fault);
    scene.run_agent().await;
    scene.refuses(gate, words).await;
    scene.clear_faults();
    scene.goes("4.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_quorum_is_waited_for() {
    let scene = scene().await;
    let leader = scene.leader().await;
    let followers: Vec<_> = controllers().into_iter().filter(|unit| *unit != leader).collect();
    let lag = Fault::Lag { ms: 8_000 };
    refuses_while(scene, &followers, &lag, "quorum_lag", &["limit 2000 ms"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_metric_is_no_proof_of_health() {
    let family = "kafka_server_raftmetrics_current_epoch".to_owned();
    let fault = Fault::MissingMetric { family };
    refuses_while(scene().await, &controllers(), &fault, "metric_missing", &["current_epoch"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_metric_is_no_proof_of_health() {
    let family = "kafka_server_raftmetrics_log_end_offset";
    let fault = Fault::Unreadable { family: family.to_owned() };
    refuses_while(scene().await, &controllers(), &fault, "unreadable", &[family]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_that_does_not_end_is_no_proof_of_health() {
    let scene = scene().await;
    let leader = scene.leader().await;
    let followers: Vec<_> = controllers().into_iter().filter(|unit| *unit != leader).collect();
    let silent = followers[0].to_string();
    refuses_while(scene, &followers[..1], &Fault::Hang, "unreachable", &[&silent]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_stands_still_is_no_proof_of_health() {
    let words = ["stale page", "limit"];
    refuses_while(scene().await, &controllers(), &Fault::StalePage, "stale", &words).await;
}
