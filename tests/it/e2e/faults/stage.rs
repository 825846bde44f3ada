//! What the faults have in common: writes that are refused, reads that go on.

use channels::wire::{HoldRequest, HoldScope, Problem};
use cluster_agent::hub::HubError;
use reqwest::header::RETRY_AFTER;

use crate::e2e::server::hub::Hub;
use crate::e2e::server::load::Cluster;

/// Status, problem and wait of a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) slug: String,
    pub(super) retry_after_s: u64,
}

/// What an answer that is no success says.
pub(super) async fn refused(answer: reqwest::Response) -> Refused {
    let status = answer.status().as_u16();
    let wait =
        answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let text = answer.text().await.expect("a body");
    let problem: Problem =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {text}: {error}"));
    let slug = problem.kind.trim_start_matches("/problems/").to_owned();
    Refused { status, slug, retry_after_s: wait.unwrap_or_default() }
}

/// Places a hold on the fleet.
pub(super) async fn hold(hub: &Hub) -> reqwest::Response {
    let request = HoldRequest { scope: HoldScope::Fleet, reason: "audit".to_owned() };
    let body = serde_json::to_vec(&request).expect("JSON");
    hub.post("api/v1/holds", "application/json", body).send().await.expect("an answer")
}

/// People's writes are refused as the store's fault, agents are told to come back.
pub(super) async fn writes_are_refused(hub: &Hub, cluster: &mut Cluster) {
    let refused = refused(hold(hub).await).await;
    assert_eq!((refused.status, &*refused.slug), (503, "store_unavailable"));
    assert!(refused.retry_after_s > 0, "{refused:?}");
    let client = cluster.client(hub);
    let told = cluster.report(&client).await.expect_err("a report that cannot be kept");
    assert!(matches!(told, HubError::Busy { retry_after_s } if retry_after_s > 0), "{told}");
}

/// Whoever reads is answered as before, and probes say what is wrong.
pub(super) async fn reads_go_on(hub: &Hub) {
    assert!(!hub.clusters().await.is_empty());
    for path in ["api/v1/drift", "api/v1/audit", "api/v1/holds?all=true", "metrics", "livez"] {
        let answer = hub.ask(path).await;
        assert_eq!(answer.status().as_u16(), 200, "{path}: {}", answer.text().await.expect("text"));
    }
    let ready = hub.ask("readyz").await;
    assert_eq!(ready.status().as_u16(), 503);
    let reasons = ready.text().await.expect("a body");
    assert!(reasons.contains("store_not_writable"), "{reasons}");
}
