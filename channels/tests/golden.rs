//! Every golden document of every released form is read, and written back unchanged.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use channels::wire;
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::{Value, json};

/// Reads a document and writes it back.
type Reader = fn(&Value) -> Result<Value, serde_json::Error>;

fn through<T: DeserializeOwned + Serialize>(document: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(T::deserialize(document)?)
}

fn through_graph(document: &Value) -> Result<Value, serde_json::Error> {
    let bytes = serde_json::to_vec(document)?;
    let graph = channels::cincinnati::from_json(&bytes).map_err(serde::de::Error::custom)?;
    serde_json::from_slice(&channels::cincinnati::to_json(&graph))
}

/// Every document type, by the name of its golden file.
fn readers() -> BTreeMap<&'static str, Reader> {
    let readers: [(&str, Reader); 57] = [
        ("audit-row", through::<wire::AuditRow>),
        ("bulk-reply", through::<wire::BulkReply>),
        ("bulk-request", through::<wire::BulkRequest>),
        ("cluster-risk-page", through::<wire::Page<wire::ClusterRisk>>),
        ("cluster-row-page", through::<wire::Page<wire::ClusterRow>>),
        ("dead-delivery-page", through::<wire::Page<wire::DeadDelivery>>),
        ("drift-answer", through::<wire::DriftAnswer>),
        ("enrolment-reply", through::<wire::EnrolmentReply>),
        ("enrolment-request", through::<wire::EnrolmentRequest>),
        ("fleet-counters", through::<wire::FleetCounters>),
        ("grant", through::<wire::Grant>),
        ("graph", through_graph),
        ("health-answer", through::<wire::HealthAnswer>),
        ("hold", through::<wire::Hold>),
        ("hold-request", through::<wire::HoldRequest>),
        ("hub-event", through::<wire::HubEvent>),
        ("hub-keys", through::<wire::HubKeys>),
        ("hub-status", through::<wire::HubStatus>),
        ("join-token", through::<wire::JoinToken>),
        ("join-token-request", through::<wire::JoinTokenRequest>),
        ("key-rotation-reply", through::<wire::KeyRotationReply>),
        ("key-rotation-request", through::<wire::KeyRotationRequest>),
        ("policy-reply", through::<wire::PolicyReply>),
        ("policy-request", through::<wire::PolicyRequest>),
        ("policy-row-page", through::<wire::Page<wire::PolicyRow>>),
        ("labels-request", through::<wire::LabelsRequest>),
        ("open-join-token", through::<wire::OpenJoinToken>),
        ("new-webhook", through::<wire::NewWebhook>),
        ("problem", through::<wire::Problem>),
        ("publication", through::<wire::Publication>),
        ("publication-reply", through::<wire::PublicationReply>),
        ("reinvite-request", through::<wire::ReinviteRequest>),
        ("release-document", through::<wire::ReleaseDocument>),
        ("report", through::<wire::Report>),
        ("report-reply", through::<wire::ReportReply>),
        ("resume-request", through::<wire::ResumeRequest>),
        ("revoke-request", through::<wire::RevokeRequest>),
        ("rollout-approve-request", through::<wire::RolloutApproveRequest>),
        ("rollout-cluster-page", through::<wire::Page<wire::RolloutCluster>>),
        ("rollout-emergency-request", through::<wire::RolloutEmergencyRequest>),
        ("rollout-hold-request", through::<wire::RolloutHoldRequest>),
        ("rollout-resume-request", through::<wire::RolloutResumeRequest>),
        ("rollout-row", through::<wire::RolloutRow>),
        ("settings-request", through::<wire::SettingsRequest>),
        ("site-import-page", through::<wire::Page<wire::SiteImport>>),
        ("site-key", through::<wire::SiteKey>),
        ("site-registration", through::<wire::SiteRegistration>),
        ("site-row-page", through::<wire::Page<wire::SiteRow>>),
        ("site-status", through::<wire::SiteStatus>),
        ("soak-answer", through::<wire::SoakAnswer>),
        ("status-import-reply", through::<wire::StatusImportReply>),
        ("timeline-page", through::<wire::Page<wire::TimelineEntry>>),
        ("trends-answer", through::<wire::TrendsAnswer>),
        ("trust-request", through::<wire::TrustRequest>),
        ("webhook-attempt", through::<wire::WebhookAttempt>),
        ("webhook-page", through::<wire::Page<wire::Webhook>>),
        ("webhook-request", through::<wire::WebhookRequest>),
    ];
    readers.into()
}

/// Every golden file of every form: type, path and content.
fn golden() -> Vec<(String, PathBuf, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut found = Vec::new();
    for form in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        if !form.is_dir() {
            continue;
        }
        for file in fs::read_dir(form).unwrap().map(|entry| entry.unwrap().path()) {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let kind = stem.split("--").next().unwrap().to_owned();
            let content = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            found.push((kind, file, content));
        }
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}

fn one(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1").join(name);
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn every_golden_document_is_read_and_written_back_unchanged() {
    let readers = readers();
    for (kind, file, document) in golden() {
        let reader = readers.get(kind.as_str()).expect("a golden file of a known type");
        let written = reader(&document);
        assert_eq!(written.unwrap(), document, "{}", file.display());
    }
}

#[test]
fn every_document_type_has_a_golden_file() {
    let found: BTreeSet<String> = golden().into_iter().map(|(kind, _, _)| kind).collect();
    let wanted: BTreeSet<String> = readers().into_keys().map(str::to_owned).collect();
    assert_eq!(found, wanted);
}

#[test]
fn the_golden_graph_is_canonical_to_the_byte() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1/graph.json");
    let bytes = fs::read(file).unwrap();
    let graph = channels::cincinnati::from_json(&bytes).unwrap();
    assert_eq!(channels::cincinnati::to_json(&graph), bytes);
}

/// Adds a field nobody knows to every object, except to maps whose keys are data.
fn with_unknown_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields.iter_mut() {
                let is_map = matches!(
                    key.as_str(),
                    "arches" | "metadata" | "labels" | "detail" | "by_freshness" | "by_health"
                );
                match inner.as_object_mut().filter(|_| is_map) {
                    Some(entries) => entries.values_mut().for_each(with_unknown_fields),
                    None => with_unknown_fields(inner),
                }
            }
            fields.insert("added_in_a_later_release".to_owned(), json!({"deep": [1, null]}));
        }
        Value::Array(items) => items.iter_mut().for_each(with_unknown_fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn unknown_fields_are_skipped_in_every_document() {
    let readers = readers();
    for (kind, file, document) in golden() {
        let mut newer = document.clone();
        with_unknown_fields(&mut newer);
        assert_ne!(newer, document);
        let read = readers[kind.as_str()](&newer);
        assert_eq!(read.unwrap(), document, "{}", file.display());
    }
}

/// Sets one field to a value nobody knows and returns what is read there.
fn read_unknown(name: &str, pointer: &str) -> Value {
    let mut document = one(&format!("{name}.json"));
    *document.pointer_mut(pointer).unwrap() = json!("something_new");
    let read = readers()[name](&document).unwrap();
    read.pointer(pointer).unwrap().clone()
}

#[test]
fn unknown_values_are_read_as_the_safe_one() {
    assert_eq!(read_unknown("report", "/products/0/phase"), "unknown");
    assert_eq!(read_unknown("report", "/products/0/health/verdict"), "unknown");
    assert_eq!(read_unknown("report", "/products/0/units/0/health"), "unknown");
    assert_eq!(read_unknown("release-document", "/severity"), "unknown");
    assert_eq!(read_unknown("report-reply", "/directives/0/action"), "hold");
    assert_eq!(read_unknown("cluster-row-page", "/items/0/freshness"), "unknown");
    assert_eq!(read_unknown("site-status", "/clusters/0/freshness"), "unknown");
    assert_eq!(read_unknown("site-status", "/redacted/0"), "unknown");
    assert_eq!(read_unknown("rollout-row", "/state"), "unknown");
    assert_eq!(read_unknown("rollout-row", "/rings/0/state"), "unknown");
    assert_eq!(read_unknown("rollout-cluster-page", "/items/0/state"), "unknown");
    assert_eq!(read_unknown("cluster-row-page", "/items/0/products/0/drift/state"), "unknown");
}

#[test]
fn what_older_releases_wrote_has_no_end_of_life() {
    let without = |name: &str, pointer: &str| {
        let mut document = one(name);
        document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove("eol").unwrap();
        document
    };
    let totals = wire::DriftAnswer::deserialize(&without("drift-answer.json", "/items/0")).unwrap();
    assert_eq!(totals.items[0].eol, 0);
    let version = without("drift-answer.json", "/items/0/versions/1");
    let totals = wire::DriftAnswer::deserialize(&version).unwrap();
    assert_eq!(totals.items[0].versions[1].eol, None);
    let counters = wire::FleetCounters::deserialize(&without("fleet-counters.json", "")).unwrap();
    assert_eq!(counters.eol, 0);
    let row = without("cluster-row-page--eol.json", "/items/0/products/0/drift");
    let page = wire::Page::<wire::ClusterRow>::deserialize(&row).unwrap();
    assert_eq!(page.items[0].products[0].drift.eol, None);
    // A site's status may be older than the hub that reads it, or newer.
    let mut status = one("site-status.json");
    let read = |status: &Value| {
        let status = wire::SiteStatus::deserialize(status).unwrap();
        status.clusters[0].products[0].drift.eol.map(|day| day.to_string())
    };
    assert_eq!(read(&status), None);
    status["clusters"][0]["products"][0]["drift"]["eol"] = json!("2026-06-30");
    assert_eq!(read(&status).as_deref(), Some("2026-06-30"));
}

#[test]
fn what_older_agents_report_accepts_no_risk() {
    let report = wire::Report::deserialize(&one("report.json")).unwrap();
    assert!(report.products.iter().all(|product| product.accepted_risks.is_empty()));
    let row = wire::Page::<wire::ClusterRow>::deserialize(&one("cluster-row-page.json")).unwrap();
    assert!(row.items[0].products.iter().all(|product| product.accepted_risks.is_empty()));
    let newer = wire::Report::deserialize(&one("report--accepted.json")).unwrap();
    let accepted = &newer.products[0].accepted_risks;
    let (day, over) = ("2026-12-30T23:59:59Z", "2026-12-31T00:00:00Z");
    for (now, in_force) in [(day, [true, true]), (over, [false, true])] {
        let now = now.parse().unwrap();
        assert_eq!([0, 1].map(|n: usize| accepted[n].is_in_force(now)), in_force, "{now}");
    }
}

#[test]
fn an_unknown_matching_rule_stays_one_that_cannot_be_evaluated() {
    let pointer = "/conditionalEdges/0/risks/0/matchingRules/1/type";
    assert_eq!(read_unknown("graph", pointer), "something_new");
}

#[test]
fn an_unknown_role_is_refused_because_its_unit_could_not_be_rolled() {
    let mut document = one("release-document.json");
    *document.pointer_mut("/arches/amd64/components/0/role").unwrap() = json!("spaceship");
    let error = through::<wire::ReleaseDocument>(&document).unwrap_err();
    assert!(error.to_string().contains("unknown variant `spaceship`"), "{error}");
}

#[test]
fn a_critical_field_nobody_knows_is_refused() {
    use wire::Critical as _;
    let mut document = one("release-document.json");
    document["critical"] = json!(["finalize", "added_in_a_later_release"]);
    let release: wire::ReleaseDocument = serde_json::from_value(document).unwrap();
    assert_eq!(release.check_critical().unwrap_err().field, "added_in_a_later_release");
    let known: wire::ReleaseDocument =
        serde_json::from_value(one("release-document.json")).unwrap();
    assert!(known.check_critical().is_ok());
}

#[test]
fn a_unit_of_an_unknown_role_does_not_cost_the_rest_of_a_report() {
    let mut report = one("report.json");
    let units = report.pointer_mut("/products/0/units").unwrap().as_array_mut().unwrap();
    let mut strange = units[0].clone();
    strange["name"] = json!("vm-1");
    strange["role"] = json!("hypervisor");
    units.insert(0, strange);
    let read = wire::Report::deserialize(&report).unwrap();
    let golden = wire::Report::deserialize(&one("report.json")).unwrap();
    assert_eq!(read, golden);
    assert!(!read.products[0].units.is_empty());
    // What is wrong with a unit in any other way is still refused.
    report["products"][0]["units"][0]["name"] = json!("no name at all");
    assert!(wire::Report::deserialize(&report).is_err());
}
