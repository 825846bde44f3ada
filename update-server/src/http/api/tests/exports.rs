//! Lists as CSV and NDJSON, and what a client need not load again.

use super::*;
use channels::wire::{AuditRow, ClusterRow, DriftTotals};

async fn fleet_of(n: u8) -> Hub {
    let hub = Hub::published().await;
    for n in 1..=n {
        let agent = hub.agent(n).await;
        hub.reply(&agent, &agent.idle(1)).await;
    }
    hub
}

async fn accepting(hub: &Hub, path: &str, accept: &str) -> Answer {
    let header = format!("Bearer {}", token(Access::Operator).reveal());
    let request = TestRequest::get().uri(path).insert_header(("authorization", header));
    hub.call(request.insert_header(("accept", accept))).await
}

#[actix_web::test]
async fn clusters_are_exported_whole_in_both_forms_however_they_are_asked_for() {
    let hub = fleet_of(3).await;
    let path = "/api/v1/clusters?product=acme/kafka";
    let csv = hub.ask(Access::Viewer, "GET", &format!("{path}&format=csv&limit=1"), None).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(csv.header("content-disposition").unwrap().contains("fairway-clusters.csv"));
    let text = csv.text();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("id,name,") && lines[3].contains(",site-3,"), "{text}");
    let columns: Vec<usize> = lines.iter().map(|line| line.split(',').count()).collect();
    assert_eq!(columns, vec![columns[0]; 4], "{text}");
    assert_eq!(accepting(&hub, path, "text/csv").await.text(), text);
    let ndjson = accepting(&hub, path, "application/json;q=0.5, application/x-ndjson").await;
    let rows: Vec<ClusterRow> =
        ndjson.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
        ["site-1", "site-2", "site-3"]
    );
    let browser = accepting(&hub, path, "text/html, */*;q=0.8").await;
    assert_eq!(browser.header("content-type"), Some("application/json"));
    let bad = hub.ask(Access::Viewer, "GET", "/api/v1/clusters?format=xml", None).await;
    assert_eq!(bad.problem(), (400, "invalid_request".to_owned()));
}

#[actix_web::test]
async fn an_export_of_the_audit_log_goes_over_all_its_pages() {
    let hub = Hub::new().await;
    for _ in 0..600 {
        hub.state
            .store
            .record(crate::store::Event {
                at: t0(),
                actor: "mira".to_owned(),
                action: "hold",
                object: "=cmd".to_owned(),
                detail: json!({ "reason": "a, b" }),
            })
            .await
            .unwrap();
    }
    let answer = hub.ask(Access::Operator, "GET", "/api/v1/audit?format=ndjson", None).await;
    let rows: Vec<AuditRow> =
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
    let newest = ids[0];
    assert!(newest >= 600);
    assert_eq!(ids, (1..=newest).rev().collect::<Vec<_>>());
    let csv = hub.ask(Access::Operator, "GET", "/api/v1/audit?format=csv", None).await.text();
    assert!(csv.contains(",'=cmd,\"{\"\"reason\"\":\"\"a, b\"\"}\","), "{}", &csv[..400]);
    assert_eq!(hub.ask(Access::Viewer, "GET", "/api/v1/audit?format=csv", None).await.status, 403);
}

#[actix_web::test]
async fn drift_and_health_are_exported_as_rows() {
    let hub = fleet_of(2).await;
    let drift = hub.ask(Access::Viewer, "GET", "/api/v1/drift?format=ndjson", None).await;
    let totals: DriftTotals = serde_json::from_str(drift.text().trim()).unwrap();
    assert_eq!((totals.active, totals.behind), (2, 2));
    let health = hub.ask(Access::Viewer, "GET", "/api/v1/health?format=csv", None).await.text();
    let rows = health.lines().skip(1).filter(|line| line.contains(",unknown,")).count();
    assert_eq!(rows, 2, "{health}");
}

#[actix_web::test]
async fn an_answer_that_has_not_changed_is_not_sent_again() {
    let hub = fleet_of(1).await;
    for path in ["/api/v1/clusters", "/api/v1/drift", "/api/v1/health"] {
        let first = hub.ask(Access::Viewer, "GET", path, None).await;
        let tag = first.header("etag").unwrap().to_owned();
        assert!(tag.starts_with("W/"), "the time in the answer is not part of it");
        let again = async || {
            let header = format!("Bearer {}", token(Access::Viewer).reveal());
            let request = TestRequest::get().uri(path).insert_header(("authorization", header));
            hub.call(request.insert_header(("if-none-match", tag.clone()))).await
        };
        let known = again().await;
        assert_eq!((known.status, known.body.len()), (304, 0), "{path}");
        assert_eq!(known.header("etag"), Some(tag.as_str()));
        let nobody = TestRequest::get().uri(path).insert_header(("if-none-match", tag.clone()));
        assert_eq!(hub.call(nobody).await.status, 401, "who may not read learns nothing");
        hub.state.store.tick(hub.now()).await.unwrap();
        assert_eq!(again().await.status, 200, "{path}: time has passed");
    }
}
