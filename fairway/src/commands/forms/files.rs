//! Commands over files: channel repositories, policies, imports, profiles, status files.

use std::path::Path;

use crate::commands::graph::tests::{Copy, examples};

use super::{NOW, Told, first, forms, golden, in_each_form, run};

/// A command over one directory, which is called `DIR` in words and in what it says.
async fn over(dir: &Path, words: &[&str]) -> String {
    in_each_form(async |format| told(dir, words, format).await).await
}

async fn told(dir: &Path, words: &[&str], format: &str) -> Told {
    let place = dir.display().to_string();
    let words: Vec<String> = words.iter().map(|word| word.replace("DIR", &place)).collect();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.extend(["--output", format]);
    let (result, stdout, stderr) = run(&words, NOW).await;
    let result = result.map_err(|error| error.without(&place));
    (result, stdout.replace(&place, "DIR"), stderr.replace(&place, "DIR"))
}

#[tokio::test]
async fn lint() {
    let copy = Copy::new();
    let text = copy.read("kafka/channels/stable-4.yaml");
    copy.write("kafka/channels/stable-4.yaml", &text.replacen("4.3.0", "4.3.0\n  - 4.9.9", 1));
    insta::assert_snapshot!(over(copy.dir(), &["lint", "DIR"]).await);
}

#[tokio::test]
async fn graph_why() {
    let words = ["graph", "why", "DIR", "4.1.1", "4.3.1", "--product", "kafka"];
    insta::assert_snapshot!(over(&examples(), &words).await);
}

#[tokio::test]
async fn graph_path() {
    let words =
        ["graph", "path", "DIR", "3.9.0", "4.0.0", "--product", "kafka", "--channel", "stable-4"];
    insta::assert_snapshot!(over(&examples(), &words).await);
}

#[tokio::test]
async fn graph_diff() {
    let copy = Copy::new();
    let text = copy.read("kafka/channels/stable-4.yaml");
    copy.write("kafka/channels/stable-4.yaml", &text.replacen("  - 4.3.0\n", "", 1));
    let old = examples().display().to_string();
    let words = ["graph", "diff", &old, "DIR", "--product", "kafka"];
    insta::assert_snapshot!(over(copy.dir(), &words).await);
}

#[tokio::test]
async fn promote() {
    let words = ["promote", "DIR", "kafka", "--pending"];
    insta::assert_snapshot!(over(&examples(), &words).await);
}

#[tokio::test]
async fn simulate() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("policy.yaml"), crate::commands::simulate::tests::POLICY)
        .unwrap();
    std::fs::write(dir.path().join("fleet.yaml"), crate::commands::simulate::tests::FLEET).unwrap();
    let words = [
        "simulate",
        "--policy",
        "DIR/policy.yaml",
        "--fleet",
        "DIR/fleet.yaml",
        "--faults",
        "bad:50%,label=ring=first",
    ];
    // The curve has hundreds of points; `channels` holds a report of every field.
    let text = in_each_form(async |format| {
        let (result, stdout, stderr) = told(dir.path(), &words, format).await;
        let stdout = match serde_json::from_str::<serde_json::Value>(&stdout) {
            Ok(mut report) => {
                report["curve"].as_array_mut().unwrap().truncate(2);
                serde_json::to_string_pretty(&report).unwrap() + "\n"
            }
            Err(_) => stdout,
        };
        (result, stdout, stderr)
    });
    insta::assert_snapshot!(text.await);
}

/// An import into a directory that is not there yet.
async fn import(words: &[&str]) -> String {
    in_each_form(async |format| {
        let dir = tempfile::tempdir().unwrap();
        let (source, stable) = crate::commands::import::tests::sources(dir.path());
        let words: Vec<&str> = words
            .iter()
            .map(|word| match *word {
                "SOURCE" => source.as_str(),
                "STABLE" => stable.as_str(),
                word => word,
            })
            .collect();
        told(dir.path(), &words, format).await
    })
    .await
}

const WHOSE: [&str; 6] = ["--vendor", "acme", "--product", "os", "--arch", "amd64"];

#[tokio::test]
async fn import_graph_data() {
    let words = [&["import", "graph-data", "SOURCE", "DIR/os"][..], &WHOSE].concat();
    insta::assert_snapshot!(import(&words).await);
}

#[tokio::test]
async fn import_fedora_coreos() {
    let words = [&["import", "fedora-coreos", "STABLE", "--out", "DIR/os"][..], &WHOSE].concat();
    insta::assert_snapshot!(import(&words).await);
}

#[tokio::test]
async fn rollout_apply() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("careful.yaml");
    let policy = first(&golden("policy-row-page"))["text"].as_str().map(str::to_owned);
    let policy = policy.unwrap_or_else(|| {
        crate::commands::simulate::tests::POLICY.replace("name: quick", "name: careful")
    });
    std::fs::write(&file, &policy).unwrap();
    let path = "PUT /api/v1/rollout-policies/careful";
    let dry_run = format!("{path}?dry_run=true");
    let script = [
        (path, golden("policy-reply")),
        (dry_run.as_str(), golden("policy-reply")),
        ("GET /api/v1/rollout-policies/careful", first(&golden("policy-row-page"))),
    ];
    let words = ["rollout", "apply", file.to_str().unwrap(), "--yes"];
    insta::assert_snapshot!(forms(&words, &script).await);
}

#[tokio::test]
async fn sites_import() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("north.status.json");
    std::fs::write(&file, "{\"signed\": {}}\n").unwrap();
    let script = [("POST /api/v1/status-imports", golden("status-import-reply"))];
    let words = ["sites", "import", file.to_str().unwrap()];
    insta::assert_snapshot!(forms(&words, &script).await);
}

/// Commands on profiles, one after the other, each form in a file of its own.
async fn profile(before: &[&[&str]], words: &[&str]) -> String {
    in_each_form(async |format| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        for words in before {
            crate::commands::profile::tests::at(&file, words).0.unwrap();
        }
        let words = [words, &["--output", format]].concat();
        crate::commands::profile::tests::at(&file, &words)
    })
    .await
}

const ADD: [&str; 4] = ["add", "prod", "--url", "https://hub.example"];
const LAB: [&str; 4] = ["add", "lab", "--url", "http://127.0.0.1:8480"];

#[tokio::test]
async fn profile_add() {
    insta::assert_snapshot!(profile(&[], &ADD).await);
}

#[tokio::test]
async fn profile_list() {
    insta::assert_snapshot!(profile(&[&ADD, &LAB], &["list"]).await);
}

#[tokio::test]
async fn profile_show() {
    insta::assert_snapshot!(profile(&[&ADD, &LAB], &["show", "lab"]).await);
}

#[tokio::test]
async fn profile_use() {
    insta::assert_snapshot!(profile(&[&ADD, &LAB], &["use", "lab"]).await);
}

#[tokio::test]
async fn profile_remove() {
    insta::assert_snapshot!(profile(&[&ADD], &["remove", "prod"]).await);
}
