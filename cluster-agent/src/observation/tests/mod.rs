//! The observer over pages as units serve them.

mod brokers;
mod disagreements;
mod kubelets;
mod quorums;
mod units;

use std::collections::BTreeMap;

use channels::wire::Role;
use jiff::Timestamp;

use super::{
    Finding, Observation, Observer, ObserverSettings, Placement, Target, UnitKey, UnitObservation,
    VersionEvidence,
};
use crate::telemetry::{Page, Probe, ScrapeError, Signal, alias};

/// Probe period of these tests, milliseconds.
const PROBE_MS: u64 = 500;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

fn key(unit: &str) -> UnitKey {
    UnitKey { product: "acme/kafka".parse().unwrap(), unit: unit.parse().unwrap() }
}

fn target(unit: &str, role: Role, node_id: Option<i64>) -> Target {
    Target {
        key: key(unit),
        role,
        also_broker: false,
        pool: "pool".parse().unwrap(),
        node_id,
        placement: Placement::Unknown,
        metrics_url: Some(format!("http://127.0.0.1/{unit}")),
        witnesses: std::collections::BTreeSet::new(),
        evidence_from: super::EvidenceFrom::Page,
        version_evidence: VersionEvidence::default_of(role),
        required: Signal::required_of(role),
        stale_after_ms: 2000,
    }
}

fn observer(targets: Vec<Target>) -> Observer {
    Observer::new(targets, ObserverSettings::default()).unwrap()
}

fn probe_of(role: Role, text: &str, ms: i64) -> Probe {
    let family = VersionEvidence::default_of(role).family;
    let page = Page::read(text.as_bytes(), &alias::wanted_of(role, &family).unwrap());
    Probe { page, date: None, requested_at: at(ms - 10), received_at: at(ms) }
}

type Results = BTreeMap<UnitKey, Result<Probe, ScrapeError>>;

fn unit<'a>(observation: &'a Observation, name: &str) -> &'a UnitObservation {
    observation.units.get(&key(name)).unwrap()
}

fn gates(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(Finding::gate_name).collect()
}
