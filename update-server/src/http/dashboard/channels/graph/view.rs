//! From the facts to what the template prints.

use askama::Template;
use channels::graph::{Graph, Node};
use channels::version::ReleaseVersion;
use channels::wire::SoakRelease;

use super::ChannelFacts;
use super::detail::{self, EdgeDetail, NodeDetail, RiskDetail};
use super::feeder::{self, Feeder, Neighbour};
use super::kind::{Kind, RisksOf, names, risks_of};
use super::link::{self, Picked};
use super::picture::{Drawing, MARKS, Picture, marks_of};
use crate::http::dashboard::shell::Shell;
use crate::http::dashboard::words::{self, Pill, Tone};

/// Most releases drawn and listed. The largest real channel has 270; with many more, lines hide each
/// other and the page is heavy.
const MAX_DRAWN_NODES: usize = 600;
/// Releases listed as newer in other channels.
const MAX_NEWER: usize = 20;
/// Releases whose soak is listed, newest first.
const MAX_SOAK: usize = 30;

/// The page.
#[derive(Debug, Template)]
#[template(path = "channel.html")]
pub(in super::super) struct ChannelPage {
    shell: Shell,
    product: String,
    channel: String,
    arch: String,
    head: String,
    api: String,
    signed_by: String,
    facts: Vec<Fact>,
    stops: Vec<Stop>,
    missing: Option<String>,
    node: Option<NodeDetail>,
    edge: Option<EdgeDetail>,
    picture: Option<Picture>,
    too_many: usize,
    legend: Legend,
    rows: Vec<Row>,
    risks: Vec<RiskDetail>,
    elsewhere: Vec<String>,
    feeder: Option<Feeder>,
    fed: Vec<Neighbour>,
    soak: Option<Vec<Soak>>,
    newer: Vec<Newer>,
    newer_more: usize,
}

#[derive(Debug)]
struct Fact {
    tone: Tone,
    label: &'static str,
    value: u64,
}

#[derive(Debug)]
struct Stop {
    what: String,
    why: String,
}

#[derive(Debug)]
struct Legend {
    kinds: [(&'static str, &'static str); 3],
    marks: [(&'static str, &'static str); 5],
}

/// A release, as the picture has it.
#[derive(Debug)]
struct Row {
    version: String,
    href: String,
    clusters: u64,
    released: String,
    severity: Option<Pill>,
    marks: String,
    ways: Vec<Onward>,
}

/// An edge that is drawn.
#[derive(Debug)]
struct Onward {
    version: String,
    href: String,
    /// `conditional: DiskStorm`; empty where nothing keeps clusters.
    unless: String,
}

#[derive(Debug)]
struct Soak {
    version: String,
    since: String,
    healthy_h: String,
    unhealthy_h: String,
    unknown_h: String,
    failures: u64,
}

#[derive(Debug)]
struct Newer {
    version: String,
    channels: String,
    soak: String,
}

impl ChannelPage {
    /// The page of `facts`, with what the address picks.
    pub(in super::super) fn new(
        shell: Shell,
        facts: &ChannelFacts,
        node: Option<&str>,
        edge: Option<&str>,
    ) -> Self {
        let key = &facts.key;
        let picked = Picked::read(node, edge, &facts.graph);
        let risks = risks_of(&facts.graph);
        let nodes = facts.graph.nodes().len();
        let is_drawn = (1..=MAX_DRAWN_NODES).contains(&nodes);
        let clusters: Vec<u64> =
            facts.graph.nodes().iter().map(|node| facts.clusters_on(&node.version)).collect();
        let drawing = Drawing {
            graph: &facts.graph,
            risks: &risks,
            clusters: &clusters,
            picked: &picked,
            now: facts.at,
        };
        Self {
            shell,
            product: key.product.to_string(),
            channel: key.channel.to_string(),
            arch: key.arch.to_string(),
            head: facts.graph.head().map_or_else(|| "none".to_owned(), ToString::to_string),
            api: format!(
                "/api/upgrades_info/{}/v1/graph?channel={}&arch={}",
                key.product, key.channel, key.arch
            ),
            signed_by: format!("{}, sha256:{}", facts.role, facts.digest),
            facts: figures(facts),
            stops: stops(facts),
            node: if let Picked::Node(index) = picked { detail::node(facts, index) } else { None },
            edge: if let Picked::Edge(a, b) = picked { detail::edge(facts, a, b) } else { None },
            missing: if let Picked::Missing(text) = &picked { Some(text.clone()) } else { None },
            picture: is_drawn.then(|| drawing.picture()),
            too_many: if is_drawn { 0 } else { nodes },
            legend: Legend {
                kinds: Kind::ALL.map(|kind| (kind.class(), kind.legend())),
                marks: MARKS,
            },
            rows: if is_drawn { rows(facts, &risks) } else { Vec::new() },
            risks: detail::risks(facts),
            elsewhere: detail::elsewhere(facts),
            feeder: feeder::feeder(facts),
            fed: feeder::fed(facts),
            soak: facts.soak.as_ref().map(|soak| soak_here(facts, soak)),
            newer: facts.newer.iter().rev().take(MAX_NEWER).map(|n| newer(facts, n)).collect(),
            newer_more: facts.newer.len().saturating_sub(MAX_NEWER),
        }
    }
}

fn figures(facts: &ChannelFacts) -> Vec<Fact> {
    let plain = |label, value: usize| Fact {
        tone: Tone::Plain,
        label,
        value: u64::try_from(value).unwrap_or(u64::MAX),
    };
    let graph = &facts.graph;
    let risky = graph.conditional().iter().map(|group| group.edges.len()).sum();
    let mut all = vec![
        plain("releases", graph.nodes().len()),
        plain("edges", graph.edges().len()),
        plain("edges with risks", risky),
    ];
    let Some(totals) = &facts.totals else {
        all.push(plain("clusters", 0));
        return all;
    };
    let share = [
        (Tone::Plain, "active clusters", totals.active),
        (Tone::Good, "on the head", totals.current),
        (Tone::Move, "behind", totals.behind),
        (Tone::Warn, "stranded", totals.stranded),
        (Tone::Bad, "off graph", totals.off_graph),
        (Tone::Mute, "silent", totals.silent),
        (Tone::Warn, "past end of life", totals.eol),
    ];
    all.extend(share.map(|(tone, label, value)| Fact { tone, label, value }));
    all
}

fn stops(facts: &ChannelFacts) -> Vec<Stop> {
    let what = |version: &Option<ReleaseVersion>| match version {
        None => "Every move is held.".to_owned(),
        Some(version) => format!("Moves to {version} are held."),
    };
    facts
        .stops
        .iter()
        .map(|(version, why)| Stop { what: what(version), why: why.clone() })
        .collect()
}

fn rows(facts: &ChannelFacts, risks: &RisksOf<'_>) -> Vec<Row> {
    let graph = &facts.graph;
    let mut ways: Vec<Vec<Onward>> = graph.nodes().iter().map(|_| Vec::new()).collect();
    for (from, to) in graph.reduced_edges() {
        if let (Some(list), Some(onward)) = (ways.get_mut(from), onward(graph, risks, from, to)) {
            list.push(onward);
        }
    }
    let numbered = graph.nodes().iter().enumerate().zip(ways);
    let row = |((index, node), ways)| row(facts, index, node, ways);
    numbered.rev().map(row).collect()
}

fn onward(graph: &Graph, risks: &RisksOf<'_>, from: usize, to: usize) -> Option<Onward> {
    let (a, b) = (&graph.nodes().get(from)?.version, &graph.nodes().get(to)?.version);
    let risks = risks.get(&(from, to)).copied().unwrap_or_default();
    let unless = match Kind::of(risks) {
        Kind::Plain => String::new(),
        kind @ (Kind::Conditional | Kind::Blocked) => {
            format!("{}: {}", kind.words(), names(risks))
        }
    };
    Some(Onward { version: b.to_string(), href: link::edge(a, b), unless })
}

fn row(facts: &ChannelFacts, index: usize, node: &Node, ways: Vec<Onward>) -> Row {
    let head = facts.graph.head_index() == Some(index);
    let marks: Vec<&str> = marks_of(node, head, facts.at).map(|(_, words)| words).collect();
    let document = facts.releases.get(&node.version).map(|entry| &entry.document);
    Row {
        version: node.version.to_string(),
        href: link::node(&node.version),
        clusters: facts.clusters_on(&node.version),
        released: document
            .map_or_else(|| "–".to_owned(), |d| words::relative(facts.at, d.released_at)),
        severity: document.map(|document| detail::severity(document.severity)),
        marks: marks.join(", "),
        ways,
    }
}

fn hours(hours: f64) -> String {
    format!("{hours:.1}")
}

fn soak_here(facts: &ChannelFacts, soak: &[SoakRelease]) -> Vec<Soak> {
    let mut here: Vec<&SoakRelease> =
        soak.iter().filter(|release| release.channel == facts.key.channel).collect();
    here.sort_by(|a, b| b.version.cmp(&a.version));
    let row = |release: &SoakRelease| Soak {
        version: release.version.to_string(),
        since: words::relative(facts.at, release.since),
        healthy_h: hours(release.healthy_cluster_hours),
        unhealthy_h: hours(release.unhealthy_cluster_hours),
        unknown_h: hours(release.unknown_cluster_hours),
        failures: release.failures,
    };
    here.into_iter().take(MAX_SOAK).map(row).collect()
}

fn newer(
    facts: &ChannelFacts,
    (version, channels): &(ReleaseVersion, Vec<channels::names::ChannelName>),
) -> Newer {
    let names: Vec<String> = channels.iter().map(ToString::to_string).collect();
    let fared = facts
        .soak
        .iter()
        .flatten()
        .filter(|release| release.version == *version && channels.contains(&release.channel));
    let fared: Vec<String> = fared
        .map(|release| {
            format!(
                "{}: {} healthy, {} unhealthy cluster-hours, {}",
                release.channel,
                hours(release.healthy_cluster_hours),
                hours(release.unhealthy_cluster_hours),
                words::count(release.failures, "failure"),
            )
        })
        .collect();
    let soak = match (&facts.soak, fared.is_empty()) {
        (None, _) => "–".to_owned(),
        (Some(_), true) => "no cluster has run it there".to_owned(),
        (Some(_), false) => fared.join("; "),
    };
    Newer { version: version.to_string(), channels: names.join(", "), soak }
}
