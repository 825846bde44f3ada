//! Every lint rule has an example that breaks it and one that does not, `lint/<code>/{bad,good}`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use channels::cincinnati::from_json;
use channels::lint::{Code, Expiry, Finding, lint, lint_expiry, lint_graph, lint_policy};
use channels::repository::Workspace;
use channels::rollout::Labels;
use channels::rollout::lint::Fleet;
use jiff::Timestamp;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint")
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Copies a tree over another.
fn lay_over(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            lay_over(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Findings of an example, and the text of the file a finding is in.
fn found(example: &Path) -> (Vec<Finding>, impl Fn(&Path) -> String + use<>) {
    let laid = tempfile::tempdir().unwrap();
    let text = |name: &str| fs::read_to_string(example.join(name)).ok();
    let findings = if let Some(graph) = text("graph.json") {
        match from_json(graph.as_bytes()) {
            Ok(graph) => lint_graph(&graph, Path::new("graph.json")),
            Err(error) => vec![Finding::bad_graph("graph.json", &error)],
        }
    } else if let Some(roles) = text("roles.yaml") {
        let roles: Vec<Expiry> = serde_saphyr::from_str(&roles).unwrap();
        lint_expiry(&roles, now())
    } else if let Some(policy) = text("policy.yaml") {
        let fleet: Option<Vec<Labels>> =
            text("fleet.yaml").map(|fleet| serde_saphyr::from_str(&fleet).unwrap());
        let fleet = fleet.as_deref().map_or(Fleet::Unknown, Fleet::Labels);
        lint_policy(Path::new("policy.yaml"), &policy, &fleet, now())
    } else {
        lay_over(&examples().join("base"), laid.path());
        lay_over(example, laid.path());
        match Workspace::load(laid.path()) {
            Ok(workspace) => lint(&workspace, now()),
            Err(errors) => errors.iter().map(Finding::malformed).collect(),
        }
    };
    let example = example.to_owned();
    let read = move |file: &Path| {
        let here = |root: &Path| fs::read_to_string(root.join(file)).ok();
        here(&example).or_else(|| here(laid.path())).unwrap_or_default()
    };
    (findings, read)
}

fn codes(findings: &[Finding]) -> BTreeSet<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn each_bad_example_has_its_finding_and_each_good_one_none() {
    let mut faults = Vec::new();
    for &code in Code::ALL {
        let example = |kind: &str| examples().join(code.as_str()).join(kind);
        let (bad, _) = found(&example("bad"));
        if codes(&bad) != BTreeSet::from([code]) {
            faults.push(format!("{code}/bad: {bad:#?}"));
        }
        if bad.iter().any(|finding| finding.severity != code.severity()) {
            faults.push(format!("{code}/bad: another severity than the table's: {bad:#?}"));
        }
        let (good, _) = found(&example("good"));
        if !good.is_empty() {
            faults.push(format!("{code}/good: {good:#?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_code_has_examples_and_every_example_is_of_a_code() {
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(examples()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            folders.insert(entry.file_name().into_string().unwrap());
        }
    }
    assert!(folders.remove("base"));
    let codes: BTreeSet<String> = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(folders, codes);
    for code in codes {
        for kind in ["bad", "good"] {
            let example = examples().join(&code).join(kind);
            let files = fs::read_dir(&example).expect(&code).count();
            assert!(files > 0, "{} is empty", example.display());
        }
    }
}

#[test]
fn findings_name_a_line_that_exists() {
    // What is found in no one line: a graph too large to be read, and facts beside the files.
    let without = ["graph_invalid", "release_unlisted", "role_expired", "role_expires_soon"];
    for code in Code::ALL.iter().filter(|code| !without.contains(&code.as_str())) {
        let (bad, read) = found(&examples().join(code.as_str()).join("bad"));
        for finding in &bad {
            let text = read(&finding.file);
            let line = finding.near.as_ref().and_then(|near| near.line_in(&text));
            let lines = u64::try_from(text.lines().count()).unwrap();
            assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{finding:?}");
        }
    }
}
