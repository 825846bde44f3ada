//! Differences, counted and told together.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::graph::{GraphBuilder, MatchingRule, Node, TOMBSTONE_KEY};

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

fn risk(name: &str, message: &str) -> Risk {
    Risk {
        name: name.into(),
        message: message.into(),
        url: String::new(),
        matching_rules: vec![MatchingRule::Always],
    }
}

/// Nodes (`!` withdraws) and edges `from>to` or `from>to?Risk`.
fn graph(nodes: &str, edges: &str) -> Graph {
    let mut builder = GraphBuilder::new(None);
    let mut handles = BTreeMap::new();
    for node in nodes.split_whitespace() {
        let plain = node.trim_start_matches('!');
        let mut metadata = BTreeMap::new();
        if plain != node {
            metadata.insert(TOMBSTONE_KEY.to_owned(), "true".to_owned());
        }
        let node = Node { version: version(plain), payload: String::new(), metadata };
        handles.insert(plain.to_owned(), builder.node(node));
    }
    for edge in edges.split_whitespace() {
        let (pair, risks) = edge.split_once('?').map_or((edge, None), |(p, r)| (p, Some(r)));
        let (from, to) = pair.split_once('>').unwrap();
        match risks {
            None => builder.edge(handles[from], handles[to]),
            Some(names) => {
                let set = builder.risks(names.split('+').map(|name| risk(name, "m")).collect());
                builder.conditional(handles[from], handles[to], set);
            }
        }
    }
    builder.build().unwrap()
}

const NODES: &str = "1.0.0 1.1.0 1.2.0";

#[test]
fn each_kind_of_change_is_told_with_its_sources() {
    let old = graph(NODES, "1.0.0>1.1.0 1.0.0>1.2.0?A 1.1.0>1.2.0?A");
    let new = graph(NODES, "1.0.0>1.1.0?B 1.0.0>1.2.0 1.1.0>1.2.0?A+C");
    let diff = diff(&old, &new);
    let told: Vec<(EdgeChange, String, Vec<String>)> = diff
        .edges
        .iter()
        .map(|group| (group.change, group.to.to_string(), group.risks.clone()))
        .collect();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (EdgeChange::BecameConditional, "1.1.0".into(), names(&["B"])),
            (EdgeChange::RisksChanged, "1.2.0".into(), names(&["A", "C"])),
            (EdgeChange::BecameRecommended, "1.2.0".into(), names(&["A"])),
        ]
    );
    assert_eq!(diff.risks_appeared, ["B", "C"]);
    assert!(diff.risks_vanished.is_empty() && diff.nodes.is_empty() && diff.head.is_none());
}

#[test]
fn releases_that_come_go_and_are_withdrawn_are_told() {
    let old = graph("1.0.0 1.1.0 !1.2.0", "1.0.0>1.1.0");
    let new = graph("!1.1.0 1.2.0 1.3.0", "1.2.0>1.3.0");
    let diff = diff(&old, &new);
    let expected = [
        (version("1.0.0"), NodeChange::Vanished),
        (version("1.1.0"), NodeChange::Withdrawn),
        (version("1.2.0"), NodeChange::Restored),
        (version("1.3.0"), NodeChange::Appeared),
    ];
    assert_eq!(diff.nodes, expected);
    assert_eq!(diff.head, Some((Some(version("1.1.0")), Some(version("1.3.0")))));
}

#[test]
fn a_cluster_before_several_changed_edges_counts_once() {
    let old = graph(NODES, "1.0.0>1.1.0 1.0.0>1.2.0 1.1.0>1.2.0");
    let new = graph(NODES, "");
    let diff = diff(&old, &new);
    let counts = [("1.0.0", 3), ("1.1.0", 2), ("1.2.0", 7), ("1.0.0", 1)];
    let fleet = Fleet::new(counts.map(|(text, count)| (version(text), count)));
    assert_eq!(fleet.total(), 13);
    assert_eq!(diff.edges_that(EdgeChange::Vanished), 3);
    assert_eq!(diff.clusters_touched(&fleet, &[EdgeChange::Vanished]), 6);
    assert_eq!(diff.edges[1].clusters(&fleet), 6, "both sources of 1.2.0");
    assert_eq!(diff.clusters_touched(&fleet, &[EdgeChange::Appeared]), 0);
}

#[test]
fn the_last_way_out_is_not_taken_unseen() {
    let old = graph(NODES, "1.0.0>1.2.0 1.1.0>1.2.0");
    let withdrawn = graph("1.0.0 1.1.0 !1.2.0", "");
    let lost = stranded(&old, &withdrawn);
    assert_eq!(lost, [Stranded::NoWayOut { version: version("1.0.0") }], "1.1.0 is the new head");
    assert_eq!(resting_tombstones(&withdrawn), [version("1.2.0")]);
    assert!(stranded(&old, &graph(NODES, "1.0.0>1.2.0?R 1.1.0>1.2.0?R")).is_empty());
    let gone = stranded(&old, &graph("1.1.0 1.2.0", "1.1.0>1.2.0"));
    assert_eq!(gone, [Stranded::Vanished { version: version("1.0.0") }]);
    let way = graph(NODES, "1.0.0>1.1.0 1.1.0>1.2.0");
    let cut = stranded(&way, &graph(NODES, "1.0.0>1.1.0"));
    let head = version("1.2.0");
    assert_eq!(
        cut,
        [
            Stranded::HeadUnreachable { version: version("1.0.0"), head },
            Stranded::NoWayOut { version: version("1.1.0") }
        ]
    );
}

#[test]
fn the_risk_of_a_hold_is_lifted_and_others_stay() {
    let served = graph(NODES, "1.0.0>1.1.0?Hold 1.0.0>1.2.0?Hold+A 1.1.0>1.2.0");
    let signed = graph(NODES, "1.0.0>1.1.0 1.0.0>1.2.0?A 1.1.0>1.2.0");
    assert_eq!(without_risk(&served, "Hold").unwrap(), signed);
}

/// A graph over four releases; each pair has no edge, a plain one, or one with a risk.
fn any_graph() -> impl Strategy<Value = Graph> {
    (prop::collection::vec(0_u8..4, 6), prop::collection::vec(any::<bool>(), 4)).prop_map(
        |(edges, withdrawn)| {
            let names = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"];
            let marked = names.iter().zip(&withdrawn);
            let nodes: Vec<String> =
                marked.map(|(n, w)| format!("{}{n}", if *w { "!" } else { "" })).collect();
            let mut pairs = Vec::new();
            let mut kinds = edges.into_iter();
            for to in 1..4 {
                for from in 0..to {
                    let kind = kinds.next().unwrap();
                    if withdrawn[to] || kind == 0 {
                        continue;
                    }
                    let risk = ["", "", "?A", "?B"][usize::from(kind)];
                    pairs.push(format!("{}>{}{risk}", names[from], names[to]));
                }
            }
            graph(&nodes.join(" "), &pairs.join(" "))
        },
    )
}

proptest! {
    #[test]
    fn what_appears_one_way_vanishes_the_other(old in any_graph(), new in any_graph()) {
        let (there, back) = (diff(&old, &new), diff(&new, &old));
        let both = [
            (EdgeChange::Appeared, EdgeChange::Vanished),
            (EdgeChange::BecameConditional, EdgeChange::BecameRecommended),
            (EdgeChange::RisksChanged, EdgeChange::RisksChanged),
        ];
        for (one, other) in both {
            prop_assert_eq!(there.edges_that(one), back.edges_that(other));
        }
        prop_assert_eq!(&there.risks_appeared, &back.risks_vanished);
        prop_assert_eq!(there.is_empty(), old == new);
        prop_assert!(stranded(&old, &old).is_empty());
    }
}
