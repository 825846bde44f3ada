//! Both replicas grant, and the caps hold over both.

use std::collections::BTreeSet;

use channels::wire::{Action, GrantRequest, Page, Phase, RolloutRow};
use tokio::task::JoinSet;

use super::{Stage, check_audit, clusters, nobody_panicked};
use crate::e2e::server::hub::until;
use crate::e2e::server::load::product;
use crate::e2e::server::vendor::{Vendor, content, release};

/// Clusters that all want to go.
const CLUSTERS: usize = 24;
/// As many as the policy lets go at once.
const CAP: usize = 5;
/// Times that everybody asks.
const ROUNDS: usize = 4;

const POLICY: &str = "\
name: capped
applies_to: [{product: acme/kafka}]
emergency: true
curve: {points: [{after: 0s, share: 100%}]}
gates: {soak: 1s, min_sample: 1, max_unknown: 100%}
caps: {concurrent: 5}
rings:
  - {name: everyone, rest: true}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL"]
async fn two_replicas_that_both_grant_never_let_more_go_than_the_cap() {
    let stage = Stage::set().await;
    let mut vendor = Vendor::establish(&stage.a).await;
    let documents = [release("3.9.1", "^3"), release("4.3.1", "^3")];
    let content = content(&documents, &[(0, 1)]);
    vendor.publish(&stage.a, &content).await;
    let release = content.targets().iter().find(|(path, _)| path.as_str().contains("4.3.1"));
    let digest = release.map(|(_, bytes)| signing::Sha256Digest::of(bytes)).expect("the release");
    let mut clusters = clusters(&stage.b, CLUSTERS).await;
    for cluster in &mut clusters {
        let first = cluster.next(product("3.9.1", Phase::Idle));
        cluster.send(&stage.a.url(), &first).await.expect("taken");
    }
    let request = serde_json::json!({ "text": POLICY }).to_string().into_bytes();
    let applied = stage
        .a
        .put("api/v1/rollout-policies/capped", "application/json", request)
        .send()
        .await
        .expect("an answer");
    assert!(applied.status().is_success(), "{:?}", applied.text().await);
    until("B serves it, and the release has its rollout", async || {
        let page: Page<RolloutRow> = stage.b.get("api/v1/rollouts").await;
        let (status, _) = stage.b.look("tuf/metadata/timestamp.json").await?;
        if page.items.len() == 1 && status == 200 { Ok(()) } else { Err(format!("{page:?}")) }
    })
    .await;

    let mut granted = BTreeSet::new();
    for _ in 0..ROUNDS {
        let mut asking = JoinSet::new();
        for (number, mut cluster) in clusters.drain(..).enumerate() {
            let url = stage.urls()[number % 2].clone();
            asking.spawn(async move {
                let wants = GrantRequest {
                    to: "4.3.1".parse().expect("a version"),
                    release_digest: digest,
                    renews: None,
                };
                let reply = cluster.ask(&url, "3.9.1", wants).await.expect("an answer");
                (cluster, reply)
            });
        }
        for (cluster, reply) in asking.join_all().await {
            let directive = &reply.directives[0];
            if directive.action == Action::Proceed {
                granted.insert(cluster.name.clone());
            } else {
                assert!(!directive.reasons.is_empty(), "{directive:?}");
            }
            clusters.push(cluster);
        }
        assert!(granted.len() <= CAP, "{granted:?}: the policy lets {CAP} go at once");
    }
    assert_eq!(granted.len(), CAP, "{granted:?}");
    for hub in [&stage.a, &stage.b] {
        let in_flight = until("it has caught up", async || {
            let page: Page<RolloutRow> = hub.get("api/v1/rollouts").await;
            let found = usize::try_from(page.items[0].caps.in_flight).expect("few");
            if found == CAP { Ok(found) } else { Err(found.to_string()) }
        });
        assert_eq!(in_flight.await, CAP);
        check_audit(hub).await;
    }
    nobody_panicked(&[&stage.a, &stage.b]);
}
