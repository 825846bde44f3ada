//! Another process holds the database: writers wait for a bounded time, readers not at all.

use rusqlite::Connection;

use super::stage::{hold, reads_go_on, writes_are_refused};
use crate::e2e::server::hub::{Hub, until};
use crate::e2e::server::load::{check, check_audit, enrol};

/// Somebody at a shell who has begun to write and went for lunch.
pub(super) fn lock(hub: &Hub) -> Connection {
    let other = Connection::open(hub.data().join("hub.sqlite3")).expect("the database");
    other.busy_timeout(std::time::Duration::from_secs(30)).expect("a timeout");
    other.execute_batch("BEGIN EXCLUSIVE").expect("the lock");
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_refuses_writes_in_bounded_time_and_no_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let hub = Hub::start(dir.path(), "report_interval_s = 1\n").await;
    let mut clusters = enrol(&hub, 2).await;
    for cluster in &mut clusters {
        let client = cluster.client(&hub);
        cluster.report(&client).await.expect("taken");
    }
    let other = lock(&hub);
    // Every client here gives up after its own bound, which is longer than the hub's.
    writes_are_refused(&hub, &mut clusters[0]).await;
    reads_go_on(&hub).await;
    check(&clusters, &hub.clusters().await, "locked");
    other.execute_batch("ROLLBACK").expect("let go");
    for cluster in &mut clusters {
        let client = cluster.client(&hub);
        until("reports are taken again", async || {
            cluster.report(&client).await.map_err(|error| error.to_string())
        })
        .await;
    }
    check(&clusters, &hub.clusters().await, "let go");
    let holds: serde_json::Value = hub.get("api/v1/holds?all=true").await;
    assert_eq!(holds["items"].as_array().map(Vec::len), Some(0), "a refused hold is none: {holds}");
    assert_eq!(hold(&hub).await.status().as_u16(), 201);
    let ready = hub.ask("readyz").await.text().await.expect("a body");
    assert!(!ready.contains("store_not_writable"), "{ready}");
    check_audit(&hub, "let go").await;
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
}
