//! The page of a channel over made-up graphs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::Arc;

use askama::Template as _;
use channels::cincinnati::{from_json, to_json};
use channels::graph::{
    BARRIER_KEY, EOL_KEY, Graph, GraphBuilder, MatchingRule, Node, Risk, TOMBSTONE_KEY,
};
use channels::wire::{ReleaseDocument, SoakRelease};
use jiff::Timestamp;
use signing::Sha256Digest;

use super::kind::{Kind, risks_of};
use super::link::Picked;
use super::picture::{Drawing, Picture, edges_of};
use super::{ChannelFacts, ChannelPage};
use crate::catalog::{CatalogStatus, ReleaseEntry};
use crate::fleet::GraphKey;
use crate::http::dashboard::shell::{Live, Place, Shell};
use crate::http::dashboard::visitor::Visitor;
use crate::telemetry::exposure;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn node(version: &str, mark: Option<(&str, &str)>) -> Node {
    Node {
        version: version.parse().unwrap(),
        payload: String::new(),
        metadata: mark.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect(),
    }
}

fn risk(name: &str, rule: MatchingRule) -> Risk {
    Risk {
        name: name.to_owned(),
        message: "a < b".to_owned(),
        url: "javascript:alert(1)".to_owned(),
        matching_rules: vec![rule],
    }
}

/// 1.0.0 → 1.0.1 → 1.1.1, plain; 1.0.0 → 1.1.1 implied; 1.0.0 → 1.0.2 under a query, 1.0.2 → 1.1.1
/// never; 1.1.0 withdrawn.
fn sample() -> Graph {
    let mut builder = GraphBuilder::new(None);
    let a = builder.node(node("1.0.0", Some((EOL_KEY, "2026-01-31"))));
    let b = builder.node(node("1.0.1", Some((BARRIER_KEY, "converts"))));
    let c = builder.node(node("1.0.2", None));
    let gone = builder.node(node("1.1.0", Some((TOMBSTONE_KEY, "true"))));
    let head = builder.node(node("1.1.1", None));
    for (from, to) in [(a, b), (b, head), (a, head), (gone, head)] {
        builder.edge(from, to);
    }
    let query = MatchingRule::PromQl { promql: "up{a=\"<b>\"}".to_owned() };
    let maybe = builder.risks(vec![risk("Disk<script>", query)]);
    builder.conditional(a, c, maybe);
    let never = builder.risks(vec![risk("Never", MatchingRule::Always)]);
    builder.conditional(c, head, never);
    builder.build().unwrap()
}

fn document(version: &str) -> Arc<ReleaseEntry> {
    let text = serde_json::json!({
        "format": 1, "vendor": "acme", "product": "kafka", "version": version,
        "released_at": "2026-11-01T00:00:00Z", "upgrade_from": ["=1.0.1"], "arches": {},
        "severity": "important", "advisories": ["CVE-2026-0001", "https://example.org/a"],
    });
    let document: ReleaseDocument = serde_json::from_value(text).unwrap();
    Arc::new(ReleaseEntry { document, digest: Sha256Digest::of(b"x") })
}

fn facts(graph: Graph) -> ChannelFacts {
    let clusters = BTreeMap::from([
        ("1.0.0".parse().unwrap(), 3),
        ("1.0.1".parse().unwrap(), 1),
        ("0.9.0".parse().unwrap(), 2),
    ]);
    let key = GraphKey {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
    };
    ChannelFacts {
        at: now(),
        exposure: exposure(&key, &graph, &clusters),
        graph,
        role: "acme.channels".to_owned(),
        digest: "00".to_owned(),
        clusters,
        totals: None,
        releases: BTreeMap::from([("1.1.1".parse().unwrap(), document("1.1.1"))]),
        stops: Vec::new(),
        soak: Some(Vec::new()),
        newer: Vec::new(),
        feeder_has_graph: false,
        feeds: Vec::new(),
        key,
    }
}

fn html(facts: &ChannelFacts, node: Option<&str>, edge: Option<&str>) -> String {
    let visitor = Visitor::sample(now(), "/channels/acme/kafka/stable/amd64", "");
    let status = CatalogStatus {
        root_version: None,
        expires: None,
        stale: None,
        expired_roles: Vec::new(),
        products: Vec::new(),
    };
    let shell = Shell::new(&visitor, &status, Place::Channels, "stable", Live::No);
    ChannelPage::new(shell, facts, node, edge).render().unwrap()
}

fn picture(facts: &ChannelFacts, picked: &Picked) -> Picture {
    let risks = risks_of(&facts.graph);
    let clusters: Vec<u64> =
        facts.graph.nodes().iter().map(|node| facts.clusters_on(&node.version)).collect();
    let drawing =
        Drawing { graph: &facts.graph, risks: &risks, clusters: &clusters, picked, now: now() };
    drawing.picture()
}

fn titles(picture: &Picture) -> Vec<&str> {
    picture.edges.iter().map(|edge| edge.title.as_str()).collect()
}

#[test]
fn lines_say_whether_something_keeps_clusters_and_what() {
    let facts = facts(sample());
    let drawn = picture(&facts, &Picked::Nothing);
    assert_eq!(
        titles(&drawn),
        [
            "1.0.0 to 1.0.1, recommended",
            "1.0.0 to 1.0.2, conditional: Disk<script>",
            "1.0.1 to 1.1.1, recommended",
            "1.0.2 to 1.1.1, blocked: Never",
            "1.1.0 to 1.1.1, recommended",
        ],
        "1.0.0 to 1.1.1 goes over 1.0.1"
    );
    let classes: BTreeSet<&str> = drawn.edges.iter().map(|edge| edge.class).collect();
    assert_eq!(classes, BTreeSet::from(["plain", "conditional", "blocked"]));
    assert_eq!(Kind::of(&[]), Kind::Plain);
}

#[test]
fn every_edge_of_a_release_that_is_picked_is_drawn() {
    let facts = facts(sample());
    let drawn = picture(&facts, &Picked::Node(0));
    let extra: Vec<&str> =
        drawn.edges.iter().filter(|edge| edge.extra).map(|edge| edge.title.as_str()).collect();
    assert_eq!(extra, ["1.0.0 to 1.1.1, recommended"]);
    assert_eq!(edges_of(&facts.graph, 0).len(), 3);
    let drawn = picture(&facts, &Picked::Edge(0, 4));
    let last = drawn.edges.last().unwrap();
    assert!(last.picked && last.title.starts_with("1.0.0 to 1.1.1"), "on top of the others");
}

#[test]
fn marks_and_numbers_of_clusters_are_told_in_words() {
    let facts = facts(sample());
    let drawn = picture(&facts, &Picked::Nothing);
    let titles: Vec<&str> = drawn.nodes.iter().map(|node| node.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "1.0.0, 3 clusters, past its end of life",
            "1.0.1, 1 cluster, barrier: no edge jumps over it",
            "1.0.2, 0 clusters",
            "1.1.0, 0 clusters, withdrawn: nothing moves to it",
            "1.1.1, 0 clusters, head",
        ]
    );
    assert_eq!(drawn.lanes[0].eol, "ended 2026-01-31");
    assert!(drawn.nodes[0].radius > drawn.nodes[1].radius);
}

#[test]
fn the_table_says_what_the_picture_shows() {
    let facts = facts(sample());
    let page = html(&facts, None, None);
    let (_, table) = page.split_once("id=\"box-releases\"").unwrap();
    for node in &picture(&facts, &Picked::Nothing).nodes {
        let (version, rest) = node.title.split_once(", ").unwrap();
        let clusters = rest.split(' ').next().unwrap();
        let (_, row) = table.split_once(&format!(">{version}</a></th>")).unwrap();
        assert!(row.starts_with(&format!("<td class=\"num\">{clusters}</td>")), "{version}");
    }
    let ways = table.matches("aria-label=\"Edge to ").count();
    assert_eq!(ways, picture(&facts, &Picked::Nothing).edges.len());
    assert!(table.contains("(blocked: Never)"), "{table}");
    assert!(page.contains("2 clusters on 0.9.0"), "what is not in the graph is told");
}

#[test]
fn text_from_outside_is_text_and_only_web_pages_are_links() {
    for (node, edge) in [(None, None), (Some("1.0.0"), None), (None, Some("1.0.0..1.0.2"))] {
        let page = html(&facts(sample()), node, edge);
        assert!(!page.contains("Disk<script>") && !page.contains("up{a=\"<b>\"}"), "{page}");
        assert!(page.contains("Disk&#60;script&#62;"), "{page}");
        assert!(!page.contains("href=\"javascript:"), "{page}");
        assert!(!page.contains(" style=") && !page.contains("<style"), "the policy forbids it");
    }
}

#[test]
fn a_release_tells_its_document_its_edges_and_its_clusters() {
    let page = html(&facts(sample()), Some("1.1.1"), None);
    for text in [
        "Release 1.1.1",
        "19 d 12 h ago (2026-11-01 00:00 UTC)",
        "important",
        "CVE-2026-0001",
        "<a href=\"https://example.org/a\" rel=\"noreferrer\">",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let page = html(&facts(sample()), Some("1.0.2"), None);
    assert!(page.contains("none is served for this version"));
    assert!(html(&facts(sample()), Some("7.0.0"), None).contains("There is no release 7.0.0"));
}

#[test]
fn an_edge_tells_its_risks_and_whether_the_release_allows_it() {
    let page = html(&facts(sample()), None, Some("1.0.0..1.0.2"));
    assert!(page.contains("a cluster is exposed where this answers 1:"), "{page}");
    assert!(page.contains("3 clusters stand before it"), "{page}");
    assert!(page.contains("3 clusters stand before one, 0 of them without another way up"));
    let page = html(&facts(sample()), None, Some("1.0.1..1.1.1"));
    assert!(page.contains("the release document allows it"), "{page}");
    let page = html(&facts(sample()), None, Some("1.0.0..1.1.1"));
    assert!(page.contains("does not allow it: no agent goes"), "{page}");
}

#[test]
fn holds_are_told_and_drawn_as_what_blocks() {
    let hold = risk("FairwayHold", MatchingRule::Always);
    let mut facts = facts(sample().with_risk(&hold, &|_, _| true).unwrap());
    facts.stops = vec![(None, "disk alarm".to_owned())];
    let drawn = picture(&facts, &Picked::Nothing);
    assert!(drawn.edges.iter().all(|edge| edge.class == "blocked"), "{drawn:?}");
    let page = html(&facts, None, None);
    assert!(page.contains("<strong>Every move is held.</strong> disk alarm"), "{page}");
}

/// The sample with a feeder's rule, as a graph's JSON says it.
fn fed(rule: &serde_json::Value) -> ChannelFacts {
    let mut graph: serde_json::Value = serde_json::from_slice(&to_json(&sample())).unwrap();
    graph["feeder"] = rule.clone();
    facts(from_json(graph.to_string().as_bytes()).unwrap())
}

#[test]
fn the_feeder_is_told_with_all_it_asks_for_and_where_releases_go_on_to() {
    let rule = serde_json::json!({
        "name": "fast", "delay": "P1WT12H", "errata": "public", "filter": "4[.]<.*",
        "soak": {"days": 7, "clusters": 20, "max_unhealthy": 1},
    });
    let mut facts = fed(&rule);
    facts.feeder_has_graph = true;
    facts.feeds = vec!["eus".parse().unwrap(), "lts".parse().unwrap()];
    let page = html(&facts, None, None);
    for text in [
        "Releases come from <a href=\"/channels/acme/kafka/fast/amd64\">fast</a>. One may enter",
        "<li>has been in fast for 1 week 12 hours</li>",
        "<li>has a version that matches 4[.]&#60;.*</li>",
        "<li>has a public erratum</li>",
        "<li>has 7 healthy days in a row in fast: on each, at least 20 healthy clusters and at most \
         1 unhealthy</li>",
        "go on to <a href=\"/channels/acme/kafka/eus/amd64\">eus</a>, <a href=",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[test]
fn a_feeder_without_a_page_is_no_link_and_a_channel_without_one_says_so() {
    let rule = serde_json::json!({"name": "internal", "delay": "PT0H"});
    let page = html(&fed(&rule), None, None);
    assert!(page.contains("Releases come from internal, and nothing more is asked"), "{page}");
    let page = html(&facts(sample()), None, None);
    assert!(page.contains("The graph names no feeder: releases enter by hand."), "{page}");
    assert!(!page.contains("go on to"), "{page}");
}

#[test]
fn what_waits_in_other_channels_is_shown_with_how_it_fared_there() {
    let mut facts = facts(sample());
    facts.newer = vec![("1.2.0".parse().unwrap(), vec!["fast".parse().unwrap()])];
    facts.soak = Some(vec![SoakRelease {
        channel: "fast".parse().unwrap(),
        version: "1.2.0".parse().unwrap(),
        since: now(),
        healthy_cluster_hours: 30.0,
        unhealthy_cluster_hours: 0.5,
        unknown_cluster_hours: 0.0,
        failures: 1,
    }]);
    let page = html(&facts, None, None);
    assert!(page.contains("fast: 30.0 healthy, 0.5 unhealthy cluster-hours, 1 failure"), "{page}");
    facts.soak = None;
    let page = html(&facts, None, None);
    assert!(!page.contains("cluster-hours"), "not for those who see a part of the fleet");
}

#[test]
fn a_channel_that_cannot_be_drawn_says_what_to_do() {
    let page = html(&facts(GraphBuilder::new(None).build().unwrap()), None, None);
    assert!(page.contains("The channel has no release.") && page.contains("fairway publish DIR"));
    let mut builder = GraphBuilder::new(None);
    for patch in 0..700 {
        builder.node(node(&format!("1.0.{patch}"), None));
    }
    let page = html(&facts(builder.build().unwrap()), None, None);
    assert!(page.contains("700 releases are too many to draw") && page.contains("--format dot"));
}

/// As dense as OpenShift's: every release leads to the twenty after it, some under risks.
#[test]
fn three_hundred_releases_are_light() {
    let mut builder = GraphBuilder::new(None);
    let nodes: Vec<usize> = (0..300)
        .map(|n| builder.node(node(&format!("4.{}.{}", 12 + n / 60, n % 60), None)))
        .collect();
    let query = MatchingRule::PromQl { promql: "up".to_owned() };
    let risks = builder.risks(vec![risk("Disk", query)]);
    for (from, to) in (0..300).flat_map(|from| (1..=20).map(move |step| (from, from + step))) {
        match nodes.get(to) {
            Some(to) if to % 7 == 0 => builder.conditional(nodes[from], *to, risks),
            Some(to) => builder.edge(nodes[from], *to),
            None => {}
        }
    }
    let facts = facts(builder.build().unwrap());
    let page = html(&facts, Some("4.14.30"), None);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(3));
    packed.write_all(page.as_bytes()).unwrap();
    let packed = packed.finish().unwrap().len();
    assert!(packed < 150_000, "{packed} of {}", page.len());
}
