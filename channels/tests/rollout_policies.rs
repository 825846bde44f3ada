//! The manual's and the examples' rollout policies read, lint clean, and do what the text says.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};

use channels::names::ClusterId;
use channels::rollout::lint::{Fleet, lint_policy};
use channels::rollout::{ClusterState, HealthGate, Member, Policy, Rollout};
use jiff::{SignedDuration, Timestamp};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manual() -> String {
    std::fs::read_to_string(root().join("docs/rollouts.md")).unwrap()
}

/// The YAML examples of the manual.
fn blocks(manual: &str) -> Vec<&str> {
    let blocks = manual.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().expect("an end")).collect()
}

fn examples() -> Vec<(PathBuf, String)> {
    let folder = root().join("examples/rollout-policy");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn assert_clean(file: &Path, text: &str) {
    let policy = Policy::parse(file, text).unwrap();
    let findings = lint_policy(file, &policy, &Fleet::Unknown, now());
    // Without a fleet nobody can tell that the canary ring is small.
    let rest: Vec<String> = findings
        .iter()
        .map(ToString::to_string)
        .filter(|finding| !finding.contains("warning: ring canary opens 100% at once"))
        .collect();
    assert_eq!(rest, [""; 0]);
}

#[test]
fn every_example_of_the_manual_is_a_policy_that_lints_clean() {
    let manual = manual();
    let blocks = blocks(&manual);
    assert_eq!(blocks.len(), 3, "examples have gone missing");
    for block in blocks {
        assert_clean(Path::new("docs/rollouts.md"), block);
    }
}

#[test]
fn every_example_file_lints_clean_and_is_named_after_its_policy() {
    let examples = examples();
    assert!(examples.len() >= 3, "examples have gone missing");
    for (file, text) in examples {
        assert_clean(&file, &text);
        let policy = Policy::parse(&file, &text).unwrap();
        assert_eq!(file.file_stem().unwrap().to_str(), Some(policy.name.as_str()));
    }
}

#[test]
fn the_worked_example_is_the_example_file() {
    let manual = manual();
    let shown = blocks(&manual).into_iter().find(|block| block.starts_with("name: night")).unwrap();
    let file = root().join("examples/rollout-policy/night-shift.yaml");
    assert!(std::fs::read_to_string(file).unwrap().ends_with(shown));
}

/// Times and open shares of the worked example's table.
fn timeline(manual: &str) -> Vec<(Timestamp, String)> {
    let rows = manual.lines().filter(|line| line.starts_with("| 2026-12-"));
    let row = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[1].parse().unwrap(), cells[3].to_owned())
    };
    rows.map(row).collect()
}

#[test]
fn the_worked_example_goes_as_the_manual_says() {
    let manual = manual();
    let block = blocks(&manual)[2];
    let policy = Policy::parse(Path::new("night-shift.yaml"), block).unwrap();
    let timeline = timeline(&manual);
    assert_eq!(timeline.len(), 11, "rows have gone missing");
    let mut rollout = Rollout::starting_at(policy.starts_at(timeline[0].0));
    let done_at = timeline[1].0 + SignedDuration::from_hours(1);
    for (index, (now, open)) in timeline.iter().enumerate() {
        match index {
            5 => rollout.hold(&policy, *now),
            6 => rollout.release(&policy, *now),
            _ => {}
        }
        let state = if *now < done_at {
            ClusterState::NotStarted
        } else {
            ClusterState::Succeeded { at: done_at }
        };
        let canary = |number| Member {
            cluster: ClusterId(uuid::Uuid::from_u128(number)),
            state,
            health: HealthGate::Pass,
        };
        rollout.evaluate(&policy, &[(0..4).map(canary).collect(), vec![]], *now);
        let shown = match rollout.rings_open() {
            1 => "closed".to_owned(),
            _ => rollout.share(&policy, 1, *now).to_string(),
        };
        assert_eq!(&shown, open, "{now}");
    }
}
