//! What people and programs read: events, health, timelines.

use super::*;
use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use channels::wire::{ClusterRow, HealthAnswer, HealthVerdict, Page, TimelineEntry, WaitingOn};
use futures_util::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// An open stream of server-sent events.
struct Reading {
    body: Pin<Box<BoxBody>>,
    text: String,
}

impl Reading {
    async fn of(hub: &Hub, access: Access, path: &str, last: Option<&str>) -> Self {
        let app = init_service(App::new().configure(routes(hub.state.clone()))).await;
        let mut request = TestRequest::get()
            .uri(path)
            .insert_header(("authorization", format!("Bearer {}", token(access).reveal())));
        if let Some(last) = last {
            request = request.insert_header(("last-event-id", last));
        }
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
        let body = response.into_body();
        assert_eq!(body.size(), BodySize::Stream);
        Self { body: Box::pin(body.boxed()), text: String::new() }
    }

    /// Reads until the text holds `wanted`; false when the stream ends before.
    async fn until(&mut self, wanted: &str) -> bool {
        while !self.text.contains(wanted) {
            let body = &mut self.body;
            let piece = poll_fn(|context| body.as_mut().poll_next(context));
            let piece = timeout(Duration::from_secs(20), piece).await.expect("nothing was told");
            let Some(piece) = piece else { return false };
            self.text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
        true
    }

    /// The id of the last event read that has one.
    fn last_id(&self) -> String {
        let id = self.text.lines().rev().find_map(|line| line.strip_prefix("id: "));
        id.unwrap().to_owned()
    }
}

async fn hold(hub: &Hub, reason: &str) {
    let body = json!({ "scope": { "kind": "fleet" }, "reason": reason });
    assert_eq!(hub.ask(Access::Operator, "POST", "/api/v1/holds", Some(body)).await.status, 201);
}

#[actix_web::test]
async fn a_listener_hears_what_was_committed_and_goes_on_where_it_lost_the_stream() {
    let hub = Hub::new().await;
    let mut first = Reading::of(&hub, Access::Operator, "/api/v1/events", None).await;
    assert!(first.until("event: fleet\n").await);
    hold(&hub, "storm").await;
    assert!(first.until("storm").await);
    assert!(first.text.contains("event: hold\n") && first.text.contains("the-operator"));
    let last = first.last_id();
    drop(first);
    hold(&hub, "flood").await;
    let mut second = Reading::of(&hub, Access::Operator, "/api/v1/events", Some(&last)).await;
    assert!(second.until("flood").await);
    assert!(!second.text.contains("storm") && !second.text.contains("resync"), "{}", second.text);
}

#[actix_web::test]
async fn a_viewer_hears_of_holds_but_not_who_placed_them_nor_of_tokens() {
    let hub = Hub::new().await;
    let path = "/api/v1/events?kinds=hold,create_token";
    let mut heard = Reading::of(&hub, Access::Viewer, path, None).await;
    let body = json!({ "name": "ci", "access": "viewer" });
    assert_eq!(hub.ask(Access::Admin, "POST", "/api/v1/tokens", Some(body)).await.status, 201);
    hold(&hub, "storm").await;
    assert!(heard.until("storm").await);
    for absent in ["create_token", "\"actor\"", "event: fleet"] {
        assert!(!heard.text.contains(absent), "{absent} in {}", heard.text);
    }
}

#[actix_web::test]
async fn a_listener_whose_place_is_unknown_is_told_to_load_everything_anew() {
    let hub = Hub::new().await;
    let path = "/api/v1/events";
    let mut heard = Reading::of(&hub, Access::Viewer, path, Some("1.5")).await;
    assert!(heard.until("event: resync\n").await);
    let fresh = heard.last_id();
    hold(&hub, "storm").await;
    assert!(heard.until("storm").await, "and hears what comes after");
    let mut again = Reading::of(&hub, Access::Viewer, path, Some(&fresh)).await;
    assert!(again.until("storm").await);
}

#[actix_web::test]
async fn streams_end_when_the_hub_goes_down() {
    let hub = Hub::new().await;
    let mut heard = Reading::of(&hub, Access::Viewer, "/api/v1/events", None).await;
    assert!(heard.until("event: fleet\n").await);
    hub.state.store.committed().events().close();
    assert!(!heard.until("never told").await);
}

/// A report of one product that stands in `phase` and has these lags.
fn lagging(phase: Phase, quorum_lag_ms: u64, pleg_lag_ms: u64) -> ProductState {
    let mut state = kafka(phase);
    state.health.verdict = HealthVerdict::Unhealthy;
    state.health.since = Some(t0());
    state.health.quorum_lag_ms = Some(quorum_lag_ms);
    state.health.quorum_lag_unit = Some("controller-2".parse().unwrap());
    state.health.pleg_lag_ms = Some(pleg_lag_ms);
    state.health.pleg_lag_unit = Some("node-7".parse().unwrap());
    state
}

fn gate(name: &str) -> WaitingOn {
    WaitingOn {
        gate: name.to_owned(),
        unit: Some("controller-2".parse().unwrap()),
        message: format!("waits for {name}"),
        observed: None,
        limit: None,
        since: None,
    }
}

#[actix_web::test]
async fn health_names_the_worst_lags_of_each_channel_with_their_units() {
    let hub = Hub::published().await;
    for (n, quorum, pleg) in [(1, 40, 900), (2, 4200, 15), (3, 300, 20)] {
        let agent = hub.agent(n).await;
        hub.reply(&agent, &agent.of(1, vec![lagging(Phase::Idle, quorum, pleg)])).await;
    }
    let health: HealthAnswer = hub.get("/api/v1/health?worst=2").await;
    let [lags] = &health.lags[..] else { panic!("{:?}", health.lags) };
    let quorum: Vec<u64> = lags.quorum_lag.iter().map(|row| row.lag_ms).collect();
    let pleg: Vec<u64> = lags.pleg_lag.iter().map(|row| row.lag_ms).collect();
    assert_eq!((quorum, pleg), (vec![4200, 300], vec![900, 20]));
    assert_eq!((lags.active, lags.quorum_lag_known), (3, 3));
    let worst = &lags.quorum_lag[0];
    assert_eq!((worst.name.as_str(), worst.since), ("site-2", Some(t0())));
    assert_eq!(worst.unit.as_ref().map(ToString::to_string).as_deref(), Some("controller-2"));
    assert_eq!(lags.pleg_lag[0].unit.as_ref().map(ToString::to_string).as_deref(), Some("node-7"));
    let other: HealthAnswer = hub.get("/api/v1/health?product=acme/ledger").await;
    assert_eq!((other.lags.len(), other.worst.len()), (0, 0));
    for bad in ["worst=0", "worst=51", "stuck_after_s=59", "stuck_after_s=x"] {
        let answer = hub.ask(Access::Viewer, "GET", &format!("/api/v1/health?{bad}"), None).await;
        assert_eq!(answer.problem(), (400, "invalid_request".to_owned()), "{bad}");
    }
}

#[actix_web::test]
async fn only_those_that_want_to_move_and_may_are_stuck_and_the_silent_are_counted_apart() {
    let hub = Hub::published().await;
    let cases = [
        (1, Phase::AwaitHealth, Some("quorum_lag")),
        (2, Phase::Waiting, Some("window")),
        (3, Phase::Idle, None),
        (4, Phase::Waiting, Some("metric_missing")),
    ];
    let mut agents = Vec::new();
    for (n, phase, why) in cases {
        let agent = hub.agent(n).await;
        let waiting_on = why.map(gate).into_iter().collect();
        let state = ProductState { waiting_on, ..lagging(phase, 5, 5) };
        hub.reply(&agent, &agent.of(1, vec![state.clone()])).await;
        agents.push((agent, state));
    }
    let silent = hub.agent(5).await;
    hub.reply(&silent, &silent.of(1, vec![lagging(Phase::Mutate, 9000, 9000)])).await;
    hub.advance(2 * 3600);
    for (agent, state) in &agents {
        hub.reply(agent, &agent.of(2, vec![state.clone()])).await;
    }
    hub.state.store.tick(hub.now()).await.unwrap();
    let health: HealthAnswer = hub.get("/api/v1/health").await;
    let stuck: Vec<(&str, Option<&str>)> =
        health.stuck.iter().map(|row| (row.name.as_str(), row.gate.as_deref())).collect();
    assert_eq!(stuck, [("site-1", Some("quorum_lag")), ("site-4", Some("metric_missing"))]);
    assert_eq!((health.stuck_total, health.silent, health.never), (2, 1, 0));
    assert_eq!(health.lags[0].quorum_lag[0].lag_ms, 5, "a silent cluster's lag is not known");
    let patient: HealthAnswer = hub.get("/api/v1/health?stuck_after_s=10800").await;
    assert_eq!(patient.stuck, []);
}

#[actix_web::test]
async fn a_timeline_joins_what_a_cluster_told_with_what_was_done_to_it() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    for (seq, phase) in (1..).zip([Phase::Idle, Phase::Waiting, Phase::Idle]) {
        hub.advance(60);
        hub.reply(&agent, &agent.of(seq, vec![kafka(phase)])).await;
    }
    let path = "/api/v1/clusters/site-1/timeline";
    let kinds = |page: &Page<TimelineEntry>| -> Vec<String> {
        let kind = |entry: &TimelineEntry| match entry {
            TimelineEntry::Change { phase, .. } => phase.to_string(),
            TimelineEntry::Action { action, .. } => action.clone(),
            TimelineEntry::Unknown => "?".to_owned(),
        };
        page.items.iter().map(kind).collect()
    };
    let all: Page<TimelineEntry> = hub.get(path).await;
    assert_eq!(kinds(&all), ["idle", "waiting", "idle", "enrol"]);
    let viewer = hub.ask(Access::Viewer, "GET", path, None).await;
    assert_eq!(kinds(&viewer.json()), ["idle", "waiting", "idle"], "audit rows name people");
    let mut next = format!("{path}?limit=3");
    let mut seen = Vec::new();
    loop {
        let answer = hub.ask(Access::Operator, "GET", &next, None).await;
        seen.extend(kinds(&answer.json()));
        let Some(link) = answer.header("link") else { break };
        next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
    }
    assert_eq!(seen, kinds(&all));
    let row: ClusterRow = hub.get("/api/v1/clusters/site-1").await;
    let by_id: Page<TimelineEntry> =
        hub.get(&format!("/api/v1/clusters/{}/timeline", row.id)).await;
    assert_eq!(by_id, all);
    let bad = hub.ask(Access::Viewer, "GET", &format!("{path}?cursor=x"), None).await;
    assert_eq!(bad.problem(), (400, "invalid_cursor".to_owned()));
}
