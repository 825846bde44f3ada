//! The document against the router, the golden files and every answer that any test here sees.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use super::*;
use crate::http::api::openapi::document;

thread_local! {
    static REGISTERED: RefCell<BTreeMap<String, &'static str>> = RefCell::default();
}

/// Called for every resource that answers other methods with `Allow`.
pub(in super::super) fn note(path: &str, allow: &'static str) {
    REGISTERED.with_borrow_mut(|known| known.insert(path.to_owned(), allow));
}

fn declared() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(document)
}

/// Whether a path of the document stands for this one; a place in braces stands for one segment, or
/// for all that follow where it is a file's path.
fn stands_for(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) | (Some("{path}"), Some(_)) => return true,
            (Some(place), Some(segment)) => {
                if !place.starts_with('{') && place != segment {
                    return false;
                }
            }
            (None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

/// Fails on an answer whose status the document does not have. What is not in it at all, another test
/// finds.
pub(super) fn assert_declared(method: &str, path: &str, status: u16) {
    if method == "HEAD" && status == 405 {
        // Not every GET has one.
        return;
    }
    let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
    let paths = declared()["paths"].as_object().unwrap();
    // `/clusters/self/key` before `/clusters/{id}/…`.
    let exact = paths.get(path).map(|operations| (path, operations));
    let found = exact.or_else(|| {
        let fits = |(template, _): &(&String, &Value)| stands_for(template, path);
        paths.iter().find(fits).map(|(template, operations)| (template.as_str(), operations))
    });
    let Some((template, operations)) = found else { return };
    let Some(operation) = operations.get(&method) else { return };
    let known = operation["responses"].as_object().unwrap().contains_key(&status.to_string());
    assert!(known, "{method} {template} answered {status}, which openapi.json does not declare");
}

#[test]
fn parameters_of_a_closed_set_name_all_of_it() {
    use super::super::clusters::{DRIFT_STATES, FRESHNESS, PHASES, VERDICTS};
    use crate::fleet::Activity;
    use channels::wire::{AttemptState, DriftState, Freshness, HealthVerdict};
    let named = |path: &str, name: &str| {
        let all = declared()["paths"][path]["get"]["parameters"].as_array().unwrap();
        let found = all.iter().find(|parameter| parameter["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} of {path}"))["schema"]["enum"].clone()
    };
    let list = "/api/v1/clusters";
    assert_eq!(named(list, "phase"), json!(PHASES.map(Phase::as_str)));
    assert_eq!(named(list, "health"), json!(VERDICTS.map(HealthVerdict::as_str)));
    assert_eq!(named(list, "freshness"), json!(FRESHNESS.map(Freshness::as_str)));
    assert_eq!(named(list, "activity"), json!(Activity::ALL.map(Activity::as_str)));
    assert_eq!(named(list, "drift"), json!(DRIFT_STATES.map(DriftState::as_str)));
    let members = "/api/v1/rollouts/{id}/clusters";
    assert_eq!(named(members, "state"), json!(AttemptState::KNOWN.map(AttemptState::as_str)));
}

#[actix_web::test]
async fn every_registered_path_and_method_is_documented_and_no_other() {
    let hub = Hub::new().await;
    hub.ask(Access::Viewer, "GET", "/livez", None).await;
    let registered: BTreeMap<String, BTreeSet<String>> = REGISTERED.with_borrow(|known| {
        let methods = |allow: &str| {
            let methods = allow.split(", ").filter(|method| *method != "HEAD");
            methods.map(str::to_lowercase).collect()
        };
        known.iter().map(|(path, allow)| (path.clone(), methods(allow))).collect()
    });
    let public = |path: &str| {
        ["/tuf/", "/api/upgrades_info/", "/api/fcos/"].iter().any(|under| path.starts_with(under))
    };
    let documented: BTreeMap<String, BTreeSet<String>> = declared()["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(path, _)| !public(path))
        .map(|(path, operations)| {
            (path.clone(), operations.as_object().unwrap().keys().cloned().collect())
        })
        .collect();
    assert_eq!(registered, documented);
}

fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_to_a_shape_and_every_operation_has_a_name_of_its_own() {
    let mut found = BTreeSet::new();
    references(declared(), &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(declared().pointer(pointer).is_some(), "{reference}");
    }
    let mut names = BTreeSet::new();
    for operation in declared()["paths"].as_object().unwrap().values() {
        for operation in operation.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} twice");
            assert!(!operation["responses"].as_object().unwrap().is_empty(), "{name}");
        }
    }
}

#[actix_web::test]
async fn the_document_is_served_as_it_is_committed() {
    let hub = Hub::new().await;
    let answer = hub.ask_with(None, "GET", "/openapi.json", None).await;
    let tag = answer.header("etag").unwrap().to_owned();
    let served: Value = answer.json();
    let again = TestRequest::get().uri("/openapi.json").insert_header(("if-none-match", tag));
    assert_eq!(hub.call(again).await.status, 304);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os("FAIRWAY_WRITE_OPENAPI").is_some() {
        std::fs::write(&file, serde_json::to_string_pretty(&served).unwrap() + "\n").unwrap();
    }
    let committed: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(
        served == committed,
        "docs/openapi.json is old: run this test with FAIRWAY_WRITE_OPENAPI=1 and look at the diff"
    );
}
