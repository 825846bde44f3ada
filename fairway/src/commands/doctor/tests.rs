//! The doctor at hubs that answer from a script.

use clap::Parser as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::error::Exit;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: DoctorArgs,
}

fn now() -> Timestamp {
    crate::clock::now()
}

fn text(status: u16, body: &str) -> Answer {
    Answer { status, content_type: "text/plain", body: body.as_bytes().to_vec() }
}

fn well() -> Vec<(&'static str, Answer)> {
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"), "at": now(), "root_version": 3,
        "expires": "2126-01-01T00:00:00Z", "products": ["acme/kafka"],
    });
    let channels = json!({"items": [
        {"product": "acme/kafka", "channel": "stable-4", "arch": "amd64"},
    ]});
    let graph = "GET /api/upgrades_info/acme/kafka/v1/graph?channel=stable-4&arch=amd64";
    let tagged = "application/json\r\netag: \"g1\"";
    let not_again = Answer { status: 304, content_type: tagged, body: Vec::new() };
    vec![
        ("GET /livez", text(200, "ok\n")),
        ("GET /readyz", Answer::json(&json!({"ready": true, "reasons": []}))),
        ("GET /api/v1/hub", Answer::json(&status)),
        ("GET /api/v1/channels", Answer::json(&channels)),
        (graph, Answer { status: 200, content_type: tagged, body: b"{}".to_vec() }),
        (graph, not_again),
        ("GET /metrics", text(200, "# TYPE fairway_holds gauge\nfairway_holds 0\n")),
        ("GET /api/v1/audit?limit=1", Answer::json(&json!({"items": []}))),
        ("GET /api/v1/audit/verify", Answer::json(&json!({"rows": 9, "head": "ab"}))),
    ]
}

async fn doctor(script: Vec<(&str, Answer)>, format: &str) -> (Result<()>, String) {
    let hub = FakeHub::start(script).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "fw_x\n").unwrap();
    let words =
        ["x", "--server", &hub.url, "--token-file", token.to_str().unwrap(), "--output", format];
    let args = Cli::try_parse_from(words).unwrap().args;
    let (mut out, stdout, _) = capture::out();
    let result = run(&args, now(), &mut out).await;
    (result, stdout.text().replace(&hub.url, "HUB"))
}

/// Names and outcomes of all checks.
async fn outcomes(script: Vec<(&str, Answer)>) -> Vec<(String, String)> {
    let (_, stdout) = doctor(script, "json").await;
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    checks.map(|check| (text(check, "check"), text(check, "outcome"))).collect()
}

fn with(request: &str, answer: Answer) -> Vec<(&str, Answer)> {
    let mut script: Vec<(&str, Answer)> = well();
    script.retain(|(known, _)| *known != request);
    script.push((request, answer));
    script
}

async fn outcome(check: &str, script: Vec<(&str, Answer)>) -> String {
    let found = outcomes(script).await;
    found.into_iter().find(|(name, _)| name == check).unwrap().1
}

#[tokio::test]
async fn a_hub_that_is_well_passes_and_says_what_was_not_looked_at() {
    let (result, stdout) = doctor(well(), "table").await;
    result.unwrap();
    // How long it took and how long the metadata is good are other numbers every day.
    let lines: Vec<&str> =
        stdout.lines().filter(|line| !line.contains(" ms") && !line.contains("metadata")).collect();
    insta::assert_snapshot!(lines.join("\n").replace(env!("CARGO_PKG_VERSION"), "V"));
    let (_, csv) = doctor(well(), "csv").await;
    assert!(csv.starts_with("check,outcome,message,hint\r\nreachable,ok,"), "{csv}");
    let is_the_same =
        |line: &&str| !line.contains(" ms") && !line.starts_with("metadata") && !line.is_empty();
    let csv: Vec<&str> = csv.lines().filter(is_the_same).collect();
    insta::assert_snapshot!("rows", csv.join("\n").replace(env!("CARGO_PKG_VERSION"), "V"));
    let (_, json) = doctor(well(), "json").await;
    let mut report: Value = serde_json::from_str(&json).unwrap();
    report["at"] = "NOW".into();
    report["checks"].as_array_mut().unwrap().retain(|check| {
        !check["message"].as_str().unwrap().contains(" ms") && check["check"] != "metadata"
    });
    let json = serde_json::to_string_pretty(&report).unwrap();
    insta::assert_snapshot!("document", json.replace(env!("CARGO_PKG_VERSION"), "V"));
}

#[tokio::test]
async fn each_fault_is_found_by_its_check() {
    let not_ready = Answer {
        status: 503,
        ..Answer::json(&json!({"ready": false, "reasons": [{"code": "x", "message": "y"}]}))
    };
    assert_eq!(outcome("ready", with("GET /readyz", not_ready)).await, "fail");
    let broken = Answer::json(&json!({"rows": 9, "head": "ab", "broken_at": 4}));
    assert_eq!(outcome("audit", with("GET /api/v1/audit/verify", broken)).await, "fail");
    assert_eq!(outcome("metrics", with("GET /metrics", text(200, "up 1\n"))).await, "warn");
    assert_eq!(outcome("metrics", with("GET /metrics", text(403, ""))).await, "skipped");
    let graph = "GET /api/upgrades_info/acme/kafka/v1/graph?channel=stable-4&arch=amd64";
    assert_eq!(outcome("graphs", with(graph, text(200, "{}"))).await, "fail", "no ETag");
    let old = json!({"version": "0.0.1", "at": "2020-01-01T00:00:00Z", "products": []});
    let hub = || with("GET /api/v1/hub", Answer::json(&old));
    assert_eq!(outcome("clock", hub()).await, "fail");
    assert_eq!(outcome("metadata", hub()).await, "fail");
    let unknown = text(401, "");
    assert_eq!(outcome("token", with("GET /api/v1/tokens", unknown)).await, "fail");
}

#[tokio::test]
async fn a_failed_check_is_a_no_with_the_count() {
    let (result, _) = doctor(with("GET /readyz", text(503, "")), "table").await;
    let error = result.unwrap_err();
    assert_eq!(error.exit(), Exit::No);
    assert!(error.to_string().starts_with("1 check failed: "), "{error}");
}

#[tokio::test]
async fn nothing_more_is_asked_of_a_hub_that_does_not_answer() {
    // Bound and dropped: nobody listens on this port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = Cli::try_parse_from(["x", "--server", &format!("http://{port}")]).unwrap().args;
    let (mut out, stdout, _) = capture::out();
    let error = run(&args, now(), &mut out).await.unwrap_err();
    assert_eq!(error.exit(), Exit::No);
    assert!(
        stdout.text().starts_with("fail     reachable  http://127.0.0.1:"),
        "{}",
        stdout.text()
    );
    assert_eq!(stdout.text().lines().count(), 2);
}

#[tokio::test]
async fn what_is_no_site_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["x", "--site", dir.path().to_str().unwrap()];
    let args = Cli::try_parse_from(words).unwrap().args;
    let (mut out, ..) = capture::out();
    let error = run(&args, now(), &mut out).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Failure);
    assert!(error.to_string().contains("is no site"), "{error}");
}
