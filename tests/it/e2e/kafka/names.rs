//! Exporters with other rules: what the agent reads from each, that it refuses what it cannot, and
//! whom it believes when all pages lie.

use serde_json::Value;

use super::liar::Liars;
use super::peer::{Members, rule_file, script};
use super::stage::{PATIENCE, Stage, copy_with, show};
use crate::e2e::process::eventually_within;

const TIMINGS: &str = "[timings]\nbaseline_ms = 2000\n[timings.controller]\nsoak_ms = 2000\n";

/// The unit whose exporter is given other rules; it runs on all the while.
const UNIT: &str = "c2";

#[test]
#[ignore = "needs Kafka (tests/peers/install.sh kafka) and FAIRWAY_DATA"]
fn known_kafka_rule_files_resolve_and_one_without_raft_metrics_is_refused_by_name() {
    let mut stage = Stage::set(Members::Controllers, TIMINGS);
    let (liars, members) = Liars::in_front_of(&stage.peer.members);
    stage.configure(&members);
    // Confluent's file answers 500 for two minutes after each start; its rules are what is tried.
    let confluent = stage.agent.path("confluent.yml");
    let given = rule_file("confluent-kafka_controller.yml");
    copy_with(&given, "startDelaySeconds: 120", "startDelaySeconds: 0", &confluent);
    let strimzi = rule_file("strimzi-kafka-metrics.yaml");
    for rules in [rule_file("jmx_exporter-kafka-kraft-3_0_0.yml"), confluent, strimzi.clone()] {
        stage.peer.member(UNIT, &["rules", rules.to_str().unwrap()]);
        eventually_within(PATIENCE, &format!("{} resolves", rules.display()), || {
            let (code, checked) = check(&stage);
            if code == 0 && health(&checked) == "healthy" {
                Ok(())
            } else {
                Err(checked.to_string())
            }
        });
    }

    let without_raft = script("kafka/rules-without-raft.yml");
    stage.peer.member(UNIT, &["rules", without_raft.to_str().unwrap()]);
    stage.release();
    refused_by_check(&stage);
    stage.agent.start(&[]);
    refused_by_the_agent(&stage);

    // Pages that agree with each other and not with what the quorum's leader says natively.
    liars.lie(true);
    stage.peer.member(UNIT, &["rules", strimzi.to_str().unwrap()]);
    let wait = stage.until_gate("witness_disagrees");
    assert!(wait.message.contains("the pages are in epoch"), "{}", wait.message);
    show(&wait.message);
    assert_eq!(stage.begun(), Vec::<String>::new());
    liars.lie(false);
    assert_eq!(stage.until_begun(1).len(), 1, "that was all it waited for");
}

/// `cluster-agent check`: its exit code and answer.
fn check(stage: &Stage) -> (i32, Value) {
    let output = stage.agent.run(&["check", "--output", "json", "--seconds", "4"]);
    let checked = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), checked)
}

fn health(checked: &Value) -> &str {
    let units = checked["products"][0]["state"]["units"].as_array().unwrap();
    let unit = units.iter().find(|unit| unit["name"] == UNIT).unwrap();
    unit["health"].as_str().unwrap()
}

fn refused_by_check(stage: &Stage) {
    let (code, checked) = check(stage);
    assert_eq!((code, &checked["blocked"]), (1, &Value::Bool(true)), "{checked:#}");
    let blockers = checked["products"][0]["blockers"].as_array().unwrap();
    let named = blockers.iter().find(|blocker| blocker["gate"] == "metric_names");
    let named = named.unwrap_or_else(|| panic!("{checked:#}"));
    assert_eq!(named["unit"], UNIT);
}

fn refused_by_the_agent(stage: &Stage) {
    let wait = stage.until_gate("metric_names");
    assert_eq!(wait.unit.as_ref().unwrap().to_string(), UNIT);
    for named in ["required signal", "raft"] {
        assert!(wait.message.contains(named), "{}", wait.message);
    }
    let text = stage.agent.status_text();
    assert!(text.contains("[metric_names]") && text.contains(&wait.message), "{text}");
    let log = stage.agent.log();
    for named in ["a required metric is not on the page", "log_end_epoch", "current_epoch"] {
        assert!(log.contains(named), "{named}:\n{log}");
    }
    show(&text);
    assert_eq!(stage.begun(), Vec::<String>::new(), "the roll did not start");
}
