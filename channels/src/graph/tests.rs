//! Graph tests, and the graphs other modules' tests are made from.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

pub(crate) fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

pub(crate) fn node(text: &str) -> Node {
    Node {
        version: version(text),
        payload: format!("registry.example/acme/app@sha256:{text}"),
        metadata: BTreeMap::new(),
    }
}

pub(crate) fn risk(name: &str) -> Risk {
    Risk {
        name: name.to_owned(),
        message: format!("{name} happens"),
        url: format!("https://example.com/{name}"),
        matching_rules: vec![MatchingRule::Always],
    }
}

/// A graph of plain edges, and of conditional ones under the risk `Risky`.
pub(crate) fn graph(edges: &[(&str, &str)], risky: &[(&str, &str)]) -> Graph {
    with_tombstones(edges, risky, &[])
}

/// A graph of plain edges with one more node, withdrawn.
pub(crate) fn tombstone(edges: &[(&str, &str)], withdrawn: &str) -> Graph {
    with_tombstones(edges, &[], &[withdrawn])
}

pub(crate) fn with_tombstones(
    edges: &[(&str, &str)],
    risky: &[(&str, &str)],
    withdrawn: &[&str],
) -> Graph {
    let all = edges.iter().chain(risky).flat_map(|(from, to)| [*from, *to]);
    let versions: BTreeSet<&str> = all.chain(withdrawn.iter().copied()).collect();
    let mut builder = GraphBuilder::new(None);
    let mut handles = BTreeMap::new();
    for text in versions {
        let mut node = node(text);
        if withdrawn.contains(&text) {
            node.metadata.insert(TOMBSTONE_KEY.to_owned(), "true".to_owned());
        }
        handles.insert(text, builder.node(node));
    }
    for (from, to) in edges {
        builder.edge(handles[from], handles[to]);
    }
    let risks = builder.risks(vec![risk("Risky")]);
    for (from, to) in risky {
        builder.conditional(handles[from], handles[to], risks);
    }
    builder.build().unwrap()
}

/// The parts of a random graph; edges may go up, down, in cycles or to themselves.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<(usize, usize)>,
    pub(crate) conditional: Vec<(usize, usize, Vec<Risk>)>,
}

impl Parts {
    pub(crate) fn build(&self) -> Graph {
        let mut builder = GraphBuilder::new(None);
        let mut handles = BTreeMap::new();
        for node in &self.nodes {
            handles.insert(node.version.clone(), builder.node(node.clone()));
        }
        // Edges name positions in version order, so that shuffled nodes mean the same graph.
        let by_order: Vec<usize> = handles.into_values().collect();
        for (from, to) in &self.edges {
            builder.edge(by_order[*from], by_order[*to]);
        }
        for (from, to, risks) in &self.conditional {
            let set = builder.risks(risks.clone());
            builder.conditional(by_order[*from], by_order[*to], set);
        }
        builder.build().unwrap()
    }
}

fn any_version() -> impl Strategy<Value = ReleaseVersion> {
    (
        0_u64..3,
        0_u64..4,
        0_u64..4,
        prop_oneof![4 => Just(""), 1 => Just("-rc.1"), 1 => Just("+s390x")],
    )
        .prop_map(|(major, minor, patch, tail)| version(&format!("{major}.{minor}.{patch}{tail}")))
}

fn any_risk() -> impl Strategy<Value = Risk> {
    let rule = prop_oneof![
        Just(MatchingRule::Always),
        "[a-z(){}=\" ]{1,12}".prop_map(|promql| MatchingRule::PromQl { promql }),
        Just(MatchingRule::Unknown { kind: "Oracle".to_owned() }),
    ];
    ("[A-D]", "\\PC{0,8}", prop::collection::vec(rule, 0..3)).prop_map(
        |(name, message, matching_rules)| Risk {
            name,
            message,
            url: "https://example.com/r".to_owned(),
            matching_rules,
        },
    )
}

pub(crate) fn parts() -> impl Strategy<Value = Parts> {
    prop::collection::btree_set(any_version(), 1..14).prop_flat_map(|versions| {
        let n = versions.len();
        let risks = prop::collection::vec(any_risk(), 1..3);
        (
            prop::collection::vec(prop::bool::weighted(0.1), n),
            prop::collection::vec((0..n, 0..n), 0..40),
            prop::collection::vec((0..n, 0..n, risks), 0..12),
        )
            .prop_map(move |(withdrawn, edges, conditional)| {
                let nodes = versions.iter().zip(withdrawn).map(|(version, withdrawn)| {
                    let mut node = node(&version.to_string());
                    if withdrawn {
                        node.metadata.insert(TOMBSTONE_KEY.to_owned(), "true".to_owned());
                    }
                    node
                });
                Parts { nodes: nodes.collect(), edges, conditional }
            })
    })
}

/// The same parts twice, the second time in another order.
pub(crate) fn shuffled_parts() -> impl Strategy<Value = (Parts, Parts)> {
    parts().prop_flat_map(|parts| {
        let shuffled = (
            Just(parts.nodes.clone()).prop_shuffle(),
            Just(parts.edges.clone()).prop_shuffle(),
            Just(parts.conditional.clone()).prop_shuffle(),
        );
        (Just(parts), shuffled).prop_map(|(parts, (nodes, edges, conditional))| {
            (parts, Parts { nodes, edges, conditional })
        })
    })
}

#[test]
fn a_condition_wins_over_a_plain_edge() {
    let graph = graph(&[("1.0.0", "1.0.1"), ("1.0.0", "1.0.2")], &[("1.0.0", "1.0.2")]);
    let names = |offer: &Offer<'_>| -> Vec<String> {
        offer.risks.iter().map(|risk| risk.name.clone()).collect()
    };
    let offers = graph.targets_of(&version("1.0.0"));
    assert_eq!(offers.len(), 2);
    assert_eq!((offers[0].to, names(&offers[0])), (&version("1.0.1"), vec![]));
    assert_eq!((offers[1].to, names(&offers[1])), (&version("1.0.2"), vec!["Risky".to_owned()]));
    assert_eq!(graph.edges().len(), 2, "the plain edge is still written as it was read");
}

#[test]
fn a_pair_listed_twice_carries_the_risks_of_both_lists() {
    let mut builder = GraphBuilder::new(None);
    let (a, b, c) =
        (builder.node(node("1.0.0")), builder.node(node("1.0.1")), builder.node(node("1.0.2")));
    let (first, second, again) = (
        builder.risks(vec![risk("A")]),
        builder.risks(vec![risk("B")]),
        builder.risks(vec![risk("A")]),
    );
    builder.conditional(a, b, first);
    builder.conditional(a, b, second);
    builder.conditional(a, c, again);
    builder.conditional(b, c, first);
    let graph = builder.build().unwrap();
    assert_eq!(graph.conditional().len(), 2, "equal sets share one entry");
    let offers = graph.targets_of(&version("1.0.0"));
    assert_eq!(offers[0].risks, [risk("A"), risk("B")]);
    assert_eq!(offers[1].risks, [risk("A")]);
}

#[test]
fn the_head_is_no_prerelease_and_no_tombstone() {
    let edges = [("1.0.0", "1.1.0"), ("1.1.0", "1.2.0-rc.1")];
    assert_eq!(graph(&edges, &[]).head(), Some(&version("1.1.0")));
    assert_eq!(tombstone(&edges, "1.1.9").head(), Some(&version("1.1.0")));
    assert_eq!(tombstone(&[], "1.1.9").head(), Some(&version("1.1.9")));
    assert_eq!(graph(&[("1.0.0-rc.1", "1.0.0-rc.2")], &[]).head(), Some(&version("1.0.0-rc.2")));
    assert_eq!(GraphBuilder::new(None).build().unwrap().head(), None);
}

#[test]
fn two_nodes_of_one_version_are_refused() {
    let mut builder = GraphBuilder::new(None);
    builder.node(node("1.0.0"));
    builder.node(node("1.0.0"));
    assert!(matches!(
        builder.build(),
        Err(GraphError::DuplicateVersion { version }) if version == "1.0.0"
    ));
}

#[test]
fn conditional_edges_without_a_risk_are_refused() {
    let mut builder = GraphBuilder::new(None);
    let (a, b) = (builder.node(node("1.0.0")), builder.node(node("1.0.1")));
    let none = builder.risks(Vec::new());
    builder.conditional(a, b, none);
    assert!(matches!(builder.build(), Err(GraphError::NoRisks { to }) if to == "1.0.1"));
}

#[test]
fn a_hold_shown_as_a_risk_covers_plain_and_conditional_edges_and_no_others() {
    let graph =
        graph(&[("1.0.0", "1.0.1"), ("1.0.0", "1.0.2")], &[("1.0.1", "1.0.2"), ("1.0.0", "1.0.3")]);
    let held = graph.with_risk(&risk("Held"), &|_, to| *to == version("1.0.2")).unwrap();
    let names = |from: &str, to: &str| -> Vec<String> {
        let offers = held.targets_of(&version(from));
        let offer = offers.iter().find(|offer| *offer.to == version(to)).unwrap();
        offer.risks.iter().map(|risk| risk.name.clone()).collect()
    };
    assert_eq!(names("1.0.0", "1.0.1"), Vec::<String>::new());
    assert_eq!(names("1.0.0", "1.0.2"), ["Held"]);
    assert_eq!(names("1.0.1", "1.0.2"), ["Held", "Risky"]);
    assert_eq!(names("1.0.0", "1.0.3"), ["Risky"]);
    assert_eq!(held.edges().len(), 1, "a held edge is not also offered as plain");
}

proptest! {
    #[test]
    fn offers_are_exactly_the_edges_with_the_condition_first(parts in parts()) {
        let graph = parts.build();
        let mut expected: BTreeMap<(usize, usize), BTreeSet<Risk>> = BTreeMap::new();
        for edge in &parts.edges {
            expected.entry(*edge).or_default();
        }
        for (from, to, risks) in &parts.conditional {
            expected.entry((*from, *to)).or_default().extend(risks.iter().cloned());
        }
        let mut offered = BTreeMap::new();
        for from in 0..graph.nodes().len() {
            for (to, risks) in graph.offers_at(from) {
                let risks: BTreeSet<Risk> = risks.iter().cloned().collect();
                prop_assert!(offered.insert((from, to), risks).is_none(), "offered twice");
            }
        }
        prop_assert_eq!(offered, expected);
    }

    #[test]
    fn the_reduction_shows_who_can_get_where_and_nothing_twice(parts in parts()) {
        let graph = parts.build();
        let count = graph.nodes().len();
        let mut all = BTreeSet::new();
        let mut plain = BTreeSet::new();
        for from in 0..count {
            for (to, risks) in graph.offers_at(from) {
                all.insert((from, to));
                if risks.is_empty() {
                    plain.insert((from, to));
                }
            }
        }
        let kept: BTreeSet<(usize, usize)> = graph.reduced_edges().into_iter().collect();
        prop_assert!(kept.is_subset(&all), "an edge that is not there");
        let kept_plain: BTreeSet<_> = kept.intersection(&plain).copied().collect();
        for up in [true, false] {
            for (whole, reduced) in [(&all, &kept), (&plain, &kept_plain)] {
                let through = ways(count, whole, up);
                prop_assert_eq!(&ways(count, reduced, up), &through, "up: {}", up);
                for (from, to) in reduced.iter().filter(|(from, to)| (from < to) == up) {
                    let longer = whole.iter().any(|(first, mid)| {
                        first == from && through.contains(&(*first, *mid)) && mid != to && through.contains(&(*mid, *to))
                    });
                    let counts = !longer || (reduced == &kept && plain.contains(&(*from, *to)));
                    prop_assert!(counts, "{} -> {} follows from others", from, to);
                }
            }
        }
    }
}

/// All pairs with a way of upgrades (or of downgrades) between them.
fn ways(count: usize, edges: &BTreeSet<(usize, usize)>, up: bool) -> BTreeSet<(usize, usize)> {
    let mut ways: BTreeSet<(usize, usize)> =
        edges.iter().filter(|(from, to)| from != to && (from < to) == up).copied().collect();
    for mid in 0..count {
        for from in 0..count {
            for to in 0..count {
                if ways.contains(&(from, mid)) && ways.contains(&(mid, to)) {
                    ways.insert((from, to));
                }
            }
        }
    }
    ways
}

#[test]
fn a_drawing_leaves_out_what_follows_and_keeps_ways_without_risk_apart() {
    let plain = [("1.0.0", "1.0.1"), ("1.0.1", "1.0.2"), ("1.0.0", "1.0.2"), ("1.0.0", "1.0.3")];
    let risky = [("1.0.2", "1.0.3"), ("1.0.1", "1.0.3"), ("1.0.3", "1.0.0")];
    let kept = graph(&plain, &risky).reduced_edges();
    assert_eq!(kept, [(0, 1), (0, 3), (1, 2), (2, 3), (3, 0)]);
}
