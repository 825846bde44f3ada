//! The command lines as a person types them, and the files they leave.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::error::Result;
use crate::out::capture;

/// Runs a command line as the shell would; the result, stdout and stderr.
fn fairway(words: &[&str]) -> (Result<()>, String, String) {
    let (mut out, stdout, stderr) = capture::out();
    let all = ["fairway", "import"].into_iter().chain(words.iter().copied());
    let parsed = Cli::try_parse_from(all).unwrap();
    let Command::Import(args) = parsed.command else { panic!("{parsed:?}") };
    let result = super::run(&args, &mut out);
    (result, stdout.text(), stderr.text())
}

fn write(dir: &Path, file: &str, text: &str) -> PathBuf {
    let path = dir.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// A checkout of two versions and two blocks.
fn checkout(dir: &Path) -> String {
    let root = dir.join("source");
    write(&root, "version", "1.1.0\n");
    write(&root, "channels/fast.yaml", "name: fast\nversions: [4.1.0, 4.1.1, 4.1.2]\n");
    write(
        &root,
        "build-suggestions/4.1.yaml",
        "default: {minor_min: 4.0.0, minor_max: 4.0.9999, minor_block_list: [], z_min: 4.1.0, \
         z_max: 4.1.9999, z_block_list: []}\n",
    );
    for to in ["4.1.1", "4.1.2"] {
        let text = format!(
            "to: {to}\nfrom: 4[.]1[.]0\nurl: https://acme.example/1\nname: Slow\nmessage: It is.\n\
             matchingRules: [{{type: Always}}]\n"
        );
        write(&root, &format!("blocked-edges/{to}.yaml"), &text);
    }
    root.to_str().unwrap().to_owned()
}

/// A checkout of graph data, and a file of updates.
pub(crate) fn sources(dir: &Path) -> (String, String) {
    let stable = write(dir, "stable.json", UPDATES);
    (checkout(dir), stable.to_str().unwrap().to_owned())
}

const UPDATES: &str = r#"{"stream": "stable", "releases": [
    {"version": "43.20260413.3.2", "metadata": {"barrier": {"reason": "keys"}}},
    {"version": "44.20260707.3.1", "metadata": {"rollout":
        {"duration_minutes": 60, "start_epoch": 1784728800, "start_percentage": 0.1}}}]}"#;

const TABLE: &str = "version,arch,digest\n\
    4.1.0,amd64,sha256:0000000000000000000000000000000000000000000000000000000000000010\n\
    4.1.1,amd64,sha256:0000000000000000000000000000000000000000000000000000000000000011\n\
    4.1.2,amd64,sha256:0000000000000000000000000000000000000000000000000000000000000012\n";

const WHOSE: [&str; 6] = ["--vendor", "acme", "--product", "os", "--arch", "amd64"];

fn graph_data<'w>(source: &'w str, out: &'w str, more: &[&'w str]) -> Vec<&'w str> {
    [&["graph-data", source, out][..], &WHOSE, more].concat()
}

#[test]
fn with_payloads_the_import_is_whole_lints_clean_and_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkout(dir.path());
    let table = write(dir.path(), "payloads.csv", TABLE);
    let out = dir.path().join("channels/os");
    let more = [
        "--payloads",
        table.to_str().unwrap(),
        "--repository",
        "quay.io/acme/os",
        "--released-at",
        "2026-05-01",
    ];
    let words = graph_data(&source, out.to_str().unwrap(), &more);
    let (result, stdout, stderr) = fairway(&words);
    result.unwrap();
    assert_eq!(stdout, "");
    assert!(stderr.contains("2 blocks became 1 file\n"), "{stderr}");
    assert!(stderr.contains("1 graph, 1 edge and 2 conditional edges are the same"), "{stderr}");
    assert!(stderr.ends_with(": written\n"), "{stderr}");
    let workspace = channels::repository::Workspace::load(&dir.path().join("channels")).unwrap();
    let errors = channels::lint::lint(&workspace, "2026-06-01T00:00:00Z".parse().unwrap());
    let is_error =
        |finding: &&channels::lint::Finding| finding.severity == channels::lint::Severity::Error;
    assert_eq!(errors.iter().find(is_error), None);
    let (result, _, stderr) = fairway(&words);
    result.unwrap();
    assert!(stderr.ends_with(": is already there\n"), "{stderr}");
}

#[test]
fn without_payloads_the_rest_is_written_and_the_answer_is_no() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkout(dir.path());
    let out = dir.path().join("os");
    let words = graph_data(&source, out.to_str().unwrap(), &["--output", "json"]);
    let (result, stdout, _) = fairway(&words);
    let error = result.unwrap_err();
    assert_eq!(error.exit().code(), 1);
    assert!(out.join("blocked-edges/Slow.yaml").exists());
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["product"], "acme/os");
    assert_eq!(answer["unchanged"], false);
    assert_eq!(answer["report"]["blocks_written"], 1);
    assert_eq!(answer["report"]["notes"][0]["kind"], "payload_missing");
    assert_eq!(answer["report"]["notes"][0]["subject"], "4.1.0");
    assert_eq!(answer["verified"]["conditional_edges"], 2);
}

#[test]
fn a_directory_with_other_files_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkout(dir.path());
    let file = write(dir.path(), "os/notes.txt", "mine\n");
    let out = dir.path().join("os");
    let (result, ..) = fairway(&graph_data(&source, out.to_str().unwrap(), &[]));
    let error = result.unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert!(error.to_string().ends_with("is not empty"), "{error}");
    assert_eq!(fs::read_to_string(file).unwrap(), "mine\n");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn a_malformed_source_names_every_file_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = checkout(dir.path());
    write(dir.path(), "source/blocked-edges/4.1.1.yaml", "to: 4.1.1\n");
    write(dir.path(), "source/channels/fast.yaml", "name: slow\nversions: []\n");
    let out = dir.path().join("os");
    let (result, _, stderr) = fairway(&graph_data(&source, out.to_str().unwrap(), &[]));
    assert_eq!(result.unwrap_err().exit().code(), 2);
    assert!(stderr.contains("blocked-edges/4.1.1.yaml:1:"), "{stderr}");
    assert!(stderr.contains("channels/fast.yaml: "), "{stderr}");
    assert!(!out.exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn streams_of_fedora_coreos_become_channels_and_policies() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "stable.json", UPDATES);
    let out = dir.path().join("os");
    let (file, to) = (file.to_str().unwrap(), out.to_str().unwrap());
    let words = [&["fedora-coreos", file, "--out", to][..], &WHOSE].concat();
    let (result, _, stderr) = fairway(&words);
    assert_eq!(result.unwrap_err().exit().code(), 1, "payloads are missing");
    assert!(stderr.contains("1 channel, no releases and 1 rollout in "), "{stderr}");
    assert!(out.join("rollouts/stable-44-20260707-3001.yaml").exists());
    let channel = fs::read_to_string(out.join("channels/stable.yaml")).unwrap();
    assert!(channel.contains("- 43.20260413.3002 # 43.20260413.3.2\n"), "{channel}");
    write(dir.path(), "stable.json", "[]");
    let (result, ..) = fairway(&words);
    let error = result.unwrap_err();
    assert_eq!(error.exit().code(), 2);
    assert!(error.to_string().contains("name an updates/<stream>.json"), "{error}");
}
