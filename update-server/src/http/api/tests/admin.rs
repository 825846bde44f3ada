//! What people set on clusters over HTTP: labels, found by selectors and kept through a new key, and
//! settings, which the agent hears of.

use std::collections::BTreeMap;

use channels::wire::{AuditRow, ClusterRow, OpenJoinToken, Page};
use serde_json::json;

use super::*;

impl Hub {
    pub(super) async fn label(&self, cluster: &str, labels: Value) -> Answer {
        let path = format!("/api/v1/clusters/{cluster}/labels");
        self.ask(Access::Operator, "PUT", &path, Some(json!({ "labels": labels }))).await
    }

    /// Names of the clusters that a query lists.
    pub(super) async fn names(&self, query: &str) -> Vec<String> {
        let page: Page<ClusterRow> = self.get(&format!("/api/v1/clusters?{query}")).await;
        page.items.into_iter().map(|row| row.name).collect()
    }
}

#[actix_web::test]
async fn labels_are_set_taken_away_found_and_audited() {
    let hub = Hub::new().await;
    for n in 1..=3 {
        hub.agent(n).await;
    }
    let answer = hub.label("site-1", json!({ "ring": "canary", "owner": "ann" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    hub.label("site-2", json!({ "ring": "prod" })).await;
    let row: ClusterRow =
        hub.label("site-1", json!({ "owner": null, "absent": null })).await.json();
    assert_eq!(row.labels, BTreeMap::from([("ring".to_owned(), "canary".to_owned())]));
    assert_eq!(hub.names("selector=ring%3Dcanary").await, ["site-1"]);
    assert_eq!(hub.names("selector=ring!%3Dcanary").await, ["site-2", "site-3"]);
    assert_eq!(hub.names("selector=ring+in+(canary,prod)&name=site-2").await, ["site-2"]);
    let again = hub.label("site-1", json!({ "ring": "canary" })).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let audit: Page<AuditRow> = hub.get("/api/v1/audit").await;
    let rows: Vec<_> = audit.items.iter().filter(|row| row.action == "label").collect();
    assert_eq!(rows.len(), 3, "a change that changes nothing leaves no row");
    assert!(rows[0].detail.contains(r#""before":{"owner":"ann","ring":"canary"}"#), "{rows:?}");
}

#[actix_web::test]
async fn what_is_no_label_or_no_selector_is_refused_and_only_operators_label() {
    let hub = Hub::new().await;
    hub.agent(1).await;
    let many: BTreeMap<String, &str> = (0..65).map(|n| (format!("k{n}"), "v")).collect();
    for bad in [json!({ "a b": "x" }), json!({ "ring": "a,b" }), json!(many)] {
        let refused = hub.label("site-1", bad).await;
        assert_eq!(refused.problem(), (422, "unprocessable".into()), "{}", refused.text());
    }
    assert_eq!(hub.label("site-9", json!({ "ring": "a" })).await.status, 404);
    for bad in ["", "a%20b", "%2C"] {
        let path = format!("/api/v1/clusters?selector={bad}");
        let refused = hub.ask(Access::Viewer, "GET", &path, None).await;
        assert_eq!(refused.problem(), (400, "invalid_request".into()), "{bad:?}");
    }
    let path = "/api/v1/clusters/site-1/labels";
    let body = json!({ "labels": { "ring": "canary" } });
    let refused = hub.ask(Access::Viewer, "PUT", path, Some(body)).await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
    assert!(hub.names("selector=ring").await.is_empty());
}

#[actix_web::test]
async fn a_join_token_gives_its_labels_and_a_new_key_keeps_those_a_cluster_has() {
    let hub = Hub::new().await;
    let body = json!({
        "uses": 2, "expires_in_s": 600, "labels": { "ring": "canary", "site": "hamburg" }
    });
    let minted = hub.ask(Access::Operator, "POST", "/api/v1/join-tokens", Some(body)).await;
    let minted: JoinToken = minted.json();
    let open: Page<OpenJoinToken> = hub.get("/api/v1/join-tokens").await;
    assert_eq!(open.items[0].labels["site"], "hamburg");
    let key = SecretKey::from_seed([1; 32]);
    assert_eq!(hub.enrol(&minted.token, "site-1", &key).await.status, 201);
    assert_eq!(hub.names("selector=site%3Dhamburg").await, ["site-1"]);
    hub.label("site-1", json!({ "site": "bremen" })).await;
    let path = "/api/v1/clusters/site-1/join-tokens";
    let body = json!({ "expires_in_s": 600 });
    let again: JoinToken = hub.ask(Access::Operator, "POST", path, Some(body)).await.json();
    let new = SecretKey::from_seed([2; 32]);
    assert_eq!(hub.enrol(&again.token, "site-1", &new).await.status, 201);
    assert_eq!(hub.names("selector=site%3Dbremen,ring%3Dcanary").await, ["site-1"]);
    let bad = json!({ "uses": 1, "expires_in_s": 600, "labels": { "a b": "x" } });
    let refused = hub.ask(Access::Operator, "POST", "/api/v1/join-tokens", Some(bad)).await;
    assert_eq!(refused.problem(), (422, "unprocessable".into()));
}

#[actix_web::test]
async fn settings_go_to_the_agent_and_nothing_is_granted_beyond_them() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    let set = async |body: Value| {
        let path = "/api/v1/clusters/site-1/settings";
        hub.ask(Access::Operator, "PUT", path, Some(body)).await
    };
    let all = json!({ "channel": "fast", "pin": "1.0.0", "max_version": "1.0.9" });
    let answer = set(json!({ "product": "acme/kafka", "change": all })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asks = agent.of(1, vec![asking(&hub, "1.1.0")]);
    let reply = hub.reply(&agent, &asks).await;
    assert_eq!(reply.settings, answer.json::<ClusterRow>().settings);
    assert_eq!(reply.settings[0].pin, Some("1.0.0".parse().unwrap()));
    assert_eq!(reply.directives[0].reasons[0].code, "pinned");
    let row: ClusterRow = hub.get("/api/v1/clusters/site-1").await;
    assert_eq!(row.products[0].why_not[0].code, "pinned", "people see why");
    set(json!({ "product": "acme/kafka", "change": { "pin": null, "channel": null } })).await;
    let asks = agent.of(2, vec![asking(&hub, "1.1.0")]);
    assert_eq!(hub.reply(&agent, &asks).await.directives[0].reasons[0].code, "above_max");
    set(json!({ "product": "acme/kafka", "change": { "max_version": null } })).await;
    let asks = agent.of(3, vec![asking(&hub, "1.1.0")]);
    let reply = hub.reply(&agent, &asks).await;
    assert!(reply.settings.is_empty() && reply.directives[0].grant.is_some(), "{reply:?}");
    let audit: Page<AuditRow> = hub.get("/api/v1/audit").await;
    assert_eq!(audit.items.iter().filter(|row| row.action == "set").count(), 3);
}

#[actix_web::test]
async fn settings_that_contradict_each_other_are_refused() {
    let hub = Hub::new().await;
    hub.agent(1).await;
    for change in [
        json!({ "pin": "1.2.0", "max_version": "1.1.0" }),
        json!({ "pin": "1.2.0", "max_version": null, "channel": "No Such" }),
        json!({ "pin": "latest" }),
    ] {
        let body = json!({ "product": "acme/kafka", "change": change });
        let path = "/api/v1/clusters/site-1/settings";
        let refused = hub.ask(Access::Operator, "PUT", path, Some(body)).await;
        assert!([400, 422].contains(&refused.problem().0), "{}", refused.text());
    }
    for n in 0..9 {
        let body = json!({ "product": format!("acme/p{n}"), "change": { "pin": "1.2.0" } });
        let path = "/api/v1/clusters/site-1/settings";
        let answer = hub.ask(Access::Operator, "PUT", path, Some(body)).await;
        assert_eq!(answer.status, if n < 8 { 200 } else { 422 }, "{}", answer.text());
    }
}
