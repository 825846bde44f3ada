//! The manual's rules in nested loops: no index, no cache, every question asked anew.

use std::collections::{BTreeMap, BTreeSet};

use channels::graph::{EOL_KEY, Graph, Risk};
use channels::names::{Arch, ChannelName};
use channels::repository::{BlockSource, ChannelSource, ProductSource, ReleaseSource};
use channels::repository::{Sources, Targets};
use channels::version::ReleaseVersion;

/// What a graph says, by version.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    channel: String,
    arch: String,
    /// Withdrawn, barrier, dead end.
    nodes: BTreeMap<ReleaseVersion, (bool, Option<String>, Option<String>)>,
    /// Last days of support.
    ends: BTreeMap<ReleaseVersion, String>,
    /// Edges with their risks; none = plain.
    edges: BTreeMap<(ReleaseVersion, ReleaseVersion), BTreeSet<Risk>>,
}

/// The content of a compiled graph.
pub(crate) fn content((channel, arch, graph): &(ChannelName, Arch, Graph)) -> Content {
    let nodes = graph.nodes().iter().map(|node| {
        let marks = (node.barrier().map(str::to_owned), node.dead_end().map(str::to_owned));
        (node.version.clone(), (node.is_tombstone(), marks.0, marks.1))
    });
    let ends = graph.nodes().iter().filter_map(|node| {
        node.metadata.get(EOL_KEY).map(|day| (node.version.clone(), day.clone()))
    });
    let mut edges = BTreeMap::new();
    let name = |index: usize| graph.nodes()[index].version.clone();
    for (from, to) in graph.edges() {
        let before = edges.insert((name(*from), name(*to)), BTreeSet::new());
        assert!(before.is_none(), "an edge is listed twice");
    }
    for group in graph.conditional() {
        for (from, to) in &group.edges {
            let risks: BTreeSet<Risk> = group.risks.iter().cloned().collect();
            let before = edges.insert((name(*from), name(*to)), risks);
            assert!(before.is_none(), "an edge is listed twice");
        }
    }
    Content {
        channel: channel.to_string(),
        arch: arch.to_string(),
        nodes: nodes.collect(),
        ends: ends.collect(),
        edges,
    }
}

/// Every graph that has a node, by channel, then architecture.
pub(crate) fn graphs(product: &ProductSource) -> Vec<Content> {
    let mut arches: BTreeSet<&Arch> = BTreeSet::new();
    for release in product.releases.values() {
        arches.extend(release.document.arches.keys());
    }
    let mut graphs = Vec::new();
    for channel in product.channels.values() {
        for arch in &arches {
            let graph = graph(product, channel, arch);
            if !graph.nodes.is_empty() {
                graphs.push(graph);
            }
        }
    }
    graphs
}

fn graph(product: &ProductSource, channel: &ChannelSource, arch: &Arch) -> Content {
    let mut nodes = BTreeMap::new();
    for (version, release) in &product.releases {
        let listed = names(&channel.versions, version, arch);
        let withdrawn = names(&channel.tombstones, version, arch);
        if (listed || withdrawn) && release.document.arches.contains_key(arch) {
            let barrier = reason(&channel.barriers, version, arch);
            let dead_end = reason(&channel.dead_ends, version, arch);
            nodes.insert(version.clone(), (withdrawn, barrier, dead_end));
        }
    }
    let mut ends = BTreeMap::new();
    for version in nodes.keys() {
        for (line, day) in &product.eol {
            if version.to_string().starts_with(&format!("{line}.")) {
                ends.insert(version.clone(), day.to_string());
            }
        }
    }
    let mut edges = BTreeMap::new();
    for (from, (_, _, dead_end)) in &nodes {
        for (to, (withdrawn, _, _)) in &nodes {
            let over_barrier = nodes.iter().any(|(node, (_, barrier, _))| {
                barrier.is_some() && ((from < node && node < to) || (to < node && node < from))
            });
            if *withdrawn || dead_end.is_some() || over_barrier {
                continue;
            }
            let target = &product.releases[to];
            if !allows(target, from, arch) || !within_hops(product, from, target) {
                continue;
            }
            let blocks: Vec<&BlockSource> =
                product.blocks.iter().filter(|one| covers(one, from, to, arch)).collect();
            if blocks.iter().all(|block| block.risk.is_some()) {
                let risks = blocks.iter().filter_map(|block| block.risk.clone()).collect();
                edges.insert((from.clone(), to.clone()), risks);
            }
        }
    }
    Content { channel: channel.name.to_string(), arch: arch.to_string(), nodes, ends, edges }
}

/// `x.y.z` and, on its architecture, `x.y.z+arch`.
fn is(entry: &ReleaseVersion, version: &ReleaseVersion, arch: &Arch) -> bool {
    entry.to_string() == version.to_string() || entry.to_string() == format!("{version}+{arch}")
}

fn names(entries: &[ReleaseVersion], version: &ReleaseVersion, arch: &Arch) -> bool {
    entries.iter().any(|entry| is(entry, version, arch))
}

fn reason(
    marks: &BTreeMap<ReleaseVersion, String>,
    version: &ReleaseVersion,
    arch: &Arch,
) -> Option<String> {
    let mut marks = marks.iter().filter(|(entry, _)| is(entry, version, arch));
    marks.next().map(|(_, reason)| reason.clone())
}

fn allows(target: &ReleaseSource, from: &ReleaseVersion, arch: &Arch) -> bool {
    let to = target.document.version.semver();
    let upgrade_from = match target.narrowed.get(arch) {
        Some(narrowed) => narrowed,
        None => &target.document.upgrade_from,
    };
    if from.semver().cmp_precedence(to).is_lt() {
        upgrade_from.iter().any(|requirement| requirement.matches(from))
    } else if from.semver().cmp_precedence(to).is_gt() {
        target.document.downgrade_from.iter().any(|requirement| requirement.matches(from))
    } else {
        false
    }
}

fn within_hops(product: &ProductSource, from: &ReleaseVersion, target: &ReleaseSource) -> bool {
    let Some(limit) = target.minor_hops.or(product.rules.minor_hops) else { return true };
    let minor = |version: &ReleaseVersion| (version.semver().major, version.semver().minor);
    let (from, to) = (minor(from), minor(&target.document.version));
    let mut passed = BTreeSet::new();
    for version in product.releases.keys() {
        let here = minor(version);
        if (from < here && here <= to) || (to <= here && here < from) {
            passed.insert(here);
        }
    }
    passed.len() <= usize::try_from(limit).unwrap()
}

fn covers(block: &BlockSource, from: &ReleaseVersion, to: &ReleaseVersion, arch: &Arch) -> bool {
    let target = match &block.to {
        Targets::Version(version) => is(version, to, arch),
        Targets::Range(range) => {
            range.matches(to)
                && match &block.fixed_in {
                    Some(fixed_in) => to < fixed_in,
                    None => true,
                }
        }
    };
    let text =
        if from.to_string().contains('+') { from.to_string() } else { format!("{from}+{arch}") };
    let source = match &block.from {
        Sources::Range(range) => range.matches(from),
        Sources::Pattern(pattern) => pattern.is_match(&text),
    };
    target && source
}
