//! The graph format, both ways, and its bounds.

use proptest::prelude::*;

use super::*;
use crate::graph::tests::{graph, parts, shuffled_parts};
use crate::graph::{GraphError, MatchingRule};

fn read(text: &str) -> Result<crate::graph::Graph, GraphError> {
    from_json(text.as_bytes())
}

#[test]
fn the_canonical_form_has_sorted_keys_nodes_and_edges_and_no_white_space() {
    let text = r#"{ "nodes": [
        {"version":"1.0.10","payload":"b","metadata":{"z":"1","a":"2"}},
        {"version":"1.0.9","payload":"a"}],
      "edges": [[1,0]],
      "conditionalEdges": [{"edges":[{"from":"1.0.9","to":"1.0.10"}],"risks":[
        {"url":"https://e.com","name":"R","message":"m","matchingRules":[
          {"type":"PromQL","promql":{"promql":"up"}},{"type":"Always"}]}]}],
      "origin": {"product":"acme/kafka","channel":"stable-1","arch":"amd64"},
      "somethingNew": 3 }"#;
    let expected = concat!(
        r#"{"conditionalEdges":[{"edges":[{"from":"1.0.9","to":"1.0.10"}],"risks":["#,
        r#"{"matchingRules":[{"promql":{"promql":"up"},"type":"PromQL"},{"type":"Always"}],"#,
        r#""message":"m","name":"R","url":"https://e.com"}]}],"edges":[[0,1]],"nodes":["#,
        r#"{"metadata":{},"payload":"a","version":"1.0.9"},"#,
        r#"{"metadata":{"a":"2","z":"1"},"payload":"b","version":"1.0.10"}],"#,
        r#""origin":{"arch":"amd64","channel":"stable-1","product":"acme/kafka"},"version":1}"#,
    );
    let bytes = to_json(&read(text).unwrap());
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn an_unknown_kind_of_rule_is_kept_as_one_that_cannot_be_evaluated() {
    let text = r#"{"nodes":[{"version":"1.0.0"},{"version":"1.0.1"}],"conditionalEdges":[
        {"edges":[{"from":"1.0.0","to":"1.0.1"}],"risks":[{"name":"R","matchingRules":[
        {"type":"Oracle","oracle":{}},{"type":"PromQL"}]}]}]}"#;
    let graph = read(text).unwrap();
    let rules = &graph.conditional()[0].risks[0].matching_rules;
    let unknown = |kind: &str| MatchingRule::Unknown { kind: kind.to_owned() };
    assert_eq!(*rules, [unknown("Oracle"), unknown("PromQL")]);
    assert!(String::from_utf8(to_json(&graph)).unwrap().contains(r#"{"type":"Oracle"}"#));
}

#[test]
fn a_feeder_is_kept_by_every_graph_made_from_its_own() {
    let text = concat!(
        r#"{"conditionalEdges":[],"edges":[[0,1]],"feeder":{"delay":"P1W","errata":"public","#,
        r#""filter":"1[.].*","name":"fast","soak":{"clusters":20,"days":7,"max_unhealthy":0}},"#,
        r#""nodes":[{"metadata":{},"payload":"","version":"1.0.0"},"#,
        r#"{"metadata":{},"payload":"","version":"1.0.1"}],"version":1}"#,
    );
    let signed = read(text).unwrap();
    assert_eq!(signed.feeding().unwrap().name.as_str(), "fast");
    assert_eq!(String::from_utf8(to_json(&signed)).unwrap(), text);
    let held = signed.with_risk(&crate::graph::tests::risk("Hold"), &|_, _| true).unwrap();
    assert_eq!(held.feeding(), signed.feeding());
    assert_eq!(crate::diff::without_risk(&held, "Hold").unwrap(), signed);
}

#[test]
fn a_feeder_that_cannot_be_read_whole_says_nothing_and_leaves_the_graph() {
    let long = "1".repeat(crate::graph::Feeding::MAX_WORD_CHARS + 1);
    for feeder in [
        "3".to_owned(),
        "null".to_owned(),
        r#"{"name":""}"#.to_owned(),
        r#"{"name":"fast","delay":"soon"}"#.to_owned(),
        r#"{"name":"fast","moon":"full"}"#.to_owned(),
        r#"{"name":"fast","soak":{"clusters":20,"days":7,"moons":1}}"#.to_owned(),
        format!(r#"{{"name":"fast","filter":"{long}"}}"#),
    ] {
        let graph = read(&format!(r#"{{"nodes":[{{"version":"1.0.0"}}],"feeder":{feeder}}}"#));
        let graph = graph.unwrap();
        assert_eq!((graph.feeding(), graph.nodes().len()), (None, 1), "{feeder}");
    }
}

#[test]
fn each_fault_of_a_document_is_named() {
    let fault = |text: &str| read(text).unwrap_err();
    assert!(matches!(fault("{"), GraphError::Json { line: 1, .. }));
    assert!(matches!(fault(r#"{"nodes":[],"version":2}"#), GraphError::Format { version: 2 }));
    let empty = r#"{"nodes":[{"version":"1.0.0"},{"version":""}]}"#;
    assert!(matches!(fault(empty), GraphError::EmptyVersion { index: 1 }));
    let odd = r#"{"nodes":[{"version":"latest"}]}"#;
    assert!(matches!(fault(odd), GraphError::Version { place, .. } if place == "node 0"));
    let twice = r#"{"nodes":[{"version":"1.0.0"},{"version":"1.0.0"}]}"#;
    assert!(matches!(fault(twice), GraphError::DuplicateVersion { .. }));
    let range = r#"{"nodes":[{"version":"1.0.0"}],"edges":[[0,1]]}"#;
    assert!(matches!(fault(range), GraphError::EdgeIndex { from: 0, to: 1, nodes: 1 }));
    let gone = r#"{"nodes":[{"version":"1.0.0"}],"conditionalEdges":[
        {"edges":[{"from":"1.0.0","to":"2.0.0"}],"risks":[{"name":"R"}]}]}"#;
    assert!(matches!(fault(gone), GraphError::UnknownVersion { version } if version == "2.0.0"));
}

#[test]
fn a_document_over_the_byte_bound_is_not_parsed() {
    let bytes = vec![b' '; MAX_GRAPH_BYTES + 1];
    assert!(matches!(from_json(&bytes), Err(GraphError::TooLarge { .. })));
}

#[test]
fn a_cycle_is_read_and_written_back() {
    let graph = graph(&[("1.0.0", "1.0.1"), ("1.0.1", "1.0.0"), ("1.0.0", "1.0.0")], &[]);
    assert_eq!(from_json(&to_json(&graph)).unwrap(), graph);
}

#[test]
fn target_paths_name_what_they_hold() {
    let product: crate::names::ProductRef = "acme/kafka".parse().unwrap();
    let (channel, arch) = ("stable-4.1".parse().unwrap(), "amd64".parse().unwrap());
    let path = target_path(&product, &channel, &arch);
    assert_eq!(path, "acme/kafka/stable-4.1.amd64.graph.json");
    let kind = TargetKind::Graph { product: product.clone(), channel, arch };
    assert_eq!(parse_target_path(&path), Some(kind));
    let version = "4.1.0-rc.1".parse().unwrap();
    let path = crate::wire::ReleaseDocument::target_path(&product, &version);
    assert_eq!(parse_target_path(&path), Some(TargetKind::Release { product, version }));
    for other in [
        "acme/kafka/stable.graph.json",
        "acme/kafka/x/stable.amd64.graph.json",
        "kafka/stable.amd64.graph.json",
        "acme/kafka/stable.amd64.json",
        "acme/kafka/4.1.release.json",
        "",
    ] {
        assert_eq!(parse_target_path(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_same_graph(parts in parts()) {
        let graph = parts.build();
        let bytes = to_json(&graph);
        prop_assert_eq!(&from_json(&bytes).unwrap(), &graph);
        prop_assert_eq!(to_json(&from_json(&bytes).unwrap()), bytes);
    }

    #[test]
    fn canonical_bytes_do_not_depend_on_the_order_of_the_input((one, two) in shuffled_parts()) {
        prop_assert_eq!(to_json(&one.build()), to_json(&two.build()));
    }

    #[test]
    fn no_input_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = from_json(&bytes);
    }
}
