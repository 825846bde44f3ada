//! A channel repository with ends of life, from its files to the answers about the fleet.

use std::fs;

use super::*;
use channels::cincinnati::{target_path, to_json};
use channels::compile::compile;
use channels::repository::Workspace;
use channels::wire::{ClusterRow, DriftAnswer, FleetCounters, ReleaseDocument};

const SETTINGS: &str = "vendor = \"acme\"\nproduct = \"kafka\"\n[defaults]\narches = [\"amd64\"]\n";

/// The day of [`t0`], which is at noon.
const EOL: &str = "[eol]\n\"1.0\" = 2026-11-20\n\"1.1\" = 2027-11-20\n";

/// A product with 1.0.0 → 1.1.0 → 1.2.0 in `stable`.
fn repository(settings: &str) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["releases", "channels"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("fairway.toml"), settings).unwrap();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let digest = signing::Sha256Digest::of(version.as_bytes());
        let release = format!(
            "version: {version}\nreleased_at: 2026-11-01\npayload: acme/kafka@{digest}\n\
             components: [{{role: broker, version: {version}, image: 'acme/kafka@{digest}'}}]\n\
             upgrade_from: [\"<{version}\"]\n"
        );
        fs::write(dir.path().join(format!("releases/{version}.yaml")), release).unwrap();
    }
    let channel = "name: stable\nversions: [1.0.0, 1.1.0, 1.2.0]\n";
    fs::write(dir.path().join("channels/stable.yaml"), channel).unwrap();
    let workspace = Workspace::load(dir.path()).unwrap();
    let compiled = compile(&workspace.products[0]).unwrap();
    let mut fixture = Fixture::new();
    let acme = fixture.acme();
    (acme.releases, acme.graphs) = Default::default();
    for release in &compiled.releases {
        let path = ReleaseDocument::target_path(&compiled.product, &release.version);
        acme.releases.insert(path, release.to_json().unwrap());
    }
    for (channel, arch, graph) in &compiled.graphs {
        acme.graphs.insert(target_path(&compiled.product, channel, arch), to_json(graph));
    }
    fixture
}

/// A hub a minute before midnight, whose clusters run these versions.
async fn hub_with(fixture: &Fixture, versions: &[&str]) -> Hub {
    let hub = Hub::new().await;
    hub.state.publisher.publish(fixture.publication(), t0()).unwrap();
    hub.advance(12 * 3600 - 60);
    for (n, version) in (1..).zip(versions) {
        let agent = hub.agent(n).await;
        let state = ProductState { version: version.parse().unwrap(), ..kafka(Phase::Idle) };
        hub.reply(&agent, &agent.of(1, vec![state])).await;
    }
    hub
}

/// Clusters past their end: of the drift answer, in CSV and in the metrics.
async fn counted(hub: &Hub) -> (u64, String, String) {
    let drift: DriftAnswer = hub.get("/api/v1/drift").await;
    let csv = hub.ask(Access::Viewer, "GET", "/api/v1/drift?format=csv", None).await.text();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let column = rows[0].iter().position(|name| *name == "eol").unwrap();
    let metrics = hub.ask(Access::Viewer, "GET", "/metrics", None).await.text();
    let sample = metrics.lines().find_map(|line| {
        line.strip_prefix("fairway_clusters_eol{product=\"acme/kafka\",channel=\"stable\"} ")
    });
    (drift.items[0].eol, rows[1][column].to_owned(), sample.unwrap_or_default().to_owned())
}

fn all(n: u64) -> (u64, String, String) {
    (n, n.to_string(), n.to_string())
}

#[actix_web::test]
async fn clusters_are_counted_once_the_line_they_run_has_ended() {
    let fixture = repository(&format!("{SETTINGS}{EOL}"));
    // 1.0.7 is in no graph; its line is.
    let hub = hub_with(&fixture, &["1.0.0", "1.0.7", "1.1.0", "1.2.0"]).await;
    assert_eq!(counted(&hub).await, all(0));
    hub.advance(59);
    assert_eq!(counted(&hub).await, all(0), "the last second of the day");
    hub.advance(1);
    assert_eq!(counted(&hub).await, all(2));
    let drift: DriftAnswer = hub.get("/api/v1/drift").await;
    let totals = &drift.items[0];
    assert_eq!((totals.active, totals.behind, totals.off_graph, totals.current), (4, 2, 1, 1));
    let ends: Vec<Option<String>> =
        totals.versions.iter().map(|count| count.eol.map(|day| day.to_string())).collect();
    let (first, second) = (Some("2026-11-20".to_owned()), Some("2027-11-20".to_owned()));
    assert_eq!(ends, [None, second, first.clone(), first], "newest first");
    let told: FleetCounters = hub.state.with_fleet(crate::events::fleet_counters);
    assert_eq!(told.eol, 2);
    for (name, day) in [
        ("site-1", Some("2026-11-20")),
        ("site-2", Some("2026-11-20")),
        ("site-3", Some("2027-11-20")),
        ("site-4", None),
    ] {
        let row: ClusterRow = hub.get(&format!("/api/v1/clusters/{name}")).await;
        let eol = row.products[0].drift.eol.map(|day| day.to_string());
        assert_eq!(eol.as_deref(), day, "{name}");
    }
    let csv = hub.ask(Access::Viewer, "GET", "/api/v1/clusters?format=csv", None).await.text();
    assert_eq!(csv.matches(",2026-11-20,").count(), 2, "{csv}");
}

#[actix_web::test]
async fn an_end_may_be_moved_and_taken_away() {
    let mut fixture = repository(&format!("{SETTINGS}{EOL}"));
    let hub = hub_with(&fixture, &["1.0.0"]).await;
    hub.advance(60);
    assert_eq!(counted(&hub).await, all(1));
    for (version, settings, expected) in [
        (2, format!("{SETTINGS}{}", EOL.replace("2026-11-20", "2026-11-21")), 0),
        (3, format!("{SETTINGS}{}", EOL.replace("2026-11-20", "2026-11-19")), 1),
        (4, SETTINGS.to_owned(), 0),
    ] {
        fixture.acme().graphs = repository(&settings).acme().graphs.clone();
        fixture.acme().channels_version = version;
        hub.state.publisher.publish(fixture.publication(), hub.now()).unwrap();
        assert_eq!(counted(&hub).await, all(expected), "{settings}");
    }
}

#[actix_web::test]
async fn a_plain_cincinnati_client_sees_one_more_text_among_the_metadata_and_no_other_change() {
    let graph = async |settings: &str| -> Value {
        let hub = hub_with(&repository(settings), &[]).await;
        let path = "/api/upgrades_info/v1/graph?channel=stable&arch=amd64";
        let answer = hub.call(TestRequest::get().uri(path)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let (mut with, without) = (graph(&format!("{SETTINGS}{EOL}")).await, graph(SETTINGS).await);
    let mut days = Vec::new();
    for node in with["nodes"].as_array_mut().unwrap() {
        days.push(node["metadata"].as_object_mut().unwrap().remove("fairway.dev/eol"));
    }
    assert_eq!(days, [Some(json!("2026-11-20")), Some(json!("2027-11-20")), None]);
    assert_eq!(with, without);
}
