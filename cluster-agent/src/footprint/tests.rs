//! What the agent shows, and that others can read it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use channels::wire::{HealthVerdict, Role};
use jiff::Timestamp;

use super::snapshot::{Moves, ProductSnapshot, UnitSnapshot};
use super::*;
use crate::history::{Completed, Roll};
use crate::observation::UnitKey;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn unit(name: &str, role: Role, verdict: HealthVerdict) -> UnitSnapshot {
    UnitSnapshot {
        key: UnitKey { product: "acme/kafka".parse().unwrap(), unit: name.parse().unwrap() },
        role,
        pool: "controllers".parse().unwrap(),
        verdict,
        version: Some("4.0.0".to_owned()),
        quorum_lag_ms: (role == Role::Controller).then_some(1_500),
        pleg_lag_ms: (role == Role::Node).then_some(250),
        last_page_at: Some(at(1_800_000_000)),
    }
}

/// An agent in the middle of everything.
fn busy() -> Snapshot {
    let state = serde_json::json!({
        "product": "acme/kafka", "channel": "stable", "arch": "amd64", "version": "3.9.1",
        "target": "4.0.0", "phase": "soak", "since": "2027-01-15T08:00:00Z", "unit": "c-2",
        "progress": {"done": 1, "total": 3},
        "health": {"verdict": "unhealthy"},
        "waiting_on": [
            {"gate": "quorum_lag", "unit": "c-3", "message": "lag", "since": "2027-01-15T07:59:00Z"},
            {"gate": "quorum_lag", "unit": "c-1", "message": "lag", "since": "2027-01-15T07:58:00Z"},
            {"gate": "check_images \"odd\\\n", "message": "x"}
        ],
        "failure": {"kind": "freeze", "message": "old", "at": "2027-01-15T07:00:00Z"}
    });
    let kafka = ProductSnapshot {
        state: serde_json::from_value(state).unwrap(),
        moves: Moves {
            newest: Some(Completed {
                from: "3.8.0".parse().unwrap(),
                to: "3.9.1".parse().unwrap(),
                started_at: at(1_700_000_000),
                completed_at: at(1_700_000_600),
            }),
            oldest: None,
            roll: Some(Roll {
                to: "4.0.0".parse().unwrap(),
                release_digest: signing::Sha256Digest::of(b"4.0.0"),
                started_at: at(1_799_999_000),
                units_done: 1,
                touched: true,
                passed: vec![],
            }),
        },
        available: Some(2),
        metadata_failed: true,
        conditions: vec![ConditionSnapshot {
            name: "Progressing".to_owned(),
            holds: true,
            reason: "Rolling".to_owned(),
        }],
    };
    let mut facts = Facts {
        cluster: "east".to_owned(),
        upstream: "https://hub.example".to_owned(),
        reports: true,
        started_at: Some(at(1_799_000_000)),
        answered_at: Some(at(1_800_000_000)),
        verified_at: Some(at(1_800_000_000)),
        ..Facts::default()
    };
    facts.gates.note(&"acme/kafka".parse().unwrap(), "quorum_lag");
    facts.scrapes.pages.insert("timeout", 3);
    Snapshot {
        at: at(1_800_000_001),
        facts,
        observed_at: Some(at(1_800_000_000)),
        paused: true,
        held: false,
        hub_silent: false,
        key_refused: false,
        out: Some(UnitKey { product: "acme/kafka".parse().unwrap(), unit: "c-2".parse().unwrap() }),
        products: vec![kafka],
        units: vec![
            unit("c-1", Role::Controller, HealthVerdict::Healthy),
            unit("c-2", Role::Controller, HealthVerdict::Unknown),
            unit("n-1", Role::Node, HealthVerdict::Unhealthy),
        ],
    }
}

fn value(text: &str, series: &str) -> Option<String> {
    text.lines().find_map(|line| Some(line.strip_prefix(series)?.strip_prefix(' ')?.to_owned()))
}

#[test]
fn every_fact_has_its_series() {
    let text = render(Some(&busy()), Process { threads: Some(4), ..Process::default() });
    let expected = [
        (r#"fairway_agent_phase{product="acme/kafka",phase="soak"}"#, "1.0"),
        (r#"fairway_agent_phase{product="acme/kafka",phase="idle"}"#, "0.0"),
        (r#"fairway_agent_waiting_on{product="acme/kafka",gate="quorum_lag"}"#, "1.0"),
        (r#"fairway_agent_gate_waits_total{product="acme/kafka",gate="quorum_lag"}"#, "1.0"),
        (r#"fairway_agent_unit_health{product="acme/kafka",unit="c-2",role="controller"}"#, "-1.0"),
        (r#"fairway_agent_unit_health{product="acme/kafka",unit="n-1",role="node"}"#, "0.0"),
        (r#"fairway_agent_quorum_lag_seconds{product="acme/kafka",unit="c-1"}"#, "1.5"),
        (r#"fairway_agent_pleg_lag_seconds{product="acme/kafka",unit="n-1"}"#, "0.25"),
        (r#"fairway_agent_scrapes_total{result="timeout"}"#, "3.0"),
        (r#"fairway_agent_unit_out{product="acme/kafka",unit="c-2"}"#, "1.0"),
        (
            r#"cluster_operator_conditions{name="version",condition="Progressing",reason="Rolling",product="acme/kafka"}"#,
            "1.0",
        ),
        ("fairway_agent_paused", "1.0"),
        ("fairway_agent_threads", "4.0"),
        (r#"cluster_version_payload{type="applied",version="4.0.0",product="acme/kafka"}"#, "1.0"),
        (r#"cluster_version_payload{type="pending",version="4.0.0",product="acme/kafka"}"#, "2.0"),
    ];
    for (series, expected) in expected {
        assert_eq!(value(&text, series).as_deref(), Some(expected), "{series} in\n{text}");
    }
    let waits = value(
        &text,
        r#"fairway_agent_waiting_since_timestamp_seconds{product="acme/kafka",gate="quorum_lag"}"#,
    );
    let first: Timestamp = "2027-01-15T07:58:00Z".parse().unwrap();
    assert_eq!(waits.unwrap(), format!("{}.0", first.as_second()));
}

#[test]
fn versions_carry_the_types_that_dashboards_of_a_cluster_version_ask_for() {
    let text = render(Some(&busy()), Process::default());
    let versions: BTreeSet<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("cluster_version{type=\""))
        .filter_map(|rest| rest.split_once("\",version=\""))
        .filter_map(|(kind, rest)| Some((kind, rest.split_once('"')?.0)))
        .collect();
    let expected = [
        ("completed", "3.9.1"),
        ("current", "4.0.0"),
        ("failure", "4.0.0"),
        ("initial", "3.9.1"),
        ("updating", "4.0.0"),
    ];
    assert_eq!(versions, BTreeSet::from(expected));
    // The unit that is out does not bring its pool down, another one does.
    assert_eq!(
        value(&text, r#"cluster_operator_up{name="acme/kafka/controllers"}"#).unwrap(),
        "0.0"
    );
    let mut shown = busy();
    shown.units.pop();
    let text = render(Some(&shown), Process::default());
    assert_eq!(
        value(&text, r#"cluster_operator_up{name="acme/kafka/controllers"}"#).unwrap(),
        "1.0"
    );
}

#[test]
fn an_agent_without_a_hub_shows_none() {
    let mut shown = busy();
    shown.facts.reports = false;
    let text = render(Some(&shown), Process::default());
    assert!(!text.contains("fairway_agent_hub_up"), "{text}");
    assert!(text.contains("fairway_agent_metadata_verified_timestamp_seconds"), "{text}");
}

#[test]
#[ignore = "needs promtool"]
fn promtool_has_nothing_to_say_about_the_page() {
    let text = render(Some(&busy()), Process::own());
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "{words}\n{text}");
}

async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let brief = Duration::from_secs(5);
    let http = crate::hub::http_client(brief, brief).unwrap();
    let answer = http.get(format!("http://{address}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[actix_web::test]
async fn an_agent_is_alive_while_its_loop_turns_and_ready_once_it_has_seen_and_verified() {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let footprint = Footprint::start(anywhere, Duration::from_mins(1)).unwrap();
    let address = footprint.address();
    assert_eq!(ask(address, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(ask(address, "/readyz").await.0, 503);
    let (status, text) = ask(address, "/metrics").await;
    assert!(status == 200 && text.contains("fairway_agent_build_info"), "{status} {text}");
    let mut shown = busy();
    shown.facts.verified_at = None;
    footprint.show(shown);
    let (status, why) = ask(address, "/readyz").await;
    assert_eq!((status, why.as_str()), (503, "no metadata has been verified since the start\n"));
    footprint.show(busy());
    assert_eq!(ask(address, "/readyz").await, (200, "ready\n".to_owned()));
    assert!(ask(address, "/metrics").await.1.contains("cluster_version{"));
    assert_eq!(ask(address, "/debug").await.0, 404);
    footprint.stop().await;

    let stuck = Footprint::start(anywhere, Duration::ZERO).unwrap();
    // Any time at all is more than none.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let (status, why) = ask(stuck.address(), "/healthz").await;
    assert!(status == 503 && why.contains("must turn within 0 s"), "{status} {why}");
    let taken = Footprint::start(stuck.address(), Duration::ZERO).unwrap_err();
    assert!(taken.to_string().starts_with("cannot listen on 127.0.0.1:"), "{taken}");
    stuck.stop().await;
}
