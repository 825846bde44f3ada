//! Pages of channels, sites, trust and the log over a real hub: their figures are the API's.

use super::*;
use channels::graph::{MatchingRule, Risk};
use channels::wire::{DriftAnswer, HealthAnswer, Page, SiteRow, SoakAnswer};

async fn html(hub: &Hub, access: Access, path: &str) -> String {
    let answer = hub.ask(access, "GET", path, None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    answer.text()
}

async fn with_clusters() -> Hub {
    let hub = Hub::published().await;
    for n in 1..=3 {
        let agent = hub.agent(n).await;
        hub.reply(&agent, &agent.idle(1)).await;
    }
    hub
}

#[actix_web::test]
async fn the_pages_of_channels_have_the_figures_of_the_api() {
    let hub = with_clusters().await;
    for _ in 0..80 {
        hub.advance(15);
        hub.state.store.tick(hub.now()).await.unwrap();
        hub.state.store.note_trends(hub.now()).await.unwrap();
    }
    let drift: DriftAnswer = hub.get("/api/v1/drift").await;
    let totals = &drift.items[0];
    let list = html(&hub, Access::Viewer, "/channels").await;
    assert!(list.contains(&format!("{} of {}", totals.current, totals.active)), "{list}");
    let path = "/channels/acme/kafka/stable/amd64";
    let page = html(&hub, Access::Viewer, path).await;
    for (label, value) in [
        ("active clusters", totals.active),
        ("on the head", totals.current),
        ("behind", totals.behind),
        ("silent", totals.silent),
    ] {
        assert!(page.contains(&format!("<dt>{label}</dt><dd>{value}</dd>")), "{label}: {page}");
    }
    let soak: SoakAnswer = hub.get("/api/v1/soak?product=acme/kafka").await;
    let release = &soak.releases[0];
    let row = format!(
        "<th scope=\"row\">{}</th><td class=\"num\">{:.1}</td><td class=\"num\">{:.1}</td>",
        release.version, release.healthy_cluster_hours, release.unhealthy_cluster_hours
    );
    assert!(page.contains(&row), "{row}\n{page}");
    let graph: Value = hub.get("/api/v1/channels").await;
    let nodes = graph["items"][0]["nodes"].as_u64().unwrap();
    assert!(page.contains(&format!("<dt>releases</dt><dd>{nodes}</dd>")), "{page}");
    assert_eq!(page.matches("class=\"node ").count(), usize::try_from(nodes).unwrap());
}

#[actix_web::test]
async fn risks_of_a_channel_have_the_exposure_that_health_tells() {
    let hub = Hub::new().await;
    let mut fixture = Fixture::new();
    for bytes in fixture.acme().graphs.values_mut() {
        let graph = channels::cincinnati::from_json(bytes).unwrap();
        let risk = Risk {
            name: "DiskStorm".to_owned(),
            message: "disks fill".to_owned(),
            url: "https://example.org/r".to_owned(),
            matching_rules: vec![MatchingRule::PromQl { promql: "up".to_owned() }],
        };
        *bytes = channels::cincinnati::to_json(&graph.with_risk(&risk, &|_, _| true).unwrap());
    }
    hub.state.publisher.publish(fixture.publication(), t0()).unwrap();
    let agent = hub.agent(1).await;
    hub.reply(&agent, &agent.idle(1)).await;
    let health: HealthAnswer = hub.get("/api/v1/health").await;
    let risk = &health.risks[0];
    let page = html(&hub, Access::Viewer, "/channels/acme/kafka/stable/amd64").await;
    let (_, row) = page.split_once(&format!("<th scope=\"row\">{}<small>", risk.risk)).unwrap();
    let (row, _) = row.split_once("</tr>").unwrap();
    let figures = format!(
        "<td class=\"num\">1</td><td class=\"num\">{}</td><td class=\"num\">{}</td>",
        risk.clusters, risk.blocked
    );
    assert!(row.ends_with(&figures), "{row}");
}

#[actix_web::test]
async fn a_hold_is_on_the_page_as_soon_as_it_is_placed() {
    let hub = with_clusters().await;
    let body = json!({ "scope": { "kind": "fleet" }, "reason": "disk alarm" });
    let answer = hub.ask(Access::Operator, "POST", "/api/v1/holds", Some(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(html(&hub, Access::Viewer, "/channels").await.contains("disk alarm"));
    let page = html(&hub, Access::Viewer, "/channels/acme/kafka/stable/amd64").await;
    assert!(page.contains("Every move is held."), "{page}");
    assert!(page.contains("class=\"edge blocked\""), "{page}");
}

#[actix_web::test]
async fn a_channel_that_is_not_published_is_not_there() {
    let hub = Hub::published().await;
    for path in ["/channels/acme/kafka/slow/amd64", "/channels/acme/kafka/%20/amd64"] {
        let answer = hub.ask(Access::Viewer, "GET", path, None).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()));
    }
}

#[actix_web::test]
async fn trust_shows_the_keys_in_force_and_needs_no_publication() {
    let empty = Hub::new().await;
    assert!(html(&empty, Access::Viewer, "/trust").await.contains("Nothing is published"));
    let hub = Hub::published().await;
    let page = html(&hub, Access::Viewer, "/trust").await;
    for (_, key) in hub.state.publisher.online_key_ids() {
        assert!(page.contains(key.as_str()), "{key}");
    }
    let answer = hub.ask(Access::Admin, "POST", "/api/v1/hub/keys/snapshot/next", None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let role = crate::publish::OnlineRole::Snapshot;
    let next = hub.state.publisher.next_key(role).unwrap();
    assert!(html(&hub, Access::Viewer, "/trust").await.contains(next.as_str()));
}

#[actix_web::test]
async fn the_log_is_not_for_viewers_and_is_filtered_for_operators() {
    let hub = with_clusters().await;
    assert_eq!(hub.ask(Access::Viewer, "GET", "/audit", None).await.status, 403);
    let all = html(&hub, Access::Operator, "/audit").await;
    assert!(all.contains("rows of this page fit") && all.contains(">enrol</a>"), "{all}");
    let none = html(&hub, Access::Operator, "/audit?actor=nobody").await;
    assert!(none.contains("No row matches."), "{none}");
    let some = html(&hub, Access::Operator, "/audit?action=enrol&until=2026-11-20").await;
    assert_eq!(some.matches("<th scope=\"row\"").count(), 3, "{some}");
    let checked = html(&hub, Access::Operator, "/audit?check=1").await;
    assert!(checked.contains("rows checked"), "{checked}");
}

#[actix_web::test]
async fn sites_are_shown_as_the_api_tells_them() {
    let hub = Hub::published().await;
    assert!(html(&hub, Access::Viewer, "/sites").await.contains("No air-gapped site"));
    let key = SecretKey::from_seed([9; 32]).public().to_spki_pem();
    let body = json!({ "public_key": key, "description": "the rig", "expected_interval_s": 3600 });
    let answer = hub.ask(Access::Admin, "PUT", "/api/v1/sites/north", Some(body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let sites: Page<SiteRow> = hub.get("/api/v1/sites").await;
    let page = html(&hub, Access::Viewer, "/sites?site=north").await;
    for text in [
        sites.items[0].key_id.as_str(),
        "the rig",
        "one is expected every 1 h",
        "None was brought here",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    let answer = hub.ask(Access::Viewer, "GET", "/sites?site=south", None).await;
    assert_eq!(answer.problem().1, "unknown_site");
}

#[actix_web::test]
async fn the_matrix_of_the_fleet_has_the_versions_and_sums_of_drift() {
    let hub = with_clusters().await;
    let drift: DriftAnswer = hub.get("/api/v1/drift").await;
    let totals = &drift.items[0];
    let page = html(&hub, Access::Viewer, "/").await;
    let (_, matrix) = page.split_once("id=\"matrix-box-").expect("a matrix");
    let (matrix, _) = matrix.split_once("</table>").expect("its end");
    // The last cell of a row, without its link.
    let last = |row: &str| -> u64 {
        let (_, cell) =
            row.trim_end_matches("</td></tr>").rsplit_once("<td class=\"num\">").unwrap();
        let text = cell.trim_end_matches("</a>").rsplit('>').next().unwrap();
        text.parse().unwrap_or_else(|_| panic!("{text:?} in {row}"))
    };
    let (body, foot) = matrix.split_once("</tbody>").unwrap();
    let rows: Vec<&str> = body.lines().filter(|line| line.contains("scope=\"row\"")).collect();
    assert_eq!(rows.len(), totals.versions.len(), "{matrix}");
    for version in &totals.versions {
        let head = format!("<tr><th scope=\"row\">{}", version.version);
        let row = rows.iter().find(|row| row.trim_start().starts_with(&head)).expect("its row");
        assert_eq!(last(row.trim_end()), version.clusters, "{row}");
    }
    let (sum, _) = foot.split_once("</tfoot>").unwrap();
    assert_eq!(last(sum), totals.active, "{sum}");
}
