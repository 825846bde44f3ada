//! A bundle is useful, and holds no secret wherever one was planted.

use std::path::Path;

use jiff::Timestamp;

use super::*;

/// Every secret planted holds this; no other text does.
const SECRET: &str = "hunter2";

const CONFIG: &str = r#"
state_dir = "state"
[cluster]
name = "east"
[hub]
url = "https://updates.example"
root = "root.json"
proxy = "http://fleet:hunter2-proxy@proxy.example:3128"
mirrors = ["https://mirror.example"]
[[products]]
product = "acme/kafka"
channel = "stable"
initial_version = "3.9.1"
[[products.accepted_risks]]
name = "SlowStart"
reason = "OPS-812"
[[products.pools]]
name = "controllers"
role = "controller"
units = [{ name = "c-1", node_id = 1, metrics_url = "http://u:hunter2-page@127.0.0.1:1/metrics" }]
[products.pools.exec.mutate]
command = ["/usr/local/bin/roll", "{unit}", "--password", "hunter2-argument", "x=hunter2-word"]
environment = { KAFKA_OPTS = "hunter2-environment", PIN = "7" }
[products.pools.exec.preflight]
command = ["/bin/true"]
environment = { "TOKEN" = "hunter2-token" }
"#;

/// What an agent leaves in its state directory, with secrets in it.
fn plant(dir: &Path) {
    let state = dir.join("state");
    let stage = state.join("steps/0199aaaa-0000-7000-8000-000000000000/mutate");
    std::fs::create_dir_all(&stage).unwrap();
    std::fs::write(stage.join("log"), "login with hunter2-output").unwrap();
    std::fs::write(state.join("cluster.key"), "-----BEGIN PRIVATE KEY-----\nhunter2-key\n")
        .unwrap();
    let message = "exit 3: --password hunter2-argument; env hunter2-environment; \
                   Authorization: Bearer hunter2-bearer; GET https://u:hunter2-user@h/ failed";
    let status = json!({
        "at": "2026-11-20T12:00:00Z",
        "products": [{"failure": {"kind": "step_failed", "message": message}}],
        "pause": {"why": {"gate": "step_failed", "message": format!("token=hunter2-cut {message}")}},
    });
    std::fs::write(state.join("status.json"), status.to_string()).unwrap();
    let pem = "-----BEGIN PRIVATE KEY-----\nhunter2-pem";
    let memory = json!({"format": 1, "cluster": "east", "seq": 7, "note": pem, "word": message});
    std::fs::write(state.join("state.json"), memory.to_string()).unwrap();
    let enrolment = json!({
        "hub_url": "https://x:hunter2-enrolment@updates.example",
        "cluster_id": "0199bbbb-0000-7000-8000-000000000000",
    });
    std::fs::write(state.join("enrolment.json"), enrolment.to_string()).unwrap();
    let hold = json!({"reason": "db password: hunter2-reason", "since": "2026-11-20T12:00:00Z"});
    std::fs::write(state.join("hold.json"), hold.to_string()).unwrap();
    let approval = json!([{
        "product": "acme/kafka", "release": "4.0.0", "release_digest": signing::Sha256Digest::of(b"document"),
        "at": "2026-11-20T12:00:00Z", "by": "token=hunter2-by",
    }]);
    std::fs::write(state.join("finalize.json"), approval.to_string()).unwrap();
    let change = json!({
        "format": 1, "product": "acme/kafka", "cluster_id": "x", "opened_at": "2026-11-20T12:00:00Z",
        "goal": {"kind": "add", "id": 4, "endpoints": []}, "joined_by": null, "left_by": null,
    });
    std::fs::write(state.join("quorum-change.json"), change.to_string()).unwrap();
    std::fs::write(dir.join("root.json"), "{}").unwrap();
}

async fn made(dir: &Path, config: &str) -> (String, Json) {
    let path = dir.join("agent.toml");
    std::fs::write(&path, config).unwrap();
    let text = bundle(&path, Pages::Asked, Timestamp::UNIX_EPOCH).await.unwrap();
    let document = serde_json::from_str(&text).unwrap();
    (text, document)
}

#[tokio::test]
async fn no_secret_planted_anywhere_gets_into_the_bundle() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    let (text, document) = made(dir.path(), CONFIG).await;
    assert!(!text.contains(SECRET), "{text}");
    // It is still of use.
    assert_eq!(document["missing"], json!([]), "{text}");
    assert_eq!(document["cluster_id"], "0199bbbb-0000-7000-8000-000000000000");
    assert_eq!(document["running"], false);
    assert_eq!(document["config"]["cluster"]["name"], "east");
    let exec = &document["config"]["products"][0]["pools"][0]["exec"]["mutate"];
    assert_eq!(exec["command"][0], "/usr/local/bin/roll");
    assert_eq!(exec["command"][1], "{unit}");
    assert_eq!(exec["environment"]["KAFKA_OPTS"], "[redacted]");
    assert_eq!(exec["environment"]["PIN"], "[redacted]");
    assert_eq!(document["documents"]["state.json"]["seq"], 7);
    let orders = &document["documents"]["orders"];
    assert_eq!(orders["finalize"][0]["release"], "4.0.0", "{orders}");
    assert_eq!(orders["quorum_change"]["goal"]["id"], 4, "{orders}");
    let failure = &document["documents"]["status.json"]["products"][0]["failure"];
    assert!(failure["message"].as_str().unwrap().starts_with("exit 3: "), "{failure}");
    assert!(document["pages"]["acme/kafka/c-1"]["error"].is_string(), "{text}");
    let files: Vec<&str> =
        document["files"].as_array().unwrap().iter().filter_map(|f| f["path"].as_str()).collect();
    let log = "steps/0199aaaa-0000-7000-8000-000000000000/mutate/log";
    assert!(files.contains(&log) && files.contains(&"cluster.key"), "{files:?}");
    assert!(document["host"]["state_dir_disk"]["free_bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_configuration_that_is_refused_is_bundled_with_the_reason_and_without_its_lines() {
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path());
    for (from, to) in [
        // Refused by what it means, by a key nobody knows, by its type.
        ("https://updates", "https://fleet:hunter2-url@updates"),
        ("updates.example\"", "updates.example/tuf?key=hunter2-query\""),
        ("[hub]", "[hub]\nsecret = \"hunter2-unknown\""),
        ("channel = \"stable\"", "channel = { a = \"hunter2-type\" }"),
    ] {
        let (text, document) = made(dir.path(), &CONFIG.replace(from, to)).await;
        assert!(!text.contains(SECRET), "{text}");
        let missing = document["missing"].to_string();
        assert!(missing.contains("the configuration is not valid"), "{missing}");
    }
}

#[tokio::test]
async fn an_agent_that_never_ran_is_bundled_too() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("root.json"), "{}").unwrap();
    let (_, document) = made(dir.path(), CONFIG).await;
    let missing = document["missing"].to_string();
    assert!(missing.contains("status.json: there is none"), "{missing}");
    assert!(document["cluster_id"].is_null());
    let broken = dir.path().join("broken.toml");
    std::fs::write(&broken, "name = \"hunter2").unwrap();
    let error = bundle(&broken, Pages::Left, Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
}
