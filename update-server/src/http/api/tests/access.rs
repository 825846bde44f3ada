//! Scopes, expiry and last use of tokens; limits.

use channels::wire::{ClusterRow, Hold, Page};

use super::*;
use crate::auth::{TokenRecord, day_of};

impl Hub {
    /// An `Authorization` header of a new token.
    async fn made(&self, body: Value) -> (u64, String) {
        let made = self.ask(Access::Admin, "POST", "/api/v1/tokens", Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let made: Value = made.json();
        let header = format!("Bearer {}", made["token"].as_str().unwrap());
        (made["id"].as_u64().unwrap(), header)
    }

    /// Clusters site-1 (canary) and site-2 (prod), and a token for the canaries.
    async fn split(access: &str) -> (Self, Vec<Agent>, String) {
        let hub = Self::published().await;
        let mut agents = Vec::new();
        for n in 1..=2 {
            let agent = hub.agent(n).await;
            hub.reply(&agent, &agent.idle(1)).await;
            agents.push(agent);
        }
        hub.label("site-1", json!({ "ring": "canary" })).await;
        hub.label("site-2", json!({ "ring": "prod" })).await;
        let body = json!({ "name": "east", "access": access, "selector": "ring=canary" });
        let (_, header) = hub.made(body).await;
        (hub, agents, header)
    }
}

#[actix_web::test]
async fn whoever_is_confined_to_some_clusters_sees_no_others() {
    let (hub, agents, header) = Hub::split("viewer").await;
    let get = async |path: &str| hub.ask_with(Some(&header), "GET", path, None).await;
    let list: Page<ClusterRow> = get("/api/v1/clusters").await.json();
    assert_eq!(list.items.iter().map(|row| &row.name).collect::<Vec<_>>(), ["site-1"]);
    for query in ["selector=ring%3Dprod", "name=site-2"] {
        let list: Page<ClusterRow> = get(&format!("/api/v1/clusters?{query}")).await.json();
        assert!(list.items.is_empty(), "{query}");
    }
    for seen in ["site-1", &agents[0].id.to_string()] {
        assert_eq!(get(&format!("/api/v1/clusters/{seen}")).await.status, 200);
        assert_eq!(get(&format!("/api/v1/clusters/{seen}/history")).await.status, 200);
    }
    // Another cluster looks like none at all.
    let hidden = get("/api/v1/clusters/site-2").await.text();
    let absent = get("/api/v1/clusters/site-9").await.text();
    assert_eq!(hidden.replace("site-2", "site-9"), absent);
    for other in [agents[1].id.to_string(), "site-2/history".to_owned()] {
        assert_eq!(get(&format!("/api/v1/clusters/{other}")).await.problem().0, 404, "{other}");
    }
    for open in ["/api/v1/products", "/api/v1/channels", "/api/v1/holds"] {
        assert_eq!(get(open).await.status, 200, "{open}");
    }
}

#[actix_web::test]
async fn sums_of_who_is_confined_are_of_their_clusters_alone() {
    let (hub, agents, header) = Hub::split("viewer").await;
    let mut ill = kafka(Phase::Idle);
    ill.health.verdict = channels::wire::HealthVerdict::Unhealthy;
    hub.reply(&agents[1], &agents[1].of(2, vec![ill])).await;
    let get = async |path: &str| hub.ask_with(Some(&header), "GET", path, None).await;
    let drift: Value = get("/api/v1/drift").await.json();
    assert_eq!(drift["items"][0]["active"], 1, "{drift}");
    let all: Value = hub.get("/api/v1/drift").await;
    assert_eq!(all["items"][0]["active"], 2);
    let health = get("/api/v1/health").await.text();
    assert!(!health.contains("site-2") && health.contains("\"unhealthy\":0"), "{health}");
    let all = hub.ask(Access::Viewer, "GET", "/api/v1/health", None).await.text();
    assert!(all.contains("site-2") && all.contains("\"unhealthy\":1"), "{all}");
    let page = get("/").await.text();
    assert!(page.contains("site-1") && !page.contains("site-2"));
    assert_eq!(get("/api/v1/clusters/site-1/timeline").await.status, 200);
    assert_eq!(get("/api/v1/clusters/site-2/timeline").await.problem().0, 404);
    let (_, nowhere) =
        hub.made(json!({ "name": "none", "access": "viewer", "selector": "ring=nowhere" })).await;
    let drift = hub.ask_with(Some(&nowhere), "GET", "/api/v1/drift", None).await;
    assert_eq!(drift.json::<Value>()["items"], json!([]), "not even which graphs others follow");
}

#[actix_web::test]
async fn what_is_about_all_is_refused_to_who_is_confined() {
    let (hub, _, header) = Hub::split("operator").await;
    let join = json!({ "uses": 1, "expires_in_s": 60 });
    let ring = json!({ "labels": { "ring": "canary" } });
    for (method, path, body) in [
        ("GET", "/api/v1/join-tokens", None),
        ("POST", "/api/v1/join-tokens", Some(join)),
        ("GET", "/api/v1/audit", None),
        ("GET", "/api/v1/status-export", None),
        // Else a label would be a way into the scope.
        ("PUT", "/api/v1/clusters/site-2/labels", Some(ring)),
    ] {
        let answer = hub.ask_with(Some(&header), method, path, body).await;
        assert_eq!(answer.problem(), (403, "out_of_scope".into()), "{method} {path}");
    }
    let answer = hub.ask_with(Some(&header), "GET", "/api/v1/tokens", None).await;
    assert_eq!(answer.problem(), (403, "forbidden".into()));
}

#[actix_web::test]
async fn changes_stay_within_the_scope_and_do_not_tell_what_lies_outside() {
    let (hub, agents, header) = Hub::split("operator").await;
    let ask = async |method: &str, path: &str, body: Option<Value>| {
        hub.ask_with(Some(&header), method, path, body).await
    };
    let ack = json!({ "acknowledge": "a" });
    for outside in ["site-2", "site-9"] {
        let path = format!("/api/v1/clusters/{outside}");
        let refused = ask("DELETE", &path, None).await;
        assert_eq!(refused.problem(), (403, "out_of_scope".into()), "{outside}");
        let refused = ask("POST", &format!("{path}/trust"), Some(ack.clone())).await;
        assert_eq!(refused.problem(), (403, "out_of_scope".into()), "{outside}");
        let body = json!({ "expires_in_s": 60 });
        let refused = ask("POST", &format!("{path}/join-tokens"), Some(body)).await;
        assert_eq!(refused.problem(), (403, "out_of_scope".into()), "{outside}");
    }
    let hold = |scope: Value| json!({ "scope": scope, "reason": "r" });
    let one = |agent: &Agent| hold(json!({ "kind": "cluster", "cluster": agent.id }));
    for outside in [hold(json!({ "kind": "fleet" })), one(&agents[1])] {
        let refused = ask("POST", "/api/v1/holds", Some(outside)).await;
        assert_eq!(refused.problem(), (403, "out_of_scope".into()));
    }
    let placed: Hold = ask("POST", "/api/v1/holds", Some(one(&agents[0]))).await.json();
    let path = "/api/v1/holds";
    let other: Hold = hub.ask(Access::Operator, "POST", path, Some(one(&agents[1]))).await.json();
    let fleet = hold(json!({ "kind": "fleet" }));
    let all: Hold = hub.ask(Access::Operator, "POST", path, Some(fleet)).await.json();
    let seen: Page<Hold> = ask("GET", path, None).await.json();
    let seen: Vec<u64> = seen.items.iter().map(|hold| hold.id).collect();
    assert_eq!(seen, [placed.id, all.id], "the other cluster's hold is not theirs to see");
    for outside in [other.id, all.id, 77] {
        let refused = ask("POST", &format!("{path}/{outside}/resume"), Some(ack.clone())).await;
        assert_eq!(refused.problem(), (403, "out_of_scope".into()), "{outside}");
    }
    let lifted = ask("POST", &format!("{path}/{}/resume", placed.id), Some(ack)).await;
    assert_eq!(lifted.status, 200);
    assert_eq!(ask("DELETE", "/api/v1/clusters/site-1", None).await.status, 204);
}

#[actix_web::test]
async fn a_token_is_refused_from_its_expiry_on_and_its_name_is_free_again() {
    let hub = Hub::new().await;
    let body = json!({ "name": "ci", "access": "viewer", "expires_in_s": 60 });
    let (_, header) = hub.made(body.clone()).await;
    hub.advance(59);
    assert_eq!(hub.ask_with(Some(&header), "GET", "/api/v1/drift", None).await.status, 200);
    hub.advance(1);
    let refused = hub.ask_with(Some(&header), "GET", "/api/v1/drift", None).await;
    assert!(refused.text().contains("expired"), "{}", refused.text());
    assert_eq!(refused.problem(), (401, "unauthenticated".into()));
    hub.made(body).await;
}

#[actix_web::test]
async fn an_admin_who_expires_is_not_the_one_to_rely_on() {
    let hub = Hub::new().await;
    let body = json!({ "name": "short", "access": "admin", "expires_in_s": 60 });
    hub.made(body).await;
    let tokens: Page<Value> = hub.ask(Access::Admin, "GET", "/api/v1/tokens", None).await.json();
    let admin = tokens.items.iter().find(|t| t["name"] == "the-admin").unwrap();
    let path = format!("/api/v1/tokens/{}", admin["id"]);
    let refused = hub.ask(Access::Admin, "DELETE", &path, None).await;
    assert_eq!(refused.problem(), (409, "conflict".into()));
}

#[actix_web::test]
async fn tokens_that_would_promise_what_they_cannot_keep_are_not_made() {
    let hub = Hub::new().await;
    for body in [
        json!({ "name": "a", "access": "publisher", "selector": "ring=canary" }),
        json!({ "name": "a", "access": "admin", "selector": "ring=canary" }),
        json!({ "name": "a", "access": "viewer", "selector": "" }),
        json!({ "name": "a", "access": "viewer", "selector": "ring canary" }),
        json!({ "name": "a", "access": "viewer", "expires_in_s": 0 }),
        json!({ "name": "a", "access": "viewer", "expires_in_s": 400_000_000 }),
        json!({ "name": "sso:mira", "access": "viewer" }),
    ] {
        let refused = hub.ask(Access::Admin, "POST", "/api/v1/tokens", Some(body.clone())).await;
        assert_eq!(refused.problem(), (422, "unprocessable".into()), "{body}");
    }
}

#[actix_web::test]
async fn the_day_of_a_tokens_last_use_is_kept() {
    let hub = Hub::new().await;
    let (id, header) = hub.made(json!({ "name": "ci", "access": "viewer" })).await;
    let find = || -> TokenRecord {
        let tokens = hub.state.store.committed().tokens().list();
        tokens.into_iter().find(|token| token.id == id).unwrap()
    };
    assert_eq!(find().last_used, None);
    hub.ask_with(Some(&header), "GET", "/api/v1/drift", None).await;
    let used = hub.state.access.activity.take();
    hub.state.store.note_use(used).await.unwrap();
    assert_eq!(find().last_used, Some(day_of(hub.now())));
    hub.ask_with(Some(&header), "GET", "/api/v1/drift", None).await;
    assert!(!hub.state.access.activity.take().tokens.contains_key(&id), "once a day is enough");
    let list = hub.ask(Access::Admin, "GET", "/api/v1/tokens", None).await.text();
    assert!(list.contains(&format!("\"last_used\":\"{}\"", hub.now().strftime("%Y-%m-%d"))));
}

#[actix_web::test]
async fn a_token_that_is_used_too_fast_is_told_when_to_come_back() {
    let hub = Hub::with("[limits]\npeople_per_s = 1\npeople_burst = 3").await;
    let get = async || hub.ask(Access::Viewer, "GET", "/api/v1/drift", None).await;
    for _ in 0..3 {
        assert_eq!(get().await.status, 200);
    }
    let refused = get().await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.problem(), (429, "rate_limited".into()));
    let other = hub.ask(Access::Operator, "GET", "/api/v1/drift", None).await;
    assert_eq!(other.status, 200, "another token is another matter");
    hub.advance(1);
    assert_eq!(get().await.status, 200);
}

#[actix_web::test]
async fn an_address_that_guesses_tokens_is_stopped_for_a_while() {
    let hub = Hub::with("[limits]\nlogins_per_min = 3").await;
    let guess = async |header: &str| {
        let request = TestRequest::get()
            .uri("/api/v1/drift")
            .peer_addr("203.0.113.9:1000".parse().unwrap())
            .insert_header(("authorization", header.to_owned()));
        hub.call(request).await
    };
    for _ in 0..3 {
        let wrong = format!("Bearer {}", Secret::generate(SecretKind::Api).unwrap().reveal());
        assert_eq!(guess(&wrong).await.status, 401);
    }
    let right = format!("Bearer {}", token(Access::Viewer).reveal());
    assert_eq!(guess(&right).await.problem(), (429, "rate_limited".into()));
    hub.advance(20);
    assert_eq!(guess(&right).await.status, 200);
}

#[actix_web::test]
async fn a_cluster_that_reports_in_a_loop_waits_but_news_are_always_taken() {
    let hub = Hub::with("[limits]\nreport_floor_s = 10").await;
    hub.state.publisher.publish(Fixture::new().publication(), t0()).unwrap();
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.idle(1)).await;
    let same = hub.report(&agent, &agent.idle(2)).await;
    assert_eq!(same.header("retry-after"), Some("10"));
    assert_eq!(same.problem(), (429, "rate_limited".into()));
    // The last one again, whose answer was lost.
    hub.reply(&agent, &agent.idle(1)).await;
    // A phase, and a wish.
    hub.reply(&agent, &agent.of(3, vec![kafka(Phase::Soak)])).await;
    hub.reply(&agent, &agent.of(4, vec![asking(&hub, "1.1.0")])).await;
    hub.advance(10);
    hub.reply(&agent, &agent.of(5, vec![kafka(Phase::Waiting)])).await;
}

#[actix_web::test]
async fn another_pages_request_with_a_remembered_password_changes_nothing() {
    let hub = Hub::new().await;
    let body = json!({ "scope": { "kind": "fleet" }, "reason": "r" });
    let ask = async |origin: &'static str| {
        let header = format!("Bearer {}", token(Access::Operator).reveal());
        let request = TestRequest::post()
            .uri("/api/v1/holds")
            .insert_header(("host", "hub.example"))
            .insert_header(("origin", origin))
            .insert_header(("authorization", header))
            .set_json(&body);
        hub.call(request).await
    };
    assert_eq!(ask("https://evil.example").await.problem(), (403, "cross_site".into()));
    assert_eq!(ask("null").await.problem(), (403, "cross_site".into()));
    assert_eq!(ask("https://hub.example").await.status, 201);
}
