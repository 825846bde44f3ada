//! Tokens and access, holds, publications, lists, probes.

use super::*;
use crate::publish::fixture::hours;
use crate::store::ChainCheck;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channels::wire::{Action, AuditRow, ClusterRow, Hold, OpenJoinToken, Page, PublicationReply};
use futures_util::future::poll_immediate;

/// Every path that asks for a person: method, path, body, least access.
fn guarded() -> Vec<(&'static str, &'static str, Option<Value>, Access)> {
    use Access::{Admin, Operator, Publisher, Viewer};
    let hold = json!({ "scope": { "kind": "fleet" }, "reason": "r" });
    let ack = json!({ "acknowledge": "a" });
    let join = json!({ "uses": 1, "expires_in_s": 60 });
    vec![
        ("GET", "/", None, Viewer),
        ("GET", "/api/v1/clusters", None, Viewer),
        ("GET", "/api/v1/clusters/x", None, Viewer),
        ("GET", "/api/v1/clusters/x/history", None, Viewer),
        ("GET", "/api/v1/drift", None, Viewer),
        ("GET", "/api/v1/health", None, Viewer),
        ("GET", "/api/v1/products", None, Viewer),
        ("GET", "/api/v1/channels", None, Viewer),
        ("GET", "/api/v1/holds", None, Viewer),
        ("GET", "/api/v1/audit", None, Operator),
        ("GET", "/api/v1/audit/verify", None, Operator),
        ("DELETE", "/api/v1/clusters/x", None, Operator),
        ("POST", "/api/v1/holds", Some(hold), Operator),
        ("POST", "/api/v1/holds/1/resume", Some(ack), Operator),
        ("POST", "/api/v1/join-tokens", Some(join), Operator),
        ("GET", "/api/v1/join-tokens", None, Operator),
        ("DELETE", "/api/v1/join-tokens/77", None, Operator),
        ("POST", "/api/v1/publications", Some(json!({ "files": [] })), Publisher),
        ("GET", "/api/v1/tokens", None, Admin),
        ("POST", "/api/v1/tokens", Some(json!({ "name": "n", "access": "viewer" })), Admin),
        ("DELETE", "/api/v1/tokens/77", None, Admin),
        ("POST", "/api/v1/hub/keys/timestamp/next", None, Admin),
        ("GET", "/api/v1/sites", None, Viewer),
        ("GET", "/api/v1/sites/north/imports", None, Viewer),
        ("PUT", "/api/v1/sites/north", Some(json!({ "public_key": "x" })), Admin),
        ("DELETE", "/api/v1/sites/north", None, Admin),
        ("GET", "/api/v1/status-export", None, Operator),
        ("GET", "/api/v1/status-export/key", None, Operator),
        ("POST", "/api/v1/status-imports", Some(json!({})), Operator),
        ("GET", "/api/v1/rollouts", None, Viewer),
        ("GET", "/api/v1/rollouts/9", None, Viewer),
        ("GET", "/api/v1/rollouts/9/clusters", None, Viewer),
        ("POST", "/api/v1/rollouts/9/hold", Some(json!({ "reason": "r" })), Operator),
        ("POST", "/api/v1/rollouts/9/resume", Some(json!({ "acknowledge": "a" })), Operator),
        (
            "POST",
            "/api/v1/rollouts/9/approve",
            Some(json!({ "ring": "a", "reason": "r" })),
            Operator,
        ),
        ("POST", "/api/v1/rollouts/9/emergency", Some(json!({ "reason": "r" })), Operator),
        ("GET", "/api/v1/rollout-policies", None, Viewer),
        ("GET", "/api/v1/rollout-policies/x", None, Viewer),
        ("PUT", "/api/v1/rollout-policies/x", Some(json!({ "text": "name: x" })), Operator),
        ("DELETE", "/api/v1/rollout-policies/x?reason=r", None, Operator),
    ]
}

#[actix_web::test]
async fn every_guarded_path_asks_for_exactly_its_access() {
    let hub = Hub::new().await;
    for (method, path, body, needed) in guarded() {
        let nobody = hub.ask_with(None, method, path, body.clone()).await;
        assert_eq!(nobody.problem(), (401, "unauthenticated".to_owned()), "{method} {path}");
        assert!(nobody.header("www-authenticate").is_some(), "a browser asks for the token");
        for access in [Access::Viewer, Access::Operator, Access::Publisher, Access::Admin] {
            let answer = hub.ask(access, method, path, body.clone()).await;
            if access.allows(needed) {
                assert!(![401, 403].contains(&answer.status), "{method} {path} as {access}");
            } else {
                let refused = (403, "forbidden".to_owned());
                assert_eq!(answer.problem(), refused, "{method} {path} as {access}");
            }
        }
    }
}

#[actix_web::test]
async fn an_anonymous_viewer_reads_but_a_wrong_token_is_never_anonymous() {
    let hub = Hub::with("anonymous_viewer = true").await;
    for (method, path, body, needed) in guarded() {
        let answer = hub.ask_with(None, method, path, body.clone()).await;
        let open = needed == Access::Viewer;
        assert_eq!(answer.status == 401, !open, "{method} {path}");
        let wrong = Secret::generate(SecretKind::Api).unwrap();
        let header = format!("Bearer {}", wrong.reveal());
        assert_eq!(hub.ask_with(Some(&header), method, path, body).await.status, 401);
    }
}

#[actix_web::test]
async fn a_browser_sends_the_token_as_its_password() {
    let hub = Hub::new().await;
    let basic = STANDARD.encode(format!("me:{}", token(Access::Viewer).reveal()));
    let answer = hub.ask_with(Some(&format!("Basic {basic}")), "GET", "/", None).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-security-policy").is_some());
}

#[actix_web::test]
async fn a_token_works_until_it_is_revoked() {
    let hub = Hub::new().await;
    let body = json!({ "name": "ci", "access": "publisher" });
    let made = hub.ask(Access::Admin, "POST", "/api/v1/tokens", Some(body.clone())).await;
    let made: Value = made.json();
    let header = format!("Bearer {}", made["token"].as_str().unwrap());
    assert_eq!(hub.ask_with(Some(&header), "GET", "/api/v1/drift", None).await.status, 200);
    let again = hub.ask(Access::Admin, "POST", "/api/v1/tokens", Some(body)).await;
    assert_eq!(again.problem(), (409, "conflict".to_owned()));
    let list = hub.ask(Access::Admin, "GET", "/api/v1/tokens", None).await.text();
    assert!(list.contains("\"ci\"") && !list.contains("fw_"), "{list}");
    let path = format!("/api/v1/tokens/{}", made["id"]);
    assert_eq!(hub.ask(Access::Admin, "DELETE", &path, None).await.status, 204);
    assert_eq!(hub.ask_with(Some(&header), "GET", "/api/v1/drift", None).await.status, 401);
    assert_eq!(hub.ask(Access::Admin, "DELETE", &path, None).await.problem().0, 404);
}

#[actix_web::test]
async fn a_hold_stops_agents_and_shows_to_plain_clients_until_it_is_lifted() {
    const GRAPH: &str = "/api/upgrades_info/v1/graph?channel=stable";
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    let body = json!({ "scope": { "kind": "product", "product": "acme/kafka" },
                       "reason": "disk alarms" });
    let hold = hub.ask(Access::Operator, "POST", "/api/v1/holds", Some(body)).await;
    assert_eq!(hold.status, 201);
    let hold: Hold = hold.json();
    assert_eq!(hold.by, "the-operator");
    assert!(hub.ask_with(None, "GET", GRAPH, None).await.text().contains("disk alarms"));
    let reply = hub.reply(&agent, &agent.of(1, vec![asking(&hub, "1.1.0")])).await;
    assert_eq!(reply.directives[0].action, Action::Hold);
    let path = format!("/api/v1/holds/{}/resume", hold.id);
    let silent = json!({ "acknowledge": "  " });
    let answer = hub.ask(Access::Operator, "POST", &path, Some(silent)).await;
    assert_eq!(answer.problem(), (422, "unprocessable".to_owned()));
    let seen = || Some(json!({ "acknowledge": "alarms are gone" }));
    assert_eq!(hub.ask(Access::Operator, "POST", &path, seen()).await.status, 200);
    assert!(!hub.ask_with(None, "GET", GRAPH, None).await.text().contains("disk alarms"));
    let reply = hub.reply(&agent, &agent.of(2, vec![asking(&hub, "1.1.0")])).await;
    assert_eq!(reply.directives[0].action, Action::Proceed);
    let again = hub.ask(Access::Operator, "POST", &path, seen()).await;
    assert_eq!(again.problem(), (409, "conflict".to_owned()));
    let unknown = hub.ask(Access::Operator, "POST", "/api/v1/holds/99/resume", seen()).await;
    assert_eq!(unknown.problem(), (404, "not_found".to_owned()));
    let (active, all): (Page<Hold>, Page<Hold>) =
        (hub.get("/api/v1/holds").await, hub.get("/api/v1/holds?all=true").await);
    assert_eq!((active.items.len(), all.items.len()), (0, 1));
    let nobody = json!({ "scope": { "kind": "cluster", "cluster": uuid::Uuid::nil() },
                         "reason": "r" });
    let answer = hub.ask(Access::Operator, "POST", "/api/v1/holds", Some(nobody)).await;
    assert_eq!(answer.problem().0, 404, "a hold on a mistyped cluster would hold nothing");
}

#[actix_web::test]
async fn a_publication_over_http_is_verified_served_counted_and_audited() {
    let hub = Hub::new().await;
    let post = async |publication: &channels::wire::Publication| {
        let header = format!("Bearer {}", token(Access::Publisher).reveal());
        let request = TestRequest::post()
            .uri("/api/v1/publications")
            .insert_header(("authorization", header))
            .insert_header(("content-type", channels::wire::media_type::PUBLICATION))
            .set_payload(serde_json::to_vec(publication).unwrap());
        hub.call(request).await
    };
    let mut forged = Fixture::new().publication();
    forged.files.retain(|f| !f.path.ends_with("root.json"));
    assert_eq!(post(&forged).await.problem(), (422, "root_missing".to_owned()));
    let fixture = Fixture::new();
    let reply: PublicationReply = post(&fixture.publication()).await.json();
    assert_eq!((reply.changed, reply.root_version), (true, 1));
    let again: PublicationReply = post(&fixture.publication()).await.json();
    assert!(!again.changed);
    assert_eq!(hub.ask_with(None, "GET", "/tuf/metadata/1.root.json", None).await.status, 200);
    let audit: Page<AuditRow> = hub.get("/api/v1/audit?limit=6").await;
    let actions: Vec<_> = audit.items.iter().map(|row| row.action.as_str()).collect();
    let asked = "publish_requested";
    let expected = ["publish_unchanged", asked, "publish", asked, "publish_refused", asked];
    assert_eq!(actions, expected, "newest first: again, taken, forged");
    let refused: Value = serde_json::from_str(&audit.items[4].detail).unwrap();
    assert_eq!(refused["reason"], "root_missing");
    assert_eq!(refused["attack"], Value::Null);
    assert!(audit.items.iter().all(|row| row.actor == "the-publisher"));
    let page = hub.ask(Access::Viewer, "GET", "/metrics", None).await.text();
    let signed_at = t0().as_second();
    let built = format!("fairway_graph_build_timestamp_seconds {signed_at}.0");
    assert!(page.contains(&built), "{page}");
    for line in ["ok\"} 1", "unchanged\"} 1", "root_missing\"} 1"] {
        let line = format!("fairway_publications_total{{result=\"{line}");
        assert!(page.contains(&line), "{line} not in {page}");
    }
    let channels: Value = hub.get("/api/v1/channels").await;
    assert_eq!(channels["items"][0]["head"], "1.1.0");
    let products: Value = hub.get("/api/v1/products").await;
    assert_eq!(products["items"][0]["releases"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn a_publisher_that_hangs_up_does_not_take_the_outcome_along() {
    /// Rounds through the store, each of which lets the hub go on.
    const TURNS: usize = 1000;
    let hub = Hub::new().await;
    let body = Fixture::new().publication();
    let header = format!("Bearer {}", token(Access::Publisher).reveal());
    let request = TestRequest::post()
        .uri("/api/v1/publications")
        .insert_header(("authorization", header))
        .insert_header(("content-type", channels::wire::media_type::PUBLICATION))
        .set_payload(serde_json::to_vec(&body).unwrap());
    let newest = async || {
        let audit: Page<AuditRow> = hub.get("/api/v1/audit?limit=1").await;
        audit.items.first().map(|row| row.action.clone()).unwrap_or_default()
    };
    let mut answer = Box::pin(hub.call(request));
    for _ in 0..TURNS {
        assert!(poll_immediate(&mut answer).await.is_none(), "too fast to hang up");
        if newest().await == "publish_requested" {
            break;
        }
    }
    // From here the request is the hub's own.
    assert!(poll_immediate(&mut answer).await.is_none(), "too fast to hang up");
    drop(answer);
    for _ in 0..TURNS {
        if newest().await == "publish" {
            return;
        }
    }
    panic!("the newest row is {}", newest().await);
}

#[actix_web::test]
async fn readiness_names_every_reason() {
    let hub = Hub::new().await;
    let codes = async || -> Vec<String> {
        let answer = hub.ask_with(None, "GET", "/readyz", None).await;
        let body: Value = answer.json();
        assert_eq!(answer.status == 200, body["ready"] == true);
        let reasons = body["reasons"].as_array().unwrap();
        reasons.iter().map(|r| r["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes().await, ["not_published"]);
    hub.state.publisher.publish(Fixture::new().publication(), t0()).unwrap();
    assert!(codes().await.is_empty());
    let failed = hub.state.store.submit(|batch| Ok(batch.break_database()?)).await;
    assert!(failed.is_err());
    assert_eq!(codes().await, ["store_not_writable"]);
    hub.state.store.tick(t0()).await.unwrap();
    hub.clock_s.store(hours(48).as_second(), Ordering::Relaxed);
    assert_eq!(codes().await, ["metadata_expired"]);
    hub.state.metrics.observe_commit(1, std::time::Duration::from_millis(1), hours(47));
    assert_eq!(codes().await, ["metadata_expired", "store_stalled"]);
    assert_eq!(hub.ask_with(None, "GET", "/livez", None).await.status, 200);
}

#[actix_web::test]
async fn questions_that_cannot_be_read_are_refused() {
    let hub = Hub::new().await;
    for (path, slug) in [
        ("/api/v1/clusters?limit=0", "invalid_request"),
        ("/api/v1/clusters?limit=501", "invalid_request"),
        ("/api/v1/clusters?cursor=x", "invalid_cursor"),
        ("/api/v1/clusters?phase=napping", "invalid_request"),
        ("/api/v1/clusters?health=fine", "invalid_request"),
        ("/api/v1/clusters?chanel=stable", "invalid_request"),
        ("/api/v1/clusters?product=kafka", "invalid_request"),
        ("/api/v1/audit?cursor=x", "invalid_cursor"),
    ] {
        let answer = hub.ask(Access::Operator, "GET", path, None).await;
        assert_eq!(answer.problem(), (400, slug.to_owned()), "{path}");
    }
    let body = json!({ "uses": 0, "expires_in_s": 60 });
    let answer = hub.ask(Access::Operator, "POST", "/api/v1/join-tokens", Some(body)).await;
    assert_eq!(answer.problem(), (422, "unprocessable".to_owned()));
}

#[actix_web::test]
async fn other_methods_and_paths_get_their_problem() {
    let hub = Hub::new().await;
    let answer = hub.ask(Access::Admin, "PUT", "/api/v1/holds", None).await;
    assert_eq!(answer.problem(), (405, "method_not_allowed".to_owned()));
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
    let head = hub.ask(Access::Admin, "HEAD", "/api/v1/holds", None).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    for path in ["/api/v1/nothing", "/nothing"] {
        let answer = hub.ask(Access::Admin, "GET", path, None).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
}

#[actix_web::test]
async fn pages_of_clusters_follow_their_cursor() {
    let hub = Hub::new().await;
    for n in 1..=5 {
        hub.agent(n).await;
    }
    let (mut names, mut path) = (Vec::new(), "/api/v1/clusters?limit=2".to_owned());
    loop {
        let page: Page<ClusterRow> = hub.get(&path).await;
        assert!(page.items.len() <= 2);
        names.extend(page.items.into_iter().map(|c| c.name));
        match page.next {
            Some(next) => path = format!("/api/v1/clusters?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["site-1", "site-2", "site-3", "site-4", "site-5"]);
    let mut ids = Vec::new();
    let mut path = "/api/v1/audit?limit=4".to_owned();
    loop {
        let page: Page<AuditRow> = hub.get(&path).await;
        ids.extend(page.items.iter().map(|r| r.id));
        match page.next {
            Some(next) => path = format!("/api/v1/audit?limit=4&cursor={next}"),
            None => break,
        }
    }
    let check: ChainCheck = hub.get("/api/v1/audit/verify").await;
    assert_eq!(check.broken_at, None);
    assert_eq!(ids, (1..=check.rows).rev().collect::<Vec<_>>());
}

#[actix_web::test]
async fn the_hub_tells_its_keys_to_anyone() {
    let hub = Hub::published().await;
    let keys = hub.ask_with(None, "GET", "/api/v1/hub/keys", None).await.text();
    assert!(keys.contains("BEGIN PUBLIC KEY") && !keys.contains("PRIVATE"));
    let status: Value = hub.ask_with(None, "GET", "/api/v1/hub", None).await.json();
    assert_eq!(
        (&status["root_version"], &status["products"][0]),
        (&json!(1), &json!("acme/kafka"))
    );
}

#[actix_web::test]
async fn the_audit_log_survives_on_disk_and_verifies() {
    let hub = Hub::new().await;
    hub.agent(1).await;
    let reader = Reader::open(hub.dir.path()).unwrap();
    let actions: Vec<String> =
        reader.audit(None, 2).unwrap().into_iter().map(|r| r.action).collect();
    assert_eq!(actions, ["enrol", "create_join_token"]);
}

#[actix_web::test]
async fn an_open_join_token_is_listed_without_its_secret_and_can_be_ended() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let first = hub.invite(2).await;
    hub.invite(1).await;
    let body = json!({ "expires_in_s": 600, "note": "disk lost" });
    let path = "/api/v1/clusters/site-1/join-tokens";
    assert_eq!(hub.ask(Access::Operator, "POST", path, Some(body)).await.status, 201);
    let list = "/api/v1/join-tokens";
    let open: Page<OpenJoinToken> = hub.get(list).await;
    let found: Vec<_> =
        open.items.iter().map(|row| (row.id, row.used, row.uses, row.cluster)).collect();
    assert_eq!(
        found,
        [(4, 0, 1, Some(agent.id)), (3, 0, 1, None), (2, 0, 2, None)],
        "1 is used up"
    );
    assert_eq!((open.items[0].note.as_str(), open.items[0].created_by.as_str()), {
        ("disk lost", "the-operator")
    });
    let page: Page<OpenJoinToken> = hub.get(&format!("{list}?limit=2")).await;
    let rest = format!("{list}?limit=2&cursor={}", page.next.unwrap());
    assert_eq!(hub.get::<Page<OpenJoinToken>>(&rest).await.items, open.items[2..]);

    for (access, path, expected) in [
        (Access::Viewer, "/api/v1/join-tokens/2", (403, "forbidden")),
        (Access::Operator, "/api/v1/join-tokens/1", (404, "not_found")),
        (Access::Operator, "/api/v1/join-tokens/99", (404, "not_found")),
    ] {
        let answer = hub.ask(access, "DELETE", path, None).await.problem();
        assert_eq!((answer.0, answer.1.as_str()), expected, "{path}");
    }
    assert_eq!(hub.ask(Access::Viewer, "GET", list, None).await.problem().0, 403);
    let end = "/api/v1/join-tokens/2";
    assert_eq!(hub.ask(Access::Operator, "DELETE", end, None).await.status, 204);
    assert_eq!(hub.ask(Access::Operator, "DELETE", end, None).await.problem().0, 404, "once");
    let refused = hub.enrol(&first, "site-2", &SecretKey::from_seed([2; 32])).await;
    assert_eq!(refused.problem(), (401, "invalid_join_token".to_owned()));
    let rows: Page<AuditRow> = hub.get("/api/v1/audit?limit=1").await;
    let row = &rows.items[0];
    assert_eq!((row.action.as_str(), row.object.as_str(), row.actor.as_str()), {
        ("end_join_token", "join-token/2", "the-operator")
    });
    hub.advance(3601);
    assert_eq!(hub.get::<Page<OpenJoinToken>>(list).await.items, [], "expired");
}

#[actix_web::test]
async fn a_revoked_token_takes_its_open_invitations_with_it() {
    let hub = Hub::new().await;
    let theirs = hub.invite(5).await;
    let body = json!({ "uses": 1, "expires_in_s": 3600 });
    let ours = hub.ask(Access::Admin, "POST", "/api/v1/join-tokens", Some(body)).await;
    let ours = ours.json::<JoinToken>().token;
    let tokens = hub.ask(Access::Admin, "GET", "/api/v1/tokens", None).await.json::<Value>();
    let operator = tokens["items"].as_array().unwrap().iter();
    let id = operator.clone().find(|row| row["name"] == "the-operator").unwrap()["id"].clone();
    let path = format!("/api/v1/tokens/{id}");
    assert_eq!(hub.ask(Access::Admin, "DELETE", &path, None).await.status, 204);
    let refused = hub.enrol(&theirs, "site-1", &SecretKey::from_seed([1; 32])).await;
    assert_eq!(refused.problem(), (401, "invalid_join_token".to_owned()));
    assert_eq!(hub.enrol(&ours, "site-2", &SecretKey::from_seed([2; 32])).await.status, 201);
    let audit = hub.ask(Access::Admin, "GET", "/api/v1/audit", None).await;
    let rows = audit.json::<Page<AuditRow>>().items;
    let row = rows.iter().find(|row| row.action == "revoke_token").unwrap();
    assert!(row.detail.contains("\"ends_join_tokens\":1"), "{}", row.detail);
}
