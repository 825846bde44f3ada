//! What somebody who helps from afar needs to know: one JSON document without secrets.
//!
//! It reads what is there and asks every unit for its page once. It takes no lock, changes nothing,
//! and goes on where a part cannot be had, saying so. Never in it: keys, tokens, values of
//! environments, arguments and output of commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};
use signing::causes::chain;

use super::redact::Redactor;
use crate::agent::{Prober, load_enrolment};
use crate::config::{ConfigError, Overrides, Settings};
use crate::kafka::change::ChangeFile;
use crate::observation::UnitKey;
use crate::state::{Control, StateError, in_use, read_bounded};
use crate::telemetry::{FamilyReading, Probe, Sample, SampleValue, ScrapeError};

/// Form of the document.
const FORMAT: u32 = 1;

/// Files of the state directory that are listed: a step leaves a handful.
const FILES_MAX: usize = 1_000;

/// How deep they are looked for: `steps/<id>/<stage>/<file>`.
const DEPTH_MAX: usize = 4;

/// The document.
#[derive(Debug, Serialize)]
struct Bundle {
    format: u32,
    made_at: Timestamp,
    agent_version: &'static str,
    config: Json,
    /// The state directory's documents by file name.
    documents: BTreeMap<&'static str, Json>,
    running: Option<bool>,
    cluster_id: Option<String>,
    host: Json,
    files: Vec<Listed>,
    pages: BTreeMap<String, Json>,
    /// What could not be had, and why.
    missing: Vec<String>,
}

/// A file by name; what is in it is not here.
#[derive(Debug, Serialize)]
struct Listed {
    path: String,
    bytes: u64,
    modified: Option<Timestamp>,
}

/// Whether pages of units are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Every unit's, once.
    Asked,
    /// None.
    Left,
}

/// Puts the document together. Only a configuration that is no TOML at all is an error.
pub async fn bundle(config: &Path, pages: Pages, now: Timestamp) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(config)
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", config.display()))?;
    let table: toml::Table = text
        .parse()
        // The library's own text quotes the file.
        .map_err(|_| anyhow::anyhow!("{} is not TOML", config.display()))?;
    let mut redactor = Redactor::default();
    let mut bundle = Bundle {
        format: FORMAT,
        made_at: now,
        agent_version: env!("CARGO_PKG_VERSION"),
        config: redactor.config(&table),
        documents: BTreeMap::new(),
        running: None,
        cluster_id: None,
        host: Json::Null,
        files: vec![],
        pages: BTreeMap::new(),
        missing: vec![],
    };
    let settings = match Settings::load(config, Overrides::from_env()) {
        Ok(settings) => Some(settings),
        Err(error) => {
            bundle.missing.push(format!("the configuration is not valid: {}", refusal(&error)));
            None
        }
    };
    let written = table.get("state_dir").and_then(toml::Value::as_str).map(PathBuf::from);
    let state_dir = settings.as_ref().map(|settings| settings.state_dir.clone()).or(written);
    match &state_dir {
        Some(dir) => from_state(&mut bundle, dir),
        None => bundle.missing.push("no state directory is configured".to_owned()),
    }
    bundle.host = host(state_dir.as_deref());
    if let (Some(settings), Pages::Asked) = (&settings, pages) {
        from_units(&mut bundle, settings).await;
    }
    let mut document = serde_json::to_value(&bundle)?;
    redactor.scrub(&mut document);
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The library's own text of a refusal quotes the file.
fn refusal(error: &ConfigError) -> String {
    if let ConfigError::Parse { source, .. } = error {
        return format!("{error}: {}", source.message());
    }
    chain(error)
}

fn from_state(bundle: &mut Bundle, dir: &Path) {
    for name in ["status.json", "state.json"] {
        let read = read_bounded(&dir.join(name)).map_err(|error| chain(&error));
        let parsed = read.and_then(|bytes| match bytes {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            None => Err("there is none".to_owned()),
        });
        match parsed {
            Ok(document) => drop(bundle.documents.insert(name, document)),
            Err(why) => bundle.missing.push(format!("{name}: {why}")),
        }
    }
    let control = Control::new(dir);
    let orders = [
        ("hold", shown(control.hold())),
        ("approvals", shown(control.approvals())),
        ("resume", shown(control.resume_order())),
        ("finalize", shown(control.finalize_approvals())),
        ("levels_unchanged", shown(control.levels_unchanged())),
        ("quorum_change", shown(ChangeFile::new(dir).read())),
    ];
    let mut known = serde_json::Map::new();
    for (name, order) in orders {
        match order {
            Ok(order) => drop(known.insert(name.to_owned(), order)),
            Err(why) => bundle.missing.push(why),
        }
    }
    bundle.documents.insert("orders", Json::Object(known));
    match load_enrolment(dir) {
        Ok(enrolment) => bundle.cluster_id = enrolment.map(|found| found.cluster_id.to_string()),
        Err(error) => bundle.missing.push(chain(&error)),
    }
    match in_use(dir) {
        Ok(in_use) => bundle.running = Some(in_use == crate::state::InUse::Yes),
        Err(error) => bundle.missing.push(chain(&error)),
    }
    list(dir, dir, DEPTH_MAX, &mut bundle.files);
}

fn shown<T: Serialize>(read: Result<T, StateError>) -> Result<Json, String> {
    let read = read.map_err(|error| chain(&error))?;
    serde_json::to_value(read).map_err(|error| error.to_string())
}

/// Lists files below `dir` by their names below `root`.
fn list(root: &Path, dir: &Path, depth: usize, files: &mut Vec<Listed>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        if found.is_dir() && depth > 1 {
            list(root, &path, depth - 1, files);
        } else if files.len() < FILES_MAX {
            let name = path.strip_prefix(root).unwrap_or(&path);
            files.push(Listed {
                path: name.display().to_string(),
                bytes: found.len(),
                modified: found.modified().ok().and_then(|at| Timestamp::try_from(at).ok()),
            });
        }
    }
}

/// The machine: kernel, clock, memory and the disk the agent writes to.
fn host(state_dir: Option<&Path>) -> Json {
    let line = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        text.lines().next().map(str::to_owned)
    };
    let memory: BTreeMap<String, String> = std::fs::read_to_string("/proc/meminfo")
        .unwrap_or_default()
        .lines()
        .take(3)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let disk = state_dir.and_then(|dir| rustix::fs::statvfs(dir).ok()).map(|found| {
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        json!({
            "total_bytes": bytes(found.f_blocks),
            "free_bytes": bytes(found.f_bavail),
            "free_files": found.f_favail,
        })
    });
    json!({
        "kernel": line("/proc/version"),
        "load": line("/proc/loadavg"),
        "uptime_s": line("/proc/uptime"),
        "memory": memory,
        "clocksource": line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "time_zone": jiff::tz::TimeZone::system().iana_name(),
        "state_dir_disk": disk,
    })
}

async fn from_units(bundle: &mut Bundle, settings: &Settings) {
    // Pages are asked of units alone.
    let prober = match Prober::new(settings, None) {
        Ok(prober) => prober,
        Err(error) => {
            bundle.missing.push(format!("pages of units: {}", chain(&error)));
            return;
        }
    };
    let shown =
        |(key, result): (UnitKey, Result<Probe, ScrapeError>)| (key.to_string(), page(result));
    bundle.pages = prober.pages().await.into_iter().map(shown).collect();
}

/// The families that matter of one page.
fn page(result: Result<Probe, ScrapeError>) -> Json {
    let probe = match result {
        Ok(probe) => probe,
        Err(error) => return json!({"error": chain(&error)}),
    };
    let page = match &probe.page {
        Ok(page) => page,
        Err(error) => return json!({"error": error.to_string()}),
    };
    let families: BTreeMap<&str, Json> = page
        .readings()
        .filter_map(|(name, reading)| match reading {
            FamilyReading::Absent => None,
            FamilyReading::Read(samples) => Some((name, samples.iter().map(sample).collect())),
            FamilyReading::Unreadable { why, line_no } => {
                Some((name, json!({"unreadable": why, "line": line_no})))
            }
        })
        .collect();
    json!({"asked_at": probe.requested_at, "date": probe.date, "families": families})
}

fn sample(sample: &Sample) -> Json {
    // As text: JSON has no infinity, and a bucket's bound often is.
    let pairs = |leaves: &[(f64, f64)]| -> Vec<String> {
        leaves.iter().map(|(at, value)| format!("{at} {value}")).collect()
    };
    let value = match &sample.value {
        SampleValue::Number(number) => json!(number.to_string()),
        SampleValue::Buckets(leaves) | SampleValue::Quantiles(leaves) => json!(pairs(leaves)),
    };
    json!({"name": sample.name, "labels": sample.labels, "value": value})
}

#[cfg(test)]
#[path = "support_tests.rs"]
mod tests;
