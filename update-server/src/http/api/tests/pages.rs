//! Pages of rollouts and clusters, and their forms, over a real store.

use channels::wire::{AcceptedRisk, AuditRow, ClusterRow, Hold, Page, RolloutState};

use super::rollouts::{POLICY, TWO_RINGS, broken, governed, rolling, there, well};
use super::sign_in::House;
use super::*;
use crate::rollout::Course;

const OWN: &str = "http://hub.example";

/// A form with the fields of a page.
fn form(path: &str, fields: &[(&str, &str)]) -> TestRequest {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields.iter()).finish();
    TestRequest::post()
        .uri(path)
        .insert_header(("host", "hub.example"))
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .set_payload(body)
}

impl Hub {
    async fn read(&self, path: &str) -> String {
        let answer = self.ask(Access::Operator, "GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{path}");
        answer.text()
    }

    /// Sends a form as somebody with this token as the password.
    async fn send(&self, access: Access, path: &str, fields: &[(&str, &str)]) -> Answer {
        let header = ("authorization", format!("Bearer {}", token(access).reveal()));
        self.call(form(path, fields).insert_header(("origin", OWN)).insert_header(header)).await
    }

    async fn audit_row(&self, action: &str) -> Option<AuditRow> {
        let rows: Page<AuditRow> = self.get("/api/v1/audit").await;
        rows.items.into_iter().find(|row| row.action == action)
    }
}

/// The value of a hidden field.
fn hidden(html: &str, name: &str) -> String {
    let begin = format!("name=\"{name}\" value=\"");
    let (_, rest) = html.split_once(&begin).unwrap_or_else(|| panic!("no {name} in {html}"));
    rest.split_once('"').unwrap().0.to_owned()
}

#[actix_web::test]
async fn the_page_of_a_rollout_shows_the_figures_of_the_api() {
    let (hub, canary, other) = governed().await;
    hub.reply(&canary, &canary.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    hub.advance(60);
    hub.reply(&canary, &canary.of(3, vec![rolling()])).await;
    hub.reply(&canary, &canary.of(4, vec![there()])).await;
    hub.tick(15).await;
    hub.advance(700);
    hub.reply(&canary, &canary.of(5, vec![there()])).await;
    hub.tick(1).await;
    hub.reply(&other, &other.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    hub.tick(15).await;

    let course: Course = hub.get("/api/v1/rollouts/1/course").await;
    let last = course.actual.last().unwrap();
    assert_eq!((course.clusters, last.started, last.done), (2, 2, 1));
    assert!(course.planned.len() > 1 && course.expected.last().unwrap().clusters == 2);
    let html = hub.read("/rollouts/1").await;
    let row = |at: Timestamp| {
        let begin = format!("<th scope=\"row\">{at}</th>");
        let (_, rest) = html.split_once(&begin).unwrap_or_else(|| panic!("no {at} in {html}"));
        let cells = rest.split_once("</tr>").unwrap().0.split("<td class=\"num\">").skip(1);
        cells.map(|cell| cell.split_once('<').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    for point in &course.planned {
        assert_eq!(row(point.at)[0], point.clusters.to_string(), "planned {point:?}");
    }
    for point in &course.actual {
        let told = [point.started, point.done].map(|count| count.to_string());
        assert_eq!(row(point.at)[1..3], told, "{point:?}");
    }
    for point in &course.expected {
        assert_eq!(row(point.at)[3], point.clusters.to_string(), "expected {point:?}");
    }
    let rollout = hub.rollout().await;
    assert_eq!(rollout.state, RolloutState::Running);
    for text in [
        "<span class=\"pill move\">running</span>",
        "<dt>succeeded</dt><dd>1</dd>",
        "<dt>granted</dt><dd>1</dd>",
        "<dt>clusters</dt><dd>2</dd>",
        "<span class=\"pill good\">passed</span>",
        "at least 1 (100%)",
        "10m after the last success",
        "site-2</a>",
        "href=\"/rollouts/1/hold\"",
    ] {
        assert!(html.contains(text), "no {text:?} in\n{html}");
    }
    let list = hub.read("/rollouts").await;
    for text in ["acme/kafka 1.1.0", "canary 1 of 1, everyone 0 of 1", "1 of 2", "Under way"] {
        assert!(list.contains(text), "no {text:?} in\n{list}");
    }
    let viewed = hub.ask(Access::Viewer, "GET", "/rollouts/1", None).await.text();
    assert!(!viewed.contains("/rollouts/1/emergency"), "a viewer is offered nothing");
    assert!(!html.contains("style=") && !html.contains("<script>"), "{html}");
}

#[actix_web::test]
async fn no_rollout_says_what_to_do_next() {
    let hub = Hub::new().await;
    let html = hub.read("/rollouts").await;
    assert!(html.contains("fairway rollout apply FILE"), "{html}");
    let (hub, ..) = governed().await;
    let gone = format!("{POLICY}?reason=x");
    assert_eq!(hub.ask(Access::Operator, "DELETE", &gone, None).await.status, 204);
    assert!(hub.read("/rollouts").await.contains("Over"), "its policy is gone");
}

#[actix_web::test]
async fn a_rollout_is_held_and_resumed_by_forms_that_say_what_they_do() {
    let (hub, ..) = governed().await;
    let asked = hub.read("/rollouts/1/hold").await;
    for text in ["Hold rollout 1", "2 clusters that have not started", "FairwayHold", "Strimzi"] {
        assert!(asked.contains(text), "no {text:?} in\n{asked}");
    }
    let words = "a <b>storm</b>";
    let held = hub.send(Access::Operator, "/rollouts/1/hold", &[("reason", words)]).await;
    assert_eq!((held.status, held.header("location")), (303, Some("/rollouts/1?done=held")));
    let row = hub.rollout().await;
    assert_eq!((row.state, row.holds[0].reason.as_str()), (RolloutState::Held, words));
    let audit = hub.audit_row("rollout.held").await.unwrap();
    assert_eq!(audit.actor, "the-operator");
    let html = hub.read("/rollouts/1?done=held").await;
    assert!(html.contains("It is held.") && html.contains("a &#60;b&#62;storm"), "{html}");
    assert!(!html.contains("<b>storm"), "{html}");

    let ring = [("reason", "fog"), ("ring", "canary")];
    let held = hub.send(Access::Operator, "/rollouts/1/hold", &ring).await;
    assert_eq!(held.status, 303, "{}", held.text());
    assert_eq!(hub.rollout().await.holds.len(), 2);
    let asked = hub.read("/rollouts/1/resume?ring=canary").await;
    assert_eq!(hidden(&asked, "ring"), "canary");
    for (path, ring) in [("/rollouts/1/resume", "canary"), ("/rollouts/1/resume", "")] {
        let seen = hidden(&hub.read("/rollouts/1/resume").await, "seen");
        let fields = [("reason", "over"), ("ring", ring), ("seen", seen.as_str())];
        let resumed = hub.send(Access::Operator, path, &fields).await;
        assert_eq!(resumed.status, 303, "{}", resumed.text());
    }
    assert_eq!(hub.rollout().await.state, RolloutState::Running);
    assert!(hub.audit_row("rollout.released").await.is_some());
}

#[actix_web::test]
async fn a_form_that_is_refused_comes_back_with_the_reason_and_what_was_typed() {
    let (hub, canary, _) = governed().await;
    let empty = hub.send(Access::Operator, "/rollouts/1/hold", &[("reason", "  ")]).await;
    assert_eq!(empty.status, 422);
    assert!(
        empty.text().contains("Nothing was done.") && empty.text().contains("reason must have")
    );
    hub.reply(&canary, &canary.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    hub.reply(&canary, &canary.of(3, vec![rolling()])).await;
    hub.reply(&canary, &canary.of(4, vec![broken()])).await;
    let page = hub.read("/rollouts/1").await;
    for text in ["1 failure halts it", "it reported an error", "the command exited with 1"] {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
    let asked = hub.read("/rollouts/1/resume").await;
    assert!(asked.contains("site-1: it reported an error"), "{asked}");
    let old = [("reason", "a \"bad\" disk"), ("seen", "other")];
    let refused = hub.send(Access::Operator, "/rollouts/1/resume", &old).await;
    assert_eq!(refused.status, 409);
    let again = refused.text();
    assert!(
        again.contains("look at them first") && again.contains("a &#34;bad&#34; disk"),
        "{again}"
    );
    assert_eq!(hub.rollout().await.state, RolloutState::Halted);
    let seen = hidden(&again, "seen");
    let right = [("reason", "a bad disk"), ("seen", seen.as_str())];
    let resumed = hub.send(Access::Operator, "/rollouts/1/resume", &right).await;
    assert_eq!(resumed.status, 303, "{}", resumed.text());
    let row = hub.rollout().await;
    assert!(row.state == RolloutState::Running && row.failures[0].acknowledged, "{row:?}");
    assert!(hub.audit_row("rollout.resumed").await.is_some());
}

#[actix_web::test]
async fn a_ring_is_approved_and_a_rollout_hurried() {
    let (hub, ..) = governed().await;
    let approved = TWO_RINGS.replace("rest: true}", "rest: true, approval: true}");
    assert_eq!(hub.apply(POLICY, &approved).await.status, 200);
    let page = hub.read("/rollouts/1").await;
    assert!(page.contains("/rollouts/1/approve?ring=everyone"), "{page}");
    let nobody = hub.send(Access::Operator, "/rollouts/1/approve", &[("reason", "well")]).await;
    assert_eq!(nobody.status, 422);
    let fields = [("reason", "well"), ("ring", "everyone")];
    let done = hub.send(Access::Operator, "/rollouts/1/approve", &fields).await;
    assert_eq!(done.status, 303, "{}", done.text());
    let again =
        hub.send(Access::Operator, "/rollouts/1/emergency", &[("reason", "exploited")]).await;
    assert_eq!(again.status, 303, "{}", again.text());
    assert!(hub.rollout().await.emergency);
    assert!(hub.read("/rollouts/1").await.contains("An emergency, says the-operator: exploited"));
    for path in ["/rollouts/1/promote", "/rollouts/9/hold", "/rollouts/1/hold?ring=moon"] {
        assert_eq!(hub.ask(Access::Operator, "GET", path, None).await.status, 404, "{path}");
    }
}

#[actix_web::test]
async fn forms_are_taken_from_operators_on_the_hubs_own_pages_only() {
    let (hub, ..) = governed().await;
    let path = "/rollouts/1/hold";
    let viewer = hub.send(Access::Viewer, path, &[("reason", "x")]).await;
    assert_eq!(viewer.problem(), (403, "forbidden".to_owned()));
    assert_eq!(hub.ask(Access::Viewer, "GET", path, None).await.status, 403);
    let header = || ("authorization", format!("Bearer {}", token(Access::Operator).reveal()));
    let fields = [("reason", "x")];
    for origin in [None, Some("http://evil.example"), Some("null")] {
        let mut request = form(path, &fields).insert_header(header());
        if let Some(origin) = origin {
            request = request.insert_header(("origin", origin));
        }
        let answer = hub.call(request).await;
        assert_eq!(answer.problem(), (403, "cross_site".to_owned()), "{origin:?}");
    }
    let plain = TestRequest::post()
        .uri(path)
        .insert_header(("host", "hub.example"))
        .insert_header(("origin", OWN))
        .insert_header(header())
        .insert_header(("content-type", "text/plain"))
        .set_payload("reason=x");
    assert_eq!(hub.call(plain).await.status, 415);
    let nobody = hub.call(form(path, &fields).insert_header(("origin", OWN))).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(hub.rollout().await.state, RolloutState::Running);
}

#[actix_web::test]
async fn a_form_of_a_session_carries_the_token_of_its_page() {
    let house = House::new().await;
    let agent = house.hub.agent(1).await;
    let session = house.session("fleet").await;
    let path = format!("/clusters/{}/hold", agent.id);
    let page = house.get(&session, &path).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let csrf = hidden(&page.text(), "csrf");
    assert!(!csrf.is_empty());
    let send = async |csrf: Option<&str>, origin: &str| {
        let mut fields = vec![("reason", "storm")];
        fields.extend(csrf.map(|csrf| ("csrf", csrf)));
        let request = form(&path, &fields).insert_header(("origin", origin.to_owned()));
        house.with(&session, request).await
    };
    let own = "http://localhost:8480";
    let other = house.session("fleet").await;
    let stolen = hidden(&house.get(&other, &path).await.text(), "csrf");
    for (csrf, origin) in [
        (None, own),
        (Some(""), own),
        (Some("wrong"), own),
        (Some(stolen.as_str()), own),
        (Some(csrf.as_str()), "http://evil.example"),
    ] {
        let refused = send(csrf, origin).await;
        assert_eq!(refused.problem(), (403, "cross_site".to_owned()), "{csrf:?} {origin}");
    }
    let held = send(Some(&csrf), own).await;
    let location = format!("/clusters/{}?done=held", agent.id);
    assert_eq!((held.status, held.header("location")), (303, Some(location.as_str())));
    let holds: Page<Hold> = house.hub.get("/api/v1/holds").await;
    assert_eq!((holds.items.len(), holds.items[0].by.as_str()), (1, "sso:mira"));
    assert_eq!(house.hub.audit_row("hold").await.unwrap().actor, "sso:mira");

    let lift = format!("/holds/{}/resume", holds.items[0].id);
    let page = house.get(&session, &format!("/clusters/{}", agent.id)).await.text();
    assert!(page.contains(&lift) && page.contains("storm"), "{page}");
    let fields = [("reason", "over"), ("csrf", csrf.as_str())];
    let request = form(&lift, &fields).insert_header(("origin", own));
    let lifted = house.with(&session, request).await;
    assert_eq!(lifted.status, 303, "{}", lifted.text());
    let holds: Page<Hold> = house.hub.get("/api/v1/holds").await;
    assert_eq!(holds.items, []);
    assert_eq!(house.get(&session, &lift).await.status, 404, "it is lifted");

    let late = form(&path, &[("reason", "storm"), ("csrf", csrf.as_str())]);
    let late = late.insert_header(("origin", own)).insert_header(("accept", "text/html"));
    let over = house.hub.call(late).await;
    assert_eq!((over.status, over.header("location")), (403, None), "{}", over.text());
    assert!(over.text().contains("You are signed out."), "{}", over.text());
}

#[actix_web::test]
async fn whoever_is_confined_steers_their_clusters_and_nothing_else() {
    let (hub, canary, prod) = governed().await;
    let body = json!({ "name": "own", "access": "operator", "selector": "ring=canary" });
    let made = hub.ask(Access::Admin, "POST", "/api/v1/tokens", Some(body)).await;
    let own = format!("Bearer {}", made.json::<Value>()["token"].as_str().unwrap());
    let get = async |path: &str| hub.ask_with(Some(&own), "GET", path, None).await;
    let send = async |path: &str, fields: &[(&str, &str)]| {
        let request = form(path, fields).insert_header(("origin", OWN));
        hub.call(request.insert_header(("authorization", own.clone()))).await
    };
    let page = get("/rollouts/1").await.text();
    assert!(page.contains("Counted from the clusters that you may see"), "{page}");
    assert!(!page.contains("site-2") && page.contains("site-1"), "{page}");
    assert_eq!(get("/rollouts/1/hold").await.problem(), (403, "out_of_scope".to_owned()));
    let held = send("/rollouts/1/hold", &[("reason", "x")]).await;
    assert_eq!(held.problem(), (403, "out_of_scope".to_owned()));
    let [theirs, others] = [canary.id, prod.id].map(|id| format!("/clusters/{id}"));
    assert_eq!(get(&others).await.status, 404);
    for path in [format!("{others}/hold"), format!("{others}/retire")] {
        assert_eq!(send(&path, &[("reason", "x"), ("name", "site-2")]).await.status, 404, "{path}");
    }
    let page = get(&theirs).await.text();
    assert!(page.contains("/hold") && !page.contains("/set?product"), "{page}");
    let set = send(&format!("{theirs}/set"), &[("product", "acme/kafka"), ("pin", "1.0.0")]).await;
    assert_eq!(set.status, 403);
    assert!(set.text().contains("this is about all"), "{}", set.text());
    assert_eq!(send(&format!("{theirs}/hold"), &[("reason", "x")]).await.status, 303);
    let holds: Page<Hold> = hub.get("/api/v1/holds").await;
    assert_eq!(holds.items[0].by, "own");
    let lifted = send(&format!("/holds/{}/resume", holds.items[0].id), &[("reason", "y")]).await;
    assert_eq!(lifted.status, 303, "{}", lifted.text());
}

#[actix_web::test]
async fn the_page_of_a_cluster_says_what_it_runs_why_it_waits_and_how_it_got_there() {
    let (hub, canary, other) = governed().await;
    let lag = |product: ProductState, quorum| {
        let health = HealthSummary { quorum_lag_ms: Some(quorum), ..product.health.clone() };
        ProductState { health, ..product }
    };
    hub.reply(&canary, &canary.of(2, vec![lag(well(asking(&hub, "1.1.0")), 20)])).await;
    hub.advance(60);
    hub.reply(&canary, &canary.of(3, vec![lag(rolling(), 900)])).await;
    hub.advance(60);
    hub.reply(&canary, &canary.of(4, vec![lag(there(), 30)])).await;
    let row: ClusterRow = hub.get("/api/v1/clusters/site-1").await;
    let html = hub.read("/clusters/site-1").await;
    for text in [
        "<h1>site-1</h1>",
        "ring=canary",
        "<strong>1.1.0</strong>",
        "ring canary: it succeeded",
        "It runs the head of its channel.",
        "<td class=\"num\">20 ms</td><td class=\"num\">900 ms</td><td class=\"num\">30 ms</td>",
        "<span class=\"pill move\">mutate</span>",
    ] {
        assert!(html.contains(text), "no {text:?} in\n{html}");
    }
    let now = row.products[0].health.quorum_lag_ms.unwrap();
    assert!(html.contains(&format!("<td>{now}</td>")), "the API's own figure");
    hub.reply(&other, &other.of(2, vec![well(asking(&hub, "1.1.0"))])).await;
    let row: ClusterRow = hub.get("/api/v1/clusters/site-2").await;
    let html = hub.read(&format!("/clusters/{}", other.id)).await;
    for reason in &row.products[0].why_not {
        assert!(html.contains(&reason.message), "no {:?} in\n{html}", reason.message);
    }
    assert!(html.contains("<strong>1.1.0</strong></li>"), "the way to the head: {html}");
    assert_eq!(hub.ask(Access::Viewer, "GET", "/clusters/nobody", None).await.status, 404);
    let viewed = hub.ask(Access::Viewer, "GET", "/clusters/site-1", None).await.text();
    assert!(!viewed.contains("What people did") && !viewed.contains("/retire"), "{viewed}");
}

#[actix_web::test]
async fn a_cluster_is_pinned_and_retired_by_forms() {
    let (hub, canary, _) = governed().await;
    let here = format!("/clusters/{}", canary.id);
    let asked = hub.read(&format!("{here}/set?product=acme/kafka")).await;
    assert_eq!(hidden(&asked, "product"), "acme/kafka");
    let wrong = [("product", "acme/kafka"), ("pin", "not a version")];
    let refused = hub.send(Access::Operator, &format!("{here}/set"), &wrong).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("value=\"not a version\""), "{}", refused.text());
    let right = [("product", "acme/kafka"), ("pin", "1.0.0"), ("channel", ""), ("max_version", "")];
    let set = hub.send(Access::Operator, &format!("{here}/set"), &right).await;
    assert_eq!(set.status, 303, "{}", set.text());
    assert!(hub.read(&here).await.contains("pinned to 1.0.0"));
    assert!(hub.read(&format!("{here}/set")).await.contains("value=\"1.0.0\""), "as it is set");

    let retire = format!("{here}/retire");
    let typo = hub.send(Access::Operator, &retire, &[("name", "site-2")]).await;
    assert_eq!(typo.status, 422);
    let gone = hub.send(Access::Operator, &retire, &[("name", "site-1")]).await;
    assert_eq!((gone.status, gone.header("location")), (303, Some("/")));
    assert_eq!(hub.ask(Access::Operator, "GET", &here, None).await.status, 404);
    assert!(hub.audit_row("retire").await.is_some());
}

#[actix_web::test]
async fn risks_that_a_cluster_accepts_are_shown_until_it_says_otherwise() {
    let hub = Hub::published().await;
    let agent = hub.agent(1).await;
    let accepted = |name: &str, until: Option<i64>| AcceptedRisk {
        name: name.to_owned(),
        reason: format!("<{name}> is none here"),
        until: until.map(|s| t0() + seconds(s)),
    };
    let all = vec![accepted("DiskStorm", Some(3600)), accepted("OddClients", None)];
    let bold = ProductState { accepted_risks: all.clone(), ..kafka(Phase::Idle) };
    hub.reply(&agent, &agent.of(1, vec![bold])).await;
    let shown = async || -> Vec<AcceptedRisk> {
        let row: ClusterRow = hub.get("/api/v1/clusters/site-1").await;
        row.products[0].accepted_risks.clone()
    };
    assert_eq!(shown().await, all);
    let page = hub.read("/clusters/site-1").await;
    for text in ["Risks its owner accepts", "&#60;DiskStorm&#62; is none here", "in 1 h</time>"] {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
    assert!(page.contains("until it is removed") && !page.contains("expired</span>"), "{page}");
    // A report that leaves the product out changes nothing of it.
    hub.advance(3600);
    hub.reply(&agent, &Report { full: false, ..agent.of(2, Vec::new()) }).await;
    assert_eq!(shown().await, all);
    let page = hub.read("/clusters/site-1").await;
    assert_eq!(page.matches("expired</span>").count(), 1, "{page}");
    // An agent of an earlier release does not tell.
    hub.reply(&agent, &agent.of(3, vec![kafka(Phase::Idle)])).await;
    assert_eq!(shown().await, []);
    assert!(!hub.read("/clusters/site-1").await.contains("Risks its owner accepts"));
}
