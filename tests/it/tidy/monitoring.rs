//! Alert rules and dashboards ask for metrics that exist; each alert says what to do and is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::docs::{families, families_of_the_agent, names_missing, text_of};
use super::{assert_none, files_below, root};

/// Where each alert is explained; the anchor is its name in lower case.
const RUNBOOK: &str = "https://github.com/fairway-dev/fairway/blob/main/docs/troubleshooting.md#";

/// What samples of a family add to its name.
const SUFFIXES: [&str; 6] = ["", "_total", "_info", "_bucket", "_sum", "_count"];

fn rule_files() -> Vec<PathBuf> {
    let found = files_below(&root().join("deploy/monitoring"), &["yaml"]);
    assert!(found.len() >= 3, "rules have gone missing: {found:?}");
    found
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&text_of(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The entries of a list below a key; none where there is no such key.
fn items<'v>(of: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    of.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn word<'v>(of: &'v Value, path: &str) -> &'v str {
    of.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Every alert by its name.
fn alerts() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for path in rule_files() {
        let rules = yaml(&path);
        for rule in items(&rules, "groups").flat_map(|group| items(group, "rules")) {
            let name = word(rule, "/alert").to_owned();
            let twice = found.insert(name.clone(), rule.clone());
            assert!(twice.is_none(), "{name} is there twice");
        }
    }
    assert!(found.len() >= 30, "only {} alerts were found", found.len());
    found
}

#[test]
fn every_alert_says_how_bad_what_how_much_and_where_to_read_on() {
    let mut faults = Vec::new();
    for (name, rule) in alerts() {
        let mut demand = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{name}: {what}"));
            }
        };
        demand(name.starts_with("Fairway"), "its name must begin with Fairway");
        let severity = word(&rule, "/labels/severity");
        demand(["page", "ticket"].contains(&severity), "severity is page or ticket");
        demand(!word(&rule, "/annotations/summary").is_empty(), "no summary");
        let description = word(&rule, "/annotations/description");
        demand(
            description.contains("$value") || description.contains(|c: char| c.is_ascii_digit()),
            "the description must name the number",
        );
        let read_on = format!("{RUNBOOK}{}", name.to_lowercase());
        demand(word(&rule, "/annotations/runbook_url") == read_on, &read_on);
    }
    assert_none("alerts that leave somebody alone", &faults);
}

#[test]
fn every_alert_is_tried_both_ways() {
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for path in files_below(&root().join("tests/monitoring"), &["yaml"]) {
        let told = yaml(&path);
        for check in items(&told, "tests").flat_map(|test| items(test, "alert_rule_test")) {
            let expected = items(check, "exp_alerts").count();
            let kind = if expected > 0 { &mut fires } else { &mut silent };
            kind.insert(word(check, "/alertname").to_owned());
        }
    }
    let untried: Vec<String> = alerts()
        .into_keys()
        .filter(|name| !fires.contains(name) || !silent.contains(name))
        .collect();
    assert_none("alerts without a history that they fire on and one that they do not", &untried);
}

/// What the hub sends to a long-term store beyond its page, as its source writes it down.
fn families_of_remote_write() -> Vec<String> {
    words_of("update-server/src/remote_write/clusters.rs", "fairway_cluster_", 4)
}

/// Names that begin so, in double quotes.
fn words_of(source: &str, prefix: &str, least: usize) -> Vec<String> {
    let text = text_of(source);
    let is_name = |word: &&str| {
        word.starts_with(prefix) && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let found: Vec<String> = text.split('"').filter(is_name).map(str::to_owned).collect();
    assert!(found.len() >= least, "{source}: {found:?}");
    found
}

/// Names of the registry of a site, as its source registers them.
fn families_of_the_mirror() -> Vec<String> {
    let text = text_of("offline-mirror/src/serve/metrics.rs");
    let found: Vec<String> = text
        .split("registry.register(\"")
        .skip(1)
        .filter_map(|rest| Some(format!("fairway_mirror_{}", rest.split_once('"')?.0)))
        .collect();
    assert!(found.len() >= 3, "{found:?}");
    found
}

/// Metrics that a text asks for and no family is.
fn asked_in_vain(text: &str, families: &[String]) -> Vec<String> {
    let is_ours = |word: &&str| {
        ["fairway_", "cluster_version", "cluster_operator"]
            .iter()
            .any(|ours| word.starts_with(ours))
    };
    let asked: BTreeSet<&str> =
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(is_ours).collect();
    assert!(!asked.is_empty(), "no metrics were found in {text}");
    let is_served = |name: &&str| {
        families.iter().any(|family| {
            name.strip_prefix(family.as_str()).is_some_and(|rest| SUFFIXES.contains(&rest))
        })
    };
    asked.into_iter().filter(|name| !is_served(name)).map(str::to_owned).collect()
}

#[test]
fn alerts_ask_for_metrics_that_exist() {
    for (file, families) in [
        ("alerts.yaml", families()),
        ("agent-alerts.yaml", families_of_the_agent()),
        ("mirror-alerts.yaml", families_of_the_mirror()),
    ] {
        let text = text_of(root().join("deploy/monitoring").join(file));
        assert_none(&format!("{file} asks for nothing"), &asked_in_vain(&text, &families));
    }
}

/// Every dashboard by its file.
fn dashboards() -> Vec<(String, Value)> {
    let found: Vec<_> = files_below(&root().join("deploy/monitoring/grafana"), &["json"])
        .into_iter()
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, serde_json::from_str(&text_of(&path)).expect("JSON"))
        })
        .collect();
    assert!(found.len() >= 5, "dashboards have gone missing");
    found
}

fn is_row(panel: &Value) -> bool {
    word(panel, "/type") == "row"
}

#[test]
fn dashboards_ask_for_metrics_that_exist() {
    let mut all = [families(), families_of_the_agent(), families_of_remote_write()].concat();
    all.extend(words_of("cluster-agent/src/footprint/compatible.rs", "cluster_", 4));
    for (name, board) in dashboards() {
        for query in items(&board, "panels").flat_map(|panel| items(panel, "targets")) {
            let text = word(query, "/expr");
            // One of the process, which every client library writes.
            let vain = asked_in_vain(&format!("{text} fairway_build_info"), &all);
            assert_none(&format!("{name} asks for nothing: {text}"), &vain);
        }
    }
}

#[test]
fn dashboards_are_whole() {
    let mut faults = Vec::new();
    for (name, board) in dashboards() {
        let mut demand = |holds: bool, what: String| {
            if !holds {
                faults.push(format!("{name}: {what}"));
            }
        };
        demand(word(&board, "/uid") == name, "uid is not the file's name".to_owned());
        let schema = board.get("schemaVersion").and_then(Value::as_u64).unwrap_or_default();
        demand((36..=39).contains(&schema), format!("schema {schema} is not Grafana 10's or 11's"));
        let mut sources = board
            .pointer("/templating/list")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|variable| word(variable, "/type") == "datasource");
        let source = sources.next().map(|variable| word(variable, "/name"));
        demand(source == Some("datasource"), "no variable for the data source".to_owned());
        let mut ids = BTreeSet::new();
        for panel in items(&board, "panels") {
            let title = word(panel, "/title");
            demand(!title.is_empty(), "a panel has no title".to_owned());
            let id = panel.get("id").and_then(Value::as_u64).unwrap_or_default();
            demand(ids.insert(id), format!("{title}: its id is taken"));
            if is_row(panel) {
                continue;
            }
            demand(!word(panel, "/description").is_empty(), format!("{title}: no description"));
            demand(items(panel, "targets").count() > 0, format!("{title}: no query"));
            for query in items(panel, "targets") {
                let from = word(query, "/datasource/uid");
                demand(from == "${datasource}", format!("{title}: data source {from}"));
            }
        }
    }
    assert_none("dashboards", &faults);
}

#[test]
fn panels_do_not_lie_on_each_other() {
    let mut faults = Vec::new();
    for (name, board) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in items(&board, "panels") {
            let number = |key: &str| {
                let found = panel.pointer(&format!("/gridPos/{key}")).and_then(Value::as_u64);
                found.expect("a place")
            };
            let (x, y) = (number("x"), number("y"));
            for cell in (y..y + number("h")).flat_map(|y| (x..x + number("w")).map(move |x| (x, y)))
            {
                if cell.0 >= 24 || !taken.insert(cell) {
                    faults.push(format!("{name}: {} at {cell:?}", word(panel, "/title")));
                    break;
                }
            }
        }
    }
    assert_none("panels on each other or beyond the edge", &faults);
}

/// What the alert of this name asks for.
fn asked_by(alert: &str) -> String {
    word(alerts().get(alert).expect("an alert"), "/expr").to_owned()
}

#[test]
fn alerts_about_waiting_name_gates_that_exist() {
    let manual = text_of("docs/agent.md");
    for alert in ["FairwayAgentWaits", "FairwayAgentForgotten"] {
        let asked = asked_by(alert);
        let gates = asked.split_once("gate").expect("gates").1.split('"').nth(1).expect("a list");
        assert_none(alert, &names_missing(&manual, gates.split('|').map(str::to_owned)));
    }
}
