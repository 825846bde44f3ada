//! An agent takes over what any earlier one left behind, in whichever phase it was killed.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cluster_agent::history::History;
use cluster_agent::state::{Document, StateDir, StateError, load};
use jiff::Timestamp;
use serde_json::Value;

fn forms() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/state")
}

/// Every golden file: form, phase, content.
fn golden() -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for form in std::fs::read_dir(forms()).unwrap().map(|entry| entry.unwrap().path()) {
        if !form.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&form).unwrap().map(|entry| entry.unwrap().path()) {
            let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
            let content = std::fs::read_to_string(&file).unwrap();
            found.insert((name(&form), name(&file)), serde_json::from_str(&content).unwrap());
        }
    }
    found
}

/// The document as an agent reads it from its directory.
fn read(document: &Value) -> Result<Document, StateError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state.json"), document.to_string()).unwrap();
    load(dir.path(), "east")
}

fn phase(history: &History) -> String {
    let out = history.out.as_ref().map(|out| serde_json::to_value(&out.phase).unwrap());
    out.map_or_else(|| "idle".to_owned(), |phase| phase["name"].as_str().unwrap().to_owned())
}

#[test]
fn every_form_that_agents_ever_wrote_is_read_in_every_phase() {
    let golden = golden();
    let forms: std::collections::BTreeSet<&str> =
        golden.keys().map(|(form, _)| form.as_str()).collect();
    assert_eq!(forms, ["1", "2", "3", "4"].into());
    assert!(golden.len() >= 40, "{} files", golden.len());
    for ((form, name), document) in &golden {
        let read = read(document).unwrap_or_else(|error| panic!("{form}/{name}: {error:?}"));
        assert_eq!(phase(&read.history), *name, "{form}");
        let kafka = &read.history.products[&"acme/kafka".parse().unwrap()];
        let roll = kafka.roll.as_ref().unwrap();
        assert_eq!((roll.to.to_string().as_str(), roll.units_done), ("4.0.0", 1), "{form}/{name}");
        assert_eq!(kafka.completed.len(), 1);
        assert_eq!(read.history.calm.len(), 2, "{form}/{name}");
        assert_eq!((read.seq, read.history.highest_generation), (1_763_647_260_000, 12));
        if let Some(out) = &read.history.out {
            assert_eq!(out.key().to_string(), "acme/kafka/c-2");
            assert_eq!(out.before.epoch_at_soak, Some(7));
        }
    }
}

#[test]
fn what_is_new_in_a_form_has_its_most_careful_value_in_the_forms_before() {
    let golden = golden();
    let soak = |form: &str| {
        let document = read(&golden[&(form.to_owned(), "soak".to_owned())]).unwrap();
        serde_json::to_value(document.history.out.unwrap().phase).unwrap()
    };
    assert_eq!(soak("1")["watched_ms"], 0, "nobody watched, so nothing counts as watched");
    assert_eq!(soak("2")["watched_ms"], 30_000);
    let preflight = |form: &str| {
        let document = read(&golden[&(form.to_owned(), "preflight".to_owned())]).unwrap();
        serde_json::to_value(document.history.out.unwrap().phase).unwrap()
    };
    assert_eq!(preflight("2")["prepared"], false, "the hook before has not run");
    assert_eq!(preflight("3")["prepared"], true);
    let changed_in = |form: &str, name: &str| {
        let document = read(&golden[&(form.to_owned(), name.to_owned())]).unwrap();
        document.history.out.unwrap().changed_in
    };
    assert_eq!(changed_in("3", "preflight"), None, "its first attempt has changed nothing");
    assert_eq!(changed_in("4", "preflight"), Some(1));
}

/// Fields that are not written when they hold nothing count as the same.
fn without_nulls(value: &Value) -> Value {
    if let Value::Array(values) = value {
        return Value::Array(values.iter().map(without_nulls).collect());
    }
    let Value::Object(fields) = value else { return value.clone() };
    let kept = fields.iter().filter(|(_, value)| !value.is_null());
    Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
}

#[test]
fn the_newest_form_is_what_this_agent_writes() {
    for ((form, name), document) in golden().iter().filter(|((form, _), _)| form == "4") {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        state.save(&read(document).unwrap()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("state.json")).unwrap();
        let mut written: Value = serde_json::from_str(&text).unwrap();
        written["history"]["products"]
            .as_object_mut()
            .unwrap()
            .values_mut()
            .for_each(|product| *product = without_nulls(product));
        assert_eq!(without_nulls(&written), without_nulls(document), "{form}/{name}");
    }
}

#[test]
fn a_form_of_a_later_agent_is_refused_and_left_as_it_is() {
    let mut document = golden()[&("4".to_owned(), "soak".to_owned())].clone();
    document["format"] = 3.into();
    let error = read(&document).unwrap_err();
    assert!(matches!(error, StateError::Newer { found: 3, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("run the newer agent"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.json");
    std::fs::write(&path, document.to_string()).unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    state.load("east", Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), document.to_string());
}
