//! Real data from the field (`FAIRWAY_DATA`): everything loads, and nothing is lost on the way.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

/// A module, so that `--skip field_data` leaves these out where the data is not.
mod field_data {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;
    use std::{env, fs};

    use channels::cincinnati::{from_json, to_json};
    use channels::graph::{Graph, MatchingRule};
    use channels::lint::{Code, lint_graph};
    use channels::path::{Goal, next_step, path, risks_ahead};
    use channels::repository::{GraphData, Sources, Targets, load_graph_data};
    use serde_json::Value;

    fn data(path: &str) -> PathBuf {
        PathBuf::from(env::var("FAIRWAY_DATA").expect("FAIRWAY_DATA names the folder")).join(path)
    }

    fn graph_data(name: &str) -> GraphData {
        match load_graph_data(&data(name)) {
            Ok(graph_data) => graph_data,
            Err(errors) => panic!("{} faults, first: {}", errors.len(), errors[0]),
        }
    }

    fn recorded(name: &str) -> (Vec<u8>, Value) {
        let bytes = fs::read(data("graphs").join(name)).unwrap();
        let value = serde_json::from_slice(&bytes).unwrap();
        (bytes, value)
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn all_channels_and_blocked_edges_of_openshift_load() {
        let graph_data = graph_data("openshift-graph-data");
        assert_eq!(graph_data.channels.len(), 76);
        assert_eq!(graph_data.internal_channels.len(), 3);
        assert_eq!(graph_data.blocks.len(), 1717);
        let entries: usize = graph_data.channels.iter().map(|c| c.versions.len()).sum();
        assert_eq!(entries, 8876);
        let risks: Vec<_> = graph_data.blocks.iter().filter_map(|b| b.risk.as_ref()).collect();
        assert_eq!(risks.len(), 1601);
        let rules = || risks.iter().flat_map(|risk| &risk.matching_rules);
        let promql = rules().filter(|r| matches!(r, MatchingRule::PromQl { .. })).count();
        let always = rules().filter(|r| matches!(r, MatchingRule::Always)).count();
        assert_eq!((promql, always), (1023, 578));
        let names: BTreeSet<&str> = risks.iter().map(|risk| risk.name.as_str()).collect();
        assert_eq!(names.len(), 124);
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn no_expression_of_the_field_is_taken_for_a_range() {
        for name in ["openshift-graph-data", "openshift-graph-data-2021"] {
            for block in &graph_data(name).blocks {
                assert!(matches!(block.from, Sources::Pattern(_)), "{}", block.file.display());
                assert!(matches!(block.to, Targets::Version(_)), "{}", block.file.display());
            }
        }
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_graph_data_of_2021_loads() {
        let graph_data = graph_data("openshift-graph-data-2021");
        let files = |folder: &str| {
            fs::read_dir(data("openshift-graph-data-2021").join(folder)).unwrap().count()
        };
        assert_eq!(graph_data.channels.len(), files("channels"));
        assert_eq!(graph_data.blocks.len(), files("blocked-edges"));
    }

    type Metadata = BTreeMap<String, String>;

    /// Nodes, edges and conditional edges as sets of texts, read without the code under test.
    #[derive(Debug, PartialEq)]
    struct Content {
        nodes: BTreeSet<(String, String, Metadata)>,
        edges: BTreeSet<(String, String)>,
        conditional: BTreeMap<(String, String), BTreeSet<String>>,
    }

    fn content(value: &Value) -> Content {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let nodes = list(&value["nodes"]);
        let version = |index: &Value| {
            let index = usize::try_from(index.as_u64().unwrap()).unwrap();
            text(&nodes[index]["version"])
        };
        let metadata = |node: &Value| -> Metadata {
            let entries = node["metadata"].as_object().cloned().unwrap_or_default();
            entries.into_iter().map(|(key, value)| (key, text(&value))).collect()
        };
        let mut conditional: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for group in list(&value["conditionalEdges"]) {
            let risks: BTreeSet<String> =
                list(&group["risks"]).iter().map(ToString::to_string).collect();
            for edge in list(&group["edges"]) {
                let pair = (text(&edge["from"]), text(&edge["to"]));
                conditional.entry(pair).or_default().extend(risks.iter().cloned());
            }
        }
        Content {
            nodes: nodes
                .iter()
                .map(|node| (text(&node["version"]), text(&node["payload"]), metadata(node)))
                .collect(),
            edges: list(&value["edges"])
                .iter()
                .map(|edge| (version(&edge[0]), version(&edge[1])))
                .collect(),
            conditional,
        }
    }

    fn written(graph: &Graph) -> Value {
        serde_json::from_slice(&to_json(graph)).unwrap()
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_recorded_stable_4_13_comes_back_with_the_same_nodes_edges_and_conditions() {
        let (bytes, value) = recorded("openshift-stable-4.13-amd64.json");
        let graph = from_json(&bytes).unwrap();
        let original = content(&value);
        let sizes = (original.nodes.len(), original.edges.len(), original.conditional.len());
        assert_eq!(sizes, (98, 1171, 2394));
        assert_eq!(content(&written(&graph)), original);
        assert_eq!(graph.conditional().len(), 37);
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_recorded_scrape_of_all_architectures_comes_back_whole() {
        let (bytes, value) = recorded("openshift-2021-11-24-raw.json");
        let graph = from_json(&bytes).unwrap();
        assert_eq!((graph.nodes().len(), graph.edges().len()), (1085, 19_478));
        assert_eq!(content(&written(&graph)), content(&value));
    }

    /// The same graph written in another order: nodes turned round, edges and groups reversed.
    fn permuted(value: &Value) -> Vec<u8> {
        let mut other = value.clone();
        let nodes = other["nodes"].as_array_mut().unwrap();
        let last = u64::try_from(nodes.len()).unwrap() - 1;
        nodes.reverse();
        let edges = other["edges"].as_array_mut().unwrap();
        edges.reverse();
        for index in edges.iter_mut().flat_map(|edge| edge.as_array_mut().unwrap()) {
            *index = (last - index.as_u64().unwrap()).into();
        }
        let groups = other["conditionalEdges"].as_array_mut().unwrap();
        groups.reverse();
        for group in groups {
            group["edges"].as_array_mut().unwrap().reverse();
            group["risks"].as_array_mut().unwrap().reverse();
        }
        serde_json::to_vec_pretty(&other).unwrap()
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn canonical_bytes_are_the_same_over_two_runs_and_any_order_of_the_input() {
        for name in ["openshift-stable-4.13-amd64.json", "openshift-2021-11-24-raw.json"] {
            let (bytes, value) = recorded(name);
            let first = to_json(&from_json(&bytes).unwrap());
            assert_eq!(to_json(&from_json(&bytes).unwrap()), first, "{name}: two runs");
            assert_eq!(to_json(&from_json(&permuted(&value)).unwrap()), first, "{name}: order");
            assert_eq!(to_json(&from_json(&first).unwrap()), first, "{name}: again");
        }
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn every_cluster_on_the_recorded_channel_gets_an_answer_it_may_use() {
        let (bytes, _) = recorded("openshift-stable-4.13-amd64.json");
        let graph = from_json(&bytes).unwrap();
        let head = graph.head().unwrap();
        let none = BTreeSet::new();
        for node in graph.nodes() {
            let from = &node.version;
            let all = risks_ahead(&graph, from).into_iter().map(|r| r.name.clone()).collect();
            let open = next_step(&graph, from, &Goal::Head, &all);
            assert!(open.refused.is_empty(), "{from}: every risk ahead is accepted");
            assert_eq!(open.to.is_some(), from < head, "{from}: all lead to the head");
            let strict = next_step(&graph, from, &Goal::Head, &none);
            if let Some(to) = &strict.to {
                let offers = graph.targets_of(from);
                let offer = offers.iter().find(|offer| offer.to == to).unwrap();
                assert!(offer.risks.is_empty(), "{from} -> {to}");
            }
            let way = path(&graph, from, head, &|_| true);
            assert!(way.is_ok() || from > head, "{from}");
        }
    }

    #[test]
    #[ignore = "needs FAIRWAY_DATA"]
    fn the_recorded_graphs_have_no_circle_and_the_channel_loses_nobody() {
        let codes = |name: &str| -> BTreeSet<Code> {
            let graph = from_json(&recorded(name).0).unwrap();
            let findings = lint_graph(&graph, &PathBuf::from(name));
            findings.into_iter().map(|finding| finding.code).collect()
        };
        assert!(!codes("openshift-2021-11-24-raw.json").contains(&Code::Cycle));
        let channel = codes("openshift-stable-4.13-amd64.json");
        assert!(channel.is_subset(&[Code::NodeUnreachable].into()), "{channel:?}");
    }
}
