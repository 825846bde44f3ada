//! A hub that moves from its files into a database and back, also with interruptions, and says the
//! same afterwards.

use std::path::Path;
use std::time::Duration;

use channels::wire::{HoldRequest, HoldScope};
use serde_json::Value;

use super::config;
use super::load::Cluster;
use super::peer::Postgres;
use crate::e2e::process::{Process, run, run_ok};
use crate::e2e::server::hub::Hub;
use crate::e2e::server::load::product;
use crate::e2e::server::vendor::{Vendor, content, release};
use crate::e2e::world::copy_dir;

/// Clusters of a hub whose move takes long enough to be interrupted.
const MANY: &str = "30000";

/// What people see, but for ages.
async fn answers(hub: &Hub) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "api/v1/holds",
        "api/v1/tokens",
        "api/v1/rollouts",
        "api/v1/channels",
        "api/v1/sites",
        "api/v1/audit?limit=100",
        "api/v1/clusters/cluster-0/history",
    ] {
        all.push(hub.get(path).await);
    }
    let mut clusters: Value = hub.get("api/v1/clusters?limit=500").await;
    for row in clusters["items"].as_array_mut().expect("rows") {
        row.as_object_mut().expect("a row").remove("freshness");
    }
    all.push(clusters);
    let check: Value = hub.get("api/v1/audit/verify").await;
    assert_eq!(check.get("broken_at").filter(|at| !at.is_null()), None, "{check}");
    all
}

fn place(dir: &Path) -> String {
    format!("sqlite:{}", dir.to_str().expect("utf-8"))
}

/// The words of a move.
fn words<'w>(from: &'w str, to: &'w str) -> [&'w str; 6] {
    ["server", "migrate", "--from", from, "--to", to]
}

/// What was moved, without digests and counts: names of tables.
fn tables(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.split(' ').next_back().is_some_and(|word| word.len() == 64))
        .filter_map(|line| line.split("  ").next())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_hub_moves_there_and_back_and_says_the_same() {
    let postgres = Postgres::start();
    let dir = tempfile::tempdir().expect("a directory");
    let alone = "report_interval_s = 1\n[limits]\nreport_floor_s = 0\n";
    let mut hub = Hub::start(&dir.path().join("a"), alone).await;
    let mut vendor = Vendor::establish(&hub).await;
    let documents = [release("3.9.1", "^3"), release("4.3.1", "^3")];
    vendor.publish(&hub, &content(&documents, &[(0, 1)])).await;
    let mut clusters = super::clusters(&hub, 3).await;
    for cluster in &mut clusters {
        let report = cluster.next(product("3.9.1", channels::wire::Phase::Idle));
        cluster.send(&hub.url(), &report).await.expect("taken");
    }
    let request = HoldRequest { scope: HoldScope::Fleet, reason: "moving".to_owned() };
    let body = serde_json::to_vec(&request).expect("JSON");
    let held = hub.post("api/v1/holds", "application/json", body).send().await;
    assert!(held.expect("an answer").status().is_success());
    let before = answers(&hub).await;

    let (from, url) = (place(&hub.data()), postgres.url().to_owned());
    let running = run(&words(&from, &url), &[]);
    let said = String::from_utf8_lossy(&running.stderr).into_owned();
    assert!(!running.status.success() && said.contains("another update-server uses"), "{said}");
    hub.kill();
    let said = run_ok(&words(&from, &url), &[]);
    let names = tables(&said);
    assert!(names.contains(&"cluster") && names.contains(&"repository (files)"), "{said}");
    assert!(said.contains("the same on both sides:") && !said.contains("fairway:"), "{said}");
    let again = run(&words(&from, &url), &[]);
    let refused = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(refused.contains("the target holds a hub already"), "{refused}");

    // The same data directory, another database.
    std::fs::write(dir.path().join("a/hub.toml"), config(&url)).expect("a configuration");
    hub.restart().await;
    assert_eq!(answers(&hub).await, before);
    let report = clusters[0].next(product("3.9.1", channels::wire::Phase::Idle));
    clusters[0].send(&hub.url(), &report).await.expect("it goes on");
    let late = Cluster::enrol(&hub, &hub.invite(1).await, "late").await;
    let running = run(&words(&url, &place(&dir.path().join("b/data"))), &[]);
    let said = String::from_utf8_lossy(&running.stderr).into_owned();
    assert!(said.contains("a hub uses the source"), "{said}");
    let before = answers(&hub).await;
    hub.kill();

    let back = dir.path().join("b");
    std::fs::create_dir_all(back.join("data")).expect("a directory");
    copy_dir(&hub.data().join("keys"), &back.join("data/keys"));
    let (first, token) = (back.join("data/admin.token"), hub.data().join("admin.token"));
    run_ok(&words(&url, &place(&back.join("data"))), &[]);
    std::fs::copy(token, first).expect("the token's file");
    let hub = Hub::start(&back, alone).await;
    assert_eq!(answers(&hub).await, before);
    let mut late = late;
    let report = late.next(product("3.9.1", channels::wire::Phase::Idle));
    late.send(&hub.url(), &report).await.expect("whoever enrolled there reports here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_move_that_is_killed_goes_on_and_nobody_starts_on_half_of_it() {
    let postgres = Postgres::start();
    let dir = tempfile::tempdir().expect("a directory");
    let mut hub = Hub::start(&dir.path().join("a"), "").await;
    hub.kill();
    let data = hub.data().to_str().expect("utf-8").to_owned();
    run_ok(&["bench", "seed", "--data-dir", &data, "--clusters", MANY, "--products", "1"], &[]);
    let (from, url) = (place(&hub.data()), postgres.url().to_owned());
    std::fs::write(dir.path().join("a/hub.toml"), config(&url)).expect("a configuration");
    let mut refused = 0;
    // Enough for the target to be begun.
    let mut patience = Duration::from_millis(1200);
    loop {
        let mut moving = Process::start(&words(&from, &url), &[], &dir.path().join("move.log"));
        tokio::time::sleep(patience).await;
        if let Some(status) = moving.exited() {
            assert!(status.success(), "{}", moving.log());
            break;
        }
        moving.kill();
        patience += Duration::from_millis(300);
        let begun = dir.path().join("a/hub.toml");
        let serve = [
            "server",
            "serve",
            "--data-dir",
            &data,
            "--config",
            begun.to_str().expect("utf-8"),
            "--listen",
            "127.0.0.1:0",
        ];
        let mut hub = Process::start(&serve, &[], &dir.path().join("half.log"));
        let ended = crate::e2e::server::hub::until("half a hub does not run", async || {
            hub.exited().ok_or_else(|| hub.log())
        })
        .await;
        assert!(!ended.success());
        refused += usize::from(hub.log().contains("which did not end"));
    }
    assert!(refused > 0, "no move was interrupted");
    hub.restart().await;
    let page: Value = hub.get("api/v1/drift").await;
    assert!(page.to_string().contains("30000") || hub.clusters().await.len() == 500, "{page}");
}
