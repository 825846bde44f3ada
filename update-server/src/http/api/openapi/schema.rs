//! Shapes of documents, read off examples of them.
//!
//! A golden file shows every field a document can have, each with a value of its type. What it cannot
//! show is which fields may be absent, so no shape of an answer says that one is required.

use channels::eol::EndOfLife;
use serde_json::{Map, Value, json};

/// The golden files that shapes are read off: the document's name, and its cases.
macro_rules! golden {
    ($($name:literal: [$($file:literal),+];)*) => {
        const GOLDEN: &[(&str, &[&str])] = &[$(($name, &[$(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/../channels/golden/v1/", $file, ".json"
        ))),+])),*];
    };
}

golden! {
    "audit-row": ["audit-row"];
    "bulk-reply": ["bulk-reply", "bulk-reply--next"];
    "cluster-risk-page": ["cluster-risk-page"];
    "cluster-row-page": ["cluster-row-page", "cluster-row-page--accepted", "cluster-row-page--conflict", "cluster-row-page--dark",
        "cluster-row-page--eol", "cluster-row-page--labels", "cluster-row-page--revoked", "cluster-row-page--settings"];
    "dead-delivery-page": ["dead-delivery-page"];
    "drift-answer": ["drift-answer", "drift-answer--sites"];
    "enrolment-reply": ["enrolment-reply"];
    "enrolment-request": ["enrolment-request"];
    "graph": ["graph", "graph--marks"];
    "health-answer": ["health-answer"];
    "hold": ["hold"];
    "hub-event": ["hub-event"];
    "hub-keys": ["hub-keys", "hub-keys--next"];
    "hub-status": ["hub-status", "hub-status--minimal"];
    "join-token": ["join-token"];
    "key-rotation-reply": ["key-rotation-reply"];
    "key-rotation-request": ["key-rotation-request"];
    "new-webhook": ["new-webhook"];
    "open-join-token": ["open-join-token"];
    "policy-reply": ["policy-reply"];
    "policy-row-page": ["policy-row-page"];
    "problem": ["problem", "problem--replayed"];
    "publication-reply": ["publication-reply"];
    "report": ["report", "report--accepted", "report--instance", "report--measured", "report--minimal"];
    "report-reply": ["report-reply", "report-reply--measures", "report-reply--settings"];
    "rollout-cluster-page": ["rollout-cluster-page"];
    "rollout-row": ["rollout-row", "rollout-row--minimal"];
    "site-import-page": ["site-import-page"];
    "site-key": ["site-key"];
    "site-row-page": ["site-row-page", "site-row-page--receipt"];
    "site-status": ["site-status", "site-status--accepted", "site-status--receipt", "site-status--redacted"];
    "soak-answer": ["soak-answer"];
    "status-import-reply": ["status-import-reply"];
    "timeline-page": ["timeline-page"];
    "trends-answer": ["trends-answer"];
    "webhook-attempt": ["webhook-attempt", "webhook-attempt--delivered"];
    "webhook-page": ["webhook-page"];
}

/// Objects whose keys are data, or whose content is anything.
const MAPS: [&str; 8] =
    ["labels", "detail", "by_freshness", "by_health", "metadata", "settings", "arches", "caps"];

/// Every shape, by name; documents that hold rows of others are built from them.
pub(super) fn components() -> Value {
    let mut found = Map::new();
    for (name, examples) in GOLDEN {
        // The files are read by the tests of the types: always JSON.
        let examples = examples.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let shape = examples.map(|example| shape("", &example)).reduce(joined);
        found.insert((*name).to_owned(), shape.unwrap_or_else(|| json!({})));
    }
    found.extend(written());
    Value::Object(found)
}

/// Shapes of documents that no other process of ours reads, and so have no golden file.
fn written() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let page = |item: Value| {
        json!({ "type": "object", "properties": {
        "items": { "type": "array", "items": item }, "next": { "type": "string" },
    }, "required": ["items"] })
    };
    let shapes = json!({
        "cluster-row": row_of("cluster-row-page"),
        "policy-row": row_of("policy-row-page"),
        "site-row": row_of("site-row-page"),
        "audit-row-page": page(reference("audit-row")),
        "hold-page": page(reference("hold")),
        "open-join-token-page": page(reference("open-join-token")),
        "rollout-row-page": page(reference("rollout-row")),
        "session-page": page(json!({ "type": "object" })),
        "token-page": page(json!({ "type": "object" })),
        "product-page": page(json!({ "type": "object", "properties": {
            "product": text, "releases": { "type": "array", "items": { "type": "object" } } } })),
        "channel-page": page(json!({ "type": "object", "properties": {
            "product": text, "channel": text, "arch": text, "head": { "type": ["string", "null"] },
            "nodes": number, "edges": number, "conditional_edges": number, "digest": text } })),
        "history-page": page(json!({ "type": "object", "properties": {
            "at": text, "product": text, "version": text, "target": text, "phase": text,
            "unit": text, "health": text, "seq": number,
            "quorum_lag_ms": number, "pleg_lag_ms": number } })),
        "rollout-course": { "type": "object", "properties": {
            "at": text, "clusters": number, "planned": line(json!({ "clusters": number })),
            "actual": line(json!({ "started": number, "done": number })),
            "expected": line(json!({ "clusters": number })),
            "all_open_at": text, "done_at": text } },
        "new-token": { "type": "object", "properties": {
            "id": number, "name": text, "access": text, "token": text } },
        "chain-check": { "type": "object", "properties": {
            "rows": number, "head": text, "broken_at": { "type": ["integer", "null"] } } },
        "readiness": { "type": "object", "properties": {
            "ready": { "type": "boolean" },
            "reasons": { "type": "array", "items": { "type": "object" } } } },
        "cincinnati-error": { "type": "object", "properties": { "kind": text, "value": text } },
        "any": {},
    });
    match shapes {
        Value::Object(shapes) => shapes,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

/// Figures over time.
fn line(figures: Value) -> Value {
    let mut properties = json!({ "at": { "type": "string", "format": "date-time" } });
    if let (Value::Object(all), Value::Object(figures)) = (&mut properties, figures) {
        all.extend(figures);
    }
    json!({ "type": "array", "items": { "type": "object", "properties": properties } })
}

/// A row of a page's items.
fn row_of(page: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{page}/properties/items/items") })
}

/// Names a shape.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn shape(key: &str, example: &Value) -> Value {
    match example {
        Value::Object(_) if MAPS.contains(&key) => json!({ "type": "object" }),
        Value::Object(fields) => {
            let properties: Map<String, Value> =
                fields.iter().map(|(key, value)| (key.clone(), shape(key, value))).collect();
            json!({ "type": "object", "properties": properties })
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| shape("", item)).reduce(joined);
            json!({ "type": "array", "items": items.unwrap_or_else(|| json!({})) })
        }
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => {
            json!({ "type": "string", "format": "date-time" })
        }
        Value::String(text) if text.parse::<EndOfLife>().is_ok() => {
            json!({ "type": "string", "format": "date" })
        }
        Value::String(_) => json!({ "type": "string" }),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(number) if number.is_f64() => json!({ "type": "number" }),
        Value::Number(_) => json!({ "type": "integer" }),
        Value::Null => json!({}),
    }
}

/// What two examples of one place have in common; anything where they are of different types.
fn joined(a: Value, b: Value) -> Value {
    if a == b {
        return a;
    }
    match (&a, &b) {
        (Value::Object(one), Value::Object(other)) if one.get("type") == other.get("type") => {
            let mut both = Map::new();
            for key in one.keys().chain(other.keys()) {
                let value = match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) if key == "properties" => properties(one, other),
                    (Some(one), Some(other)) if key == "items" => {
                        joined(one.clone(), other.clone())
                    }
                    (Some(one), Some(other)) if one == other => one.clone(),
                    // A format or an item that only one of them has.
                    (Some(only), None) | (None, Some(only)) if key == "properties" => only.clone(),
                    _ => continue,
                };
                both.insert(key.clone(), value);
            }
            Value::Object(both)
        }
        // Nothing is known of one of them.
        (Value::Object(one), _) if one.is_empty() => b,
        (_, Value::Object(other)) if other.is_empty() => a,
        _ => json!({}),
    }
}

fn properties(one: &Value, other: &Value) -> Value {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return json!({}) };
    let mut both = one.clone();
    for (key, value) in other {
        let value = match one.get(key) {
            Some(known) => joined(known.clone(), value.clone()),
            None => value.clone(),
        };
        both.insert(key.clone(), value);
    }
    Value::Object(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_knows_the_fields_of_every_example() {
        let a = shape("", &json!({ "at": "2026-11-20T12:00:00Z", "n": 1, "list": [{ "x": 1 }] }));
        let b = shape("", &json!({ "at": "soon", "n": 1.5, "list": [{ "y": true }], "z": "" }));
        assert_eq!(
            joined(a, b),
            json!({ "type": "object", "properties": {
                "at": { "type": "string" }, "n": {}, "z": { "type": "string" },
                "list": { "type": "array", "items": { "type": "object", "properties": {
                    "x": { "type": "integer" }, "y": { "type": "boolean" } } } } } })
        );
    }
}
