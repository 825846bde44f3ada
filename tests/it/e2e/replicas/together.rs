//! What is done at one replica holds at the other.

use channels::wire::{Action, Freshness, GrantRequest, Hold, HoldRequest, HoldScope, Page, Phase};

use super::load::Cluster;
use super::{Stage, check_audit, nobody_panicked};
use crate::e2e::server::hub::until;
use crate::e2e::server::load::product;
use crate::e2e::server::vendor::{PRODUCT, Vendor, content, release};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_cluster_that_enrols_at_one_replica_reports_to_the_other_and_is_held_from_either() {
    let stage = Stage::set().await;
    let mut vendor = Vendor::establish(&stage.a).await;
    let documents = [release("3.9.1", "^3"), release("4.3.1", "^3")];
    let content = content(&documents, &[(0, 1)]);
    vendor.publish(&stage.a, &content).await;
    let digest = content
        .targets()
        .iter()
        .find(|(path, _)| path.as_str().contains("4.3.1"))
        .map(|(_, bytes)| signing::Sha256Digest::of(bytes))
        .expect("the release");
    let wants = |renews| GrantRequest {
        to: "4.3.1".parse().expect("a version"),
        release_digest: digest,
        renews,
    };
    until("B serves what A took", async || {
        let (status, _) = stage.b.look("tuf/metadata/timestamp.json").await?;
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;

    // At once: no time passes in which the other could have looked.
    let token = stage.a.invite(1).await;
    let mut cluster = Cluster::enrol(&stage.b, &token, "east").await;
    let first = cluster.next(product("3.9.1", Phase::Idle));
    cluster.send(&stage.a.url(), &first).await.expect("A knows whom B enrolled");
    let replayed = cluster.send(&stage.b.url(), &first).await.expect("the same answer again");
    assert_eq!(replayed.seq, 1);
    let reply = cluster.ask(&stage.b.url(), "3.9.1", wants(None)).await.expect("an answer");
    let grant = reply.directives[0].grant.clone().expect("nobody holds");

    let request = HoldRequest {
        scope: HoldScope::Product { product: PRODUCT.parse().expect("a product") },
        reason: "storm".to_owned(),
    };
    let body = serde_json::to_vec(&request).expect("JSON");
    let answer = stage.a.post("api/v1/holds", "application/json", body).send().await;
    let hold: Hold = answer.expect("an answer").json().await.expect("a hold");
    // The very next word of the other replica: before the next unit.
    let reply = cluster.ask(&stage.b.url(), "3.9.1", wants(Some(grant.generation))).await;
    let directive = reply.expect("an answer").directives.remove(0);
    assert_eq!((directive.action, directive.grant), (Action::Hold, None));
    assert!(directive.reasons.iter().any(|why| why.message.contains("storm")));

    let graph = "api/upgrades_info/acme/kafka/v1/graph?channel=stable&arch=amd64";
    until("B shows plain clients what A holds", async || {
        let (_, graph) = stage.b.look(graph).await?;
        if graph.contains("FairwayHold") { Ok(()) } else { Err(graph) }
    })
    .await;
    let holds: Page<Hold> = stage.b.get("api/v1/holds").await;
    assert_eq!(holds.items, [hold]);
    for hub in [&stage.a, &stage.b] {
        until("it has caught up", async || {
            let rows = hub.clusters().await;
            let seen = (rows.len(), rows[0].seq, rows[0].freshness);
            if seen == (1, 3, Freshness::Fresh) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
        check_audit(hub).await;
    }
    nobody_panicked(&[&stage.a, &stage.b]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn a_report_taken_by_one_replica_is_no_news_to_the_other() {
    let stage = Stage::set().await;
    let token = stage.a.invite(1).await;
    let mut cluster = Cluster::enrol(&stage.a, &token, "east").await;
    let one = cluster.next(product("3.9.1", Phase::Idle));
    cluster.send(&stage.a.url(), &one).await.expect("taken");
    let mut other = one.clone();
    other.products[0].phase = Phase::Waiting;
    let refused = cluster.send(&stage.b.url(), &other).await.expect_err("a replay");
    assert!(refused.contains("replayed_report"), "{refused}");
}
