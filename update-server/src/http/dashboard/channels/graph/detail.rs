//! What is known of a release or an edge that the reader picked.

use std::collections::BTreeMap;

use channels::graph::{Graph, MatchingRule, Risk};
use channels::version::ReleaseVersion;
use channels::wire::{RiskExposure, Severity};

use super::kind::{Kind, names};
use super::picture::edges_of;
use super::{ChannelFacts, link};
use crate::catalog::ReleaseEntry;
use crate::http::dashboard::words::{self, Pill, Tone, count};

/// Releases outside the graph that are named with their clusters: two lines.
const MAX_ELSEWHERE: usize = 8;

/// Edges listed of one release and direction: a screenful or two; the graph itself has the rest.
const MAX_EDGES: usize = 200;

/// A release.
#[derive(Debug)]
pub(super) struct NodeDetail {
    pub(super) version: String,
    pub(super) clusters: u64,
    pub(super) said: Vec<Said>,
    pub(super) advisories: Vec<Link>,
    /// Where it leads to, and where it is reached from.
    pub(super) ways: [Ways; 2],
}

/// One thing that is said of it.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) what: &'static str,
    pub(super) text: String,
}

/// An address from outside.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) text: String,
    /// Where it leads, if it is a web page.
    pub(super) href: Option<String>,
}

/// Edges in one direction.
#[derive(Debug)]
pub(super) struct Ways {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Way>,
    /// How many there are beyond those.
    pub(super) more: usize,
}

#[derive(Debug)]
pub(super) struct Way {
    pub(super) version: String,
    pub(super) node: String,
    pub(super) edge: String,
    pub(super) kind: Pill,
    pub(super) risks: String,
    /// Clusters at the other end.
    pub(super) clusters: u64,
}

/// An edge.
#[derive(Debug)]
pub(super) struct EdgeDetail {
    pub(super) from: String,
    pub(super) from_href: String,
    pub(super) to: String,
    pub(super) to_href: String,
    pub(super) kind: Pill,
    /// Clusters that stand before it.
    pub(super) clusters: u64,
    /// What the release document says of it.
    pub(super) document: Pill,
    pub(super) risks: Vec<RiskDetail>,
}

/// A risk.
#[derive(Debug)]
pub(super) struct RiskDetail {
    pub(super) name: String,
    pub(super) message: String,
    pub(super) url: Link,
    pub(super) kind: Pill,
    pub(super) rules: Vec<Rule>,
    /// How many edges carry it.
    pub(super) edges: u64,
    /// Clusters before one of them, and of those the ones without another way up.
    pub(super) clusters: u64,
    pub(super) blocked: u64,
}

/// One of its rules.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) text: String,
    /// A query, to be copied.
    pub(super) code: Option<String>,
}

pub(super) fn link_to(address: &str) -> Link {
    Link { text: address.to_owned(), href: words::web_page(address) }
}

/// The release of a node.
pub(super) fn node(facts: &ChannelFacts, index: usize) -> Option<NodeDetail> {
    let node = facts.graph.nodes().get(index)?;
    let edges = edges_of(&facts.graph, index);
    let ends = |wanted: fn((usize, usize), usize) -> Option<usize>| -> Vec<(usize, usize, usize)> {
        // The newest first: those are the ones people go to.
        let found = edges.iter().rev();
        found.filter_map(|edge| Some((edge.0, edge.1, wanted(*edge, index)?))).collect()
    };
    let outs = ends(|(from, to), at| (from == at).then_some(to));
    let ins = ends(|(from, to), at| (to == at).then_some(from));
    let entry = facts.releases.get(&node.version);
    let advisories = entry.map(|entry| &entry.document.advisories);
    Some(NodeDetail {
        version: node.version.to_string(),
        clusters: facts.clusters_on(&node.version),
        said: said(facts, index, entry.map(AsRef::as_ref)),
        advisories: advisories.into_iter().flatten().map(|a| link_to(a)).collect(),
        ways: [ways(facts, "Leads to", &outs), ways(facts, "Comes from", &ins)],
    })
}

fn ways(facts: &ChannelFacts, title: &'static str, edges: &[(usize, usize, usize)]) -> Ways {
    let risks_of = super::kind::risks_of(&facts.graph);
    let nodes = facts.graph.nodes();
    let row = |&(from, to, other): &(usize, usize, usize)| {
        let risks = risks_of.get(&(from, to)).copied().unwrap_or_default();
        let other = &nodes.get(other)?.version;
        Some(Way {
            version: other.to_string(),
            node: link::node(other),
            edge: link::edge(&nodes.get(from)?.version, &nodes.get(to)?.version),
            kind: Kind::of(risks).pill(),
            risks: names(risks),
            clusters: facts.clusters_on(other),
        })
    };
    Ways {
        title,
        rows: edges.iter().take(MAX_EDGES).filter_map(row).collect(),
        more: edges.len().saturating_sub(MAX_EDGES),
    }
}

fn said(facts: &ChannelFacts, index: usize, entry: Option<&ReleaseEntry>) -> Vec<Said> {
    let Some(node) = facts.graph.nodes().get(index) else { return Vec::new() };
    let mut all = Vec::new();
    let mut say = |what, text: Option<String>| {
        all.extend(text.map(|text| Said { what, text }));
    };
    if facts.graph.head_index() == Some(index) {
        say("Head", Some("the newest release clusters should end on".to_owned()));
    }
    if node.is_tombstone() {
        say("Withdrawn", Some("clusters may still run it; nothing moves to it".to_owned()));
    }
    say("Barrier", node.barrier().map(|why| format!("no edge jumps over it: {why}")));
    say("Dead end", node.dead_end().map(|why| format!("it is never left: {why}")));
    say(
        "End of life",
        node.eol().map(|day| {
            let past = if day.is_past(facts.at) { "support ended" } else { "supported until" };
            format!("{past} {day}")
        }),
    );
    let Some(entry) = entry else {
        say("Release document", Some("none is served for this version".to_owned()));
        return all;
    };
    let document = &entry.document;
    say(
        "Released",
        Some(format!(
            "{} ({})",
            words::relative(facts.at, document.released_at),
            document.released_at.strftime("%Y-%m-%d %H:%M UTC")
        )),
    );
    say("Severity", Some(severity(document.severity).text));
    say("Page", document.url.clone());
    let needs = document.dependencies.iter().map(|d| format!("{} {}", d.product, d.requirement));
    let needs: Vec<String> = needs.collect();
    say("Needs", (!needs.is_empty()).then(|| needs.join(", ")));
    say(
        "Last step",
        document.finalize.as_ref().map(|last| {
            format!("{}; approved apart, and there is no way back after it", last.summary)
        }),
    );
    say("Document", Some(format!("sha256:{}", entry.digest.hex())));
    all
}

pub(super) fn severity(severity: Severity) -> Pill {
    match severity {
        Severity::None => Pill::new(Tone::Mute, "none"),
        Severity::Low => Pill::new(Tone::Plain, "low"),
        Severity::Moderate => Pill::new(Tone::Move, "moderate"),
        Severity::Important => Pill::new(Tone::Warn, "important"),
        Severity::Critical => Pill::new(Tone::Bad, "critical"),
        Severity::Unknown => Pill::new(Tone::Warn, "unknown"),
    }
}

/// The edge between two nodes.
pub(super) fn edge(facts: &ChannelFacts, from: usize, to: usize) -> Option<EdgeDetail> {
    let nodes = facts.graph.nodes();
    let (from_version, to_version) = (&nodes.get(from)?.version, &nodes.get(to)?.version);
    let risks = super::kind::risks_of(&facts.graph).get(&(from, to)).copied().unwrap_or_default();
    let document = match facts.releases.get(to_version) {
        None => Pill::new(Tone::Warn, "no release document is served"),
        Some(entry) if entry.document.allows_from(from_version) => {
            Pill::new(Tone::Good, "the release document allows it")
        }
        Some(_) => Pill::new(Tone::Bad, "the release document does not allow it: no agent goes"),
    };
    let shown = |risk: &Risk| detail(risk, edges_with(&facts.graph, risk), &facts.exposure);
    Some(EdgeDetail {
        from: from_version.to_string(),
        from_href: link::node(from_version),
        to: to_version.to_string(),
        to_href: link::node(to_version),
        kind: Kind::of(risks).pill(),
        clusters: facts.clusters_on(from_version),
        document,
        risks: risks.iter().map(shown).collect(),
    })
}

fn edges_with(graph: &Graph, risk: &Risk) -> u64 {
    let groups = graph.conditional().iter().filter(|group| group.risks.contains(risk));
    groups.map(|group| u64::try_from(group.edges.len()).unwrap_or(u64::MAX)).sum()
}

fn detail(risk: &Risk, edges: u64, exposure: &[RiskExposure]) -> RiskDetail {
    let exposed = exposure.iter().find(|exposed| exposed.risk == risk.name);
    let rule = |rule: &MatchingRule| match rule {
        MatchingRule::Always => Rule { text: "every cluster is exposed".to_owned(), code: None },
        MatchingRule::PromQl { promql } => Rule {
            text: "a cluster is exposed where this answers 1:".to_owned(),
            code: Some(promql.clone()),
        },
        MatchingRule::Unknown { kind } => {
            Rule { text: format!("a rule of the unknown kind {kind}"), code: None }
        }
    };
    let mut rules: Vec<Rule> = risk.matching_rules.iter().map(rule).collect();
    if rules.is_empty() {
        rules.push(Rule { text: "no rule: every cluster is exposed".to_owned(), code: None });
    }
    RiskDetail {
        name: risk.name.clone(),
        message: risk.message.clone(),
        url: link_to(&risk.url),
        kind: Kind::of(std::slice::from_ref(risk)).pill(),
        rules,
        edges,
        clusters: exposed.map_or(0, |exposed| exposed.clusters),
        blocked: exposed.map_or(0, |exposed| exposed.blocked),
    }
}

/// Every risk of the graph, most clusters first.
pub(super) fn risks(facts: &ChannelFacts) -> Vec<RiskDetail> {
    let mut edges: BTreeMap<&Risk, u64> = BTreeMap::new();
    for group in facts.graph.conditional() {
        let in_group = u64::try_from(group.edges.len()).unwrap_or(u64::MAX);
        for risk in &group.risks {
            *edges.entry(risk).or_default() += in_group;
        }
    }
    let mut all: Vec<RiskDetail> =
        edges.into_iter().map(|(risk, edges)| detail(risk, edges, &facts.exposure)).collect();
    all.sort_by(|a, b| b.clusters.cmp(&a.clusters).then_with(|| a.name.cmp(&b.name)));
    all
}

/// `3 clusters on 1.0.5`, for releases that the graph does not have: those with the most clusters,
/// and how many clusters run others.
pub(super) fn elsewhere(facts: &ChannelFacts) -> Vec<String> {
    let missing = |version: &ReleaseVersion| facts.graph.node_index(version).is_none();
    let mut counts: Vec<_> =
        facts.clusters.iter().filter(|(version, _)| missing(version)).collect();
    counts.sort_by(|(a, few), (b, many)| many.cmp(few).then_with(|| a.cmp(b)));
    let (named, others) = counts.split_at(counts.len().min(MAX_ELSEWHERE));
    let mut words: Vec<String> = named
        .iter()
        .map(|(version, clusters)| format!("{} on {version}", count(**clusters, "cluster")))
        .collect();
    if !others.is_empty() {
        let clusters: u64 = others.iter().map(|(_, clusters)| **clusters).sum();
        let releases = u64::try_from(others.len()).unwrap_or(u64::MAX);
        words.push(format!(
            "{} on {}",
            count(clusters, "cluster"),
            count(releases, "other release")
        ));
    }
    words
}
