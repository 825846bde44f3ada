//! Who sees which release, and what a graph looks like to such a client.

use std::collections::BTreeMap;

use channels::graph::{Graph, GraphBuilder, MatchingRule, Node, Risk};
use channels::rollout::curve::{Curve, Template};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

fn limit(release: &str, open: Share) -> Limit {
    Limit { release: version(release), document: Sha256Digest::of(release.as_bytes()), open }
}

fn limits(releases: &[(&str, Share)]) -> Limits {
    let releases = releases.iter().map(|(release, open)| limit(release, *open)).collect();
    Limits { salt: FleetSalt::from_bytes([7; 32]), releases }
}

fn node(version: &str, payload: &str, metadata: &[(&str, &str)]) -> Node {
    let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Node {
        version: version.parse().unwrap(),
        payload: payload.to_owned(),
        metadata: metadata.collect(),
    }
}

fn graph(nodes: Vec<Node>, edges: &[(usize, usize)], risky: &[(usize, usize)]) -> Graph {
    let mut builder = GraphBuilder::new(None);
    for node in nodes {
        builder.node(node);
    }
    for (from, to) in edges {
        builder.edge(*from, *to);
    }
    let risk = Risk {
        name: "DiskFull".to_owned(),
        message: "it fills the disk".to_owned(),
        url: "https://example.com/disk".to_owned(),
        matching_rules: vec![MatchingRule::Always],
    };
    let risks = builder.risks(vec![risk]);
    for (from, to) in risky {
        builder.conditional(*from, *to, risks);
    }
    builder.build().unwrap()
}

fn written(graph: &Graph, hidden: &[&str]) -> Value {
    let hidden = hidden.iter().map(|text| version(text)).collect();
    serde_json::from_slice(&document::write(graph, &hidden)).unwrap()
}

#[test]
fn a_wary_client_sees_a_release_when_the_curve_has_passed_it() {
    let curve = Curve::from(Template::Default);
    let wary = Place::of(Some("0.5"), Some("ignored"));
    let eager = Place::of(Some("0"), None);
    let sees = |place: Place, hours: i64| {
        let open = curve.share_at(SignedDuration::from_hours(hours));
        place.hidden(&limits(&[("1.1.0", open)])).is_empty()
    };
    assert!(!sees(eager, 0), "nothing is open at the start, not even to the eager");
    assert!(sees(eager, 1));
    // Five sixths of six days: 60 %; four sixths: 40 %.
    assert_eq!((sees(wary, 96), sees(wary, 120)), (false, true));
    let last = Place::of(Some("1"), None);
    assert_eq!((sees(last, 143), sees(last, 144)), (false, true));
    assert_eq!((sees(Place::Last, 143), sees(Place::Last, 144)), (false, true));
}

#[test]
fn a_wariness_that_is_no_number_counts_as_none_and_one_out_of_range_as_the_nearest() {
    let chosen = |part, whole| Place::Chosen(Share::of_ratio(part, whole));
    assert_eq!(Place::of(Some("0.25"), None), chosen(1, 4));
    assert_eq!(Place::of(Some("-3"), None), chosen(0, 1));
    assert_eq!(Place::of(Some("7"), None), Place::Chosen(last()));
    assert_eq!(Place::of(Some("inf"), None), Place::Chosen(last()));
    let uuid = "0f6f8a1cf9a84e9f8d0b3f1f6a3c2d10";
    for none in [None, Some(""), Some("wary"), Some("NaN")] {
        assert_eq!(Place::of(none, Some(uuid)), Place::Drawn(uuid.parse().unwrap()));
        assert_eq!(Place::of(none, None), Place::Last);
        assert_eq!(Place::of(none, Some("")), Place::Last);
    }
}

#[test]
fn places_are_drawn_anew_for_every_release_and_half_the_nodes_see_a_half_open_one() {
    let half = Share::of_ratio(1, 2);
    let both = limits(&[("1.1.0", half), ("1.2.0", half)]);
    let mut seen = BTreeMap::new();
    for n in 0..1000_u32 {
        let place = Place::of(None, Some(&format!("machine {n}")));
        assert_eq!(place.hidden(&both), place.hidden(&both), "the same at every poll");
        *seen.entry(place.hidden(&both).len()).or_insert(0_u32) += 1;
    }
    // Independent draws: a quarter sees neither, half one, a quarter both.
    for (hidden, expected) in [(0, 250), (1, 500), (2, 250)] {
        let found = seen[&hidden];
        assert!(found.abs_diff(expected) < 80, "{hidden} hidden: {found}");
    }
}

#[test]
fn a_node_carries_what_the_client_reads() {
    let commit = "ab".repeat(32);
    let graph = graph(
        vec![
            node("43.20260101.3000", &commit, &[("fairway.dev/barrier", "keys change")]),
            node("44.20260301.3001", "quay.io/os@sha256:00", &[("fairway.dev/dead-end", "lost")]),
            node("1000.0.0", "x", &[("org.fedoraproject.coreos.scheme", "tarball")]),
        ],
        &[(0, 1)],
        &[],
    );
    let found = written(&graph, &[]);
    assert_eq!(found["edges"], json!([[0, 1]]));
    let nodes = found["nodes"].as_array().unwrap();
    let key = |name: &str| format!("org.fedoraproject.coreos.{name}");
    assert_eq!(nodes[0]["version"], "43.20260101.3.0");
    assert_eq!(nodes[0]["payload"], commit.as_str());
    assert_eq!(nodes[0]["metadata"][key("scheme")], "checksum");
    assert_eq!(nodes[0]["metadata"][key("updates.barrier")], "true");
    assert_eq!(nodes[0]["metadata"][key("updates.barrier_reason")], "keys change");
    assert_eq!(nodes[1]["version"], "44.20260301.3.1");
    assert_eq!(nodes[1]["metadata"][key("scheme")], "oci");
    assert_eq!(nodes[1]["metadata"][key("releases.age_index")], "1");
    assert_eq!(nodes[1]["metadata"][key("updates.deadend")], "true");
    assert_eq!(nodes[1]["metadata"][key("updates.deadend_reason")], "lost");
    assert_eq!(nodes[2]["version"], "1000.0.0", "no day, so not a version of Fedora CoreOS");
    assert_eq!(nodes[2]["metadata"][key("scheme")], "tarball");
}

#[test]
fn edges_with_risks_and_edges_to_hidden_releases_are_not_shown() {
    let three = vec![node("1.0.0", "a", &[]), node("1.1.0", "b", &[]), node("1.2.0", "c", &[])];
    // The edge to 1.2.0 from 1.1.0 is listed twice; its risk holds.
    let graph = graph(three, &[(0, 1), (0, 2), (1, 2)], &[(1, 2)]);
    assert_eq!(written(&graph, &[])["edges"], json!([[0, 1], [0, 2]]));
    assert_eq!(written(&graph, &["1.2.0"])["edges"], json!([[0, 1]]));
    assert_eq!(written(&graph, &["1.2.0"])["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(written(&graph, &["1.1.0", "1.2.0"])["edges"], json!([]));
}

#[test]
fn architectures_have_two_names() {
    assert_eq!(arch("x86_64").unwrap().as_str(), "amd64");
    assert_eq!(arch("aarch64").unwrap().as_str(), "arm64");
    assert_eq!(arch("s390x").unwrap().as_str(), "s390x");
    assert_eq!(arch("amd64").unwrap().as_str(), "amd64");
    assert!(arch("a/b").is_err());
}

proptest! {
    #[test]
    fn more_open_never_hides_more(wariness in 0.0..=1.0_f64, less in 0_u64..=100, more in 0_u64..=100) {
        prop_assume!(less <= more);
        let place = Place::of(Some(&wariness.to_string()), None);
        let hidden = |percent| {
            place.hidden(&limits(&[("1.1.0", Share::of_ratio(percent, 100))])).len()
        };
        prop_assert!(hidden(more) <= hidden(less));
        prop_assert_eq!(hidden(100), 0);
        prop_assert_eq!(hidden(0), 1);
    }
}
