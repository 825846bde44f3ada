//! The family over the repository of examples, and over small changes to it.

use std::path::{Path, PathBuf};

use channels::wire::{DriftAnswer, DriftTotals, Page, VersionCount};
use clap::Parser as _;

use super::*;
use crate::hub::testing::{Answer as HubAnswer, FakeHub};
use crate::out::capture;

/// A copy of the examples that a test may change.
pub(crate) struct Copy(tempfile::TempDir);

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/acme")
}

impl Copy {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        copy_all(&examples(), temp.path());
        Self(temp)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir().join(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir().join(file), text).unwrap();
    }

    /// Whether every file is as in the examples, and there is none more.
    pub(crate) fn is_untouched(&self) -> bool {
        texts(self.dir()) == texts(&examples())
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(std::result::Result::unwrap) {
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn texts(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut found = Vec::new();
    let mut entries: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(std::result::Result::unwrap).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        if entry.path().is_dir() {
            found.push((entry.file_name(), Vec::new()));
            found.extend(texts(&entry.path()));
        } else {
            found.push((entry.file_name(), std::fs::read(entry.path()).unwrap()));
        }
    }
    found
}

/// The commands tested here.
#[derive(clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Ours,
}

#[derive(clap::Subcommand)]
enum Ours {
    Graph(GraphArgs),
    Promote(crate::commands::promote::PromoteArgs),
    Withdraw(crate::commands::withdraw::WithdrawArgs),
    Block(crate::commands::block::BlockArgs),
    Unblock(crate::commands::block::UnblockArgs),
}

/// Runs a whole command line; `DIR` stands for a directory.
pub(crate) async fn fairway(dir: &Path, words: &str) -> (crate::error::Result<()>, String, String) {
    let words = words.split_whitespace().map(|word| match word.strip_prefix("DIR") {
        Some(rest) => format!("{}{rest}", dir.display()),
        None => word.replace('~', " "),
    });
    let words = std::iter::once("fairway".to_owned()).chain(words);
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    let (mut out, stdout, stderr) = capture::out();
    let now = "2026-07-10T12:00:00.5Z".parse().unwrap();
    let result = match &cli.command {
        Ours::Graph(args) => run(args, &mut out).await,
        Ours::Promote(args) => crate::commands::promote::run(args, now, &mut out).await,
        Ours::Withdraw(args) => crate::commands::withdraw::run(args, now, &mut out).await,
        Ours::Block(args) => crate::commands::block::run(args, now, &mut out).await,
        Ours::Unblock(args) => crate::commands::block::unblock(args, now, &mut out).await,
    };
    (result, stdout.text(), stderr.text())
}

#[tokio::test]
async fn a_graph_still_prints_as_json_dot_and_svg() {
    let base = "graph DIR --product kafka --channel stable-4";
    let (result, json, _) = fairway(&examples(), base).await;
    result.unwrap();
    assert!(json.contains("\"product\":\"acme/kafka\"},\"version\":1}"), "{json}");
    let (_, dot, _) = fairway(&examples(), &format!("{base} --format dot")).await;
    assert!(dot.contains("\"4.1.0\" [style=dashed, label=\"4.1.0 (withdrawn)\"];"), "{dot}");
    let (_, svg, _) = fairway(&examples(), &format!("{base} --format svg")).await;
    assert!(svg.contains("<title id=\"fw-title\">acme/kafka stable-4 amd64</title>"), "{svg}");
}

#[tokio::test]
async fn a_product_or_channel_that_is_not_there_is_answered_with_those_that_are() {
    let (result, ..) = fairway(&examples(), "graph DIR --channel stable-4").await;
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "there is more than one such product");
    assert_eq!(error.hint_text(), Some("name the product; there are: acme/kafka, acme/platform"));
    let why = "graph why DIR 4.0.0 4.0.1 --product kafka --channel beta";
    let error = fairway(&examples(), why).await.0.unwrap_err();
    assert_eq!(error.to_string(), "there is no such channel and architecture");
}

#[tokio::test]
async fn why_tells_channels_apart_only_where_they_differ() {
    let (result, stdout, _) =
        fairway(&examples(), "graph why DIR 4.1.1 4.3.1 --product kafka").await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @r#"
    candidate-4 amd64, fast-4 amd64: a recommended edge from 4.1.1 to 4.3.1
      yes   kafka/releases/4.3.1.yaml: upgrade_from allows it by ">=3.3.0, <4.3.1"
    stable-4 amd64: no edge from 4.1.1 to 4.3.1
      no    kafka/channels/stable-4.yaml: 4.3.1 is not in the channel
      yes   kafka/releases/4.3.1.yaml: upgrade_from allows it by ">=3.3.0, <4.3.1"
    "#);
}

#[tokio::test]
async fn why_answers_no_with_its_exit_code_and_typed_reasons() {
    let words = "graph why DIR 4.0.0 4.1.0 --product kafka --channel stable-4 --output json";
    let (result, stdout, _) = fairway(&examples(), words).await;
    let error = result.unwrap_err();
    assert_eq!(error.exit().code(), 1);
    assert_eq!(error.to_string(), "there is no edge from 4.0.0 to 4.1.0");
    let answers: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answers[0]["edge"], "none");
    assert_eq!(answers[0]["reasons"][0]["reason"], "withdrawn");
}

#[tokio::test]
async fn a_path_shows_the_recommended_way_and_a_shorter_risky_one() {
    let (result, stdout, _) =
        fairway(&examples(), "graph path DIR 3.9.0 4.0.0 --product kafka --channel stable-4").await;
    assert_eq!(result.unwrap_err().exit().code(), 1);
    insta::assert_snapshot!(stdout, @"
    stable-4 amd64: no recommended way from 3.9.0 to 4.0.0: the way from 3.9.0 to 4.0.0 carries risks that are not accepted: LibrdkafkaKerberos
      with risks accepted: 3.9.0 > 4.0.0 [LibrdkafkaKerberos] (1 step)
    ");
    let words = "graph path DIR 1.31.13 --product platform --channel stable-1.34";
    let (result, stdout, _) = fairway(&examples(), words).await;
    result.unwrap();
    assert!(stdout.starts_with("stable-1.34 amd64: 1.31.13 > 1.32.10 > "), "{stdout}");
}

#[tokio::test]
async fn a_path_that_is_broken_says_how_far_it_goes_and_where_it_begins_again() {
    let copy = Copy::new();
    let block = "to: \">=1.33.0, <1.34.0\"\nfrom: \">=1.32.0, <1.33.0\"\n";
    std::fs::create_dir(copy.dir().join("platform/blocked-edges")).unwrap();
    copy.write("platform/blocked-edges/gap.yaml", block);
    let words = "graph path DIR 1.31.13 --product platform --channel stable-1.34";
    let (result, stdout, _) = fairway(copy.dir(), words).await;
    assert_eq!(result.unwrap_err().to_string(), "no recommended way leads on from 1.31.13");
    insta::assert_snapshot!(stdout, @"
    stable-1.34 amd64: no recommended way from 1.31.13 to 1.34.1: no way leads from 1.31.13 to 1.34.1
      1.31.13 gets as far as 1.32.10, 1.32.9, 1.31.14
      ways to 1.34.1 begin at 1.33.2, 1.33.5, 1.33.6, 1.34.0
    ");
}

fn drift(clusters: &[(&str, u64)]) -> DriftAnswer {
    let count = |(text, clusters): &(&str, u64)| VersionCount {
        version: text.parse().unwrap(),
        clusters: *clusters,
        eol: None,
    };
    DriftAnswer {
        at: "2026-07-10T12:00:00Z".parse().unwrap(),
        items: vec![DriftTotals {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable-4".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            head: None,
            active: clusters.iter().map(|(_, count)| count).sum(),
            silent: 2,
            current: 0,
            behind: 0,
            stranded: 0,
            off_graph: 0,
            eol: 0,
            rolling: 0,
            stopped: 0,
            hops_max: None,
            spread: channels::wire::DriftSpread::default(),
            versions: clusters.iter().map(count).collect(),
        }],
        sites: vec![],
        sites_never_reported: vec![],
    }
}

#[tokio::test]
async fn a_diff_counts_the_clusters_before_edges_that_change() {
    let copy = Copy::new();
    let stable = copy.read("kafka/channels/stable-4.yaml");
    copy.write("kafka/channels/stable-4.yaml", &stable.replace("  - 4.2.0\n", ""));
    let drift = HubAnswer::json(&drift(&[("4.1.1", 7), ("4.2.0", 3), ("4.3.0", 1)]));
    let hub = FakeHub::start(vec![("GET /api/v1/drift", drift)]).await;
    let words =
        format!("graph diff {} DIR --product kafka --server {}", examples().display(), hub.url);
    let (result, stdout, stderr) = fairway(copy.dir(), &words).await;
    result.unwrap();
    insta::assert_snapshot!(stdout, @"
    acme/kafka stable-4 amd64
      release 4.2.0 vanishes: clusters on it are lost
      6 edges to 4.2.0 vanish; from 3.9.0, 3.9.1, 4.0.0, 4.0.1, 4.1.0, 4.1.1 (7 clusters)
      1 edge to 4.3.0 vanishes; from 4.2.0 (3 clusters)
      clusters: of 11 active ones, 10 lose an edge or its recommendation, 0 gain one
    ");
    insta::assert_snapshot!(stderr, @"changed in 1 graph: 7 edges gone, 0 new, 0 with other risks; 2 silent clusters are not counted");
    let (result, stdout, _) = fairway(copy.dir(), &format!("{words} --output json")).await;
    result.unwrap();
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["graphs"][0]["edges"]["vanished"], 7);
    assert_eq!(document["graphs"][0]["clusters"]["losing"], 10);
}

#[tokio::test]
async fn a_directory_compares_with_what_the_hub_signed_holds_left_aside() {
    let workspace = channels::repository::Workspace::load(&examples()).unwrap();
    let graphs = compare::compiled(&workspace, Some("kafka")).unwrap();
    let mut script = Vec::new();
    let mut served = Vec::new();
    for ((product, channel, arch), graph) in &graphs {
        served.push(serde_json::json!({"product": product, "channel": channel, "arch": arch}));
        let hold = channels::graph::Risk {
            name: update_server::catalog::HOLD_RISK.to_owned(),
            message: "stop".into(),
            url: "https://e.com".into(),
            matching_rules: vec![channels::graph::MatchingRule::Always],
        };
        let held = graph.with_risk(&hold, &|_, _| true).unwrap();
        let body = channels::cincinnati::to_json(&held);
        let path =
            format!("GET /api/upgrades_info/acme/kafka/v1/graph?channel={channel}&arch={arch}");
        script.push((path, HubAnswer { status: 200, content_type: "application/json", body }));
    }
    let page = HubAnswer::json(&Page { items: served, next: None });
    script.push(("GET /api/v1/channels".to_owned(), page));
    script.push(("GET /api/v1/drift".to_owned(), HubAnswer::json(&drift(&[]))));
    let script = script.iter().map(|(path, answer)| (path.as_str(), answer.clone())).collect();
    let hub = FakeHub::start(script).await;
    let words = format!("graph diff DIR --product kafka --server {}", hub.url);
    let (result, stdout, stderr) = fairway(&examples(), &words).await;
    result.unwrap();
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", "both offer the same\n"));
}

#[tokio::test]
async fn one_directory_and_no_hub_is_nothing_to_compare() {
    let error = fairway(&examples(), "graph diff DIR").await.0.unwrap_err();
    assert_eq!(error.to_string(), "there is nothing to compare with");
    assert_eq!(error.exit().code(), 2);
}
