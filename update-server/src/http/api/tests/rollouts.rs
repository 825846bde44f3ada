//! Rollouts over HTTP: policies applied, rings in order, halts shown, people in the loop.

use channels::wire::{
    Action, AttemptState, ClusterRow, HealthVerdict, MeasureId, Measured, Page, PolicyReply,
    PolicyRow, RingState, RolloutCluster, RolloutRow, RolloutState,
};

use super::*;

pub(super) const POLICY: &str = "/api/v1/rollout-policies/two-rings";
const GRAPH: &str = "/api/upgrades_info/v1/graph?channel=stable";

/// Canaries at once, then everybody; one failure halts.
pub(super) const TWO_RINGS: &str = "\
name: two-rings
applies_to: [{product: acme/kafka}]
emergency: true
curve: {points: [{after: 0s, share: 100%}]}
gates: {soak: 10m, min_sample: 100%}
rings:
  - {name: canary, select: {match_labels: {ring: canary}}}
  - {name: everyone, rest: true}
";

/// A hub that serves acme/kafka 1.1.0, with the policy and two clusters on 1.0.0.
pub(super) async fn governed() -> (Hub, Agent, Agent) {
    let hub = Hub::published().await;
    let (canary, other) = (hub.agent(1).await, hub.agent(2).await);
    hub.label("site-1", json!({ "ring": "canary" })).await;
    for agent in [&canary, &other] {
        hub.reply(agent, &agent.of(1, vec![well(kafka(Phase::Idle))])).await;
    }
    let put = hub.apply(POLICY, TWO_RINGS).await;
    assert_eq!(put.status, 200, "{}", put.text());
    (hub, canary, other)
}

pub(super) fn well(product: ProductState) -> ProductState {
    let health = HealthSummary { verdict: HealthVerdict::Healthy, ..HealthSummary::default() };
    ProductState { health, ..product }
}

pub(super) fn rolling() -> ProductState {
    ProductState { target: Some("1.1.0".parse().unwrap()), ..well(kafka(Phase::Mutate)) }
}

pub(super) fn there() -> ProductState {
    ProductState { version: "1.1.0".parse().unwrap(), ..well(kafka(Phase::Idle)) }
}

pub(super) fn broken() -> ProductState {
    let failure = channels::wire::Failure {
        kind: "step_failed".to_owned(),
        message: "the command exited with 1".to_owned(),
        at: t0(),
    };
    ProductState { phase: Phase::Paused, failure: Some(failure), ..rolling() }
}

impl Hub {
    pub(super) async fn apply(&self, path: &str, text: &str) -> Answer {
        self.ask(Access::Operator, "PUT", path, Some(json!({ "text": text }))).await
    }

    pub(super) async fn rollout(&self) -> RolloutRow {
        self.get("/api/v1/rollouts/1").await
    }

    pub(super) async fn members(&self, query: &str) -> Vec<RolloutCluster> {
        let path = format!("/api/v1/rollouts/1/clusters{query}");
        self.get::<Page<RolloutCluster>>(&path).await.items
    }

    pub(super) async fn steer(&self, verb: &str, body: Value) -> Answer {
        let path = format!("/api/v1/rollouts/1/{verb}");
        self.ask(Access::Operator, "POST", &path, Some(body)).await
    }

    pub(super) async fn tick(&self, seconds: i64) {
        self.advance(seconds);
        self.state.store.tick(self.now()).await.unwrap();
        self.state.show_holds();
    }
}

#[actix_web::test]
async fn a_policy_is_reviewed_applied_versioned_and_removed() {
    let (hub, ..) = governed().await;
    let dry = format!("{POLICY}?dry_run=true");
    let wider = TWO_RINGS.replace("soak: 10m", "soak: 20m");
    let review: PolicyReply = hub.apply(&dry, &wider).await.json();
    assert_eq!((review.version, review.changed, review.in_no_ring), (2, true, 0));
    let sizes: Vec<(&str, u64)> =
        review.rings.iter().map(|ring| (ring.name.as_str(), ring.clusters)).collect();
    assert_eq!(sizes, [("canary", 1), ("everyone", 1)]);
    let stranger = hub.agent(3).await;
    let mut other = well(kafka(Phase::Idle));
    other.product = "acme/os".parse().unwrap();
    hub.reply(&stranger, &stranger.of(1, vec![other])).await;
    let closed = TWO_RINGS.replace("rest: true", "select: {match_labels: {ring: prod}}");
    let review: PolicyReply = hub.apply(&dry, &closed).await.json();
    assert_eq!(review.in_no_ring, 1, "clusters of other products are none of it");
    let codes: Vec<&str> = review.findings.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(codes, ["ring_empty", "clusters_in_no_ring"]);
    assert!(review.findings[1].message.contains("1 of 2 clusters"), "{:?}", review.findings);
    let now: PolicyRow = hub.get(POLICY).await;
    assert_eq!((now.version, now.text.as_deref()), (1, Some(TWO_RINGS)), "only reviewed");
    assert_eq!(now.applied_by, "the-operator");

    let applied: PolicyReply = hub.apply(POLICY, &wider).await.json();
    assert_eq!((applied.version, applied.changed), (2, true));
    let again: PolicyReply = hub.apply(POLICY, &wider).await.json();
    assert_eq!((again.version, again.changed), (2, false));
    let first: PolicyRow = hub.get(&format!("{POLICY}?version=1")).await;
    assert_eq!(first.text.as_deref(), Some(TWO_RINGS));
    let list: Page<PolicyRow> = hub.get("/api/v1/rollout-policies").await;
    assert_eq!((list.items.len(), &list.items[0].text), (1, &None));
    assert_eq!(list.items[0].applies_to, ["acme/kafka"]);

    let silent = hub.ask(Access::Operator, "DELETE", POLICY, None).await;
    assert_eq!(silent.problem(), (400, "invalid_request".to_owned()), "a reason is needed");
    let gone = format!("{POLICY}?reason=a%20test");
    assert_eq!(hub.ask(Access::Operator, "DELETE", &gone, None).await.status, 204);
    assert_eq!(hub.ask(Access::Operator, "GET", POLICY, None).await.problem().0, 404);
    assert_eq!(hub.rollout().await.state, RolloutState::Closed);
}

#[actix_web::test]
async fn a_policy_that_would_harm_is_told_in_a_dry_run_and_refused_otherwise() {
    let (hub, ..) = governed().await;
    let zero = format!("{TWO_RINGS}caps: {{concurrent: 0}}\n");
    let dry = format!("{POLICY}?dry_run=true");
    let review: PolicyReply = hub.apply(&dry, &zero).await.json();
    let errors: Vec<&str> = review
        .findings
        .iter()
        .filter(|finding| finding.severity == "error")
        .map(|finding| finding.code.as_str())
        .collect();
    assert_eq!(errors, ["cap_zero"]);
    for (text, status) in [
        (zero.as_str(), 422),
        ("name: two-rings\n", 422),
        ("name: other\nrings:\n  - {name: all, rest: true}\n", 422),
    ] {
        let refused = hub.apply(POLICY, text).await;
        assert_eq!(refused.problem().0, status, "{text}");
    }
    let twin = TWO_RINGS.replace("name: two-rings", "name: twin");
    let path = "/api/v1/rollout-policies/twin";
    let refused = hub.apply(path, &twin).await;
    assert_eq!(refused.problem(), (409, "conflict".to_owned()));
    assert!(refused.text().contains("two-rings"), "it names the other: {}", refused.text());
}

#[actix_web::test]
async fn rings_go_in_order_and_everybody_who_waits_knows_why_and_until_when() {
    let (hub, canary, other) = governed().await;
    let reply = hub.reply(&other, &other.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    let told = &reply.directives[0];
    assert_eq!((told.action, told.reasons[0].code.as_str()), (Action::Wait, "ring_closed"));
    let waiting = hub.members("?state=not_started").await;
    assert_eq!(waiting.len(), 2);
    assert_eq!(waiting[0].why_not[0].code, "not_asked", "the canary may go");
    assert_eq!(waiting[1].why_not[0].code, "ring_closed");
    let row: ClusterRow = hub.get("/api/v1/clusters/site-2").await;
    assert_eq!(row.products[0].why_not[0].code, "ring_closed");

    let reply = hub.reply(&canary, &canary.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    assert_eq!(reply.directives[0].action, Action::Proceed, "{reply:?}");
    assert_eq!(hub.members("?state=granted").await.len(), 1);
    assert_eq!(hub.rollout().await.caps.in_flight, 1);
    hub.reply(&canary, &canary.of(3, vec![rolling()])).await;
    assert_eq!(hub.members("?ring=canary").await[0].state, AttemptState::Rolling);
    hub.reply(&canary, &canary.of(4, vec![there()])).await;
    hub.tick(15).await;
    // Only its soak is missing: the other one knows when its turn comes.
    let row: ClusterRow = hub.get("/api/v1/clusters/site-2").await;
    let soaked_at = t0() + seconds(600);
    assert_eq!(row.products[0].earliest_at, Some(soaked_at), "{:?}", row.products[0].why_not);

    hub.advance(585);
    hub.reply(&canary, &canary.of(5, vec![there()])).await;
    hub.tick(1).await;
    let rollout = hub.rollout().await;
    let states: Vec<RingState> = rollout.rings.iter().map(|ring| ring.state).collect();
    assert_eq!(states, [RingState::Passed, RingState::Open], "{rollout:#?}");
    let reply = hub.reply(&other, &other.of(3, vec![well(asking(&hub, "1.1.0"))])).await;
    assert_eq!(reply.directives[0].action, Action::Proceed, "{reply:?}");
    hub.reply(&other, &other.of(4, vec![there()])).await;
    hub.tick(1).await;
    assert_eq!(hub.rollout().await.state, RolloutState::Converged);
    let open: Page<RolloutRow> = hub.get("/api/v1/rollouts").await;
    let all: Page<RolloutRow> = hub.get("/api/v1/rollouts?all=true&product=acme/kafka").await;
    assert_eq!((open.items.len(), all.items.len()), (0, 1));
}

#[actix_web::test]
async fn machines_that_only_read_the_graph_wait_for_the_ring_of_clusters_without_labels() {
    let (hub, canary, _) = governed().await;
    let fcos = "/api/fcos/acme/kafka/v1/graph?stream=stable&basearch=x86_64&rollout_wariness=0";
    let edges = async || -> Value {
        hub.ask_with(None, "GET", fcos, None).await.json::<Value>()["edges"].clone()
    };
    assert_eq!(edges().await, json!([]), "the canaries come first, however eager it is");
    hub.reply(&canary, &canary.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    hub.reply(&canary, &canary.of(3, vec![rolling()])).await;
    hub.reply(&canary, &canary.of(4, vec![there()])).await;
    hub.tick(15).await;
    assert_eq!(edges().await, json!([]), "the canaries soak");
    hub.advance(585);
    hub.reply(&canary, &canary.of(5, vec![there()])).await;
    hub.tick(1).await;
    assert_eq!(edges().await, json!([[0, 1]]));
}

#[actix_web::test]
async fn a_failure_halts_shows_to_plain_clients_and_goes_on_once_it_is_named() {
    let (hub, canary, _) = governed().await;
    hub.reply(&canary, &canary.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    hub.reply(&canary, &canary.of(3, vec![rolling()])).await;
    hub.reply(&canary, &canary.of(4, vec![broken()])).await;
    let halted = hub.rollout().await;
    assert_eq!((halted.state, halted.rings[0].state), (RolloutState::Halted, RingState::Halted));
    assert_eq!((halted.failures.len(), halted.failures[0].why.as_str()), (1, "error"));
    hub.tick(15).await;
    let shown = hub.ask_with(None, "GET", GRAPH, None).await.text();
    let reason = "rollout 1 of acme/kafka 1.1.0 halted: 1 cluster failed";
    assert!(shown.contains("FairwayHold") && shown.contains(reason), "{shown}");

    let unseen = hub.steer("resume", json!({ "acknowledge": "go" })).await;
    assert_eq!(unseen.problem(), (409, "conflict".to_owned()), "{}", unseen.text());
    let failure = |why: &str| {
        let one = &halted.failures[0];
        json!({ "cluster": one.cluster, "why": why, "at": one.at })
    };
    let melted = json!({ "acknowledge": "go", "failures": [failure("melted")] });
    assert_eq!(hub.steer("resume", melted).await.problem().0, 422);
    let named = json!({ "acknowledge": "a bad disk", "failures": [failure("error")] });
    let resumed = hub.steer("resume", named).await;
    assert_eq!(resumed.status, 200, "{}", resumed.text());
    let resumed: RolloutRow = resumed.json();
    assert_eq!(resumed.state, RolloutState::Running);
    assert!(resumed.failures[0].acknowledged);
    assert_eq!(hub.members("?state=acknowledged").await.len(), 1);
    assert!(!hub.ask_with(None, "GET", GRAPH, None).await.text().contains("FairwayHold"));
}

#[actix_web::test]
async fn people_hold_release_approve_and_hurry_one_rollout() {
    let (hub, canary, _) = governed().await;
    let held: RolloutRow = hub.steer("hold", json!({ "reason": "storm" })).await.json();
    assert_eq!((held.state, held.holds[0].by.as_str()), (RolloutState::Held, "the-operator"));
    assert!(hub.ask_with(None, "GET", GRAPH, None).await.text().contains("storm"));
    let reply = hub.reply(&canary, &canary.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    assert_eq!(reply.directives[0].action, Action::Hold);
    assert!(reply.directives[0].reasons[0].message.contains("storm"), "{reply:?}");
    let ring = json!({ "reason": "fog", "ring": "canary" });
    let held: RolloutRow = hub.steer("hold", ring).await.json();
    assert_eq!((held.holds.len(), held.rings[0].state), (2, RingState::Held));
    let free: RolloutRow = hub.steer("resume", json!({ "acknowledge": "over" })).await.json();
    assert_eq!((free.state, free.holds.len()), (RolloutState::Running, 1));
    let ring = json!({ "acknowledge": "over", "ring": "canary" });
    let free: RolloutRow = hub.steer("resume", ring).await.json();
    assert_eq!(free.holds, []);
    let nothing = hub.steer("resume", json!({ "acknowledge": "over" })).await;
    assert_eq!(nothing.problem().0, 409);

    let approve = json!({ "ring": "everyone", "reason": "well" });
    assert_eq!(hub.steer("approve", approve).await.problem().0, 409, "it needs none");
    let approved = TWO_RINGS.replace("rest: true}", "rest: true, approval: true}");
    assert_eq!(hub.apply(POLICY, &approved).await.status, 200);
    assert_eq!(hub.rollout().await.rings[1].state, RingState::AwaitsApproval);
    let approve = json!({ "ring": "everyone", "reason": "well" });
    let row: RolloutRow = hub.steer("approve", approve).await.json();
    assert_eq!(row.rings[1].state, RingState::Closed);
    let approve = json!({ "ring": "moon", "reason": "well" });
    assert_eq!(hub.steer("approve", approve).await.problem().0, 422);
    let hurried: RolloutRow = hub.steer("emergency", json!({ "reason": "exploited" })).await.json();
    assert!(hurried.emergency);
    assert_eq!(hub.steer("hold", json!({ "reason": " " })).await.problem().0, 422);
    let unknown = json!({ "reason": "storm" });
    let unknown = hub.ask(Access::Operator, "POST", "/api/v1/rollouts/9/hold", Some(unknown)).await;
    assert_eq!(unknown.problem(), (404, "not_found".to_owned()));
}

#[actix_web::test]
async fn whoever_is_confined_sees_rollouts_as_far_as_their_clusters_are_in_them() {
    let (hub, canary, prod) = governed().await;
    let token = async |name: &str, selector: &str| {
        let body = json!({ "name": name, "access": "operator", "selector": selector });
        let made = hub.ask(Access::Admin, "POST", "/api/v1/tokens", Some(body)).await;
        format!("Bearer {}", made.json::<Value>()["token"].as_str().unwrap())
    };
    let (own, nobody) = (token("own", "ring=canary").await, token("none", "ring=nowhere").await);
    let wants = asking(&hub, "1.1.0");
    hub.reply(&canary, &canary.of(2, vec![well(wants.clone())])).await;
    hub.reply(&prod, &prod.of(2, vec![well(wants)])).await;
    hub.tick(30).await;
    let id = hub.rollout().await.id;
    let get = async |header: &str, path: &str| {
        hub.ask_with(Some(header), "GET", &format!("/api/v1/rollouts{path}"), None).await
    };
    let whole = hub.rollout().await;
    let page: Page<RolloutRow> = get(&own, "").await.json();
    let sum = |row: &RolloutRow| row.rings.iter().map(|ring| ring.members).sum::<u32>();
    assert_eq!((sum(&whole), sum(&page.items[0])), (2, 1));
    let one: RolloutRow = get(&own, &format!("/{id}")).await.json();
    assert_eq!(one.rings[0], whole.rings[0], "the ring that is all theirs");
    assert_eq!((one.rings[1].members, one.rings[1].open_share_percent), (0, 0.0));
    let members: Page<RolloutCluster> = get(&own, &format!("/{id}/clusters")).await.json();
    assert_eq!(members.items.iter().map(|row| row.cluster).collect::<Vec<_>>(), [canary.id]);
    assert_eq!(get(&nobody, "").await.json::<Page<RolloutRow>>().items, []);
    for path in [format!("/{id}"), format!("/{id}/clusters")] {
        assert_eq!(get(&nobody, &path).await.problem(), (404, "not_found".into()), "{path}");
    }
    let path = format!("/api/v1/rollouts/{id}/hold");
    let refused = hub.ask_with(Some(&own), "POST", &path, Some(json!({ "reason": "x" }))).await;
    assert_eq!(refused.problem(), (403, "out_of_scope".into()), "it is about others too");
}

#[actix_web::test]
async fn members_come_in_pages() {
    let (hub, ..) = governed().await;
    let first: Page<RolloutCluster> = hub.get("/api/v1/rollouts/1/clusters?limit=1").await;
    let next = first.next.expect("a second page");
    let second: Page<RolloutCluster> =
        hub.get(&format!("/api/v1/rollouts/1/clusters?limit=1&cursor={next}")).await;
    assert_eq!(second.next, None);
    let rows: Vec<(&str, String)> = [&first.items[0], &second.items[0]]
        .map(|row| (row.name.as_str(), row.ring.as_ref().unwrap().to_string()))
        .into();
    assert_eq!(rows, [("site-1", "canary".to_owned()), ("site-2", "everyone".to_owned())]);
}

#[actix_web::test]
async fn a_ring_or_state_that_a_rollout_does_not_have_is_refused_with_those_it_has() {
    let (hub, ..) = governed().await;
    for (query, known) in [
        ("ring=moon", "ring must be one of canary, everyone"),
        ("state=moon", "state must be one of not_started, granted"),
        ("state=unknown", "state must be one of not_started, granted"),
    ] {
        let path = format!("/api/v1/rollouts/1/clusters?{query}");
        let answer = hub.ask(Access::Viewer, "GET", &path, None).await;
        assert_eq!(answer.problem(), (400, "invalid_request".to_owned()), "{query}");
        assert!(answer.text().contains(known), "{query}: {}", answer.text());
    }
    let canary: Page<RolloutCluster> = hub.get("/api/v1/rollouts/1/clusters?ring=canary").await;
    assert_eq!(canary.items.len(), 1);
}

const MEASURED: &str = "\
name: two-rings
applies_to: [{product: acme/kafka}]
emergency: true
curve: {points: [{after: 0s, share: 100%}]}
gates:
  soak: 10m
  min_sample: 100%
  baselines:
    - {name: errors, query: errors, bad_when: above, tolerance: 10%, over: 1h}
rings:
  - {name: canary, select: {match_labels: {ring: canary}}}
  - {name: everyone, rest: true}
";

fn told(product: ProductState, value: f64, mean: f64) -> ProductState {
    let id = MeasureId::of("errors", 3_600);
    let measured = vec![Measured { id, value: Some(value), mean: Some(mean), why: None }];
    ProductState { health: HealthSummary { measured, ..product.health.clone() }, ..product }
}

#[actix_web::test]
async fn a_cluster_is_asked_to_measure_waited_for_and_judged_by_its_own_past() {
    let (hub, canary, _) = governed().await;
    assert_eq!(hub.apply(POLICY, MEASURED).await.status, 200);
    hub.tick(15).await;
    let first = hub.reply(&canary, &canary.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    let asked: Vec<_> = first.measures.iter().map(|m| (m.query.as_str(), m.over_s)).collect();
    assert_eq!(asked, [("errors", 3_600)]);
    assert_eq!(first.directives[0].reasons[0].code, "baseline_unmeasured");
    let retry = hub.reply(&canary, &canary.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    assert_eq!(retry, first, "what was not heard is said again");
    let baseline = told(well(asking(&hub, "1.1.0")), 4.0, 2.0);
    let granted = hub.reply(&canary, &canary.of(3, vec![baseline])).await;
    assert_eq!(granted.directives[0].action, Action::Proceed);
    hub.reply(&canary, &canary.of(4, vec![rolling()])).await;
    hub.reply(&canary, &canary.of(5, vec![told(there(), 2.1, 8.0)])).await;
    hub.tick(15).await;
    assert_eq!(hub.rollout().await.failures.len(), 0);
    hub.reply(&canary, &canary.of(6, vec![told(there(), 2.3, 8.0)])).await;
    let rollout = hub.rollout().await;
    assert_eq!((rollout.state, rollout.failures.len()), (RolloutState::Halted, 1));
    let page = hub.call(TestRequest::get().uri("/metrics")).await.text();
    for line in [
        "fairway_rollouts{product=\"acme/kafka\",state=\"halted\"} 1",
        "fairway_rollout_failures{product=\"acme/kafka\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "no {line:?} in\n{page}");
    }
    let row: ClusterRow = hub.get("/api/v1/clusters/site-1").await;
    assert_eq!(row.products[0].health.measured, [], "a row keeps no numbers");
}
