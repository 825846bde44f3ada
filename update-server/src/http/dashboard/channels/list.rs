//! The list of channels: from the facts to what the template prints.

use askama::Template;
use channels::names::ChannelName;
use channels::version::ReleaseVersion;
use channels::wire::{DriftTotals, RiskExposure};

use super::address;
use crate::fleet::GraphKey;
use crate::http::dashboard::shell::Shell;
use crate::http::dashboard::words::{self, Pill, Tone};

/// Channels named as those that have a newer release: two lines of a narrow column.
const MAX_CHANNELS: usize = 2;

/// Width of a full bar in the drawings' own unit.
const FULL: u64 = 1000;

/// Everything the page shows.
#[derive(Debug)]
pub(super) struct ChannelsFacts {
    /// Those of this page.
    pub(super) graphs: Vec<GraphFacts>,
    /// How many there are in all.
    pub(super) all: usize,
    /// From 1.
    pub(super) page: usize,
    pub(super) pages: usize,
}

/// One graph.
#[derive(Debug)]
pub(super) struct GraphFacts {
    pub(super) key: GraphKey,
    pub(super) head: Option<ReleaseVersion>,
    pub(super) releases: usize,
    /// Edges that carry a risk.
    pub(super) risky: usize,
    /// Drift of its clusters; none where no cluster follows it.
    pub(super) totals: Option<DriftTotals>,
    /// Whom its risks concern.
    pub(super) exposure: Vec<RiskExposure>,
    pub(super) stops: Vec<(Option<ReleaseVersion>, String)>,
    /// Releases newer than the head, and the channels that have them.
    pub(super) newer: Vec<(ReleaseVersion, Vec<ChannelName>)>,
}

/// The page.
#[derive(Debug, Template)]
#[template(path = "channels.html")]
pub(super) struct ChannelsPage {
    shell: Shell,
    products: Vec<Product>,
    all: usize,
    page: usize,
    pages: usize,
}

#[derive(Debug)]
struct Product {
    anchor: String,
    name: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    href: String,
    channel: String,
    arch: String,
    head: String,
    releases: usize,
    risky: usize,
    active: u64,
    on_head: u64,
    percent: String,
    width: u64,
    apart: Vec<Pill>,
    risks: Vec<String>,
    stops: Vec<String>,
    newer: String,
}

impl ChannelsPage {
    pub(super) fn new(shell: Shell, facts: &ChannelsFacts) -> Self {
        let mut products: Vec<Product> = Vec::new();
        for graph in &facts.graphs {
            let name = graph.key.product.to_string();
            if products.last().is_none_or(|last| last.name != name) {
                let anchor = name.replace('/', "-");
                products.push(Product { anchor, name, rows: Vec::new() });
            }
            if let Some(product) = products.last_mut() {
                product.rows.push(row(graph));
            }
        }
        let ChannelsFacts { all, page, pages, .. } = facts;
        Self { shell, products, all: *all, page: *page, pages: *pages }
    }
}

fn row(graph: &GraphFacts) -> Row {
    let totals = graph.totals.as_ref();
    let of = |part: fn(&DriftTotals) -> u64| totals.map_or(0, part);
    let (active, on_head) = (of(|t| t.active), of(|t| t.current));
    let apart = [
        (Tone::Warn, "stranded", of(|t| t.stranded)),
        (Tone::Bad, "off graph", of(|t| t.off_graph)),
        (Tone::Mute, "silent", of(|t| t.silent)),
        (Tone::Warn, "past end of life", of(|t| t.eol)),
    ];
    let risk = |risk: &RiskExposure| {
        let before = words::count(risk.clusters, "cluster");
        format!("{}: {before}, {} without another way", risk.risk, risk.blocked)
    };
    let stop = |(version, why): &(Option<ReleaseVersion>, String)| match version {
        None => why.clone(),
        Some(version) => format!("to {version}: {why}"),
    };
    Row {
        href: address(&graph.key),
        channel: graph.key.channel.to_string(),
        arch: graph.key.arch.to_string(),
        head: graph.head.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
        releases: graph.releases,
        risky: graph.risky,
        active,
        on_head,
        percent: on_head
            .saturating_mul(100)
            .checked_div(active)
            .map_or_else(|| "–".to_owned(), |percent| format!("{percent} %")),
        width: on_head.saturating_mul(FULL).checked_div(active).unwrap_or(0).min(FULL),
        apart: apart
            .into_iter()
            .filter(|(_, _, clusters)| *clusters > 0)
            .map(|(tone, what, clusters)| Pill::new(tone, format!("{clusters} {what}")))
            .collect(),
        risks: graph.exposure.iter().map(risk).collect(),
        stops: graph.stops.iter().map(stop).collect(),
        newer: newer(&graph.newer),
    }
}

/// The newest of them and where it is; the channel's own page has the rest.
fn newer(newer: &[(ReleaseVersion, Vec<ChannelName>)]) -> String {
    let Some((version, channels)) = newer.last() else { return String::new() };
    let names: Vec<&str> = channels.iter().take(MAX_CHANNELS).map(ChannelName::as_str).collect();
    let others = match channels.len().saturating_sub(MAX_CHANNELS) {
        0 => String::new(),
        1 => " and another".to_owned(),
        many => format!(" and {many} others"),
    };
    let more = match newer.len() {
        1 => String::new(),
        many => format!(", {} more", many - 1),
    };
    format!("{version} in {}{others}{more}", names.join(", "))
}
