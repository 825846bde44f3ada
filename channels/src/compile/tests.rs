//! What compiles into which edges, nodes and metadata.

use std::collections::BTreeMap;

use super::*;
use crate::cincinnati::to_json;
use crate::graph::{EOL_KEY, RELEASE_KEY};
use crate::repository::tests::product;

const ANY: &str = "upgrade_from: [\">=1.0.0\"]\n";

fn only_graph(source: &ProductSource) -> Graph {
    let mut compiled = compile(source).unwrap();
    assert_eq!(compiled.graphs.len(), 1);
    compiled.graphs.remove(0).2
}

/// Offers as `from>to` with risk names in brackets.
fn edges(graph: &Graph) -> Vec<String> {
    let mut edges = Vec::new();
    for node in graph.nodes() {
        for offer in graph.targets_of(&node.version) {
            let risks: Vec<&str> = offer.risks.iter().map(|risk| risk.name.as_str()).collect();
            let risks = if risks.is_empty() { String::new() } else { format!("{risks:?}") };
            edges.push(format!("{}>{}{risks}", node.version, offer.to));
        }
    }
    edges
}

#[test]
fn edges_come_from_upgrade_from_over_the_versions_in_the_channel() {
    let releases = [
        ("1.0.0", "upgrade_from: []\n"),
        ("1.1.0", "upgrade_from: [\"~1.0\"]\n"),
        ("1.2.0", "upgrade_from: [\"~1.1\"]\n"),
        ("1.2.1", "upgrade_from: [\"~1.1\", \"~1.2\"]\ndowngrade_from: []\n"),
    ];
    let all = product(&releases, "versions: [1.0.0, 1.1.0, 1.2.0, 1.2.1]\n", &[]);
    assert_eq!(
        edges(&only_graph(&all)),
        ["1.0.0>1.1.0", "1.1.0>1.2.0", "1.1.0>1.2.1", "1.2.0>1.2.1"]
    );
    let some = product(&releases, "versions: [1.1.0, 1.2.1]\n", &[]);
    assert_eq!(edges(&only_graph(&some)), ["1.1.0>1.2.1"]);
}

#[test]
fn a_downgrade_is_an_edge_only_where_the_older_release_lists_it() {
    let releases = [
        ("1.0.0", "upgrade_from: []\ndowngrade_from: [\"=1.0.1\"]\n"),
        ("1.0.1", ANY),
        ("1.0.2", ANY),
    ];
    let source = product(&releases, "versions: [1.0.0, 1.0.1, 1.0.2]\n", &[]);
    assert_eq!(
        edges(&only_graph(&source)),
        ["1.0.0>1.0.1", "1.0.0>1.0.2", "1.0.1>1.0.0", "1.0.1>1.0.2"]
    );
}

#[test]
fn a_tombstone_stays_a_node_and_is_never_a_target() {
    let releases = [("1.0.0", ANY), ("1.0.1", ANY), ("1.0.2", ANY)];
    let channel = "versions: [1.0.0, 1.0.1, 1.0.2]\ntombstones: [1.0.1]\n";
    let graph = only_graph(&product(&releases, channel, &[]));
    assert_eq!(edges(&graph), ["1.0.0>1.0.2", "1.0.1>1.0.2"]);
    let node = graph.node(&"1.0.1".parse().unwrap()).unwrap();
    assert!(node.is_tombstone());
    assert!(!node.metadata.contains_key(CHANNELS_KEY), "it is not offered by any channel");
    let only = "versions: [1.0.0, 1.0.2]\ntombstones: [1.0.1]\n";
    assert_eq!(only_graph(&product(&releases, only, &[])), graph, "one listing is enough");
}

#[test]
fn blocks_remove_edges_and_risks_make_them_conditional() {
    let releases = [("1.0.0", ANY), ("1.0.1", ANY), ("1.0.2", ANY), ("1.0.3", ANY)];
    let risk = |name: &str, to: &str, from: &str| {
        format!(
            "to: {to}\nfrom: {from}\nname: {name}\nmessage: m\nurl: https://e.com\nmatchingRules: \
             [{{type: Always}}]\n"
        )
    };
    let one = risk("A", "\">=1.0.1\"\nfixedIn: 1.0.3", "\"=1.0.0\"");
    let two = risk("B", "1.0.2", "1[.]0[.][01][+].*");
    let source = product(
        &releases,
        "versions: [1.0.0, 1.0.1, 1.0.2, 1.0.3]\n",
        &[("a", one.as_str()), ("b", two.as_str()), ("c", "to: 1.0.3\nfrom: 1[.]0[.]1\n")],
    );
    let graph = only_graph(&source);
    assert_eq!(
        edges(&graph),
        [
            "1.0.0>1.0.1[\"A\"]",
            "1.0.0>1.0.2[\"A\", \"B\"]",
            "1.0.0>1.0.3",
            "1.0.1>1.0.2[\"B\"]",
            "1.0.2>1.0.3"
        ]
    );
    assert_eq!(graph.edges().len(), 2, "a conditional edge is not also a plain one");
    assert_eq!(graph.conditional().len(), 3);
}

#[test]
fn an_entry_with_an_architecture_is_in_that_graph_only() {
    let two = "upgrade_from: [\">=1.0.0\"]\narches: {amd64: {}, arm64: {}}\n";
    let releases = [("1.0.0", two), ("1.0.1", two), ("1.0.2", two)];
    let source = product(&releases, "versions: [1.0.0, 1.0.1+arm64, 1.0.2]\n", &[]);
    let compiled = compile(&source).unwrap();
    let nodes: Vec<(String, Vec<String>)> = compiled
        .graphs
        .iter()
        .map(|(_, arch, graph)| {
            let versions = graph.nodes().iter().map(|node| node.version.to_string());
            (arch.to_string(), versions.collect())
        })
        .collect();
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        nodes,
        [
            ("amd64".to_owned(), texts(&["1.0.0", "1.0.2"])),
            ("arm64".to_owned(), texts(&["1.0.0", "1.0.1", "1.0.2"]))
        ]
    );
}

#[test]
fn a_node_carries_payload_and_metadata_and_the_graph_its_origin() {
    let more = "upgrade_from: []\nseverity: critical\nurl: https://acme.example/1\n";
    let source = product(&[("1.0.0", more)], "versions: [1.0.0]\n", &[]);
    let graph = only_graph(&source);
    let document = compile(&source).unwrap().releases[0].to_json().unwrap();
    let document = signing::Sha256Digest::of(&document).to_string();
    let digest = signing::Sha256Digest::of(b"1.0.0").to_string();
    let node = &graph.nodes()[0];
    assert_eq!(node.payload, format!("registry.acme.example/acme/app-release@{digest}"));
    let expected = [
        (SEVERITY_KEY, "critical"),
        (CHANNELS_KEY, "stable"),
        (MANIFEST_KEY, digest.as_str()),
        (URL_KEY, "https://acme.example/1"),
        (RELEASE_KEY, document.as_str()),
    ];
    let expected: BTreeMap<String, String> =
        expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(node.metadata, expected);
    let origin = graph.origin().unwrap();
    assert_eq!((origin.product.to_string().as_str(), origin.arch.as_str()), ("acme/app", "amd64"));
}

#[test]
fn nodes_of_a_line_carry_its_end_of_life_and_nothing_else_changes() {
    let releases = [("1.0.0", ANY), ("1.0.1-rc.1", ANY), ("1.1.0", ANY), ("1.10.0", ANY)];
    let mut source = product(&releases, "versions: [1.0.0, 1.0.1-rc.1, 1.1.0, 1.10.0]\n", &[]);
    let before = only_graph(&source);
    assert!(before.nodes().iter().all(|node| !node.metadata.contains_key(EOL_KEY)));
    source.eol.insert("1.0".parse().unwrap(), "2026-12-31".parse().unwrap());
    source.eol.insert("1.1".parse().unwrap(), "2027-06-30".parse().unwrap());
    let graph = only_graph(&source);
    let days: Vec<Option<&str>> =
        graph.nodes().iter().map(|node| node.metadata.get(EOL_KEY).map(String::as_str)).collect();
    assert_eq!(days, [Some("2026-12-31"), Some("2026-12-31"), Some("2027-06-30"), None]);
    assert_eq!(graph.nodes()[0].eol(), "2026-12-31".parse().ok());
    let text = String::from_utf8(to_json(&graph)).unwrap();
    let without = text
        .replace("\"fairway.dev/eol\":\"2026-12-31\",", "")
        .replace("\"fairway.dev/eol\":\"2027-06-30\",", "");
    assert_eq!(without.into_bytes(), to_json(&before));
}

#[test]
fn a_graph_says_where_its_releases_come_from_and_what_they_need() {
    let releases = [("1.0.0", "upgrade_from: []\n")];
    let fed = "feeder: {name: fast, delay: P1W, filter: '1[.].*'}\nversions: [1.0.0]\n";
    let mut source = product(&releases, fed, &[]);
    let mut again = Incremental::new();
    again.compile(&source).unwrap();
    let feeder = |graph: &Graph| serde_json::to_value(graph.feeding()).unwrap();
    let rule = serde_json::json!({"name": "fast", "delay": "P1W", "filter": "1[.].*"});
    assert_eq!(feeder(&only_graph(&source)), rule);
    let soak = crate::graph::SoakRule { days: 7, clusters: 20, max_unhealthy: 1 };
    source.promotions.soak.insert("stable".parse().unwrap(), soak);
    let mut rule = rule;
    rule["soak"] = serde_json::json!({"days": 7, "clusters": 20, "max_unhealthy": 1});
    assert_eq!(feeder(&only_graph(&source)), rule);
    assert_eq!(feeder(&again.compile(&source).unwrap().graphs[0].2), rule);
    let alone = product(&releases, "versions: [1.0.0]\n", &[]);
    assert!(only_graph(&alone).feeding().is_none());
}

#[test]
fn a_channel_that_names_what_does_not_exist_is_refused_with_every_fault() {
    let source = product(&[("1.0.0", ANY)], "versions: [1.0.0+arm64, 1.0.1, 1.0.0]\n", &[]);
    let errors = compile(&source).unwrap_err();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2, "{texts:?}");
    assert!(matches!(&errors[0], CompileError::MissingArch { version, .. }
        if version.to_string() == "1.0.0+arm64"));
    assert!(texts[1].starts_with("app/channels/stable.yaml: 1.0.1 has no release file"));
}

#[test]
fn the_order_of_entries_does_not_change_a_byte() {
    let releases = [("1.0.0", ANY), ("1.0.1", ANY), ("1.0.2", ANY)];
    let one = only_graph(&product(&releases, "versions: [1.0.0, 1.0.1, 1.0.2]\n", &[]));
    let two = only_graph(&product(&releases, "versions: [1.0.2, 1.0.0, 1.0.1]\n", &[]));
    assert_eq!(to_json(&one), to_json(&two));
}

#[test]
fn build_metadata_that_is_no_architecture_belongs_to_the_version() {
    let releases = [("1.0.0+k3s1", ANY), ("1.0.1+k3s1", ANY)];
    let graph = only_graph(&product(&releases, "versions: [1.0.0+k3s1, 1.0.1+k3s1]\n", &[]));
    assert_eq!(edges(&graph), ["1.0.0+k3s1>1.0.1+k3s1"]);
}

const TWO: &str = "upgrade_from: [\">=1.0.0\"]\narches: {amd64: {}, arm64: {}}\n";

#[test]
fn no_edge_jumps_over_a_barrier_in_either_direction() {
    let back = "upgrade_from: [\">=1.0.0\"]\ndowngrade_from: [\">1.0.0\"]\n";
    let releases = [("1.0.0", back), ("1.0.1", ANY), ("1.0.2", ANY), ("1.0.3", ANY)];
    let channel = "versions: [1.0.0, 1.0.1, 1.0.2, 1.0.3]\nbarriers:\n  1.0.2: new log format\n";
    let graph = only_graph(&product(&releases, channel, &[]));
    assert_eq!(
        edges(&graph),
        ["1.0.0>1.0.1", "1.0.0>1.0.2", "1.0.1>1.0.0", "1.0.1>1.0.2", "1.0.2>1.0.0", "1.0.2>1.0.3"]
    );
    let node = graph.node(&"1.0.2".parse().unwrap()).unwrap();
    assert_eq!(node.barrier(), Some("new log format"));
}

#[test]
fn a_barrier_counts_only_where_its_version_is_offered() {
    let releases = [("1.0.0", TWO), ("1.0.1", TWO), ("1.0.2", TWO)];
    let channel = "versions: [1.0.0, 1.0.1+arm64, 1.0.2]\nbarriers: {1.0.1: floor}\n";
    let compiled = compile(&product(&releases, channel, &[])).unwrap();
    assert_eq!(edges(&compiled.graphs[0].2), ["1.0.0>1.0.2"]);
    assert_eq!(edges(&compiled.graphs[1].2), ["1.0.0>1.0.1", "1.0.1>1.0.2"]);
}

#[test]
fn a_dead_end_may_be_moved_to_and_never_left() {
    let releases = [("1.0.0", TWO), ("1.0.1", TWO), ("1.0.2", TWO)];
    let channel = "versions: [1.0.0, 1.0.1, 1.0.2]\ndead_ends: {1.0.1+arm64: wrong keys}\n";
    let compiled = compile(&product(&releases, channel, &[])).unwrap();
    assert_eq!(
        edges(&compiled.graphs[0].2),
        ["1.0.0>1.0.1", "1.0.0>1.0.2", "1.0.1>1.0.2"],
        "it is one on arm64 only"
    );
    let arm = &compiled.graphs[1].2;
    assert_eq!(edges(arm), ["1.0.0>1.0.1", "1.0.0>1.0.2"]);
    assert_eq!(arm.node(&"1.0.1".parse().unwrap()).unwrap().dead_end(), Some("wrong keys"));
}

#[test]
fn the_bound_on_minors_counts_those_that_exist_and_a_release_may_lift_it() {
    let releases = [
        ("1.0.0", ANY),
        ("1.2.0", ANY),
        ("1.3.0", ANY),
        ("2.0.0", "upgrade_from: [\">=1.0.0\"]\nminor_hops: 2\n"),
    ];
    let channel = "versions: [1.0.0, 1.2.0, 1.3.0, 2.0.0]\n";
    let mut source = product(&releases, channel, &[]);
    let free = edges(&only_graph(&source));
    assert_eq!(free.len(), 5, "only 2.0.0 sets a bound, and 1.0.0 is three minors away: {free:?}");
    source.rules.minor_hops = Some(1);
    assert_eq!(
        edges(&only_graph(&source)),
        ["1.0.0>1.2.0", "1.2.0>1.3.0", "1.2.0>2.0.0", "1.3.0>2.0.0"]
    );
}

#[test]
fn an_architecture_may_take_fewer_versions_than_the_document_lists() {
    let narrow = "upgrade_from: [\">=1.0.0\"]\narches: {amd64: {}, arm64: {upgrade_from: \
                  [\"=1.0.1\"]}}\n";
    let releases = [("1.0.0", TWO), ("1.0.1", TWO), ("1.0.2", narrow)];
    let source = product(&releases, "versions: [1.0.0, 1.0.1, 1.0.2]\n", &[]);
    let compiled = compile(&source).unwrap();
    assert_eq!(edges(&compiled.graphs[0].2), ["1.0.0>1.0.1", "1.0.0>1.0.2", "1.0.1>1.0.2"]);
    assert_eq!(edges(&compiled.graphs[1].2), ["1.0.0>1.0.1", "1.0.1>1.0.2"]);
    let document = &source.releases[&"1.0.2".parse().unwrap()].document;
    assert!(document.allows_from(&"1.0.0".parse().unwrap()), "one document for both");
}

#[test]
fn a_tombstone_does_not_withdraw_a_release_whose_version_differs_in_build_metadata() {
    let releases = [("1.0.0", ANY), ("1.0.1", ANY), ("1.0.1+k3s1", ANY)];
    let channel = "versions: [1.0.0, 1.0.1+k3s1]\ntombstones: [1.0.1]\n";
    assert_eq!(edges(&only_graph(&product(&releases, channel, &[]))), ["1.0.0>1.0.1+k3s1"]);
}

#[test]
fn only_graphs_that_an_edit_touches_are_built_again() {
    let releases = [("1.0.0", TWO), ("1.0.1", TWO), ("1.0.2", TWO)];
    let mut source = product(&releases, "versions: [1.0.0, 1.0.1]\n", &[]);
    let mut again = Incremental::new();
    assert_eq!(again.compile(&source).unwrap(), &compile(&source).unwrap());
    let built = |again: &Incremental| -> Vec<String> {
        again.rebuilt().iter().map(|(channel, arch)| format!("{channel} {arch}")).collect()
    };
    assert_eq!(built(&again), ["stable amd64", "stable arm64"]);
    let block = |to: &str| {
        let text = format!("to: {to}\nfrom: .*\n");
        product(&releases, "versions: []\n", &[("b", text.as_str())]).blocks.remove(0)
    };
    source.blocks.push(block("1.0.2"));
    again.compile(&source).unwrap();
    assert_eq!(built(&again), Vec::<String>::new(), "1.0.2 is in no channel");
    source.blocks.push(block("1.0.1+arm64"));
    assert_eq!(again.compile(&source).unwrap(), &compile(&source).unwrap());
    assert_eq!(built(&again), ["stable arm64"]);
    source.eol.insert("1.1".parse().unwrap(), "2026-12-31".parse().unwrap());
    again.compile(&source).unwrap();
    assert_eq!(built(&again), Vec::<String>::new(), "no release is of 1.1");
    source.eol.insert("1.0".parse().unwrap(), "2026-12-31".parse().unwrap());
    assert_eq!(again.compile(&source).unwrap(), &compile(&source).unwrap());
    assert_eq!(built(&again), ["stable amd64", "stable arm64"]);
    source.channels.values_mut().for_each(|channel| {
        channel.versions.push("1.0.3".parse().unwrap());
    });
    assert!(matches!(
        again.compile(&source).unwrap_err().as_slice(),
        [CompileError::MissingRelease { .. }]
    ));
    assert_eq!(built(&again), Vec::<String>::new());
}
