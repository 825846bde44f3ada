//! Rules over graphs.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Code, Finding, finding};
use crate::graph::Graph;
use crate::names::Arch;
use crate::version::ReleaseVersion;

/// Checks one channel's graphs; what holds on every architecture is said once.
pub(super) fn check(file: &Path, graphs: &[(&Arch, &Graph)]) -> Vec<Finding> {
    let mut arches: BTreeMap<(Code, String), Vec<&str>> = BTreeMap::new();
    for (arch, graph) in graphs {
        for found in ways(graph).into_iter().chain(circle(graph, true)) {
            arches.entry(found).or_default().push(arch.as_str());
        }
    }
    let say = |((code, message), on): ((Code, String), Vec<&str>)| {
        if on.len() == graphs.len() {
            finding(code, file, message)
        } else {
            finding(code, file, format!("on {}: {message}", on.join(", ")))
        }
    };
    arches.into_iter().map(say).collect()
}

/// Checks one graph that may come from anywhere; `file` is where the findings point.
pub fn lint_graph(graph: &Graph, file: &Path) -> Vec<Finding> {
    let found = ways(graph).into_iter().chain(circle(graph, false));
    let mut findings: Vec<Finding> =
        found.map(|(code, message)| finding(code, file, message)).collect();
    findings.sort();
    findings
}

/// Versions that cannot be left or reached. Risks do not count here: a person can accept them.
fn ways(graph: &Graph) -> Vec<(Code, String)> {
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
        let waits = (here < head || node.is_tombstone()) && node.dead_end().is_none();
        if waits && newer(here).next().is_none() {
            let message = format!(
                "{version} has no way out: a cluster on it can never move; let a newer release \
                 list it in upgrade_from"
            );
            found.push((Code::NoWayOut, message));
        } else if here < head && !to_head[here] {
            let message =
                format!("no way leads from {version} to the head {}", nodes[head].version);
            found.push((Code::HeadUnreachable, message));
        }
        if older_than && !entered[here] && !node.is_tombstone() {
            let message = format!("nothing older in the channel leads to {version}");
            found.push((Code::NodeUnreachable, message));
        }
        older_than = true;
    }
    found
}

/// A circle of edges. In a compiled graph only declared downgrades can close one.
fn circle(graph: &Graph, compiled: bool) -> Option<(Code, String)> {
    let circle = find_circle(graph)?;
    let names: Vec<String> = circle.iter().map(ToString::to_string).collect();
    let way = names.join(" -> ");
    Some(if compiled {
        let message =
            format!("downgrades make a circle: {way}; OpenShift's own server refuses such graphs");
        (Code::DowngradeCycle, message)
    } else {
        (Code::Cycle, format!("edges lead in a circle: {way}"))
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
