//! Rules over graphs.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Code, Finding, Near, finding, risks};
use crate::graph::Graph;
use crate::names::Arch;
use crate::repository::{ChannelSource, ProductSource};
use crate::version::ReleaseVersion;

/// What a rule says of one graph.
type Said = (Code, String, Near);

/// Checks one channel's graphs; what holds on every architecture is said once.
pub(super) fn check(file: &Path, graphs: &[(&Arch, &Graph)]) -> Vec<Finding> {
    let mut arches: BTreeMap<Said, Vec<&str>> = BTreeMap::new();
    for (arch, graph) in graphs {
        for found in ways(graph).into_iter().chain(circle(graph, true)) {
            arches.entry(found).or_default().push(arch.as_str());
        }
    }
    let say = |((code, message, near), on): (Said, Vec<&str>)| {
        let message = if on.len() == graphs.len() {
            message
        } else {
            format!("on {}: {message}", on.join(", "))
        };
        finding(code, file, message).near(near)
    };
    arches.into_iter().map(say).collect()
}

/// Checks one graph that may come from anywhere; `file` is where the findings point.
pub fn lint_graph(graph: &Graph, file: &Path) -> Vec<Finding> {
    let barriers: Vec<&ReleaseVersion> =
        graph.nodes().iter().filter(|n| n.barrier().is_some()).map(|n| &n.version).collect();
    let jumps = barriers.into_iter().filter_map(|barrier| {
        let (from, to) = jump_over(graph, barrier)?;
        let message = format!("the edge from {from} to {to} jumps over {barrier}, a barrier");
        Some((Code::BarrierCrossed, message, Near::Word(barrier.to_string())))
    });
    let found = ways(graph).into_iter().chain(circle(graph, false)).chain(jumps);
    let mut findings: Vec<Finding> =
        found.map(|(code, message, near)| finding(code, file, message).near(near)).collect();
    risks::check_graph(graph, file, &mut findings);
    findings.sort();
    findings
}

/// Edges over versions that another channel of the product calls barriers. Over its own there are
/// none: the compiler leaves them out.
pub(super) fn check_barriers(
    channel: &ChannelSource,
    product: &ProductSource,
    graphs: &[(&Arch, &Graph)],
) -> Vec<Finding> {
    let mut found: BTreeMap<&ReleaseVersion, Finding> = BTreeMap::new();
    for other in product.channels.values().filter(|other| other.name != channel.name) {
        for barrier in other.barriers.keys().filter(|one| !channel.barriers.contains_key(one)) {
            let only = barrier.semver().build.as_str();
            let bare = barrier.without_build();
            // Build metadata is an architecture here only where no release carries it itself.
            let (node, only) = if only.is_empty() || product.releases.contains_key(barrier) {
                (barrier, None)
            } else {
                (&bare, Some(only))
            };
            let mut here =
                graphs.iter().filter(|(arch, _)| only.is_none_or(|only| only == arch.as_str()));
            let jump = here.find_map(|(_, graph)| jump_over(graph, node));
            let Some((from, to)) = jump else { continue };
            let message = format!(
                "the edge from {from} to {to} jumps over {barrier}, which is a barrier in {}; make \
                 it one here too, or narrow upgrade_from of {to}",
                other.file.display()
            );
            found.entry(barrier).or_insert_with(|| {
                finding(Code::BarrierCrossed, &channel.file, message)
                    .near(Near::Word(to.to_string()))
            });
        }
    }
    found.into_values().collect()
}

/// An edge from one side of a version to the other.
fn jump_over<'g>(
    graph: &'g Graph,
    barrier: &ReleaseVersion,
) -> Option<(&'g ReleaseVersion, &'g ReleaseVersion)> {
    let nodes = graph.nodes();
    (0..nodes.len()).find_map(|here| {
        let from = &nodes[here].version;
        let over = |to: &ReleaseVersion| {
            (from < barrier && barrier < to) || (to < barrier && barrier < from)
        };
        graph
            .offers_at(here)
            .map(|(to, _)| &nodes[to].version)
            .find(|to| over(to))
            .map(|to| (from, to))
    })
}

/// Versions that cannot be left or reached. Risks do not count here: a person can accept them.
fn ways(graph: &Graph) -> Vec<Said> {
    let nodes = graph.nodes();
    let Some(head) = graph.head_index() else { return Vec::new() };
    let newer = |here: usize| {
        graph
            .offers_at(here)
            .map(|(to, _)| to)
            .filter(move |&to| to > here && !nodes[to].is_tombstone())
    };
    let mut to_head = vec![false; nodes.len()];
    to_head[head] = true;
    for here in (0..head).rev() {
        // A dead end is where its author wants clusters to end.
        to_head[here] = nodes[here].dead_end().is_some() || newer(here).any(|to| to_head[to]);
    }
    let mut entered = vec![false; nodes.len()];
    for here in 0..nodes.len() {
        newer(here).for_each(|to| entered[to] = true);
    }
    let mut found = Vec::new();
    let mut older_than = false;
    for (here, node) in nodes.iter().enumerate() {
        let version = &node.version;
        let near = || Near::Word(version.to_string());
        let waits = (here < head || node.is_tombstone()) && node.dead_end().is_none();
        if waits && newer(here).next().is_none() {
            let message = format!(
                "{version} has no way out: a cluster on it can never move; let a newer release \
                 list it in upgrade_from, or give the reason under dead_ends"
            );
            found.push((Code::NoWayOut, message, near()));
        } else if waits && here < head && !to_head[here] {
            let message =
                format!("no way leads from {version} to the head {}", nodes[head].version);
            found.push((Code::HeadUnreachable, message, near()));
        }
        if older_than && !entered[here] && !node.is_tombstone() {
            let message = format!("nothing older in the channel leads to {version}");
            found.push((Code::NodeUnreachable, message, near()));
        }
        older_than = true;
    }
    found
}

/// A circle of edges. In a compiled graph only declared downgrades can close one.
fn circle(graph: &Graph, compiled: bool) -> Option<Said> {
    let circle = find_circle(graph)?;
    let names: Vec<String> = circle.iter().map(ToString::to_string).collect();
    let way = names.join(" -> ");
    let near = Near::Word(names.first()?.clone());
    Some(if compiled {
        let message =
            format!("downgrades make a circle: {way}; OpenShift's own server refuses such graphs");
        (Code::DowngradeCycle, message, near)
    } else {
        (Code::Cycle, format!("edges lead in a circle: {way}"), near)
    })
}

/// Some circle as the versions on it, the first one repeated at the end.
fn find_circle(graph: &Graph) -> Option<Vec<ReleaseVersion>> {
    let nodes = graph.nodes();
    // Taking away nodes without edges into them leaves exactly the circles and what they lead to.
    let mut into = vec![0_usize; nodes.len()];
    for here in 0..nodes.len() {
        graph.offers_at(here).for_each(|(to, _)| into[to] += 1);
    }
    let mut free: Vec<usize> = (0..nodes.len()).filter(|&i| into[i] == 0).collect();
    let mut left = vec![true; nodes.len()];
    while let Some(here) = free.pop() {
        left[here] = false;
        for (to, _) in graph.offers_at(here) {
            into[to] -= 1;
            if into[to] == 0 {
                free.push(to);
            }
        }
    }
    // Every node left has an edge from another node left: walking backwards must repeat one.
    let mut before: Vec<Option<usize>> = vec![None; nodes.len()];
    for here in (0..nodes.len()).filter(|&i| left[i]) {
        for (to, _) in graph.offers_at(here) {
            before[to].get_or_insert(here);
        }
    }
    let mut here = left.iter().position(|left| *left)?;
    let mut way = Vec::new();
    let mut place = vec![None; nodes.len()];
    while place[here].is_none() {
        place[here] = Some(way.len());
        way.push(here);
        here = before[here]?;
    }
    let begin = place[here]?;
    let mut circle: Vec<usize> = way[begin..].to_vec();
    circle.reverse();
    circle.insert(0, here);
    Some(circle.into_iter().map(|index| nodes[index].version.clone()).collect())
}
