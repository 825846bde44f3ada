//! What people set on clusters over HTTP: labels, found by selectors and kept through a new key, and
//! settings, which the agent hears of.

use std::collections::BTreeMap;

use channels::wire::{AuditRow, BulkExpect, BulkReply, ClusterRow, OpenJoinToken, Page};
use serde_json::json;

use super::*;
use crate::auth::{Secret, SecretKind};
use crate::bulk;
use crate::fleet::ClusterKey;
use crate::store::Enrolment;
use signing::Sha256Digest;

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
async fn a_channel_that_is_not_followed_is_told_counted_and_over_once_it_is() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.idle(1)).await;
    let set = async |channel: Value| {
        let body = json!({ "product": "acme/kafka", "change": { "channel": channel } });
        let path = "/api/v1/clusters/site-1/settings";
        assert_eq!(hub.ask(Access::Operator, "PUT", path, Some(body)).await.status, 200);
    };
    let told = async || {
        let row: ClusterRow = hub.get("/api/v1/clusters/site-1").await;
        let listed: Page<ClusterRow> = hub.get("/api/v1/clusters").await;
        assert_eq!(listed.items[0].products[0].why_not, row.products[0].why_not);
        let metrics = hub.ask(Access::Viewer, "GET", "/metrics", None).await.text();
        let line = metrics.lines().find(|l| l.starts_with("fairway_channel_mismatches"));
        let reason = row.products[0].why_not.iter().find(|r| r.code == "channel_mismatch");
        (reason.map(|r| r.message.clone()), line.unwrap().to_owned())
    };
    set(json!("fast")).await;
    let (message, line) = told().await;
    assert!(message.unwrap().contains("has not heard of it yet"));
    assert_eq!(line, "fairway_channel_mismatches 1");
    let mut refuses = agent.idle(2);
    refuses.products[0].waiting_on.push(channels::wire::WaitingOn {
        gate: "hub_channel".to_owned(),
        unit: None,
        message: "the policy here follows stable".to_owned(),
        observed: None,
        limit: None,
        since: None,
    });
    hub.reply(&agent, &refuses).await;
    assert!(told().await.0.unwrap().contains("hub_may_set_channel"));
    set(Value::Null).await;
    assert_eq!(told().await, (None, "fairway_channel_mismatches 0".to_owned()));
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

impl Hub {
    async fn bulk(&self, filter: Value, action: Value, expect: Option<BulkExpect>) -> Answer {
        let body = json!({ "filter": filter, "action": action, "expect": expect });
        self.ask(Access::Operator, "POST", "/api/v1/bulk", Some(body)).await
    }

    async fn audited_rows(&self, action: &str) -> Vec<AuditRow> {
        let page: Page<AuditRow> = self.get("/api/v1/audit?limit=500").await;
        page.items.into_iter().filter(|row| row.action == action).collect()
    }
}

#[actix_web::test]
async fn many_clusters_are_shown_first_and_changed_only_as_they_were_shown() {
    let hub = Hub::new().await;
    for n in 1..=4 {
        hub.agent(n).await;
    }
    hub.label("site-1", json!({ "ring": "prod" })).await;
    let action = json!({ "kind": "label", "labels": { "ring": "prod" } });
    let preview: BulkReply =
        hub.bulk(json!({ "name": "site-" }), action.clone(), None).await.json();
    assert_eq!((preview.expect.clusters, preview.unchanged, preview.done), (3, 1, 0));
    assert_eq!(preview.items[0].name, "site-2");
    assert_eq!(hub.names("selector=ring").await, ["site-1"], "nothing was done");
    hub.agent(5).await;
    let expect = Some(preview.expect);
    let refused = hub.bulk(json!({ "name": "site-" }), action.clone(), expect).await;
    assert_eq!(refused.problem(), (409, "selection_changed".into()));
    assert_eq!(hub.names("selector=ring").await, ["site-1"], "nothing was done");
    let preview: BulkReply =
        hub.bulk(json!({ "name": "site-" }), action.clone(), None).await.json();
    let done = hub.bulk(json!({ "name": "site-" }), action, Some(preview.expect)).await;
    let done: BulkReply = done.json();
    assert_eq!((done.done, done.expect), (4, preview.expect));
    assert_eq!(hub.names("selector=ring%3Dprod").await.len(), 5);
    assert_eq!(hub.audited_rows("label").await.len(), 5, "one row for each cluster");
}

#[actix_web::test]
async fn settings_retirement_and_new_invitations_reach_every_selected_cluster() {
    let hub = Hub::new().await;
    for n in 1..=3 {
        hub.agent(n).await;
    }
    hub.label("site-1", json!({ "ring": "a" })).await;
    hub.label("site-2", json!({ "ring": "a" })).await;
    let filter = json!({ "selector": "ring=a" });
    let run = async |action: Value| {
        let preview: BulkReply = hub.bulk(filter.clone(), action.clone(), None).await.json();
        let answer = hub.bulk(filter.clone(), action, Some(preview.expect)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json::<BulkReply>()
    };
    let change = json!({ "pin": "1.0.0", "max_version": "1.1.0" });
    let set = run(json!({ "kind": "set", "product": "acme/kafka", "change": change })).await;
    assert_eq!(set.done, 2);
    let row: ClusterRow = hub.get("/api/v1/clusters/site-2").await;
    assert_eq!(row.settings[0].pin, Some("1.0.0".parse().unwrap()));
    let invited = run(json!({ "kind": "reinvite", "expires_in_s": 600 })).await;
    let token = &invited.items[1].token.as_ref().unwrap().token;
    let new = SecretKey::from_seed([9; 32]);
    assert_eq!(hub.enrol(token, "site-2", &new).await.status, 201);
    let retired = run(json!({ "kind": "retire" })).await;
    assert_eq!(retired.done, 2);
    assert_eq!(hub.names("").await, ["site-3"]);
    assert_eq!(hub.audited_rows("retire").await.len(), 2);
}

#[actix_web::test]
async fn a_bulk_change_without_a_filter_a_change_or_leave_is_refused() {
    let hub = Hub::new().await;
    hub.agent(1).await;
    let label = json!({ "kind": "label", "labels": { "ring": "a" } });
    let all = json!({ "all": true });
    for (filter, action) in [
        (json!({}), label.clone()),
        (json!({ "name": "" }), label.clone()),
        (all.clone(), json!({ "kind": "label", "labels": {} })),
        (all.clone(), json!({ "kind": "label", "labels": { "a b": "x" } })),
        (all.clone(), json!({ "kind": "set", "product": "acme/kafka", "change": {} })),
        (all.clone(), json!({ "kind": "reinvite", "expires_in_s": 90_000 })),
    ] {
        let refused = hub.bulk(filter, action, None).await;
        assert_eq!(refused.problem(), (422, "unprocessable".into()), "{}", refused.text());
    }
    let refused = hub.bulk(json!({ "selector": "," }), label.clone(), None).await;
    assert_eq!(refused.problem(), (400, "invalid_request".into()));
    let body = json!({ "filter": all, "action": label });
    let refused = hub.ask(Access::Viewer, "POST", "/api/v1/bulk", Some(body)).await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
}

#[actix_web::test]
async fn a_change_to_more_clusters_than_a_piece_goes_on_where_it_was_and_not_twice() {
    let hub = Hub::new().await;
    let clusters = bulk::PIECE + 3;
    let body = json!({ "uses": clusters, "expires_in_s": 600 });
    let minted = hub.ask(Access::Operator, "POST", "/api/v1/join-tokens", Some(body)).await;
    let token = minted.json::<JoinToken>().token;
    let token_digest = Secret::parse(SecretKind::Join, &token).unwrap().digest();
    for n in 0..clusters {
        let (id, name) = (Sha256Digest::of(&n.to_be_bytes()), format!("site-{n}"));
        let key = ClusterKey { bytes: [1; 32], id };
        let agent_version = "0.1.0".to_owned();
        let enrolment = Enrolment { token_digest, key, name, agent_version, now: t0() };
        hub.state.store.enrol(enrolment).await.unwrap();
    }
    let action = json!({ "kind": "label", "labels": { "ring": "prod" } });
    let all = json!({ "all": true });
    let preview: BulkReply = hub.bulk(all.clone(), action.clone(), None).await.json();
    let first = hub.bulk(all.clone(), action.clone(), Some(preview.expect)).await;
    let first: BulkReply = first.json();
    assert_eq!(first.done, u64::try_from(bulk::PIECE).unwrap());
    let next = first.next.unwrap();
    assert_eq!(next.clusters, 3);
    let again = hub.bulk(all.clone(), action.clone(), Some(preview.expect)).await;
    assert_eq!(again.problem(), (409, "selection_changed".into()), "its answer was lost");
    let preview: BulkReply = hub.bulk(all.clone(), action.clone(), None).await.json();
    assert_eq!(preview.expect, next, "a new preview shows the same rest");
    let rest: BulkReply = hub.bulk(all, action, Some(next)).await.json();
    assert_eq!((rest.done, rest.next), (3, None));
}
