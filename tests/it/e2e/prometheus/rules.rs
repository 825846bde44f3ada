//! The alert rules that are handed out, as Prometheus itself reads them.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// The YAML files of a folder, as words after `first`.
fn files(first: &[&str], folder: &str) -> Vec<String> {
    let mut words: Vec<String> = first.iter().map(|&word| word.to_owned()).collect();
    let mut found: Vec<String> = std::fs::read_dir(root().join(folder))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.to_str().expect("a utf-8 path").to_owned())
        .collect();
    assert!(found.len() >= 3, "files of {folder} have gone missing: {found:?}");
    found.sort();
    words.extend(found);
    words
}

/// Runs `promtool`; it must have nothing against what it is shown.
fn promtool(words: &[String]) {
    let output = Command::new("promtool").args(words).output();
    let output = output.expect("promtool starts (Debian package prometheus)");
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat();
    assert!(output.status.success(), "promtool {words:?}: {said}");
}

#[test]
#[ignore = "needs promtool"]
fn alert_rules_are_read_without_a_fault() {
    promtool(&files(&["check", "rules"], "deploy/monitoring"));
}

#[test]
#[ignore = "needs promtool"]
fn alerts_fire_when_they_should_and_are_silent_otherwise() {
    promtool(&files(&["test", "rules"], "tests/monitoring"));
}
