//! `status.json`: what the agent does and why, for `cluster-agent status` and for people.
//!
//! Written atomically whenever its content changes, without a flush: it is a view, not a memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use channels::names::{ClusterId, ProductRef};
use channels::wire::{self, ProductState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::history::{Finalized, Pause};
use crate::phase::elapsed_ms;
use crate::state::{Durability, LocalHold, StateError, encode, read_bounded, replace};

/// The file's name in the state directory.
const STATUS_FILE: &str = "status.json";

/// The view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When it was written.
    pub at: Timestamp,
    /// Version of the agent.
    pub agent_version: String,
    /// The cluster's configured name.
    pub cluster: String,
    /// Its identity at the hub, once enrolled.
    pub cluster_id: Option<ClusterId>,
    /// Who grants.
    pub hub: HubView,
    /// A hold placed on this cluster.
    pub hold: Option<LocalHold>,
    /// A pause that needs `resume`.
    pub pause: Option<Pause>,
    /// The step under way.
    pub step: Option<StepView>,
    /// Products, as reported.
    pub products: Vec<ProductState>,
    /// The last finalize step of each product that had one.
    #[serde(default)]
    pub finalized: BTreeMap<ProductRef, Finalized>,
}

/// How it stands with the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubView {
    /// Its address.
    pub url: String,
    /// Whether the agent reports, and so needs grants.
    pub reports: bool,
    /// When a report was last answered.
    pub answered_at: Option<Timestamp>,
    /// Why the last report was not.
    pub error: Option<String>,
    /// Slug of the problem, while the hub refuses the cluster's key.
    #[serde(default)]
    pub key_refused: Option<String>,
    /// When metadata last verified.
    pub verified_at: Option<Timestamp>,
}

/// The unit that is out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Identity of the step; names its files below `steps/`.
    pub step_id: String,
    /// The unit, `vendor/product/unit`.
    pub unit: String,
    /// From release.
    pub from: String,
    /// To release.
    pub to: String,
    /// Which attempt.
    pub attempt: u32,
}

/// Writes the view.
pub fn write(state_dir: &Path, status: &Status) -> Result<(), StateError> {
    let path = state_dir.join(STATUS_FILE);
    replace(&path, &encode(&path, status)?, Durability::Atomic)
}

/// Reads the view; `None` if no agent has written one.
pub fn read(state_dir: &Path) -> Result<Option<Status>, StateError> {
    let path = state_dir.join(STATUS_FILE);
    let Some(bytes) = read_bounded(&path)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|source| StateError::Unreadable { path, source })
}

/// The view as text.
pub fn render(status: &Status, running: crate::state::InUse, now: Timestamp) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail; the results are dropped together here.
    let _ = render_into(&mut text, status, running, now);
    text
}

fn render_into(
    text: &mut String,
    status: &Status,
    running: crate::state::InUse,
    now: Timestamp,
) -> std::fmt::Result {
    let id = status.cluster_id.map_or_else(|| "not enrolled".to_owned(), |id| id.to_string());
    let agent = match running {
        crate::state::InUse::Yes => "running",
        crate::state::InUse::No => "NOT RUNNING",
    };
    writeln!(text, "cluster {} ({id})", status.cluster)?;
    let age_s = elapsed_ms(status.at, now) / 1000;
    writeln!(text, "agent   {} {agent}, this is {age_s} s old", status.agent_version)?;
    writeln!(text, "hub     {}{}", status.hub.url, hub(&status.hub, now))?;
    if let Some(hold) = &status.hold {
        writeln!(text, "HELD    {} (since {})", hold.reason, hold.since)?;
    }
    if let Some(pause) = &status.pause {
        let unit = pause.why.unit.as_ref().map_or_else(String::new, |unit| format!("{unit}: "));
        writeln!(
            text,
            "PAUSED  {}{unit}{} (since {}; `resume` goes on)",
            gate(&pause.why),
            pause.why.message,
            pause.at
        )?;
    }
    if let Some(step) = &status.step {
        writeln!(
            text,
            "step    {} {} -> {} attempt {} ({})",
            step.unit, step.from, step.to, step.attempt, step.step_id
        )?;
    }
    for product in &status.products {
        render_product(text, product, status.finalized.get(&product.product), now)?;
    }
    Ok(())
}

fn hub(hub: &HubView, now: Timestamp) -> String {
    if !hub.reports {
        return ", metadata only (no reports, no grants)".to_owned();
    }
    match (&hub.error, &hub.key_refused, hub.answered_at) {
        (Some(error), Some(code), _) => {
            format!(", REFUSES this cluster's key [{code}], nothing starts: {error}")
        }
        (Some(error), None, _) => format!(", NOT ANSWERING: {error}"),
        (None, _, Some(at)) => format!(", answered {} s ago", elapsed_ms(at, now) / 1000),
        (None, _, None) => ", no report answered yet".to_owned(),
    }
}

fn render_product(
    text: &mut String,
    state: &ProductState,
    finalized: Option<&Finalized>,
    now: Timestamp,
) -> std::fmt::Result {
    write!(text, "\n{} {}", state.product, state.version)?;
    if let Some(target) = state.target.as_ref().filter(|target| **target != state.version) {
        write!(text, " -> {target}")?;
    }
    write!(text, "  channel {}  {}", state.channel, state.phase)?;
    if let Some(unit) = &state.unit {
        write!(text, " {unit}")?;
    }
    write!(text, " for {} s", elapsed_ms(state.since, now) / 1000)?;
    if let Some(progress) = state.progress {
        write!(text, "  {}/{} done", progress.done, progress.total)?;
    }
    write!(text, "\n  health   {}", state.health.verdict)?;
    if let (Some(lag), Some(unit)) = (state.health.quorum_lag_ms, &state.health.quorum_lag_unit) {
        write!(text, ", quorum lag {lag} ms ({unit})")?;
    }
    if let (Some(lag), Some(unit)) = (state.health.pleg_lag_ms, &state.health.pleg_lag_unit) {
        write!(text, ", PLEG lag {lag} ms ({unit})")?;
    }
    writeln!(text)?;
    if let Some(Finalized { release, level, at, by }) = finalized {
        writeln!(text, "  final    {release}, level {level}, at {at:.0} by {by}: no way back")?;
    }
    for reason in &state.waiting_on {
        let since = reason
            .since
            .map_or_else(String::new, |at| format!(" (for {} s)", elapsed_ms(at, now) / 1000));
        writeln!(text, "  waiting  {}{}{since}", gate(reason), reason.message)?;
    }
    if let Some(failure) = &state.failure {
        writeln!(text, "  failure  [{}] {} ({})", failure.kind, failure.message, failure.at)?;
    }
    for unit in &state.units {
        let version = unit.version.as_deref().unwrap_or("version unknown");
        let why = unit.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        writeln!(text, "  {:<10} {:<16} {version:<12} {}{why}", unit.role, unit.name, unit.health)?;
    }
    Ok(())
}

fn gate(reason: &wire::WaitingOn) -> String {
    format!("[{}] ", reason.gate)
}
