//! Documents point at files that exist, quote commands that exist, and name what the code names.

use std::path::{Path, PathBuf};

use super::quoted::{self, Quoted};
use super::{assert_none, files_below, root};

/// Longest map of the code that a newcomer reads to its end.
const ARCHITECTURE_LINES_MAX: usize = 200;

fn documents() -> Vec<PathBuf> {
    files_below(&root(), &["md"])
}

pub(super) fn text_of(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(path)).expect("utf-8 text")
}

#[test]
fn relative_links_lead_somewhere() {
    let mut faults = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).expect("utf-8 text");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            if !path.parent().expect("a folder").join(file).exists() {
                faults.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_none("links to nowhere", &faults);
}

#[test]
fn the_architecture_is_read_in_one_sitting() {
    let lines = text_of("ARCHITECTURE.md").lines().count();
    assert!(lines <= ARCHITECTURE_LINES_MAX, "{lines} lines, at most {ARCHITECTURE_LINES_MAX}");
}

#[test]
fn quoted_commands_are_ones_the_programs_take() {
    let mut faults = Vec::new();
    let mut checked = 0_usize;
    let manuals = files_below(&root().join("docs"), &["md"]);
    for path in manuals.into_iter().chain([root().join("README.md")]) {
        let text = std::fs::read_to_string(&path).expect("utf-8 text");
        for Quoted { line, words } in quoted::commands(&text) {
            checked += 1;
            if let Err(fault) = quoted::check(&words) {
                faults.push(format!("{}:{line}: {fault}: {}", path.display(), words.join(" ")));
            }
        }
    }
    assert_none("commands nobody takes", &faults);
    assert!(checked >= 8, "only {checked} commands were found: is the reader of documents broken?");
}

/// Names in back quotes in the first column of tables, and elsewhere.
pub(super) fn names_missing(text: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    names.into_iter().filter(|name| !text.contains(&format!("`{name}`"))).collect()
}

#[test]
fn every_gate_is_explained_to_the_person_on_duty() {
    let manual = text_of("docs/agent.md");
    let gates = ["plan/waiting_on.rs", "observation/finding.rs"].into_iter().flat_map(|file| {
        let source = text_of(Path::new("cluster-agent/src").join(file));
        let names: Vec<String> = source
            .lines()
            .filter_map(|line| line.split_once("=> \"")?.1.split_once("\","))
            .filter(|(name, rest)| rest.is_empty() && !name.contains(' '))
            .map(|(name, _)| name.to_owned())
            .collect();
        assert!(names.len() > 20, "the gates of {file} are not found");
        names
    });
    assert_none("gates that agent.md does not explain", &names_missing(&manual, gates));
}

/// The tables of gates in the guide for the person on duty.
fn gates_of_the_guide() -> String {
    let guide = text_of("docs/agent.md");
    let tables = guide.split_once("\n## Every gate\n").expect("its heading").1;
    tables.split("\n## ").next().unwrap_or_default().to_owned()
}

#[test]
fn every_gate_has_what_it_looks_at_why_and_what_to_do() {
    let gates = gates_of_the_guide();
    let rows: Vec<&str> = gates.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 50, "the tables of gates are not found");
    let whole = |row: &&str| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty())
    };
    let torn: Vec<String> = rows.into_iter().filter(|row| !whole(row)).map(str::to_owned).collect();
    assert_none("rows of gates with an empty or missing cell", &torn);
}

/// The default that follows a quoted key, as in "`limits.pleg.green_ms` (1 s)".
fn default_after(rest: &str) -> Option<(&str, bool)> {
    let rest = rest.strip_prefix(" (").or_else(|| rest.strip_prefix(", "))?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
    let (value, after) = rest.split_at(end);
    let is_value = value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok();
    is_value.then(|| (value, after.starts_with(" s")))
}

#[test]
fn defaults_in_the_guide_are_the_defaults() {
    let example: toml::Table =
        text_of("cluster-agent/src/config/example.toml").parse().expect("an example in TOML");
    let known = |key: &str| {
        let mut words = key.split('.');
        let first = example.get(words.next()?)?;
        words.try_fold(first, |table, word| table.get(word)).cloned()
    };
    let guide = text_of("docs/agent.md");
    let (mut faults, mut checked) = (Vec::new(), 0_usize);
    for (at, _) in guide.match_indices('`') {
        let Some((key, rest)) = guide[at + 1..].split_once('`') else { continue };
        let ours = ["limits.", "timings.", "probes."].iter().any(|table| key.starts_with(table));
        let Some((given, in_seconds)) = default_after(rest).filter(|_| ours) else { continue };
        checked += 1;
        let expected = match known(key) {
            Some(toml::Value::Integer(ms)) if in_seconds => {
                jiff::SignedDuration::from_millis(ms).as_secs_f64().to_string()
            }
            Some(value) => value.to_string(),
            None => "no such key".to_owned(),
        };
        if expected != given {
            faults.push(format!("{key}: {given}, but it is {expected}"));
        }
    }
    assert_none("defaults that are others", &faults);
    assert!(checked >= 12, "only {checked} defaults were found");
}

#[test]
fn every_problem_is_in_the_api_document() {
    let manual = text_of("docs/http-api.md");
    let mut faults = Vec::new();
    for code in update_server::http::problem::Code::ALL {
        let row = format!("| `{}` | {} |", code.slug(), code.status().as_u16());
        if !manual.contains(&row) {
            faults.push(row);
        }
    }
    assert_none("problems that http-api.md does not list", &faults);
}

/// Metric families of the hub, without the suffixes of samples.
pub(super) fn families() -> Vec<String> {
    use update_server::metrics::{
        ChannelLabels, ClusterLabels, DriftLabels, Metrics, ProductLabel, RolloutLabels, State,
    };
    let metrics = Metrics::new("0");
    // A family shows itself once it has a member.
    metrics.count_graph(200);
    metrics.count_tuf(200);
    metrics.count_publication("ok");
    metrics.count_report("ok");
    metrics.count_tls_reload("ok");
    metrics.set_certificate_expiry(Some(jiff::Timestamp::UNIX_EPOCH));
    metrics.count_limited("requests");
    metrics.count_remote_write("sent", 1);
    let (product, channel) = (String::new(), String::new());
    let drift = DriftLabels { product, channel, state: "" };
    metrics.clusters_drift.get_or_create(&drift).inc();
    let (product, channel) = (String::new(), String::new());
    metrics.clusters_eol.get_or_create(&ChannelLabels { product, channel }).inc();
    let (product, channel, version) = (String::new(), String::new(), String::new());
    let cluster = ClusterLabels { product, channel, version, phase: "" };
    metrics.clusters.get_or_create(&cluster).inc();
    metrics.clusters_freshness.get_or_create(&State { state: "" }).inc();
    metrics.clusters_health.get_or_create(&State { state: "" }).inc();
    metrics.sites.get_or_create(&State { state: "" }).inc();
    metrics.rollouts.get_or_create(&RolloutLabels { product: String::new(), state: "" }).inc();
    let product = ProductLabel { product: String::new() };
    metrics.rollout_in_flight.get_or_create(&product).inc();
    metrics.rollout_failures.get_or_create(&product).inc();
    metrics
        .render()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_metric_is_in_the_manual() {
    let manual = text_of("docs/operations.md");
    let missing: Vec<String> = families()
        .into_iter()
        .filter(|family| {
            let short = family.strip_prefix("fairway_").expect("our prefix");
            !["`", "{", "_total", "_info"]
                .iter()
                .any(|after| manual.contains(&format!("`{short}{after}")))
        })
        .collect();
    assert_none("metrics that operations.md does not list", &missing);
}

/// Names of the agent's own series, as its source writes them down.
pub(super) fn families_of_the_agent() -> Vec<String> {
    let source = text_of("cluster-agent/src/footprint/figures.rs");
    let names: Vec<String> = source
        .split('"')
        .filter(|word| word.starts_with("fairway_agent_") && !word.contains(' '))
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 20, "the metrics of the agent are not found");
    names
}

#[test]
fn every_metric_of_the_agent_is_in_the_manual() {
    let manual = text_of("docs/operations.md");
    let missing: Vec<String> = families_of_the_agent()
        .into_iter()
        .filter(|family| {
            let short = family.strip_prefix("fairway_agent_").expect("our prefix");
            !["`", "{", "_total"].iter().any(|after| manual.contains(&format!("`{short}{after}")))
        })
        .collect();
    assert_none("metrics of the agent that operations.md does not list", &missing);
}

#[test]
fn example_configurations_are_accepted() {
    let mut texts: Vec<(String, String)> = files_below(&root().join("deploy/agent"), &["toml"])
        .into_iter()
        .map(|path| (path.display().to_string(), text_of(&path)))
        .collect();
    let guide = text_of("docs/getting-started.md");
    texts.extend(
        quoted::blocks(&guide, &["toml"])
            .map(|(line, block)| (format!("docs/getting-started.md:{line}"), block)),
    );
    assert!(texts.len() >= 4, "examples have gone missing");
    let mut faults = Vec::new();
    for (name, text) in &texts {
        let parsed = cluster_agent::config::Settings::parse(
            text,
            Path::new(name),
            Path::new("/etc/fairway"),
            cluster_agent::config::Overrides::default(),
        );
        if let Err(error) = parsed {
            faults.push(format!("{name}: {error}"));
        }
    }
    assert_none("examples that an agent refuses", &faults);
}

#[test]
fn stopping_the_agents_unit_leaves_its_commands_running() {
    let unit = text_of("deploy/systemd/cluster-agent.service");
    assert!(unit.lines().any(|line| line == "KillMode=process"), "commands would be killed");
}
