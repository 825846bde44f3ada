//! How replicas begin: whose keys, whose first token, and when one does not start.

use serde_json::Value;

use super::{Stage, config, nobody_panicked};
use crate::e2e::process::Process;
use crate::e2e::server::hub::{Hub, until};
use crate::e2e::world::copy_dir;

/// Starts a hub that nobody expects to run.
fn start(dir: &std::path::Path, config: &str) -> Process {
    std::fs::create_dir_all(dir).expect("a directory");
    std::fs::write(dir.join("hub.toml"), config).expect("a configuration");
    let path = |name: &str| dir.join(name).to_str().expect("utf-8").to_owned();
    let (data, config) = (path("data"), path("hub.toml"));
    let words =
        ["server", "serve", "--data-dir", &data, "--config", &config, "--listen", "127.0.0.1:0"];
    Process::start(&words, &[], &dir.join("hub.log"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn of_two_first_starts_one_makes_keys_and_token_and_the_other_says_what_it_lacks() {
    let postgres = super::peer::Postgres::start();
    let dir = tempfile::tempdir().expect("a directory");
    let dirs = ["a", "b"].map(|name| dir.path().join(name));
    let mut both = dirs.clone().map(|dir| start(&dir, &config(postgres.url())));
    let lost = until("one of them gives up", async || {
        let ended = both.iter_mut().position(|process| process.exited().is_some());
        ended.ok_or_else(|| both.iter().map(Process::log).collect())
    })
    .await;
    let log = both[lost].log();
    assert!(
        log.contains("keys/snapshot.pem is not the hub's snapshot key: copy it there"),
        "{log}"
    );
    let (first, second) = (&dirs[1 - lost], &dirs[lost]);
    until("the other one runs", async || {
        std::fs::read_to_string(first.join("data/address")).map_err(|error| error.to_string())
    })
    .await;
    drop(both);

    // With copies both run, and there is one first token.
    copy_dir(&first.join("data/keys"), &second.join("data/keys"));
    let a = Hub::start(first, &config(postgres.url())).await;
    let _b = Hub::beside(&a, &dir.path().join("c"), &config(postgres.url())).await;
    let tokens: Value = a.get("api/v1/tokens").await;
    assert_eq!(tokens["items"].as_array().map(Vec::len), Some(1), "{tokens}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_data_directory_with_a_repository_does_not_become_a_replica_by_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut alone = Hub::start(&dir.path().join("a"), "").await;
    crate::e2e::server::vendor::Vendor::establish(&alone)
        .await
        .publish(&alone, &fairway::publisher::Content::default())
        .await;
    alone.kill();
    let postgres = super::peer::Postgres::start();
    let mut process = start(&dir.path().join("a"), &config(postgres.url()));
    until("it gives up", async || process.exited().ok_or_else(|| process.log())).await;
    assert!(process.log().contains("update-server migrate"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn replicas_that_are_stopped_and_started_go_on() {
    let mut stage = Stage::set().await;
    let clusters = super::clusters(&stage.b, 3).await;
    stage.a.restart().await;
    stage.b.restart().await;
    for hub in [&stage.a, &stage.b] {
        assert_eq!(hub.clusters().await.len(), clusters.len());
        super::well(hub).await;
    }
    nobody_panicked(&[&stage.a, &stage.b]);
}
