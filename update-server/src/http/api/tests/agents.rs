//! Enrolment and reports: what is taken, what is refused, and by which name.

use super::*;
use crate::store::HistoryRow;
use channels::wire::{
    AcceptedRisk, Action, ClusterRow, DriftAnswer, DriftState, HealthVerdict, Page, Role,
    UnitState, WaitingOn,
};

const REPORTS: &str = "/api/v1/reports";

#[actix_web::test]
async fn a_cluster_enrols_reports_asks_and_is_seen() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    let mut state = asking(&hub, "1.1.0");
    state.units = vec![UnitState {
        name: "c-0".parse().unwrap(),
        role: Role::Controller,
        pool: "controllers".parse().unwrap(),
        version: Some("1.0.0".to_owned()),
        health: HealthVerdict::Healthy,
        why: None,
    }];
    let reply = hub.reply(&agent, &agent.of(1, vec![state])).await;
    let grant = reply.directives[0].grant.clone().unwrap();
    assert_eq!(reply.directives[0].action, Action::Proceed);
    assert_eq!((grant.cluster, grant.generation), (agent.id, 1));
    assert_eq!(grant.expires_at, t0() + seconds(900));
    assert_eq!(reply.timestamp_etag, hub.state.catalog.timestamp_etag());
    assert!(reply.timestamp_etag.is_some());

    let page: Page<ClusterRow> = hub.get("/api/v1/clusters?product=acme/kafka&name=site").await;
    assert_eq!((page.items.len(), page.items[0].seq), (1, 1));
    let drift = &page.items[0].products[0].drift;
    assert_eq!((drift.state, drift.hops), (DriftState::Behind, Some(1)));
    assert_eq!(drift.age_days, Some(19), "released on the first, asked on the twentieth");
    let one: ClusterRow = hub.get("/api/v1/clusters/site-1").await;
    assert_eq!(one.products[0].units.len(), 1);
    let history: Page<HistoryRow> =
        hub.get(&format!("/api/v1/clusters/{}/history", agent.id)).await;
    assert_eq!(history.items[0].phase, Phase::Waiting);
    let drift: DriftAnswer = hub.get("/api/v1/drift?product=acme/kafka").await;
    assert_eq!((drift.items[0].behind, drift.items[0].active), (1, 1));
    let other: DriftAnswer = hub.get("/api/v1/drift?product=acme/os").await;
    assert!(other.items.is_empty());
    let front = hub.ask(Access::Viewer, "GET", "/", None).await;
    assert!(front.status == 200 && front.text().contains("site-1"));
}

#[actix_web::test]
async fn a_step_the_hub_does_not_serve_waits_with_its_reason() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    let reply = hub.reply(&agent, &agent.of(1, vec![asking(&hub, "9.9.9")])).await;
    assert_eq!(reply.directives[0].reasons[0].code, "release_unknown");
    let mut wrong = asking(&hub, "1.1.0");
    wrong.wants.as_mut().unwrap().release_digest = signing::Sha256Digest::of(b"other");
    let reply = hub.reply(&agent, &agent.of(2, vec![wrong])).await;
    assert_eq!(reply.directives[0].reasons[0].code, "digest_mismatch");
    let mut from = asking(&hub, "1.1.0");
    from.version = "0.9.0".parse().unwrap();
    let reply = hub.reply(&agent, &agent.of(3, vec![from])).await;
    assert_eq!(reply.directives[0].reasons[0].code, "edge_not_allowed");
    let mut elsewhere = asking(&hub, "1.1.0");
    elsewhere.channel = "fast".parse().unwrap();
    let reply = hub.reply(&agent, &agent.of(4, vec![elsewhere])).await;
    assert_eq!(reply.directives[0].reasons[0].code, "edge_not_offered");
    let row: ClusterRow = hub.get("/api/v1/clusters/site-1").await;
    assert_eq!(row.products[0].why_not[0].code, "edge_not_offered");
}

#[actix_web::test]
async fn every_forged_or_stale_signature_is_refused_by_name() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let body = serde_json::to_vec(&agent.idle(1)).unwrap();
    let tampered = serde_json::to_vec(&agent.idle(2)).unwrap();
    let good = signature(REPORTS, &body, &agent.key, t0());
    let stranger = SecretKey::from_seed([99; 32]);
    let unsigned = TestRequest::post()
        .uri(REPORTS)
        .insert_header(("content-type", "application/json"))
        .set_payload(body.clone());
    let twice =
        with_headers(REPORTS, &body, &good).append_header(("signature", good.signature.clone()));
    let elsewhere = signature("/api/v1/enrolments", &body, &agent.key, t0());
    for (case, request, slug) in [
        ("no signature", unsigned, "invalid_signature"),
        ("two signatures", twice, "invalid_signature"),
        ("other body", with_headers(REPORTS, &tampered, &good), "invalid_signature"),
        ("other path", with_headers(REPORTS, &body, &elsewhere), "invalid_signature"),
        ("stranger", signed(REPORTS, &body, &stranger, t0()), "unknown_cluster"),
        ("61 s old", signed(REPORTS, &body, &agent.key, t0() - seconds(61)), "signature_expired"),
        (
            "from the future",
            signed(REPORTS, &body, &agent.key, t0() + seconds(61)),
            "signature_expired",
        ),
    ] {
        assert_eq!(hub.call(request).await.problem(), (401, slug.to_owned()), "{case}");
    }
    assert_eq!(hub.report(&agent, &agent.idle(1)).await.status, 200, "the key itself works");
}

#[actix_web::test]
async fn every_unusable_report_is_refused_by_name_and_counted() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let other = hub.agent(2).await;
    let twice = agent.of(1, vec![kafka(Phase::Idle), kafka(Phase::Soak)]);
    let reason = WaitingOn {
        gate: "g".to_owned(),
        unit: None,
        message: "m".to_owned(),
        observed: None,
        limit: None,
        since: None,
    };
    let wordy = ProductState { waiting_on: vec![reason; 17], ..kafka(Phase::Waiting) };
    let accepted = AcceptedRisk { name: "R".to_owned(), reason: "r".to_owned(), until: None };
    let bold = ProductState { accepted_risks: vec![accepted; 9], ..kafka(Phase::Idle) };
    for (report, expected) in [
        (agent.of(1, vec![bold]), (422, "unprocessable")),
        (twice, (422, "unprocessable")),
        (agent.of(1, vec![]), (422, "unprocessable")),
        (agent.of(1, vec![wordy]), (422, "unprocessable")),
        (agent.of(u64::MAX, vec![kafka(Phase::Idle)]), (422, "unprocessable")),
        (other.idle(1), (403, "forbidden")),
    ] {
        let answer = hub.report(&agent, &report).await.problem();
        assert_eq!((answer.0, answer.1.as_str()), expected, "{report:?}");
    }
    let body = vec![b' '; Report::MAX_BYTES + 1];
    let large = hub.call(signed(REPORTS, &body, &agent.key, t0())).await;
    assert_eq!(large.problem(), (413, "body_too_large".to_owned()));
    let text = hub.call(signed(REPORTS, b"{}", &agent.key, t0())).await;
    assert_eq!(text.problem(), (400, "invalid_json".to_owned()));
    for header in [("content-encoding", "br"), ("content-type", "text/plain")] {
        let body = serde_json::to_vec(&agent.idle(1)).unwrap();
        let request = signed(REPORTS, &body, &agent.key, t0()).insert_header(header);
        let answer = hub.call(request).await.problem();
        assert_eq!(answer, (415, "unsupported_media_type".to_owned()), "{header:?}");
    }
    let metrics = hub.ask(Access::Viewer, "GET", "/metrics", None).await.text();
    assert!(metrics.contains("fairway_reports_total{result=\"unprocessable\"} 5"), "{metrics}");
    assert!(metrics.contains("fairway_reports_total{result=\"body_too_large\"} 1"), "{metrics}");
}

#[actix_web::test]
async fn a_replay_is_refused_and_a_retry_gets_the_same_reply() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    let first = hub.report(&agent, &agent.idle(5)).await;
    hub.advance(7);
    let retry = hub.report(&agent, &agent.idle(5)).await;
    assert_eq!((retry.status, &retry.body), (200, &first.body), "signed anew, same body");
    let changed = agent.of(5, vec![kafka(Phase::Soak)]);
    for report in [changed, agent.idle(4), agent.idle(0)] {
        let answer = hub.report(&agent, &report).await;
        assert_eq!(answer.problem(), (409, "replayed_report".to_owned()));
        assert!(answer.text().contains("not above 5"), "{}", answer.text());
    }
}

#[actix_web::test]
async fn a_retired_cluster_is_out() {
    let hub = Hub::new().await;
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.idle(1)).await;
    let path = format!("/api/v1/clusters/{}", agent.id);
    assert_eq!(hub.ask(Access::Operator, "DELETE", &path, None).await.status, 204);
    let answer = hub.report(&agent, &agent.idle(2)).await;
    assert_eq!(answer.problem(), (403, "cluster_retired".to_owned()));
    assert_eq!(hub.ask(Access::Viewer, "GET", &path, None).await.problem().0, 404);
    let page: Page<ClusterRow> = hub.get("/api/v1/clusters").await;
    assert!(page.items.is_empty());
}

#[actix_web::test]
async fn a_full_queue_answers_503_and_when_to_come_back() {
    let hub = Hub::with("queue_capacity = 1").await;
    let agent = hub.agent(1).await;
    let (tell, started) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let store = hub.state.store.clone();
    let busy = tokio::spawn(async move {
        let occupy = move |_: &mut crate::store::Batch<'_>| {
            tell.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        };
        store.submit(occupy).await
    });
    started.await.unwrap();
    // The one place in the queue.
    let store = hub.state.store.clone();
    let queued = tokio::spawn(async move { store.tick(t0()).await });
    tokio::task::yield_now().await;
    let answer = hub.report(&agent, &agent.idle(1)).await;
    assert_eq!(answer.problem(), (503, "queue_full".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("5"));
    release.send(()).unwrap();
    busy.await.unwrap().unwrap();
    queued.await.unwrap().unwrap();
    assert_eq!(hub.report(&agent, &agent.idle(1)).await.status, 200, "nothing was taken");
}

#[actix_web::test]
async fn enrolment_needs_a_token_a_free_name_and_the_key_it_registers() {
    let hub = Hub::new().await;
    let key = SecretKey::from_seed([1; 32]);
    let invite = hub.invite(2).await;
    let first = hub.enrol(&invite, "berlin", &key).await;
    let again = hub.enrol(&invite, "berlin", &key).await;
    let id = |answer: &Answer| answer.json::<EnrolmentReply>().cluster_id;
    assert_eq!(id(&first), id(&again), "idempotent by key");
    let second = SecretKey::from_seed([2; 32]);
    let unknown = format!("fwj_{}", "A".repeat(43));
    for (token, name, expected) in [
        (invite.as_str(), "berlin", (409, "name_taken")),
        (unknown.as_str(), "x", (401, "invalid_join_token")),
        ("not a token", "x", (401, "invalid_join_token")),
        (invite.as_str(), " x", (422, "unprocessable")),
        (invite.as_str(), "", (422, "unprocessable")),
    ] {
        let answer = hub.enrol(token, name, &second).await.problem();
        assert_eq!((answer.0, answer.1.as_str()), expected, "{token} {name}");
    }
    assert_eq!(hub.enrol(&invite, "paris", &second).await.status, 201);
    let third = SecretKey::from_seed([3; 32]);
    let used_up = hub.enrol(&invite, "rome", &third).await;
    assert_eq!(used_up.problem(), (401, "invalid_join_token".to_owned()));
    let invite = hub.invite(1).await;
    hub.advance(3601);
    let expired = hub.enrol(&invite, "rome", &third).await;
    assert_eq!(expired.problem(), (401, "invalid_join_token".to_owned()));
}

#[actix_web::test]
async fn nobody_enrols_a_key_they_do_not_have() {
    let hub = Hub::new().await;
    let invite = hub.invite(1).await;
    let (mine, theirs) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let body = serde_json::to_vec(&EnrolmentRequest {
        join_token: invite,
        public_key: theirs.public().to_spki_pem(),
        name: "x".to_owned(),
        agent_version: String::new(),
    })
    .unwrap();
    let answer = hub.call(signed("/api/v1/enrolments", &body, &mine, t0())).await;
    assert_eq!(answer.problem(), (401, "invalid_signature".to_owned()));
}
