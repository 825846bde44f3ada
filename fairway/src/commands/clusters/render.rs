//! Clusters as tables.

use std::fmt::Write as _;

use channels::wire::{
    AcceptedRisk, ClusterRow, Drift, DriftState, HealthSummary, JoinToken, KeyRevocation,
    OpenJoinToken, ProductRow,
};
use jiff::Timestamp;

use super::{label, set};
use crate::colour::{Colour, Tone};
use crate::out::printable;
use crate::span::{age, until};
use crate::table::{Format, Table, cell};

const COLUMNS: &[&str] = &[
    "name", "product", "channel", "version", "target", "phase", "unit", "progress", "health",
    "drift", "seen", "why",
];

/// One row per product; a cluster without products still has a row. CSV always names the site, a
/// table only where there is one.
pub(super) fn list(rows: &[ClusterRow], now: Timestamp, format: Format) -> Table {
    let with_sites = format != Format::Table || rows.iter().any(|row| row.site.is_some());
    let site = with_sites.then_some("site");
    let columns: Vec<&str> = site.into_iter().chain(COLUMNS.iter().copied()).collect();
    let mut table = Table::new(&columns);
    for row in rows {
        for mut cells in cells(row, now, format) {
            if with_sites {
                cells.insert(0, cell(row.site.as_ref()));
            }
            table.row(cells);
        }
    }
    table
}

/// One cluster for CSV, which has no ages and needs no `now`.
pub(super) fn row(row: &ClusterRow) -> Table {
    list(std::slice::from_ref(row), Timestamp::UNIX_EPOCH, Format::Csv)
}

/// A join token that was just minted, with its secret.
pub(super) fn token(token: &JoinToken) -> Table {
    let mut table = Table::new(&["token", "uses", "expires"]);
    let JoinToken { token, uses, expires_at } = token;
    table.row(vec![token.clone(), uses.to_string(), expires_at.to_string()]);
    table
}

fn cells(row: &ClusterRow, now: Timestamp, format: Format) -> Vec<Vec<String>> {
    let seen = seen(row, now, format);
    if row.products.is_empty() {
        let mut cells = vec![row.name.clone()];
        cells.resize(COLUMNS.len() - 2, String::new());
        cells.push(seen);
        return vec![cells];
    }
    row.products
        .iter()
        .map(|product| {
            vec![
                row.name.clone(),
                product.product.to_string(),
                product.channel.to_string(),
                product.version.to_string(),
                cell(product.target.as_ref().filter(|target| **target != product.version)),
                product.phase.to_string(),
                cell(product.unit.as_ref()),
                product.progress.map_or_else(String::new, |p| format!("{}/{}", p.done, p.total)),
                product.health.verdict.to_string(),
                drift_cell(&product.drift, now, format),
                seen.clone(),
                first_reason(product).unwrap_or_default(),
            ]
        })
        .collect()
}

/// One row per open join token.
pub(super) fn invites(tokens: &[OpenJoinToken], now: Timestamp, format: Format) -> Table {
    let mut table = Table::new(&[
        "id",
        "uses",
        "used",
        "expires",
        "cluster",
        "created",
        "created_by",
        "labels",
        "note",
    ]);
    for token in tokens {
        let (expires, created) = match format {
            Format::Table => {
                (format!("in {}", until(token.expires_at, now)), age(token.created_at, now))
            }
            Format::Json | Format::Csv => {
                (token.expires_at.to_string(), token.created_at.to_string())
            }
        };
        table.row(vec![
            token.id.to_string(),
            token.uses.to_string(),
            token.used.to_string(),
            expires,
            cell(token.cluster.as_ref()),
            created,
            token.created_by.clone(),
            label::shown(&token.labels),
            token.note.clone(),
        ]);
    }
    table
}

/// Relative for people; exact, with the class, for machines (CSV has the time, not its age).
/// Of a dark site it is when the site's status was made: nothing younger is known.
fn seen(row: &ClusterRow, now: Timestamp, format: Format) -> String {
    match (row.as_of.or(row.last_seen), format) {
        (Some(at), Format::Csv | Format::Json) => at.to_string(),
        (Some(at), Format::Table) => match row.freshness.as_str() {
            "fresh" => age(at, now),
            class => format!("{} ({class})", age(at, now)),
        },
        (None, _) => "never".to_owned(),
    }
}

/// A table says as well when a release is past its end of life.
fn drift_cell(of: &Drift, now: Timestamp, format: Format) -> String {
    let mark = if format == Format::Table && of.is_past_eol(now) { ", eol" } else { "" };
    format!("{}{mark}", drift(of))
}

fn distance(of: &Drift) -> String {
    let head = of.head.as_ref().map(|head| format!(", head {head}"));
    format!("{}{}", drift(of), head.unwrap_or_default())
}

fn drift(drift: &Drift) -> String {
    match (drift.state, drift.hops) {
        (DriftState::Behind, Some(1)) => "1 hop".to_owned(),
        (DriftState::Behind, Some(hops)) => format!("{hops} hops"),
        (state, _) => state.as_str().to_owned(),
    }
}

/// A failure first, then the hub's refusal, then what the agent waits for.
fn first_reason(product: &ProductRow) -> Option<String> {
    let failure = product.failure.as_ref().map(|f| format!("{}: {}", f.kind, f.message));
    let refusal = || product.why_not.first().map(|reason| reason.message.clone());
    let waiting = || product.waiting_on.first().map(|reason| reason.message.clone());
    failure.or_else(refusal).or_else(waiting)
}

/// One cluster in full, for people.
pub(super) fn details(row: &ClusterRow, now: Timestamp, colour: Colour) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a String cannot fail.
        let value = colour.paint(Tone::of(label, value), &printable(value));
        let _infallible = writeln!(text, "{}", format!("{label:<10} {value}").trim_end());
    };
    line("cluster", &row.name);
    line("id", &row.id.to_string());
    if !row.labels.is_empty() {
        line("labels", &label::shown(&row.labels));
    }
    line("enrolled", &row.enrolled_at.to_string());
    if let Some(site) = &row.site {
        let last = row.last_seen.map_or_else(|| "never".to_owned(), |at| at.to_string());
        line("site", &format!("{site}, by a status file; it last reported there {last}"));
    } else {
        line("agent", &row.agent_version);
    }
    line("seen", &seen(row, now, Format::Table));
    for settings in &row.settings {
        line("set", &format!("{} {}", settings.product, set::shown(settings)));
    }
    if let Some(since) = row.identity_conflict_since {
        let conflict = format!(
            "CONFLICT for {}: more than one agent uses its key, and it gets no grants. Find the \
             copy; then `fairway clusters reinvite` (a new key for the true one) or `fairway \
             clusters trust` (the copy is off for good)",
            age(since, now)
        );
        line("identity", &conflict);
    }
    if let Some(revoked) = &row.key_revoked {
        let KeyRevocation { at, by, reason } = revoked;
        let said = format!(
            "REVOKED by {by} {} ago: {reason}. `fairway clusters reinvite` lets it back in with \
             another key",
            age(*at, now)
        );
        line("key", &said);
    }
    for product in &row.products {
        product_details(product, now, &mut line);
    }
    let units = units(row);
    if !units.is_empty() {
        text.push('\n');
        text.push_str(&units.painted(colour));
    }
    text
}

fn product_details(product: &ProductRow, now: Timestamp, line: &mut dyn FnMut(&str, &str)) {
    line("", "");
    line("product", &product.product.to_string());
    line("follows", &format!("{} ({})", product.channel, product.arch));
    let target = product.target.as_ref().filter(|target| **target != product.version);
    let moving = target.map_or_else(String::new, |target| format!(" -> {target}"));
    line("version", &format!("{}{moving}", product.version));
    line("drift", &distance(&product.drift));
    if let Some(there) = &product.drift_at_site {
        line("there", &distance(there));
    }
    if let Some(day) = product.drift.eol {
        let past = if day.is_past(now) { " (past)" } else { "" };
        line("eol", &format!("{day}{past}"));
    }
    let progress = product.progress.map(|p| format!(", {} of {} units done", p.done, p.total));
    let phase = format!(
        "{} for {}{}",
        product.phase,
        age(product.since, now),
        progress.unwrap_or_default()
    );
    line("phase", &phase);
    line("health", &health(&product.health));
    if let Some(failure) = &product.failure {
        line("failed", &format!("{}: {}", failure.kind, failure.message));
    }
    for reason in &product.why_not {
        line("why not", &format!("{}: {}", reason.code, reason.message));
    }
    for reason in &product.waiting_on {
        line("waits on", &format!("{}: {}", reason.gate, reason.message));
    }
    for risk in &product.accepted_risks {
        line("accepts", &accepted(risk, now));
    }
}

/// A risk that the cluster's owner takes: why, and how much longer.
fn accepted(risk: &AcceptedRisk, now: Timestamp) -> String {
    let until = match risk.until {
        None => "until it is removed".to_owned(),
        Some(until) if risk.is_in_force(now) => format!("until {until}"),
        Some(until) => format!("EXPIRED {until}"),
    };
    format!("{} {until}: {}", risk.name, risk.reason)
}

/// The verdict with its two lags.
pub(crate) fn health(health: &HealthSummary) -> String {
    let mut text = health.verdict.to_string();
    let lags = [
        ("quorum lag", health.quorum_lag_ms, &health.quorum_lag_unit),
        ("PLEG lag", health.pleg_lag_ms, &health.pleg_lag_unit),
    ];
    for (name, lag_ms, unit) in lags {
        if let Some(lag_ms) = lag_ms {
            let unit = unit.as_ref().map_or_else(String::new, |unit| format!(" on {unit}"));
            let _infallible = write!(text, ", {name} {lag_ms} ms{unit}");
        }
    }
    text
}

/// Units of one cluster, over all its products.
pub(super) fn units(row: &ClusterRow) -> Table {
    let mut table = Table::new(&["product", "unit", "role", "pool", "version", "health", "why"]);
    for product in &row.products {
        for unit in &product.units {
            table.row(vec![
                product.product.to_string(),
                unit.name.to_string(),
                unit.role.to_string(),
                unit.pool.to_string(),
                cell(unit.version.as_ref()),
                unit.health.to_string(),
                cell(unit.why.as_ref()),
            ]);
        }
    }
    table
}
