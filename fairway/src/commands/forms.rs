//! Every command that takes `--output`, in every form, as golden text: what a script or a person
//! relies on does not change unnoticed. [`every`] demands that none is left out.
//!
//! What a hub answers are the documents of `channels/golden`.

mod every;
mod files;
mod keys;
mod verbs;

use std::fmt::Write as _;

use clap::Parser as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::Cli;
use crate::error::{Exit, Result};
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;

const NOW: &str = "2026-11-20T12:10:00Z";

/// A recorded document as the only page of its list.
fn golden(name: &str) -> Value {
    let file = format!("{}/../channels/golden/v1/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let mut value: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("next");
    value
}

fn first(page: &Value) -> Value {
    page["items"][0].clone()
}

/// How a command ended, and what it printed.
type Told = (Result<()>, String, String);

/// Runs a whole command line.
async fn run(words: &[&str], now: &str) -> Told {
    let all = std::iter::once("fairway").chain(words.iter().copied());
    let cli = Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}"));
    let now: Timestamp = now.parse().unwrap();
    let (mut out, stdout, stderr) = capture::out();
    let result = crate::dispatch(&cli.command, now, &mut out).await;
    (result, stdout.text(), stderr.text())
}

async fn fairway(words: &[&str], script: &[(&str, Value)]) -> Told {
    let script = script.iter().map(|(request, answer)| (*request, Answer::json(answer))).collect();
    let hub = FakeHub::start(script).await;
    run(&[words, &["--server", hub.url.as_str()]].concat(), NOW).await
}

/// All that a command says in each form: both streams, and how it ends if not well.
async fn in_each_form(run: impl AsyncFn(&str) -> Told) -> String {
    let mut text = String::new();
    for format in ["table", "csv", "json"] {
        let (result, stdout, stderr) = run(format).await;
        let stdout = stdout.replace("\r\n", "\n");
        write!(text, "--- {format}\n{stdout}{stderr}").unwrap();
        if let Err(error) = result {
            writeln!(text, "exit {}: {error}", error.exit().code()).unwrap();
            if let Some(hint) = error.hint_text() {
                writeln!(text, "hint: {hint}").unwrap();
            }
        }
    }
    text
}

/// The same of a command that asks a hub; where JSON is the first document of the script, nothing
/// lost or added, it is called so.
async fn forms(words: &[&str], script: &[(&str, Value)]) -> String {
    in_each_form(async |format| {
        let (result, stdout, stderr) =
            fairway(&[words, &["--output", format]].concat(), script).await;
        if format == "table" {
            // Old spelling.
            let (_, same, _) = fairway(&[words, &["--output", "text"]].concat(), script).await;
            assert_eq!(same, stdout, "{words:?}");
        }
        let shown: Option<Value> = serde_json::from_str(&stdout).ok();
        let is_document = format == "json" && shown.as_ref() == Some(&script[0].1);
        let stdout = if is_document { "the hub's document\n".to_owned() } else { stdout };
        (result, stdout, stderr)
    })
    .await
}

macro_rules! golden_forms {
    ($($test:ident: $words:expr, $request:expr, $document:expr;)*) => {$(
        #[tokio::test]
        async fn $test() {
            let document = $document;
            insta::assert_snapshot!(forms(&$words, &[($request, document)]).await);
        }
    )*};
}

golden_forms! {
    clusters_list: ["clusters"], "GET /api/v1/clusters?limit=500", golden("cluster-row-page");
    clusters_list_of_sites: ["clusters", "list"],
        "GET /api/v1/clusters?limit=500", golden("cluster-row-page--dark");
    clusters_show: ["clusters", "show", "berlin-1"],
        "GET /api/v1/clusters/berlin-1", first(&golden("cluster-row-page"));
    clusters_show_revoked: ["clusters", "show", "berlin-1"],
        "GET /api/v1/clusters/berlin-1", first(&golden("cluster-row-page--revoked"));
    drift: ["drift"], "GET /api/v1/drift", golden("drift-answer");
    drift_of_sites: ["drift"], "GET /api/v1/drift", golden("drift-answer--sites");
    health: ["health"], "GET /api/v1/health", golden("health-answer");
    holds: ["holds"], "GET /api/v1/holds", serde_json::json!({"items": [golden("hold")]});
    rollout_list: ["rollout", "list"],
        "GET /api/v1/rollouts?limit=500", serde_json::json!({"items": [golden("rollout-row")]});
    rollout_show: ["rollout", "show", "7"], "GET /api/v1/rollouts/7", golden("rollout-row");
    rollout_clusters: ["rollout", "clusters", "7"],
        "GET /api/v1/rollouts/7/clusters?limit=500", golden("rollout-cluster-page");
    rollout_policies: ["rollout", "policies"],
        "GET /api/v1/rollout-policies", golden("policy-row-page");
    sites_list: ["sites", "list"], "GET /api/v1/sites", golden("site-row-page");
    sites_imports: ["sites", "imports", "north"],
        "GET /api/v1/sites/north/imports", golden("site-import-page");
    webhooks_list: ["webhooks", "list"], "GET /api/v1/webhooks", golden("webhook-page");
    webhooks_dead: ["webhooks", "dead", "3"],
        "GET /api/v1/webhooks/3/dead?limit=500", golden("dead-delivery-page");
    audit: ["audit"], "GET /api/v1/audit?limit=50",
        serde_json::json!({"items": [golden("audit-row")]});
    audit_verify: ["audit", "verify"], "GET /api/v1/audit/verify",
        serde_json::json!({"rows": 4, "head": "ab"});
    clusters_invites: ["clusters", "invites"], "GET /api/v1/join-tokens?limit=500",
        serde_json::json!({"items": [golden("open-join-token")]});
    token_list: ["token", "list"], "GET /api/v1/tokens", serde_json::json!({"items": [{
        "id": 4, "name": "ci", "access": "publisher", "created_at": NOW, "created_by": "ann",
    }]});
    trends: ["trends", "--from", "2026-11-20T00:00:00Z"],
        "GET /api/v1/trends?from=2026-11-20T00%3A00%3A00Z&to=2026-11-20T12%3A10%3A00Z&step=3600s",
        golden("trends-answer");
}

#[tokio::test]
async fn an_empty_list_is_an_empty_table_a_csv_header_and_a_document() {
    let none = [("GET /api/v1/holds", serde_json::json!({"items": []}))];
    insta::assert_snapshot!(forms(&["holds"], &none).await, @"
    --- table
    nothing is held
    --- csv
    id,scope,by,since,reason,resumed,resumed_by
    --- json
    the hub's document
    ");
}

#[tokio::test]
async fn states_are_coloured_on_a_terminal_and_stay_words() {
    let page = golden("cluster-row-page");
    let hub = FakeHub::start(vec![("GET /api/v1/clusters?limit=500", Answer::json(&page))]).await;
    let words = ["fairway", "clusters", "--server", &hub.url];
    let (out, stdout, _) = capture::out();
    let cli = Cli::try_parse_from(words).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    crate::dispatch(&cli.command, now, &mut out.on_terminal()).await.unwrap();
    let text = stdout.text();
    assert!(text.contains("\x1b[31munhealthy\x1b[0m"), "{text:?}");
    assert!(text.contains("\x1b[33mwaiting\x1b[0m"), "{text:?}");
    assert!(text.starts_with("\x1b[1mNAME\x1b[0m"), "{text:?}");
}

#[tokio::test]
async fn what_is_not_there_is_a_no_and_a_hub_that_is_none_a_failure() {
    let (result, ..) = fairway(&["clusters", "show", "x"], &[]).await;
    let error = result.unwrap_err();
    assert_eq!(error.exit(), Exit::Failure, "a 404 without a problem is no answer of a hub");
    assert!(error.hint_text().is_some(), "{error}");
}
