//! schemathesis throws generated requests at a hub that has something of everything: releases and
//! graphs of one vendor, clusters that report, a rollout under way, holds, labels, a webhook, tokens
//! and a dark site. What its own description does not allow is a fault.

use std::process::Stdio;

use channels::wire::{Phase, PolicyRequest};
use jiff::ToSpan as _;
use serde_json::{Value, json};
use signing::SecretKey;

use super::script;
use crate::e2e::server::hub::{Hub, now};
use crate::e2e::server::load::{enrol, report};
use crate::e2e::server::vendor::{PRODUCT, Vendor, content, release};

/// Clusters that report.
const CLUSTERS: usize = 12;

/// Longest run of generated requests, seconds; ten minutes by hand.
fn seconds() -> String {
    std::env::var("FAIRWAY_SCHEMATHESIS_S").unwrap_or_else(|_| "60".to_owned())
}

const POLICY: &str = "name: slow\nemergency: true\ncurve: {template: emergency}\n\
    applies_to: [{product: acme/kafka}]\nrings:\n  - name: everyone\n    rest: true\n";

/// One JSON request, which must be taken.
async fn taken(hub: &Hub, method: reqwest::Method, path: &str, body: &Value) {
    let client = crate::e2e::server::hub::http();
    let request = client.request(method, format!("{}/{path}", hub.url())).bearer_auth(hub.token());
    let answer = request.json(body).send().await.expect("an answer");
    let status = answer.status();
    assert!(status.is_success(), "{path}: {status} {}", answer.text().await.expect("a body"));
}

async fn something_of_everything(hub: &Hub) {
    let put = reqwest::Method::PUT;
    let post = reqwest::Method::POST;
    let mut vendor = Vendor::establish(hub).await;
    let releases = [release("3.9.1", "^3.8"), release("4.0.0", "^3.9")];
    vendor.publish(hub, &content(&releases[..1], &[])).await;
    for cluster in &mut enrol(hub, CLUSTERS).await {
        let mut report = report(cluster.id, 1);
        report.products[0].phase = Phase::Idle;
        cluster.client(hub).report(&report, now()).await.expect("taken");
    }
    let policy = serde_json::to_value(PolicyRequest { text: POLICY.to_owned() }).expect("JSON");
    taken(hub, put.clone(), "api/v1/rollout-policies/slow", &policy).await;
    vendor.publish(hub, &content(&releases, &[(0, 1)])).await;
    let labels = json!({ "labels": { "env": "prod" } });
    taken(hub, put.clone(), "api/v1/clusters/cluster-1/labels", &labels).await;
    let hold = json!({ "scope": { "kind": "product", "product": PRODUCT }, "reason": "audit" });
    taken(hub, post.clone(), "api/v1/holds", &hold).await;
    let hook = json!({ "url": "https://hooks.example/x", "kinds": ["rollout.*"] });
    taken(hub, post.clone(), "api/v1/webhooks", &hook).await;
    let token = json!({ "name": "shift", "access": "viewer", "expires_in_s": 3600 });
    taken(hub, post, "api/v1/tokens", &token).await;
    let key = SecretKey::generate().expect("a key").public().to_spki_pem();
    taken(hub, put, "api/v1/sites/south", &json!({ "public_key": key })).await;
    let rollouts: Value = hub.get("api/v1/rollouts").await;
    assert_eq!(rollouts["items"][0]["release"], "4.0.0", "{rollouts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs schemathesis (tests/peers/install.sh schemathesis)"]
async fn schemathesis_finds_no_server_error_and_nothing_undeclared() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = format!(
        "workers = 1\nsite = 'north'\ndefault_product = '{PRODUCT}'\n\
         [limits]\npeople_per_s = 100000\npeople_burst = 1000000\nlogins_per_min = 10000\n"
    );
    let hub = Hub::start(dir.path(), &config).await;
    something_of_everything(&hub).await;
    let began = now();
    let mut run = tokio::process::Command::new(script("schemathesis.sh"))
        .arg(hub.url())
        .arg(hub.data().join("admin.token"))
        .arg(seconds())
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("bash runs it");
    // Held open until it ends.
    let input = run.stdin.take();
    let ended = run.wait().await.expect("a child of ours");
    drop(input);
    assert!(ended.success(), "see its report above");
    assert!(now() > began + 1.second(), "it has asked something");
    assert!(!hub.log().contains("panicked"), "{}", hub.log());
}
