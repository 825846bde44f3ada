//! The command reads files and hubs, and says what is wrong with them in one line.

use clap::Parser as _;
use serde_json::{Value, json};

use super::*;
use crate::hub::testing::{Answer, FakeHub};
use crate::out::capture;

pub(crate) const POLICY: &str = "name: quick\nemergency: true\ncurve: {template: emergency}\n\
                      gates: {max_failures: 10%, max_unknown: 10%, soak: 0s}\nrings:\n  - name: \
                      first\n    select: {match_labels: {ring: first}}\n  - {name: all, rest: \
                      true}\n";
pub(crate) const FLEET: &str = "name: shops\ngroups:\n  - {name: lab, clusters: 2, labels: {ring: first}}\n  \
                     - {name: shop, clusters: 30}\n";

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: SimulateArgs,
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("policy.yaml", POLICY);
        files.write("fleet.yaml", FLEET);
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// `FILE:` in an argument is a file of ours.
    async fn simulate(&self, args: &[&str]) -> (Result<()>, String, String) {
        let args = args.iter().map(|arg| match arg.strip_prefix("FILE:") {
            Some(name) => self.path(name),
            None => (*arg).to_owned(),
        });
        let policy = self.path("policy.yaml");
        let first = ["simulate".to_owned(), "--policy".to_owned(), policy];
        let args = Cli::try_parse_from(first.into_iter().chain(args)).unwrap().args;
        let (mut out, stdout, stderr) = capture::out();
        let now = "2026-12-01T08:00:00.123456Z".parse().unwrap();
        let result = run(&args, now, &mut out).await;
        (result, stdout.text(), stderr.text())
    }

    async fn fleet(&self, args: &[&str]) -> (Result<()>, String, String) {
        self.simulate(&[&["--fleet", "FILE:fleet.yaml"], args].concat()).await
    }
}

#[tokio::test]
async fn a_model_fleet_is_simulated_and_charted() {
    let files = Files::new();
    let (result, text, stderr) = files.fleet(&[]).await;
    result.unwrap();
    assert!(text.starts_with("policy quick, release 0.0.0-next, fleet shops: 32 clusters\n"));
    assert!(text.contains("start 2026-12-01T08:00:00Z, step 10m, seed 1\n"), "{text}");
    assert!(text.contains("32 succeeded, 0 failed"), "{text}");
    assert_eq!(stderr, "");
    let (result, svg, _) = files.fleet(&["--output", "svg"]).await;
    result.unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

#[tokio::test]
async fn the_same_seed_prints_the_same_and_another_does_not() {
    let files = Files::new();
    let json = async |seed: &str| files.fleet(&["--seed", seed, "--output", "json"]).await.1;
    assert_eq!(json("7").await, json("7").await);
    assert_ne!(json("7").await, json("8").await);
}

#[tokio::test]
async fn faults_come_from_arguments_and_scenario_files() {
    let files = Files::new();
    files.write("night.yaml", "faults:\n  - bad:50%,label=ring=first\n  - resume:at=1d\n");
    let args = ["--faults", "FILE:night.yaml", "--faults", "slow:2x", "--output", "json"];
    let (result, stdout, _) = files.fleet(&args).await;
    result.unwrap();
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["faults"], json!(["bad:50%,label=ring=first", "resume:at=1d", "slow:2x"]));
    assert_eq!(report["format"], 1);
}

#[tokio::test]
async fn every_fault_in_a_file_names_its_line() {
    let files = Files::new();
    files.write("policy.yaml", &POLICY.replace("template: emergency", "template: never"));
    let (result, ..) = files.fleet(&[]).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("policy.yaml:3:"), "{error}");
    let files = Files::new();
    files.write("fleet.yaml", &FLEET.replace("clusters: 30", "clusters: -1"));
    let error = files.fleet(&[]).await.0.unwrap_err().to_string();
    assert!(error.contains("fleet.yaml:4:"), "{error}");
    let files = Files::new();
    files.write("night.yaml", "faults:\n  - bad:50\n");
    let error = files.fleet(&["--faults", "FILE:night.yaml"]).await.0.unwrap_err();
    assert!(error.to_string().contains("night.yaml:2: fault \"bad:50\""), "{error}");
    let error = files.fleet(&["--faults", "FILE:no.yaml"]).await.0.unwrap_err();
    assert!(error.to_string().contains("no.yaml: cannot be read"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_simulated_is_refused_with_a_hint() {
    let files = Files::new();
    for (args, message, hint) in [
        (&["--faults", "badd:5%"][..], "there is no \"badd\"", "--help lists all faults"),
        (&["--faults", "bad:5%,label=ring=fist"], "can hit no cluster", "spelt as in the fleet"),
        (&["--step", "5s"], "the step is 5s", ""),
    ] {
        let error = files.fleet(args).await.0.unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint_text().unwrap_or_default().contains(hint), "{error}");
    }
}

#[tokio::test]
async fn clusters_in_no_ring_are_a_warning() {
    let files = Files::new();
    files.write("policy.yaml", &POLICY.replace("rest: true", "select: {match_labels: {a: b}}"));
    let (result, text, stderr) = files.fleet(&[]).await;
    result.unwrap();
    let warning = "warning: 30 of 32 clusters are in no ring of the policy and never get the \
                   release\n";
    assert_eq!(stderr, warning);
    assert!(text.contains("30 more clusters are in no ring"), "{text}");
}

#[tokio::test]
async fn an_empty_ring_is_a_warning() {
    let files = Files::new();
    files.write("fleet.yaml", "name: shops\ngroups:\n  - {name: shop, clusters: 5}\n");
    let (result, text, stderr) = files.fleet(&[]).await;
    result.unwrap();
    let warning = "warning: no cluster is in ring first, so the rings behind it never open\n";
    assert_eq!(stderr, warning);
    assert!(text.contains("stuck: nothing moves any more"), "{text}");
}

fn row(number: u32, product: &str, freshness: &str, labels: &Value) -> Value {
    json!({
        "id": format!("00000000-0000-4000-8000-{number:012}"),
        "name": format!("cluster-{number}"),
        "freshness": freshness,
        "labels": labels,
        "products": [{"product": product, "channel": "stable", "version": "1.0.0"}],
    })
}

async fn hub(pages: &[(&str, Value)]) -> FakeHub {
    let script = pages.iter().map(|(query, page)| (*query, Answer::json(page)));
    FakeHub::start(script.collect()).await
}

#[tokio::test]
async fn the_fleet_of_a_hub_is_taken_page_by_page_with_its_labels() {
    let first = json!({"ring": "first"});
    let hub = hub(&[
        (
            "GET /api/v1/clusters?product=acme%2Fapp&limit=500",
            json!({"items": [row(1, "acme/app", "fresh", &first)], "next": "c"}),
        ),
        (
            "GET /api/v1/clusters?product=acme%2Fapp&limit=500&cursor=c",
            json!({"items": [row(2, "acme/app", "late", &json!({})),
                             row(3, "acme/app", "gone", &json!({}))]}),
        ),
    ])
    .await;
    let files = Files::new();
    let args = ["--server", &hub.url, "--product", "acme/app", "--output", "json"];
    let (result, stdout, stderr) = files.simulate(&args).await;
    result.unwrap();
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["clusters"], 3);
    assert_eq!(report["rings"][0]["clusters"], 1);
    assert_eq!(report["totals"]["succeeded"], 2, "the one that is gone never asks");
    assert_eq!(stderr, "1 clusters do not report; they are simulated as never asking\n");
}

#[tokio::test]
async fn clusters_of_dark_sites_are_no_part_of_the_fleet() {
    let none = json!({});
    let mut dark = row(2, "acme/db", "carried", &none);
    dark["site"] = json!("north");
    let items = json!([row(1, "acme/app", "fresh", &none), dark]);
    let hub = hub(&[("GET /api/v1/clusters?limit=500", json!({"items": items}))]).await;
    let files = Files::new();
    let args = ["--server", &hub.url, "--output", "json"];
    let (result, stdout, stderr) = files.simulate(&args).await;
    result.unwrap();
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["clusters"], 1);
    let note = "1 clusters of dark sites are left out: nothing is rolled out to them from here\n";
    assert!(stderr.contains(note), "{stderr}");
}

#[tokio::test]
async fn several_products_ask_for_one_and_none_is_a_no() {
    let none = json!({});
    let items = json!([row(1, "acme/app", "fresh", &none), row(2, "acme/db", "fresh", &none)]);
    let hub = hub(&[
        ("GET /api/v1/clusters?limit=500", json!({"items": items})),
        ("GET /api/v1/clusters?channel=beta&limit=500", json!({"items": []})),
    ])
    .await;
    let files = Files::new();
    let error = files.simulate(&["--server", &hub.url]).await.0.unwrap_err();
    assert_eq!(error.hint_text(), Some("pass --product; there are: acme/app, acme/db"));
    let args = ["--server", &hub.url, "--channel", "beta"];
    let error = files.simulate(&args).await.0.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.exit().code()),
        ("the hub has no such cluster", 1)
    );
}
