//! The whole of it: a fleet is enrolled, a hub started over its data, and the fleet reports.

use std::path::Path;

use update_server::Settings;
use update_server::config::{Fragments, LimitFragments};

use super::{BenchArgs, run};
use crate::out::capture;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: BenchArgs,
}

fn line(words: &[&str]) -> BenchArgs {
    use clap::Parser as _;
    Line::try_parse_from(std::iter::once("bench").chain(words.iter().copied())).unwrap().args
}

fn settings(data_dir: &Path) -> Settings {
    let fragments = Fragments {
        data_dir: Some(data_dir.to_owned()),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        anonymous_viewer: Some(true),
        workers: Some(1),
        // Thirty clusters that report twice within a second.
        limits: Some(LimitFragments { report_floor_s: Some(0), ..LimitFragments::default() }),
        ..Fragments::default()
    };
    fragments.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seeded_fleet_reports_and_reads_and_every_answer_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("hub");
    let (mut out, stdout, _) = capture::out();
    let seed = line(&["seed", "--data-dir", data.to_str().unwrap(), "--clusters", "30"]);
    run(&seed, &mut out).await.unwrap();
    let roster = stdout.text().trim().to_owned();

    let hub = update_server::Running::start(settings(&data)).await.unwrap();
    let server = hub.address.to_string();
    let (mut out, stdout, _) = capture::out();
    let words = ["fleet", "--server", &server, "--roster", &roster, "--rate", "60"];
    let rest = ["--duration", "1s", "--connections", "4", "--full", "0.5", "--reconnect-every"];
    let read = ["1s", "--read", "/api/v1/drift", "--read-rate", "5"];
    let more = ["--burst", "10", "--burst-every", "1s", "--output", "json"];
    let fleet = line(&[&words[..], &rest[..], &read[..], &more[..]].concat());
    run(&fleet, &mut out).await.unwrap();
    let found: serde_json::Value = serde_json::from_str(&stdout.text()).unwrap();
    assert_eq!(found["reports"]["answered"], 60, "{found}");
    assert_eq!(found["reads"]["answered"], 5, "{found}");
    assert_eq!(found["reports"]["others"], serde_json::json!({}));

    let (mut out, stdout, _) = capture::out();
    let pid = std::process::id().to_string();
    let words = ["fleet", "--server", &server, "--roster", &roster, "--sign-first", "--rate", "30"];
    let rest = ["--first", "7", "--duration", "1s", "--full", "0", "--connections", "2"];
    let more = ["--pid", &pid, "--compare", "--output", "json"];
    run(&line(&[&words[..], &rest[..], &more[..]].concat()), &mut out).await.unwrap();
    let found: serde_json::Value = serde_json::from_str(&stdout.text()).unwrap();
    assert_eq!(found["reports"]["answered"], 30, "signed before: {found}");
    assert_eq!(found["reports"]["others"], serde_json::json!({}));
    for figure in ["verification_us", "trivial_answer_us"] {
        assert!(found[figure].as_f64().unwrap() > 0.0, "{figure}: {found}");
    }
    assert!(found["trivial_answers_per_report"].is_f64(), "{found}");

    let (mut out, stdout, _) = capture::out();
    let paths = line(&[
        "paths",
        "--server",
        &server,
        "--pid",
        &pid,
        "--duration",
        "1s",
        "--connections",
        "2",
        "--output",
        "json",
        "/livez",
        "/assets/app.css",
    ]);
    run(&paths, &mut out).await.unwrap();
    let found: serde_json::Value = serde_json::from_str(&stdout.text()).unwrap();
    assert_eq!(found[0]["status"], 200, "{found}");
    hub.stop().await.unwrap();
}

#[tokio::test]
async fn more_reports_than_can_be_kept_are_not_signed_first() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("hub");
    let (mut out, stdout, _) = capture::out();
    let seed = line(&["seed", "--data-dir", data.to_str().unwrap(), "--clusters", "1"]);
    run(&seed, &mut out).await.unwrap();
    let roster = stdout.text().trim().to_owned();
    // No hub is asked: what is due is counted before.
    let words = ["fleet", "--server", "127.0.0.1:9", "--roster", &roster, "--sign-first"];
    let fleet = line(&[&words[..], &["--rate", "1", "--duration", "2h"]].concat());
    let error = run(&fleet, &mut out).await.unwrap_err();
    assert!(error.to_string().contains("--sign-first"), "{error}");
}

#[tokio::test]
async fn a_hub_that_runs_is_not_seeded() {
    let dir = tempfile::tempdir().unwrap();
    let _hub = update_server::server::DataDir::open(dir.path()).unwrap();
    let (mut out, _, _) = capture::out();
    let seed = line(&["seed", "--data-dir", dir.path().to_str().unwrap(), "--clusters", "1"]);
    let error = run(&seed, &mut out).await.unwrap_err();
    assert!(error.to_string().contains("data directory"), "{error}");
}
