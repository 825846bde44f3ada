//! Comparing all graphs of two states of a channel repository, and telling the difference.

use std::collections::{BTreeMap, BTreeSet};

use channels::diff::{EdgeChange, EdgeGroup, GraphDiff, NodeChange, diff};
use channels::graph::{Graph, GraphBuilder, Origin};
use channels::names::{Arch, ChannelName, ProductRef};
use channels::repository::Workspace;
use channels::version::ReleaseVersion;
use serde::Serialize;

use super::fleet::{Counted, Key};
use super::select;
use crate::error::{CliError, Result};
use crate::out::{Out, printable};
use crate::words::count;

/// Sources of changed edges named in one line; JSON names all of them.
const SHOWN: usize = 6;

/// Every graph of some products.
pub(crate) type Graphs = BTreeMap<Key, Graph>;

/// What differs on one channel and architecture, and whom it touches.
#[derive(Debug, Serialize)]
pub(crate) struct ChannelDiff {
    pub(super) product: ProductRef,
    pub(super) channel: ChannelName,
    pub(super) arch: Arch,
    pub(super) diff: GraphDiff,
    /// How many edges changed, by kind.
    edges: BTreeMap<&'static str, usize>,
    /// Clusters of the fleet, where a hub was asked.
    clusters: Option<Touched>,
}

impl ChannelDiff {
    /// Clusters that an edge of this group begins at, where a hub was asked.
    pub(super) fn clusters_of_group(&self, number: usize) -> Option<u64> {
        self.clusters.as_ref()?.by_group.get(number).copied()
    }
}

/// Clusters by what the change does to the edges before them. One cluster may be in both.
#[derive(Debug, Serialize)]
struct Touched {
    /// All on this graph that report.
    active: u64,
    /// Those with an edge less, or one with more risks.
    losing: u64,
    /// Those with an edge more, or one without its risks.
    gaining: u64,
    /// By position in `diff.edges`: those an edge of the group begins at.
    by_group: Vec<u64>,
}

/// What vanished for a cluster.
const LOSSES: [EdgeChange; 3] =
    [EdgeChange::Vanished, EdgeChange::BecameConditional, EdgeChange::RisksChanged];
/// What a cluster has more.
const GAINS: [EdgeChange; 2] = [EdgeChange::Appeared, EdgeChange::BecameRecommended];

/// Compiles every product, or the one of that name.
pub(crate) fn compiled(workspace: &Workspace, product: Option<&str>) -> Result<Graphs> {
    let mut graphs = Graphs::new();
    let wanted = |name: &ProductRef| product.is_none_or(|wanted| select::is_called(name, wanted));
    for source in workspace.products.iter().filter(|source| wanted(&source.product)) {
        let compiled = select::compiled(source)?;
        graphs.extend(
            compiled
                .graphs
                .into_iter()
                .map(|(channel, arch, graph)| ((compiled.product.clone(), channel, arch), graph)),
        );
    }
    Ok(graphs)
}

/// What differs, graph by graph; those that offer the same are left out.
pub(crate) fn compare(
    old: &Graphs,
    new: &Graphs,
    fleet: Option<&Counted>,
) -> Result<Vec<ChannelDiff>> {
    let mut diffs = Vec::new();
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let empty = empty(key)?;
        let diff = diff(old.get(key).unwrap_or(&empty), new.get(key).unwrap_or(&empty));
        if diff.is_empty() {
            continue;
        }
        let kinds = LOSSES.iter().chain(&GAINS);
        let counts = kinds.map(|change| (change.as_str(), diff.edges_that(*change)));
        let edges = counts.filter(|(_, count)| *count > 0).collect();
        let clusters = fleet.map(|counted| touched(counted, key, &diff));
        let (product, channel, arch) = key.clone();
        diffs.push(ChannelDiff { product, channel, arch, diff, edges, clusters });
    }
    Ok(diffs)
}

fn empty((product, channel, arch): &Key) -> Result<Graph> {
    let origin = Origin { product: product.clone(), channel: channel.clone(), arch: arch.clone() };
    GraphBuilder::new(Some(origin))
        .build()
        .map_err(|error| CliError::because("failed to compare", &error))
}

fn touched(counted: &Counted, key: &Key, diff: &GraphDiff) -> Touched {
    // A graph nobody reports on has no clusters.
    let fleet = counted.on(key).cloned().unwrap_or_default();
    Touched {
        active: fleet.total(),
        losing: diff.clusters_touched(&fleet, &LOSSES),
        gaining: diff.clusters_touched(&fleet, &GAINS),
        by_group: diff.edges.iter().map(|group| group.clusters(&fleet)).collect(),
    }
}

/// Prints the differences for people.
pub(crate) fn render(diffs: &[ChannelDiff], out: &mut Out) -> Result<()> {
    // What is the same on many channels and architectures is told once.
    let mut told: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for one in diffs {
        let place = format!("{} {} {}", one.product, one.channel, one.arch);
        let lines = lines(one);
        match told.iter_mut().find(|(_, known)| *known == lines) {
            Some((places, _)) => places.push(place),
            None => told.push((vec![place], lines)),
        }
    }
    for (places, lines) in told {
        out.line(&printable(&places.join(", ")))?;
        for line in lines {
            out.line(&format!("  {}", printable(&line)))?;
        }
    }
    Ok(())
}

fn lines(one: &ChannelDiff) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (version, change) in &one.diff.nodes {
        lines.push(match change {
            NodeChange::Appeared => format!("release {version} appears"),
            NodeChange::Vanished => format!("release {version} vanishes: clusters on it are lost"),
            NodeChange::Withdrawn => format!("release {version} is withdrawn"),
            NodeChange::Restored => format!("release {version} is a tombstone no more"),
            NodeChange::PayloadChanged => {
                format!("release {version} has another payload; a release must never change")
            }
        });
    }
    if let Some((old, new)) = &one.diff.head {
        let name = |head: &Option<ReleaseVersion>| {
            head.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
        };
        lines.push(format!("head: {} becomes {}", name(old), name(new)));
    }
    for (number, group) in one.diff.edges.iter().enumerate() {
        lines.push(edges(group, one.clusters_of_group(number)));
    }
    for (word, names) in [
        ("appears", &one.diff.risks_appeared),
        ("vanishes", &one.diff.risks_vanished),
        ("is worded anew", &one.diff.risks_reworded),
    ] {
        lines.extend(names.iter().map(|name| format!("risk {name} {word}")));
    }
    if let Some(Touched { active, losing, gaining, .. }) = one.clusters {
        lines.push(format!(
            "clusters: of {active} active ones, {losing} lose an edge or its recommendation, \
             {gaining} gain one"
        ));
    }
    lines
}

fn edges(group: &EdgeGroup, clusters: Option<u64>) -> String {
    let EdgeGroup { change, to, risks, from } = group;
    let number = from.len();
    let noun = if number == 1 { "edge" } else { "edges" };
    let (one, verb) =
        (number == 1, |one: &'static str, many: &'static str| if number == 1 { one } else { many });
    let risks = risks.join(", ");
    let said = match change {
        EdgeChange::Vanished => verb("vanishes", "vanish").to_owned(),
        EdgeChange::Appeared if risks.is_empty() => verb("appears", "appear").to_owned(),
        EdgeChange::Appeared => format!("{} under {risks}", verb("appears", "appear")),
        EdgeChange::BecameConditional => format!("{} under {risks}", verb("comes", "come")),
        EdgeChange::RisksChanged => {
            format!("{} other risks: {risks}", if one { "carries" } else { "carry" })
        }
        EdgeChange::BecameRecommended => {
            format!("{} recommended, free of {risks}", verb("becomes", "become"))
        }
    };
    let mut sources: Vec<String> = from.iter().take(SHOWN).map(ToString::to_string).collect();
    if number > SHOWN {
        sources.push(format!("{} more", number - SHOWN));
    }
    let fleet = clusters.map_or_else(String::new, |clusters| {
        let noun = if clusters == 1 { "cluster" } else { "clusters" };
        format!(" ({clusters} {noun})")
    });
    format!("{number} {noun} to {to} {said}; from {}{fleet}", sources.join(", "))
}

/// One line on all of it.
pub(crate) fn summary(diffs: &[ChannelDiff], fleet: Option<&Counted>) -> String {
    let sum = |kinds: &[EdgeChange]| -> usize {
        let each = diffs.iter().flat_map(|one| kinds.iter().map(|kind| one.diff.edges_that(*kind)));
        each.sum()
    };
    let (vanish, appear) = (sum(&[EdgeChange::Vanished]), sum(&[EdgeChange::Appeared]));
    let other = sum(&LOSSES) + sum(&GAINS) - vanish - appear;
    let silent = fleet.map_or(0, Counted::silent);
    let silent = if silent == 0 {
        String::new()
    } else {
        format!("; {silent} silent clusters are not counted")
    };
    let graphs = count(diffs.len(), "graph");
    format!(
        "changed in {graphs}: {vanish} edges gone, {appear} new, {other} with other risks{silent}"
    )
}
