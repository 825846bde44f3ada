//! The alert rules that are handed out, as Prometheus itself reads them.

use std::path::Path;
use std::process::Command;

/// Runs `promtool` in the workspace's root; it must have nothing against what it is shown.
fn promtool(words: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    let output = Command::new("promtool").args(words).current_dir(root).output();
    let output = output.expect("promtool starts (Debian package prometheus)");
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat();
    assert!(output.status.success(), "promtool {words:?}: {said}");
}

#[test]
#[ignore = "needs promtool"]
fn alert_rules_are_read_without_a_fault() {
    promtool(&[
        "check",
        "rules",
        "deploy/monitoring/alerts.yaml",
        "deploy/monitoring/agent-alerts.yaml",
    ]);
}

#[test]
#[ignore = "needs promtool"]
fn alerts_of_the_agent_fire_when_they_should_and_are_silent_otherwise() {
    promtool(&["test", "rules", "tests/monitoring/agent-alerts.yaml"]);
}
