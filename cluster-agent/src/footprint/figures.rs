//! The page: every series, from one snapshot.

use channels::wire::{HealthVerdict, Phase};
use jiff::Timestamp;

use super::compatible::{self, flag, seconds};
use super::page::{Labels, Page};
use super::process::Process;
use super::snapshot::{ProductSnapshot, Snapshot, UnitSnapshot};

/// Phases a product can be in.
const PHASES: [Phase; 9] = [
    Phase::Idle,
    Phase::Waiting,
    Phase::Preflight,
    Phase::Quiesce,
    Phase::Mutate,
    Phase::AwaitReturn,
    Phase::AwaitHealth,
    Phase::Soak,
    Phase::Paused,
];

/// The text of `/metrics`. Without a snapshot it is about the process alone.
pub fn render(shown: Option<&Snapshot>, process: Process) -> String {
    let mut page = Page::default();
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    page.gauge("fairway_agent_build_info", "Version of the agent", [(version, 1.0)]);
    own_process(&mut page, process);
    if let Some(shown) = shown {
        agent(&mut page, shown);
        hub(&mut page, shown);
        products(&mut page, shown);
        units(&mut page, shown);
        scrapes(&mut page, shown);
        compatible::write(&mut page, shown);
    }
    page.finish()
}

fn own_process(page: &mut Page, process: Process) {
    page.single(
        "process_resident_memory_bytes",
        "Resident memory of the agent",
        process.resident_bytes.map(whole),
    );
    page.single(
        "fairway_agent_resident_memory_peak_bytes",
        "Highest resident memory of the agent so far",
        process.resident_peak_bytes.map(whole),
    );
    page.single("fairway_agent_threads", "Threads of the agent", process.threads.map(whole));
}

fn agent(page: &mut Page, shown: &Snapshot) {
    let mut at = |name: &str, help: &str, at: Option<Timestamp>| {
        page.single(name, help, at.map(seconds));
    };
    let started = "When the agent started, seconds since the epoch";
    at("process_start_time_seconds", started, shown.facts.started_at);
    let turned = "When the agent's loop last turned, seconds since the epoch";
    at("fairway_agent_turned_timestamp_seconds", turned, Some(shown.at));
    let observed = "When the cluster was last observed, seconds since the epoch";
    at("fairway_agent_observed_timestamp_seconds", observed, shown.observed_at);
    let paused = "Whether the roll is paused until a person resumes it";
    page.single("fairway_agent_paused", paused, Some(flag(shown.paused)));
    let held = "Whether a person holds this cluster";
    page.single("fairway_agent_held", held, Some(flag(shown.held)));
    let out = shown.out.iter().map(|key| {
        let labels = vec![("product", key.product.to_string()), ("unit", key.unit.to_string())];
        (labels, 1.0)
    });
    page.gauge("fairway_agent_unit_out", "The unit that is out", out);
}

fn hub(page: &mut Page, shown: &Snapshot) {
    let mut at = |name: &str, help: &str, at: Option<Timestamp>| {
        page.single(name, help, at.map(seconds));
    };
    let verified = "When signed metadata last verified, seconds since the epoch";
    at("fairway_agent_metadata_verified_timestamp_seconds", verified, shown.facts.verified_at);
    if !shown.facts.reports {
        return;
    }
    let answered = "When the hub last answered a report, seconds since the epoch";
    at("fairway_agent_hub_answered_timestamp_seconds", answered, shown.facts.answered_at);
    let up = "Whether the hub answered the last report";
    page.single("fairway_agent_hub_up", up, Some(flag(!shown.hub_silent)));
    let refused = "Whether the hub refuses this cluster's key";
    page.single("fairway_agent_key_refused", refused, Some(flag(shown.key_refused)));
}

fn of(product: &ProductSnapshot) -> Labels {
    vec![("product", product.state.product.to_string())]
}

fn with(mut labels: Labels, name: &'static str, value: &str) -> Labels {
    labels.push((name, value.to_owned()));
    labels
}

fn products(page: &mut Page, shown: &Snapshot) {
    let phases = shown.products.iter().flat_map(|product| {
        let is = |phase: Phase| flag(phase == product.state.phase);
        PHASES.map(|phase| (with(of(product), "phase", phase.as_str()), is(phase)))
    });
    page.gauge("fairway_agent_phase", "What a product is doing: 1 for its phase", phases);
    let since = shown.products.iter().map(|product| (of(product), seconds(product.state.since)));
    let help = "Since when a product is in its phase, seconds since the epoch";
    page.gauge("fairway_agent_phase_since_timestamp_seconds", help, since);
    let health =
        shown.products.iter().map(|product| (of(product), verdict(product.state.health.verdict)));
    let help = "Health of a product: 1 healthy, 0 unhealthy, -1 unknown";
    page.gauge("fairway_agent_product_health", help, health);
    let failed = shown.products.iter().map(|product| (of(product), flag(product.metadata_failed)));
    let help = "Whether the last look at a product's signed metadata failed";
    page.gauge("fairway_agent_metadata_failed", help, failed);
    waits(page, shown);
}

fn waits(page: &mut Page, shown: &Snapshot) {
    let mut longest = std::collections::BTreeMap::new();
    for product in &shown.products {
        for why in &product.state.waiting_on {
            let since = why.since.unwrap_or(shown.at);
            let first =
                longest.entry((product.state.product.to_string(), &why.gate)).or_insert(since);
            *first = since.min(*first);
        }
    }
    let labels = |(product, gate): &(String, &String)| {
        vec![("product", product.clone()), ("gate", (*gate).clone())]
    };
    let help = "Gates that keep a product waiting";
    let waiting = longest.keys().map(|key| (labels(key), 1.0));
    page.gauge("fairway_agent_waiting_on", help, waiting);
    let help = "Since when a gate keeps a product waiting, seconds since the epoch";
    let since = longest.iter().map(|(key, at)| (labels(key), seconds(*at)));
    page.gauge("fairway_agent_waiting_since_timestamp_seconds", help, since);
    let began = shown.facts.gates.began.iter().map(|((product, gate), count)| {
        (vec![("product", product.to_string()), ("gate", gate.clone())], whole(*count))
    });
    let help = "How often a gate began to keep a product waiting";
    page.counter("fairway_agent_gate_waits", help, began);
}

fn units(page: &mut Page, shown: &Snapshot) {
    let labels = |unit: &UnitSnapshot| {
        vec![("product", unit.key.product.to_string()), ("unit", unit.key.unit.to_string())]
    };
    let health = shown
        .units
        .iter()
        .map(|unit| (with(labels(unit), "role", &unit.role.to_string()), verdict(unit.verdict)));
    let help = "Health of a unit: 1 healthy, 0 unhealthy, -1 unknown";
    page.gauge("fairway_agent_unit_health", help, health);
    let lag = |lag_ms: fn(&UnitSnapshot) -> Option<u64>| {
        let lagging = shown.units.iter().filter_map(move |unit| Some((unit, lag_ms(unit)?)));
        lagging.map(move |(unit, ms)| (labels(unit), whole(ms) / 1000.0))
    };
    let help = "Quorum lag of a controller";
    page.gauge("fairway_agent_quorum_lag_seconds", help, lag(|unit| unit.quorum_lag_ms));
    let help = "PLEG lag of a node";
    page.gauge("fairway_agent_pleg_lag_seconds", help, lag(|unit| unit.pleg_lag_ms));
    let read =
        shown.units.iter().filter_map(|unit| Some((labels(unit), seconds(unit.last_page_at?))));
    let help = "When a unit's page was last read, seconds since the epoch";
    page.gauge("fairway_agent_unit_page_timestamp_seconds", help, read);
}

fn scrapes(page: &mut Page, shown: &Snapshot) {
    let scrapes = &shown.facts.scrapes;
    let pages = scrapes
        .pages
        .iter()
        .map(|(result, count)| (vec![("result", (*result).to_owned())], whole(*count)));
    page.counter("fairway_agent_scrapes", "Metrics pages asked for, by result", pages);
    let help = "Time between asking for a page and having it, summed over pages";
    page.sum("fairway_agent_scrape_seconds", help, whole(scrapes.waited_ms) / 1000.0);
}

fn verdict(verdict: HealthVerdict) -> f64 {
    match verdict {
        HealthVerdict::Healthy => 1.0,
        HealthVerdict::Unhealthy => 0.0,
        HealthVerdict::Unknown => -1.0,
    }
}

/// Exact up to 2^53, which no count or size here reaches.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "see above")]
fn whole(count: u64) -> f64 {
    count as f64
}
