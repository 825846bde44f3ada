//! Ten times as many reports at once as may wait, while the disk stands still: the hub sheds, says
//! when to come back, stays small, and takes all of them once the disk goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cluster_agent::hub::HubError;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::locked::lock;
use crate::e2e::server::hub::{Hub, until};
use crate::e2e::server::load::{Cluster, check, check_audit, enrol};

/// Reports that may wait for the writer.
const QUEUE: usize = 16;
/// Clusters that report without a pause.
const CLUSTERS: usize = 10 * QUEUE;
/// Reports that are shed before the disk goes on.
const SHED_MIN: u64 = 1_000;
/// Most memory of a hub that is not optimised, with as many connections, bytes; a queue without a
/// bound, or bodies that are kept, would pass it in seconds.
const RESIDENT_MAX: u64 = 160 * 1024 * 1024;

/// What became of all reports together.
#[derive(Debug, Default)]
struct Told {
    taken: AtomicU64,
    shed: AtomicU64,
}

/// Reports without a pause until it is told to end, then until one more was taken.
async fn hammer(
    mut cluster: Cluster,
    url: Arc<Hub>,
    told: Arc<Told>,
    mut over: watch::Receiver<bool>,
) -> Cluster {
    let client = cluster.client(&url);
    loop {
        let ends = *over.borrow_and_update();
        match cluster.report(&client).await {
            Ok(()) => {
                told.taken.fetch_add(1, Ordering::Relaxed);
                if ends {
                    return cluster;
                }
            }
            Err(HubError::Busy { retry_after_s }) => {
                assert!(retry_after_s > 0, "it says when to come back");
                told.shed.fetch_add(1, Ordering::Relaxed);
            }
            // On a machine that starves the clients as well, a connection was given up for being
            // slow.
            Err(HubError::Unreachable { .. } | HubError::Status { status: 408, .. }) => {}
            Err(other) => panic!("neither taken nor shed: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_too_many_reports_are_shed_and_taken_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = format!(
        "report_interval_s = 1\nqueue_capacity = {QUEUE}\nworkers = 2\n\
         [limits]\npeople_per_s = 100000\npeople_burst = 1000000\n"
    );
    let hub = Arc::new(Hub::start(dir.path(), &config).await);
    let clusters = enrol(&hub, CLUSTERS).await;
    let (told, (end, over)) = (Arc::new(Told::default()), watch::channel(false));
    let stopped = lock(&hub);
    let mut load = JoinSet::new();
    for cluster in clusters {
        load.spawn(hammer(cluster, Arc::clone(&hub), Arc::clone(&told), over.clone()));
    }
    until("reports are shed, reads are not", async || {
        assert_eq!(hub.ask("livez").await.status().as_u16(), 200);
        assert_eq!(hub.clusters().await.len(), CLUSTERS);
        let shed = told.shed.load(Ordering::Relaxed);
        if shed >= SHED_MIN { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    assert_eq!(told.taken.load(Ordering::Relaxed), 0, "nothing is acknowledged that is not kept");
    stopped.execute_batch("ROLLBACK").expect("let go");
    end.send(true).expect("they listen");
    let clusters = load.join_all().await;
    check(&clusters, &hub.clusters().await, "after the overload");
    check_audit(&hub, "after the overload").await;
    let resident = hub.resident_highest();
    assert!(resident < RESIDENT_MAX, "{resident} bytes; {told:?}");
    let page = hub.ask("metrics").await.text().await.expect("a page");
    assert!(page.contains("fairway_reports_total{result=\"queue_full\"}"), "{page}");
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
}
