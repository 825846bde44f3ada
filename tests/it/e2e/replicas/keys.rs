//! A cluster that replaces its key at one replica is known by the new one, and by no other, at all of
//! them: at once, and also if the replica that took it dies with its next breath.

use channels::wire::{Phase, ReportReply};
use cluster_agent::hub::HubClient;
use signing::SecretKey;

use super::load::Cluster;
use super::{Stage, check_audit, clusters, nobody_panicked};
use crate::e2e::server::hub::{Hub, now};
use crate::e2e::server::load::product;

/// Rotations of one cluster, at the replicas in turn.
const ROTATIONS: usize = 6;

/// Replaces a cluster's key at a replica, and gives the one that it had.
async fn rotate(cluster: &mut Cluster, url: &str) -> SecretKey {
    let next = SecretKey::generate().expect("a key");
    let client = HubClient::new(url, cluster.key.clone()).expect("a client");
    let seq = cluster.acknowledged + 1;
    let reply = client.rotate_key(cluster.id, &next, seq, now()).await.expect("rotated");
    assert_eq!(reply.key_id, next.public().key_id().to_string());
    cluster.acknowledged = seq;
    std::mem::replace(&mut cluster.key, next)
}

/// The next report, signed with the cluster's key.
async fn report(cluster: &mut Cluster, url: &str) -> Result<ReportReply, String> {
    let next = cluster.next(product("3.9.1", Phase::Idle));
    cluster.send(url, &next).await
}

/// What a replica says to a report that a former key signed.
async fn refused(cluster: &Cluster, former: SecretKey, url: &str) -> String {
    let mut other = cluster.clone();
    other.key = former;
    report(&mut other, url).await.expect_err("a key that was replaced is in force")
}

/// Whether every replica lists the cluster with all that was acknowledged.
async fn knows(hub: &Hub, cluster: &Cluster) {
    crate::e2e::server::hub::until("it has caught up", async || {
        let rows = hub.clusters().await;
        let row = rows.iter().find(|row| row.id == cluster.id).ok_or("no such row")?;
        if row.seq == cluster.acknowledged { Ok(()) } else { Err(row.seq.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_key_that_was_replaced_at_one_replica_is_replaced_at_the_other_at_once() {
    let stage = Stage::set().await;
    let urls = stage.urls();
    let mut cluster = clusters(&stage.a, 1).await.remove(0);
    // Both have it in memory, with the key it came with.
    for (hub, url) in [(&stage.a, &urls[0]), (&stage.b, &urls[1])] {
        report(&mut cluster, url).await.expect("taken");
        knows(hub, &cluster).await;
    }
    for turn in 0..ROTATIONS {
        let (here, there) = (&urls[turn % 2], &urls[(turn + 1) % 2]);
        let former = rotate(&mut cluster, here).await;
        // No time passes in which the other could have looked; whichever key it hears first.
        let answer = if turn % 4 < 2 {
            let answer = refused(&cluster, former, there).await;
            report(&mut cluster, there).await.expect("the new key is in force");
            answer
        } else {
            report(&mut cluster, there).await.expect("the new key is in force");
            refused(&cluster, former, there).await
        };
        assert!(answer.contains("key_replaced"), "turn {turn}: {answer}");
        report(&mut cluster, here).await.expect("it is known where it was replaced");
    }
    for hub in [&stage.a, &stage.b] {
        knows(hub, &cluster).await;
        assert_eq!(hub.clusters().await.len(), 1, "one cluster, whatever its key");
        check_audit(hub).await;
    }
    nobody_panicked(&[&stage.a, &stage.b]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_rotation_that_was_acknowledged_outlives_the_replica_that_took_it() {
    let mut stage = Stage::set().await;
    let mut cluster = clusters(&stage.a, 1).await.remove(0);
    report(&mut cluster, &stage.b.url()).await.expect("taken");
    for _ in 0..2 {
        let doomed = stage.a.url();
        let before = cluster.clone();
        let former = rotate(&mut cluster, &doomed).await;
        stage.a.kill();
        let other = stage.b.url();
        let answer = refused(&cluster, former, &other).await;
        assert!(answer.contains("key_replaced"), "{answer}");
        report(&mut cluster, &other).await.expect("B knows what A acknowledged");
        // An agent that did not hear the answer asks again, wherever it can.
        let client = HubClient::new(&other, before.key).expect("a client");
        let seq = before.acknowledged + 1;
        let again = client.rotate_key(cluster.id, &cluster.key, seq, now()).await;
        let again = again.expect("the same answer again");
        assert_eq!(again.key_id, cluster.key.public().key_id().to_string());
        stage.a.restart().await;
        let back = stage.a.url();
        report(&mut cluster, &back).await.expect("and A, when it is back");
    }
    for hub in [&stage.a, &stage.b] {
        knows(hub, &cluster).await;
        check_audit(hub).await;
    }
    nobody_panicked(&[&stage.a, &stage.b]);
}
