//! Golden simulations: what a scenario does, as text and as JSON, to the byte.
//!
//! `UPDATE_GOLDEN=1 cargo test -p channels --test simulate` writes them anew; read the difference.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use channels::rollout::{Period, Policy};
use channels::simulate::report::Report;
use channels::simulate::{Fault, Fleet, STEP_DEFAULT, Settings, chart, simulate};
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    about: String,
    policy: PathBuf,
    fleet: PathBuf,
    #[serde(default)]
    faults: Vec<String>,
    /// Whether its SVG is kept, too.
    #[serde(default)]
    picture: bool,
    #[serde(default)]
    step: Option<Period>,
    #[serde(default)]
    published_at: Option<Timestamp>,
}

/// The JSON keeps every so many points of the curve: the text shows them all.
const CURVE_EVERY: usize = 24;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulate")
}

fn play(scenario: &Scenario) -> Report {
    let read = |path: &Path| fs::read_to_string(folder().join(path)).unwrap();
    let seed = 1;
    let policy = Policy::parse(&scenario.policy, &read(&scenario.policy)).unwrap();
    let fleet = Fleet::from_yaml(&scenario.fleet, &read(&scenario.fleet), seed).unwrap();
    let faults: Vec<Fault> = scenario.faults.iter().map(|fault| fault.parse().unwrap()).collect();
    let published_at = scenario.published_at.unwrap_or("2026-12-01T08:00:00Z".parse().unwrap());
    let step = scenario.step.unwrap_or(STEP_DEFAULT);
    let settings = Settings { seed, step, published_at, release: "1.34.2".parse().unwrap() };
    simulate(&policy, &fleet, &faults, &settings).unwrap()
}

fn check(path: &Path, actual: &str, faults: &mut Vec<String>) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, actual).unwrap();
        return;
    }
    let golden = fs::read_to_string(path).unwrap_or_default();
    let differs = golden.lines().zip(actual.lines()).find(|(golden, actual)| golden != actual);
    if golden != actual {
        faults.push(format!("{}: {differs:?}", path.display()));
    }
}

#[test]
fn every_scenario_tells_what_it_told_before() {
    let mut faults = Vec::new();
    let mut played = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        played += 1;
        let scenario: Scenario =
            serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut report = play(&scenario);
        let text = format!("{}\n\n{}", scenario.about, chart::text(&report));
        check(&path.with_extension("txt"), &text, &mut faults);
        if scenario.picture {
            check(&path.with_extension("svg"), &chart::svg(&report), &mut faults);
        }
        let told = report.curve.iter().step_by(CURVE_EVERY).copied().collect();
        report.curve = told;
        check(&path.with_extension("json"), &report.to_json().unwrap(), &mut faults);
    }
    assert!(played >= 8, "only {played} scenarios were found");
    assert!(faults.is_empty(), "these differ:\n{}", faults.join("\n"));
}

#[test]
fn the_document_is_read_back_as_it_was_written() {
    let scenario = fs::read_to_string(folder().join("bad_first_ring.yaml")).unwrap();
    let report = play(&serde_saphyr::from_str(&scenario).unwrap());
    let read: Report = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(read, report);
}

#[test]
#[ignore = "takes most of a minute without optimisation"]
fn a_hundred_thousand_clusters_over_thirteen_days_converge() {
    let read = |path: &str| fs::read_to_string(folder().join(path)).unwrap();
    let policy = "name: slow\ncurve: {template: slow}\ngates: {success: 90%, max_failures: 2%, \
                  max_unknown: 2%, min_sample: 5%}\nrings:\n  - {name: everyone, rest: true}\n";
    let policy = Policy::parse(Path::new("policy.yaml"), policy).unwrap();
    let file = "../../../examples/fleets/hundred-thousand.yaml";
    let fleet = Fleet::from_yaml(Path::new(file), &read(file), 1).unwrap();
    let published_at = "2026-12-01T08:00:00Z".parse().unwrap();
    let release = "1.34.2".parse().unwrap();
    let settings = Settings { seed: 1, step: STEP_DEFAULT, published_at, release };
    let report = simulate(&policy, &fleet, &["bad:0.5%".parse().unwrap()], &settings).unwrap();
    assert_eq!(
        (report.clusters, report.totals.begun),
        (100_000, 100_000),
        "{}",
        chart::text(&report)
    );
}

#[test]
fn every_example_fleet_is_read() {
    let folder = folder().join("../../../examples/fleets");
    let mut read = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let fleet = Fleet::from_yaml(&path, &fs::read_to_string(&path).unwrap(), 1).unwrap();
        assert_eq!(Some(fleet.name()), path.file_stem().and_then(|stem| stem.to_str()));
        read += 1;
    }
    assert_eq!(read, 3);
}
