//! From what was read to what the template prints: tiles, and a section for each product.

use std::collections::BTreeSet;

use askama::Template;
use channels::names::ProductRef;
use channels::wire::{LagTotals, StuckRow};
use jiff::Timestamp;

use super::super::shell::Shell;
use super::super::words::{self, Pill, Tone};
use super::FleetView;
use super::cards::{Card, WorstLag, card, percent};
use super::dark::{self, DarkSite};
use super::form::{Form, form};
use super::matrix::{Matrix, matrix};
use super::notices::{Notice, notices};
use super::rows::{Row, Waiting, href, rows, waiting};
use super::strip::{Strip, strip};

/// Cards of one product; a fleet with more graphs has them on the page of channels.
const MAX_CARDS: usize = 24;
/// Stuck ones that are listed, the longest first.
const MAX_STUCK: usize = 25;

/// What the template prints.
#[derive(Debug, Template)]
#[template(path = "fleet.html")]
pub(super) struct Page {
    shell: Shell,
    form: Form,
    notices: Vec<Notice>,
    /// Whether there is anything in the fleet.
    empty: bool,
    tiles: Vec<Tile>,
    worst: Vec<WorstLag>,
    sections: Vec<Section>,
    stuck: Vec<Stuck>,
    stuck_total: String,
    stuck_after: String,
    several_products: bool,
    rows: Vec<Row>,
    waiting: Vec<Waiting>,
    matching: u64,
    first: Option<String>,
    next: Option<String>,
    csv: String,
    ndjson: String,
    sites: Vec<DarkSite>,
}

/// One figure of the fleet.
#[derive(Debug)]
struct Tile {
    tone: Tone,
    label: &'static str,
    value: String,
    note: String,
    href: Option<String>,
}

/// One product.
#[derive(Debug)]
struct Section {
    anchor: String,
    vendor: String,
    product: String,
    strip: Option<Strip>,
    cards: Vec<Card>,
    more_cards: usize,
    matrix: Option<Matrix>,
}

/// Something that wants to move and does not.
#[derive(Debug)]
struct Stuck {
    cluster: String,
    href: String,
    product: String,
    channel: String,
    version: String,
    target: Option<String>,
    phase: Pill,
    since: String,
    unit: String,
    why: String,
    gate: String,
}

impl Page {
    pub(super) fn new(view: &FleetView, shell: Shell) -> Self {
        let products: BTreeSet<&ProductRef> = view
            .drift
            .iter()
            .map(|totals| &totals.product)
            .chain(view.heat.iter().map(|group| &group.product))
            .collect();
        let rows = rows(&view.list.items, &view.ask, view.at);
        let waiting = waiting(&view.list.items, view.at);
        let stuck = view.health.stuck.iter().take(MAX_STUCK);
        let more = if view.health.stuck_more { "more than " } else { "" };
        Self {
            shell: shell.titled(title(view)),
            form: form(&view.ask, &view.offered),
            notices: notices(view),
            empty: view.in_force == 0 && products.is_empty() && view.sites.is_empty(),
            tiles: tiles(view),
            worst: worst(&view.health.lags, view.at),
            sections: products.iter().map(|product| section(product, view)).collect(),
            stuck: stuck.map(|row| stuck_line(row, view.at)).collect(),
            stuck_total: format!("{more}{}", view.health.stuck_total),
            stuck_after: words::span(view.health.stuck_after_s),
            several_products: products.len() > 1,
            rows,
            waiting,
            matching: view.matching,
            first: view.ask.is_later_page().then(|| view.ask.first()),
            next: view.list.next.as_deref().map(|cursor| view.ask.next(cursor)),
            csv: view.ask.export("csv"),
            ndjson: view.ask.export("ndjson"),
            sites: dark::dark_sites(view),
        }
    }
}

fn on_head(view: &FleetView) -> (u64, u64) {
    let active = view.drift.iter().map(|totals| totals.active).sum();
    let current = view.drift.iter().map(|totals| totals.current).sum();
    (current, active)
}

/// The tab says how far the fleet is, so that nobody has to keep the page in front.
fn title(view: &FleetView) -> String {
    match on_head(view) {
        (_, 0) => "Fleet · Fairway".to_owned(),
        (current, active) => format!("{current}/{active} current · Fairway"),
    }
}

fn tiles(view: &FleetView) -> Vec<Tile> {
    let (current, active) = on_head(view);
    let sum = |of: fn(&channels::wire::DriftTotals) -> u64| view.drift.iter().map(of).sum::<u64>();
    let (rolling, stopped) = (sum(|totals| totals.rolling), sum(|totals| totals.stopped));
    let health = &view.health;
    let toned = |number: u64, tone| if number > 0 { tone } else { Tone::Plain };
    let list = |filter: &[(&str, &str)]| Some(view.ask.listing(filter));
    let tile =
        |tone, label, value: String, note: String, href| Tile { tone, label, value, note, href };
    let more = if health.stuck_more { "+" } else { "" };
    vec![
        tile(
            Tone::Plain,
            "Clusters",
            view.in_force.to_string(),
            format!("{} never reported", health.never),
            list(&[]),
        ),
        tile(
            Tone::Plain,
            "On the head",
            percent(current, active).map_or_else(|| "–".to_owned(), |share| format!("{share} %")),
            format!("{current} of {active} active"),
            list(&[("drift", "current"), ("activity", "active")]),
        ),
        tile(
            Tone::Plain,
            "Rolling",
            rolling.to_string(),
            format!("{stopped} wait, are paused or failed"),
            None,
        ),
        tile(
            toned(health.unhealthy, Tone::Bad),
            "Unhealthy",
            health.unhealthy.to_string(),
            format!("{} unknown, {} healthy", health.unknown, health.healthy),
            list(&[("health", "unhealthy")]),
        ),
        tile(
            toned(health.stuck_total, Tone::Bad),
            "Stuck",
            format!("{}{more}", health.stuck_total),
            format!("for over {}", words::span(health.stuck_after_s)),
            Some("#stuck".to_owned()),
        ),
        tile(
            toned(health.silent, Tone::Warn),
            "Silent",
            health.silent.to_string(),
            "in no other figure".to_owned(),
            list(&[("activity", "silent")]),
        ),
    ]
}

/// The worst lag of each kind in all channels.
fn worst(lags: &[LagTotals], now: Timestamp) -> Vec<WorstLag> {
    let quorum = lags.iter().filter_map(|group| group.quorum_lag.first());
    let pleg = lags.iter().filter_map(|group| group.pleg_lag.first());
    let quorum = quorum.max_by_key(|row| row.lag_ms);
    let pleg = pleg.max_by_key(|row| row.lag_ms);
    let kinds = [("Worst quorum lag", quorum), ("Worst PLEG lag", pleg)];
    kinds.into_iter().filter_map(|(kind, row)| Some(WorstLag::of(kind, row?, now))).collect()
}

fn section(product: &ProductRef, view: &FleetView) -> Section {
    let drift = view.drift.iter().filter(|totals| totals.product == *product);
    let all = drift.clone().count();
    Section {
        anchor: format!("{}-{}", product.vendor, product.product),
        vendor: product.vendor.to_string(),
        product: product.product.to_string(),
        strip: strip(product, &view.heat, &view.ask),
        cards: drift.take(MAX_CARDS).map(|totals| card(totals, &view.health, view.at)).collect(),
        more_cards: all.saturating_sub(MAX_CARDS),
        matrix: matrix(product, &view.standings, &view.ask),
    }
}

fn stuck_line(row: &StuckRow, now: Timestamp) -> Stuck {
    Stuck {
        cluster: row.name.clone(),
        href: href(row.cluster),
        product: row.product.to_string(),
        channel: row.channel.to_string(),
        version: row.version.to_string(),
        target: row.target.as_ref().map(ToString::to_string),
        phase: words::phase(row.phase),
        since: words::relative(now, row.since),
        unit: row.unit.as_ref().map(ToString::to_string).unwrap_or_default(),
        why: row.message.clone().unwrap_or_default(),
        gate: row.gate.clone().unwrap_or_default(),
    }
}
