//! The hub before a real Prometheus: it is scraped, and it writes the same fleet there by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use std::io::Write as _;

use super::{MetricsPage, Server};
use crate::e2e::client;
use crate::e2e::cluster::Shape;
use crate::e2e::process::eventually;
use crate::e2e::world::World;

/// Metric and value of every sample that a query answers.
pub(super) fn query(
    server: &Server,
    query: &str,
) -> Result<Vec<(serde_json::Value, String)>, String> {
    let address: SocketAddr = server.address.parse().expect("an address");
    let quoted: String = query
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        })
        .collect();
    let path = format!("/api/v1/query?query={quoted}");
    let answer =
        client::request(address, "GET", &path, &[], &[]).map_err(|error| error.to_string())?;
    let answer: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    let result = answer["data"]["result"].as_array().ok_or_else(|| answer.to_string())?;
    let sample = |found: &serde_json::Value| {
        (found["metric"].clone(), found["value"][1].as_str().expect("a value").to_owned())
    };
    Ok(result.iter().map(sample).collect())
}

pub(super) fn becomes(
    server: &Server,
    what: &str,
    asked: &str,
    samples: usize,
) -> Vec<(serde_json::Value, String)> {
    eventually(what, || {
        let found = query(server, asked)?;
        if found.len() == samples { Ok(found) } else { Err(format!("{asked}: {found:?}")) }
    })
}

/// What `promtool check metrics` has against the hub's page.
fn promtool(world: &World) -> (bool, String) {
    let page = world.hub.request("GET", "/metrics", &[], &[]).expect("an answer");
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    child.stdin.take().expect("a pipe").write_all(&page.body).expect("it reads all of it");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
#[ignore = "needs Prometheus"]
fn a_real_prometheus_scrapes_the_hub_and_takes_what_it_writes() {
    let mut world = World::new("");
    for name in ["east", "west"] {
        world.add_cluster(name, &Shape::default());
    }
    world.settled();
    let data = PathBuf::from(world.hub.token_file()).parent().expect("a folder").to_owned();
    let folder = data.parent().expect("the scenario's folder").to_owned();
    let address = world.hub.url().trim_start_matches("http://").parse().expect("an address");
    let page = MetricsPage { address, text: std::sync::Arc::default() };
    let server = Server::start(&folder.join("prometheus"), &page, "groups: []\n");

    becomes(&server, "the hub is scraped", "up{job=\"page\"} == 1", 1);
    becomes(&server, "its page is read", "fairway_build_info{job=\"page\"}", 1);
    assert_eq!(promtool(&world), (true, String::new()));
    let nothing = query(&server, "fairway_cluster_info").expect("an answer");
    assert_eq!(nothing, [], "off unless it is set");

    let config = format!(
        "[remote_write]\nurl = '{}/api/v1/write'\ninterval_s = 1\nlabels = {{ hub = 'test' }}\n",
        server.url()
    );
    let file = folder.join("hub.toml");
    let before = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, format!("{before}\n{config}")).expect("a configuration");
    world.hub.kill();
    world.hub.restart();
    let info =
        becomes(&server, "both clusters are told of", "fairway_cluster_info{hub=\"test\"}", 2);
    assert!(info.iter().all(|(metric, value)| {
        value == "1" && metric["job"] == "fairway" && metric["version"].is_string()
    }));
    becomes(
        &server,
        "both are healthy",
        "fairway_cluster_health{hub=\"test\",product=\"acme/kafka\"} == 1",
        2,
    );
    becomes(
        &server,
        "the fleet is told of",
        "fairway_clusters_freshness{hub=\"test\",state=\"fresh\"} == 2",
        1,
    );
    becomes(
        &server,
        "lags are told of",
        "fairway_cluster_quorum_lag_seconds{hub=\"test\",cluster=\"east\"}",
        1,
    );

    // The server is away for a while: what was said meanwhile waits.
    server.freeze();
    let waits = || {
        let page = world.hub.request("GET", "/metrics", &[], &[]).map_err(|e| e.to_string())?;
        let text = page.text();
        let line =
            text.lines().find(|line| line.starts_with("fairway_remote_write_waiting_samples "));
        let waiting: u64 =
            line.and_then(|l| l.rsplit(' ').next()?.parse().ok()).ok_or(text.clone())?;
        if waiting > 0 { Ok(()) } else { Err(line.unwrap_or_default().to_owned()) }
    };
    eventually("samples wait", waits);
    server.thaw();

    let gone = world.hub.request("DELETE", "/api/v1/clusters/west", &[], &[]).expect("an answer");
    assert_eq!(gone.status, 204, "{}", gone.text());
    // Long before Prometheus would forget it by itself, after five minutes.
    becomes(&server, "a retired cluster's series end", "fairway_cluster_info{hub=\"test\"}", 1);
    let text = world.hub.request("GET", "/metrics", &[], &[]).expect("an answer").text();
    assert!(text.contains("fairway_remote_write_samples_total{result=\"sent\"}"), "{text}");
    for result in ["failed", "dropped"] {
        assert!(!text.contains(&format!("samples_total{{result=\"{result}\"}}")), "{text}");
    }
    assert_eq!(promtool(&world), (true, String::new()));
}
