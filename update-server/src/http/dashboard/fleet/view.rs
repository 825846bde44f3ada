//! From the view to what the template prints: grouping, shares, tones. No decisions about a fleet.

use std::collections::BTreeMap;

use askama::Template;
use channels::names::ProductRef;
use channels::wire::{ClusterRow, DriftTotals, Hold, HoldScope, ProductRow, Progress};
use jiff::Timestamp;

use super::super::shell::Shell;
use super::super::words::{self, Pill, Tone};
use super::FleetView;
use super::dark::{self, DarkSite};

/// Reasons shown per row; the list of one cluster has all of them.
const MAX_REASONS: usize = 3;

/// Version bars per card; the rest is one bar.
const MAX_VERSIONS: usize = 10;

/// Width of a full bar in the drawings' own unit.
const FULL: u64 = 1000;

#[derive(Debug, Template)]
#[template(path = "fleet.html")]
pub(super) struct Page {
    shell: Shell,
    notices: Vec<Notice>,
    sections: Vec<Section>,
    waiting: Vec<Waiting>,
    sites: Vec<DarkSite>,
    more: u64,
}

#[derive(Debug)]
struct Notice {
    tone: Tone,
    title: String,
    text: String,
    by: String,
}

#[derive(Debug)]
struct Section {
    anchor: String,
    vendor: String,
    product: String,
    cards: Vec<Card>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Card {
    channel: String,
    arch: String,
    head: Option<String>,
    share: String,
    share_text: String,
    stack: Vec<Part>,
    stack_label: String,
    counts: Vec<Count>,
    versions: Vec<VersionBar>,
}

#[derive(Debug)]
struct Part {
    tone: Tone,
    x: u64,
    width: u64,
    label: String,
}

#[derive(Debug)]
struct Count {
    tone: Tone,
    label: &'static str,
    value: u64,
}

#[derive(Debug)]
struct VersionBar {
    label: String,
    tone: Tone,
    width: u64,
    clusters: u64,
}

#[derive(Debug)]
struct Row {
    name: String,
    channel: String,
    site: Option<String>,
    version: String,
    target: Option<String>,
    drift: String,
    phase: Pill,
    since: String,
    unit: Option<String>,
    progress: Option<Progress>,
    health: Pill,
    quorum_lag: Option<Lag>,
    pleg_lag: Option<Lag>,
    why: Vec<Why>,
    seen: String,
    freshness: Option<Pill>,
    quiet: bool,
}

#[derive(Debug)]
struct Lag {
    value: String,
    unit: String,
}

#[derive(Debug)]
struct Why {
    text: String,
    code: String,
}

#[derive(Debug)]
struct Waiting {
    name: String,
    agent: String,
    enrolled: String,
}

impl Page {
    pub(super) fn new(view: &FleetView, shell: Shell) -> Self {
        let waiting = view.clusters.iter().filter(|cluster| cluster.products.is_empty());
        let listed = u64::try_from(view.clusters.len()).unwrap_or(u64::MAX);
        Self {
            shell: shell.titled(title(view)),
            notices: notices(view),
            sections: sections(view),
            waiting: waiting
                .map(|cluster| Waiting {
                    name: cluster.name.clone(),
                    agent: cluster.agent_version.clone(),
                    enrolled: words::relative(view.at, cluster.enrolled_at),
                })
                .collect(),
            sites: dark::dark_sites(view),
            more: view.clusters_total.saturating_sub(listed),
        }
    }
}

/// The tab says how far the fleet is, so that nobody has to keep the page in front.
fn title(view: &FleetView) -> String {
    let active: u64 = view.drift.iter().map(|totals| totals.active).sum();
    let current: u64 = view.drift.iter().map(|totals| totals.current).sum();
    if active == 0 {
        "Fairway".to_owned()
    } else {
        format!("{current}/{active} current · Fairway")
    }
}

fn notices(view: &FleetView) -> Vec<Notice> {
    let plain = |tone, title: &str, text: String| Notice {
        tone,
        title: title.to_owned(),
        text,
        by: String::new(),
    };
    let mut notices = Vec::new();
    if view.status.root_version.is_none() {
        let text = "No graph can be served until the first publication.".to_owned();
        notices.push(plain(Tone::Mute, "Nothing is published.", text));
    }
    if let Some(reason) = &view.status.stale {
        let text = format!("{reason}; agents refuse updates until it is signed again.");
        notices.push(plain(Tone::Bad, "Signatures have expired.", text));
    }
    for role in &view.status.expired_roles {
        let text = format!("{role} must be signed again; other vendors are not affected.");
        notices.push(plain(Tone::Warn, "A vendor's signature has expired.", text));
    }
    notices.extend(view.holds.iter().filter(|h| h.resumed_at.is_none()).map(|h| hold(h, view.at)));
    notices
}

fn hold(hold: &Hold, now: Timestamp) -> Notice {
    let scope = match &hold.scope {
        HoldScope::Fleet => "the whole fleet".to_owned(),
        HoldScope::Product { product } => product.to_string(),
        HoldScope::Channel { product, channel } => format!("{product}, channel {channel}"),
        HoldScope::Release { product, version } => format!("moves of {product} to {version}"),
        HoldScope::Cluster { cluster } => format!("cluster {cluster}"),
    };
    let since = words::relative(now, hold.at);
    Notice {
        tone: Tone::Warn,
        title: format!("Held: {scope}."),
        text: hold.reason.clone(),
        by: format!("hold {} by {}, {since}", hold.id, hold.by),
    }
}

fn sections(view: &FleetView) -> Vec<Section> {
    let mut products: BTreeMap<&ProductRef, (Vec<Card>, Vec<Row>)> = BTreeMap::new();
    for totals in &view.drift {
        products.entry(&totals.product).or_default().0.push(card(totals));
    }
    for cluster in &view.clusters {
        for product in &cluster.products {
            let rows = &mut products.entry(&product.product).or_default().1;
            rows.push(row(cluster, product, view.at));
        }
    }
    products
        .into_iter()
        .map(|(product, (cards, mut rows))| {
            // By name: rows must not jump about under a page that refreshes itself.
            rows.sort_by(|a, b| a.name.cmp(&b.name));
            Section {
                anchor: format!("{}-{}", product.vendor, product.product),
                vendor: product.vendor.to_string(),
                product: product.product.to_string(),
                cards,
                rows,
            }
        })
        .collect()
}

fn card(totals: &DriftTotals) -> Card {
    let shares = [
        (Tone::Good, "current", totals.current),
        (Tone::Move, "behind", totals.behind),
        (Tone::Warn, "stranded", totals.stranded),
        (Tone::Bad, "off graph", totals.off_graph),
        (Tone::Mute, "silent", totals.silent),
    ];
    let plain = |label, value| Count { tone: Tone::Plain, label, value };
    let mut counts = vec![plain("active", totals.active)];
    counts.extend(shares.map(|(tone, label, value)| Count { tone, label, value }));
    counts.extend([plain("rolling", totals.rolling), plain("stopped", totals.stopped)]);
    if totals.eol > 0 {
        counts.push(Count { tone: Tone::Warn, label: "past end of life", value: totals.eol });
    }
    let share_text = format!("{} of {} on the head", totals.current, totals.active);
    Card {
        channel: totals.channel.to_string(),
        arch: totals.arch.to_string(),
        head: totals.head.as_ref().map(ToString::to_string),
        share: match percent(totals.current, totals.active) {
            Some(percent) => format!("{percent} %"),
            None => "–".to_owned(),
        },
        stack: stack(&shares),
        stack_label: format!("{share_text}; {} silent", totals.silent),
        share_text,
        counts,
        versions: versions(totals),
    }
}

/// Rounded down: 100 % means every one.
fn percent(part: u64, whole: u64) -> Option<u64> {
    part.saturating_mul(100).checked_div(whole)
}

/// Parts side by side, together [`FULL`] wide.
fn stack(shares: &[(Tone, &'static str, u64)]) -> Vec<Part> {
    let whole: u64 = shares.iter().map(|(_, _, value)| value).sum();
    let edge = |value: u64| value.saturating_mul(FULL).checked_div(whole).unwrap_or(0);
    let mut before = 0;
    let mut parts = Vec::new();
    for (tone, label, value) in shares.iter().filter(|(_, _, value)| *value > 0) {
        let (x, end) = (edge(before), edge(before + value));
        parts.push(Part { tone: *tone, x, width: end - x, label: format!("{value} {label}") });
        before += value;
    }
    parts
}

fn versions(totals: &DriftTotals) -> Vec<VersionBar> {
    let most = totals.versions.iter().map(|count| count.clusters).max().unwrap_or(0);
    let rest: u64 = totals.versions.iter().skip(MAX_VERSIONS).map(|count| count.clusters).sum();
    let width =
        |clusters: u64| clusters.saturating_mul(FULL).checked_div(most).unwrap_or(0).min(FULL);
    let mut bars: Vec<VersionBar> = totals
        .versions
        .iter()
        .take(MAX_VERSIONS)
        .map(|count| {
            let head = totals.head.as_ref() == Some(&count.version);
            VersionBar {
                label: count.version.to_string(),
                tone: if head { Tone::Good } else { Tone::Move },
                width: width(count.clusters),
                clusters: count.clusters,
            }
        })
        .collect();
    if rest > 0 {
        let label = "older".to_owned();
        bars.push(VersionBar { label, tone: Tone::Mute, width: width(rest), clusters: rest });
    }
    bars
}

fn row(cluster: &ClusterRow, product: &ProductRow, now: Timestamp) -> Row {
    let lag = |milliseconds: Option<u64>, unit: Option<String>| {
        milliseconds.map(|ms| Lag { value: words::lag(ms), unit: unit.unwrap_or_default() })
    };
    let health = &product.health;
    let quorum_unit = health.quorum_lag_unit.as_ref().map(ToString::to_string);
    let pleg_unit = health.pleg_lag_unit.as_ref().map(ToString::to_string);
    let freshness = words::freshness(cluster.freshness);
    Row {
        name: cluster.name.clone(),
        channel: product.channel.to_string(),
        site: cluster.site.as_ref().map(ToString::to_string),
        version: product.version.to_string(),
        target: product
            .target
            .as_ref()
            .filter(|target| **target != product.version)
            .map(ToString::to_string),
        drift: words::drift(&product.drift),
        phase: words::phase(product.phase),
        since: words::relative(now, product.since),
        unit: product.unit.as_ref().map(ToString::to_string),
        progress: product.progress,
        health: words::health(health.verdict),
        quorum_lag: lag(health.quorum_lag_ms, quorum_unit),
        pleg_lag: lag(health.pleg_lag_ms, pleg_unit),
        why: why(product),
        seen: cluster
            .as_of
            .or(cluster.last_seen)
            .map_or_else(|| "–".to_owned(), |at| words::relative(now, at)),
        quiet: freshness.is_some(),
        freshness,
    }
}

/// The failure first, then what the agent waits on, then what the hub says.
fn why(product: &ProductRow) -> Vec<Why> {
    let failure = product
        .failure
        .iter()
        .map(|failure| Why { text: failure.message.clone(), code: failure.kind.clone() });
    let waiting = product.waiting_on.iter().map(|waiting| Why {
        text: match &waiting.unit {
            Some(unit) => format!("{unit}: {}", waiting.message),
            None => waiting.message.clone(),
        },
        code: waiting.gate.clone(),
    });
    let hub = product
        .why_not
        .iter()
        .map(|reason| Why { text: reason.message.clone(), code: reason.code.clone() });
    failure.chain(waiting).chain(hub).take(MAX_REASONS).collect()
}
