//! Every query of every dashboard, asked of a real Prometheus over a hub and agents at work.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Server;
use super::hub::query;
use crate::e2e::cluster::Shape;
use crate::e2e::members::free_address;
use crate::e2e::nodes::Nodes;
use crate::e2e::process::eventually;
use crate::e2e::world::World;

/// A rollout in which one cluster at a time may go.
const POLICY: &str = "\
name: one-by-one
applies_to: [{product: acme/kafka}]
emergency: true
curve: {points: [{after: 0s, share: 100%}]}
gates: {soak: 2s, min_sample: 1, max_unknown: 100%}
caps: {concurrent: 1}
rings: [{name: everyone, rest: true}]
";

/// Panels whose query may answer nothing here, with why.
const EMPTY: [(&str, &str); 4] = [
    ("Certificate expires in", "the hub of the test has no TLS"),
    ("Certificate changes", "the hub of the test has no TLS"),
    ("Turned away", "nobody asks too fast"),
    ("Not healthy", "both clusters are well, or nearly always"),
];

/// A query as a panel asks it.
#[derive(Debug)]
struct Asked {
    board: String,
    panel: String,
    query: String,
}

fn boards() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring/grafana");
    let entries = std::fs::read_dir(folder).expect("a folder of dashboards");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// Every query with its variables as they are when a person chose nothing.
fn asked() -> Vec<Asked> {
    let mut found = Vec::new();
    for path in boards() {
        let text = std::fs::read_to_string(&path).expect("a dashboard");
        let board: Value = serde_json::from_str(&text).expect("JSON");
        for panel in board["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let mut query = target["expr"].as_str().expect("a query").to_owned();
                // Grafana makes it four scrapes or more, which is a minute at usual intervals.
                query = query.replace("$__rate_interval", "10s");
                for variable in board["templating"]["list"].as_array().expect("variables") {
                    let name = variable["name"].as_str().expect("a name");
                    query = query.replace(&format!("${name}"), ".*");
                }
                assert!(!query.contains('$'), "{query}");
                found.push(Asked {
                    board: board["title"].as_str().expect("a title").to_owned(),
                    panel: panel["title"].as_str().expect("a title").to_owned(),
                    query,
                });
            }
        }
    }
    found
}

/// Two clusters, one of them with a unit out in a rollout and the other one waiting for its turn.
fn stage() -> (World, Nodes, Vec<String>) {
    let mut world = World::new("");
    let nodes = Nodes::start(world.dir(), &["east", "west"]);
    let mut pages = vec![world.hub.url().trim_start_matches("http://").to_owned()];
    for name in ["east", "west"] {
        let address = free_address().to_string();
        let shape = Shape {
            nodes: Some(nodes.url(name)),
            tables: format!("[listen]\naddress = \"{address}\"\n"),
            ..Shape::default()
        };
        world.add_cluster(name, &shape);
        pages.push(address);
    }
    world.settled();
    let file = world.dir().join("policy.yaml");
    std::fs::write(&file, POLICY).expect("a policy");
    world.hub.fairway(&["rollout", "apply", file.to_str().expect("utf-8"), "--yes"]);
    (world, nodes, pages)
}

/// The hub writes its figures of single clusters to this server, from its next start on.
fn write_to(world: &mut World, server: &Server) {
    let file = world.dir().join("hub.toml");
    let before = std::fs::read_to_string(&file).expect("a configuration");
    let more = format!("[remote_write]\nurl = '{}/api/v1/write'\ninterval_s = 1\n", server.url());
    std::fs::write(&file, format!("{before}\n{more}")).expect("a configuration");
    world.hub.kill();
    world.hub.restart();
}

#[test]
#[ignore = "needs Prometheus"]
fn every_query_of_every_dashboard_answers_with_data() {
    let (mut world, _nodes, pages) = stage();
    let server = Server::scraping(&world.dir().join("prometheus"), &pages, "groups: []\n");
    write_to(&mut world, &server);
    for cluster in &world.clusters {
        cluster.block("after-mutate");
    }
    world.release(false);
    eventually("one cluster has a unit out", || {
        let out = query(&server, "fairway_agent_unit_out == 1")?;
        if out.len() == 1 { Ok(()) } else { Err(world.where_it_stands()) }
    });

    let asked = asked();
    assert!(asked.len() > 80, "only {} queries were found", asked.len());
    for Asked { board, panel, query: text } in &asked {
        if EMPTY.iter().any(|(named, _)| named == panel) {
            query(&server, text).unwrap_or_else(|why| panic!("{board}, {panel}: {text}: {why}"));
            continue;
        }
        eventually(&format!("{board}, {panel}"), || {
            let samples = query(&server, text)?;
            let number = |(_, value): &(Value, String)| value != "NaN";
            if samples.iter().any(number) { Ok(()) } else { Err(format!("{text}: {samples:?}")) }
        });
    }
    for (named, why) in EMPTY {
        assert!(asked.iter().any(|asked| asked.panel == named), "no panel {named} ({why})");
    }
}
