//! Replicas that die, a database that ends and comes back, a replica that cannot reach it: nothing
//! acknowledged is lost, and whoever can go on does.

use super::load::{Load, check};
use super::peer::{Line, Postgres};
use super::{Stage, check_audit, clusters, leads, nobody_panicked, unready, well};
use crate::e2e::server::hub::{Hub, until};

/// Clusters that report at once.
const CLUSTERS: usize = 24;
/// Reports that are acknowledged between two troubles.
const SOME: u64 = 150;

async fn leader(stage: &Stage) -> usize {
    until("one of them leads", async || match (leads(&stage.a).await, leads(&stage.b).await) {
        (Ok(true), Ok(false)) => Ok(0),
        (Ok(false), Ok(true)) => Ok(1),
        other => Err(format!("{other:?}")),
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_replica_killed_under_load_loses_nothing_and_the_other_leads_on() {
    let mut stage = Stage::set().await;
    let load = Load::start(clusters(&stage.a, CLUSTERS).await, stage.urls());
    for _ in 0..2 {
        let first = leader(&stage).await;
        load.hear(SOME).await;
        let (doomed, other) = match first {
            0 => (&mut stage.a, &stage.b),
            _ => (&mut stage.b, &stage.a),
        };
        doomed.kill();
        load.hear(SOME).await;
        until("the other one leads", async || match leads(other).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        doomed.restart().await;
        load.tell(stage.urls());
        load.hear(SOME).await;
    }
    let clusters = load.end().await;
    for hub in [&stage.a, &stage.b] {
        // A read right after a write elsewhere may be a moment old.
        well(hub).await;
        caught_up(hub, &clusters).await;
        check(&clusters, &hub.clusters().await, "after the kills");
        check_audit(hub).await;
    }
    nobody_panicked(&[&stage.a, &stage.b]);
}

/// Waits until a replica's rows have every acknowledged report.
async fn caught_up(hub: &Hub, clusters: &[super::load::Cluster]) {
    until("it has caught up", async || {
        let rows = hub.clusters().await;
        let behind = clusters.iter().find(|cluster| {
            rows.iter().any(|row| row.id == cluster.id && row.seq < cluster.acknowledged)
        });
        behind.map_or(Ok(()), |cluster| Err(format!("{} is behind", cluster.name)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_database_that_ends_under_load_and_comes_back_has_every_acknowledged_report() {
    let mut stage = Stage::set().await;
    let load = Load::start(clusters(&stage.a, CLUSTERS).await, stage.urls());
    for _ in 0..3 {
        load.hear(SOME).await;
        stage.postgres.stop();
        for hub in [&stage.a, &stage.b] {
            until("it says that it cannot write", async || {
                let why = unready(hub).await?;
                if why.iter().any(|code| code != "not_published") {
                    Ok(())
                } else {
                    Err(String::new())
                }
            })
            .await;
        }
        stage.postgres.start_again();
        load.hear(SOME).await;
    }
    let clusters = load.end().await;
    for hub in [&stage.a, &stage.b] {
        well(hub).await;
        caught_up(hub, &clusters).await;
        check(&clusters, &hub.clusters().await, "after the restarts");
        check_audit(hub).await;
    }
    leader(&stage).await;
    nobody_panicked(&[&stage.a, &stage.b]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_replica_that_is_cut_off_says_so_takes_nothing_and_recovers_by_itself() {
    let postgres = Postgres::start();
    let line = Line::to(&postgres).await;
    let url = line.url().to_owned();
    let stage = Stage::over(postgres, &url).await;
    let clusters = clusters(&stage.a, CLUSTERS).await;
    let load = Load::start(clusters, stage.urls());
    load.hear(SOME).await;
    line.cut();
    // The other goes on, whatever the one that is cut off held when it happened.
    load.tell(vec![stage.a.url()]);
    load.hear(SOME).await;
    until("it is not ready", async || {
        let why = unready(&stage.b).await?;
        if why.iter().any(|code| code != "not_published") { Ok(()) } else { Err(String::new()) }
    })
    .await;
    let refused = until("it takes no writes", async || {
        let body = br#"{"uses": 1, "expires_in_s": 600, "note": ""}"#.to_vec();
        let answer = stage.b.post("api/v1/join-tokens", "application/json", body).send().await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        if answer.status().as_u16() == 503 { Ok(answer) } else { Err(answer.status().to_string()) }
    })
    .await;
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    until("the other leads", async || match leads(&stage.a).await {
        Ok(true) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let rows = stage.b.clusters().await;
    assert_eq!(rows.len(), CLUSTERS, "reads still work");

    line.mend();
    well(&stage.b).await;
    load.tell(stage.urls());
    load.hear(SOME).await;
    let clusters = load.end().await;
    for hub in [&stage.a, &stage.b] {
        caught_up(hub, &clusters).await;
        check(&clusters, &hub.clusters().await, "after the cut");
        check_audit(hub).await;
    }
    nobody_panicked(&[&stage.a, &stage.b]);
}
