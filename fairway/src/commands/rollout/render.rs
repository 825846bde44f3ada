//! Rollouts and policies as tables.

use std::fmt::Write as _;

use channels::wire::{PolicyRow, RolloutCluster, RolloutFailure, RolloutRing, RolloutRow};
use jiff::Timestamp;

use crate::colour::{Colour, Tone};
use crate::out::printable;
use crate::span::{age, until};
use crate::table::{Format, Table, cell};

fn past(at: Timestamp, now: Timestamp, format: Format) -> String {
    match format {
        Format::Table => age(at, now),
        Format::Json | Format::Csv => at.to_string(),
    }
}

fn ahead(at: Option<Timestamp>, now: Timestamp, format: Format) -> String {
    match (at, format) {
        (None, _) => String::new(),
        (Some(at), Format::Table) if at <= now => "now".to_owned(),
        (Some(at), Format::Table) => format!("in {}", until(at, now)),
        (Some(at), Format::Json | Format::Csv) => at.to_string(),
    }
}

/// One row per policy.
pub(super) fn policies(rows: &[PolicyRow], now: Timestamp, format: Format) -> Table {
    let mut table =
        Table::new(&["name", "version", "applies_to", "rings", "applied", "applied_by"]);
    for row in rows {
        let rings: Vec<&str> = row.rings.iter().map(channels::rollout::Name::as_str).collect();
        let everything = || "everything".to_owned();
        table.row(vec![
            row.name.to_string(),
            row.version.to_string(),
            if row.applies_to.is_empty() { everything() } else { row.applies_to.join("; ") },
            rings.join(" "),
            past(row.applied_at, now, format),
            row.applied_by.clone(),
        ]);
    }
    table
}

/// One row per rollout.
pub(super) fn rollouts(rows: &[RolloutRow], now: Timestamp, format: Format) -> Table {
    let mut table = Table::new(&[
        "id", "product", "release", "policy", "state", "ring", "done", "rolling", "failed",
        "opened",
    ]);
    for row in rows {
        let sum =
            |of: fn(&RolloutRing) -> u32| row.rings.iter().map(of).map(u64::from).sum::<u64>();
        let (done, members) = (sum(|ring| ring.succeeded + ring.there), sum(|ring| ring.members));
        // The last ring that opened says where it stands.
        let ring = row.rings.iter().rfind(|ring| ring.open_share_percent > 0.0);
        let ring = ring.or(row.rings.first());
        table.row(vec![
            row.id.to_string(),
            row.product.to_string(),
            row.release.to_string(),
            format!("{} v{}", row.policy, row.policy_version),
            state(row),
            cell(ring.map(|ring| &ring.name)),
            format!("{done}/{members}"),
            sum(|ring| ring.rolling).to_string(),
            sum(|ring| ring.failed).to_string(),
            past(row.opened_at, now, format),
        ]);
    }
    table
}

fn state(row: &RolloutRow) -> String {
    let emergency = if row.emergency { ", emergency" } else { "" };
    format!("{}{emergency}", row.state.as_str())
}

/// One row per ring.
pub(super) fn rings(row: &RolloutRow) -> Table {
    let mut table = Table::new(&[
        "ring",
        "state",
        "open",
        "members",
        "waiting",
        "granted",
        "rolling",
        "succeeded",
        "failed",
        "acknowledged",
        "unknown",
        "waits_for",
    ]);
    for ring in &row.rings {
        let waits: Vec<&str> = ring.waits_for.iter().map(|why| why.message.as_str()).collect();
        table.row(vec![
            ring.name.to_string(),
            ring.state.as_str().to_owned(),
            format!("{}%", ring.open_share_percent),
            ring.members.to_string(),
            ring.not_started.to_string(),
            ring.granted.to_string(),
            ring.rolling.to_string(),
            ring.succeeded.to_string(),
            ring.failed.to_string(),
            ring.acknowledged.to_string(),
            ring.unknown.to_string(),
            waits.join("; "),
        ]);
    }
    table
}

/// One row per failure.
pub(super) fn failures(rows: &[RolloutFailure], now: Timestamp, format: Format) -> Table {
    let mut table = Table::new(&["cluster", "why", "since", "acknowledged"]);
    for row in rows {
        table.row(vec![
            row.name.clone(),
            words(&row.why),
            past(row.at, now, format),
            if row.acknowledged { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

/// The words for how a cluster failed; a kind of a later release as it is.
fn words(why: &str) -> String {
    let known: Result<channels::rollout::FailureKind, _> =
        serde_json::from_value(serde_json::Value::from(why));
    known.map_or_else(|_| why.to_owned(), |kind| kind.as_str().to_owned())
}

/// One rollout as a page.
pub(super) fn one(row: &RolloutRow, now: Timestamp, colour: Colour) -> String {
    let mut text = format!("rollout {}: {} {}\n", row.id, row.product, row.release);
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let value = colour.paint(Tone::of(name, value), &printable(value));
        let _infallible = writeln!(text, "{name:<12} {value}");
    };
    line("state", &state(row));
    line("policy", &format!("{} version {}", row.policy, row.policy_version));
    line("digest", &row.digest.to_string());
    line("opened", &format!("{} ({} ago)", row.opened_at, age(row.opened_at, now)));
    if row.starts_at > now {
        line("starts", &format!("{} (in {})", row.starts_at, until(row.starts_at, now)));
    }
    let caps = &row.caps;
    let limit = caps.concurrent.map_or_else(String::new, |limit| format!(" of {limit}"));
    line("on the way", &format!("{}{limit}", caps.in_flight));
    if let Some(newer) = row.superseded_by {
        line("superseded", &format!("by rollout {newer}"));
    }
    for hold in &row.holds {
        let ring = hold.ring.as_ref().map_or_else(String::new, |ring| format!("ring {ring}, "));
        line("held", &format!("{ring}by {}: {}", hold.by, hold.reason));
    }
    if !row.rollback_offers.is_empty() {
        let offers: Vec<String> = row.rollback_offers.iter().map(ToString::to_string).collect();
        line("back to", &offers.join(", "));
    }
    text.push('\n');
    text.push_str(&rings(row).painted(colour));
    if !row.failures.is_empty() {
        text.push('\n');
        text.push_str(&failures(&row.failures, now, Format::Table).painted(colour));
    }
    text
}

/// One row per cluster.
pub(super) fn clusters(rows: &[RolloutCluster], now: Timestamp, format: Format) -> Table {
    let mut table =
        Table::new(&["name", "ring", "place", "version", "state", "since", "may_go", "why_not"]);
    for row in rows {
        let why: Vec<&str> = row.why_not.iter().map(|why| why.message.as_str()).collect();
        let why = match &row.failure {
            Some(failure) if why.is_empty() => words(failure),
            Some(failure) => format!("{}: {}", words(failure), why.join("; ")),
            None => why.join("; "),
        };
        table.row(vec![
            row.name.clone(),
            cell(row.ring.as_ref()),
            row.place_percent.map_or_else(String::new, |place| format!("{place}%")),
            row.version.to_string(),
            row.state.as_str().to_owned(),
            row.since.map_or_else(String::new, |at| past(at, now, format)),
            ahead(row.earliest_at, now, format),
            why,
        ]);
    }
    table
}
