//! Holds as plain clients see them, and what a swap changes.

use std::collections::BTreeSet;

use channels::graph::{Graph, MatchingRule};
use channels::wire::{Hold, HoldScope};
use tempfile::TempDir;

use super::{Catalog, GraphKey, HOLD_RISK, ReleaseStop};
use crate::http::negotiate::Encoding;
use crate::publish::Publisher;
use crate::publish::fixture::{Fixture, Vendor, open, t0};

fn served() -> (TempDir, Publisher, Catalog) {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    let mut fixture = Fixture::new();
    fixture.next_release();
    let mut beta = Vendor::new("beta", 40);
    beta.graph("stable", &["1.0.0", "1.1.0"], &[(0, 1)]);
    fixture.vendors.push(beta);
    publisher.publish(fixture.publication(), t0()).unwrap();
    (dir, publisher, catalog)
}

fn hold(scope: HoldScope) -> Hold {
    Hold {
        id: 1,
        scope,
        reason: "disk alarms".to_owned(),
        by: "ops".to_owned(),
        at: t0(),
        resumed_at: None,
        resumed_by: None,
    }
}

/// The graph of a vendor's `stable` channel as the Cincinnati endpoint shows it.
fn shown(catalog: &Catalog, vendor: &str) -> Graph {
    let served = catalog.served();
    let channels = &served.shown[&format!("{vendor}/kafka").parse().unwrap()];
    let shown = &channels[&"stable".parse().unwrap()][&"amd64".parse().unwrap()];
    let bytes = &shown.body.variant(Encoding::Identity).unwrap().bytes;
    channels::cincinnati::from_json(bytes).unwrap()
}

/// Plain edges and held edges, as target versions.
fn edges(graph: &Graph) -> (Vec<String>, Vec<String>) {
    let version = |index: usize| graph.nodes()[index].version.to_string();
    let plain = graph.edges().iter().map(|(_, to)| version(*to)).collect();
    let held = graph
        .conditional()
        .iter()
        .inspect(|group| {
            assert!(group.risks.iter().all(|risk| risk.name == HOLD_RISK));
            assert!(group.risks.iter().all(|r| r.matching_rules == [MatchingRule::Always]));
        })
        .flat_map(|group| group.edges.iter().map(|(_, to)| version(*to)))
        .collect();
    (plain, held)
}

#[track_caller]
fn shows(scope: &HoldScope, plain: &[&str], held: &[&str]) {
    let (_dir, _publisher, catalog) = served();
    catalog.set_holds(&[hold(scope.clone())], &[]);
    let (found_plain, found_held) = edges(&shown(&catalog, "acme"));
    assert_eq!((found_plain, found_held), (texts(plain), texts(held)), "{scope:?}");
}

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn a_hold_covers_exactly_its_scope() {
    let product = || "acme/kafka".parse().unwrap();
    let all: &[&str] = &["1.1.0", "1.2.0"];
    shows(&HoldScope::Fleet, &[], all);
    shows(&HoldScope::Product { product: product() }, &[], all);
    shows(&HoldScope::Product { product: "beta/kafka".parse().unwrap() }, all, &[]);
    let channel = "stable".parse().unwrap();
    shows(&HoldScope::Channel { product: product(), channel }, &[], all);
    let channel = "fast".parse().unwrap();
    shows(&HoldScope::Channel { product: product(), channel }, all, &[]);
    let version = "1.2.0".parse().unwrap();
    shows(&HoldScope::Release { product: product(), version }, &["1.1.0"], &["1.2.0"]);
    let cluster = "9b2a3f0e-6f0f-4b6c-8d3a-0c1d2e3f4a5b".parse().unwrap();
    shows(&HoldScope::Cluster { cluster }, all, &[]);
}

#[test]
fn an_edge_under_several_holds_has_one_risk_with_all_reasons() {
    let (_dir, _publisher, catalog) = served();
    let (product, version) = ("acme/kafka".parse().unwrap(), "1.2.0".parse().unwrap());
    let mut release = hold(HoldScope::Release { product, version });
    release.reason = "bad build".to_owned();
    catalog.set_holds(&[hold(HoldScope::Fleet), release], &[]);
    let graph = shown(&catalog, "acme");
    assert_eq!(edges(&graph).0, texts(&[]));
    let risks = graph.targets_of(&"1.1.0".parse().unwrap())[0].risks.to_vec();
    assert_eq!(risks.len(), 1);
    assert_eq!(risks[0].message, "disk alarms; bad build");
    let other = graph.targets_of(&"1.0.0".parse().unwrap())[0].risks.to_vec();
    assert_eq!(other[0].message, "disk alarms");
}

#[test]
fn a_halted_rollout_puts_a_risk_on_its_release_in_its_graphs_alone() {
    let (_dir, _publisher, catalog) = served();
    let stop = |graphs: BTreeSet<GraphKey>| ReleaseStop {
        graphs,
        version: "1.2.0".parse().unwrap(),
        reason: "rollout 7 of acme/kafka 1.2.0 halted: 3 clusters failed".to_owned(),
    };
    let of = |vendor: &str| catalog.graphs().find(|key| key.product.vendor.as_str() == vendor);
    catalog.set_holds(&[], &[stop(of("beta").into_iter().collect())]);
    assert_eq!(edges(&shown(&catalog, "acme")).1, texts(&[]));
    catalog.set_holds(&[], &[stop(of("acme").into_iter().collect())]);
    let graph = shown(&catalog, "acme");
    assert_eq!(edges(&graph), (texts(&["1.1.0"]), texts(&["1.2.0"])));
    let risks = graph.targets_of(&"1.1.0".parse().unwrap())[0].risks.to_vec();
    assert_eq!(risks[0].message, "rollout 7 of acme/kafka 1.2.0 halted: 3 clusters failed");
    catalog.set_holds(&[], &[]);
    assert_eq!(edges(&shown(&catalog, "acme")).1, texts(&[]));
}

#[test]
fn a_hold_changes_neither_the_signed_graph_nor_the_generation_and_goes_when_lifted() {
    let (_dir, _publisher, catalog) = served();
    let before = shown(&catalog, "acme");
    let key = catalog.graphs().next().unwrap();
    let signed = catalog.graph(&key.product, &key.channel, &key.arch).unwrap();
    let (etag, generation) = (catalog.timestamp_etag(), catalog.generation());
    let mut fleet = hold(HoldScope::Fleet);
    catalog.set_holds(std::slice::from_ref(&fleet), &[]);
    assert_ne!(shown(&catalog, "acme"), before);
    let now = catalog.graph(&key.product, &key.channel, &key.arch).unwrap();
    assert_eq!((now.digest, &now.graph), (signed.digest, &signed.graph));
    assert_eq!((catalog.timestamp_etag(), catalog.generation()), (etag, generation));
    fleet.resumed_at = Some(t0());
    catalog.set_holds(&[fleet], &[]);
    assert_eq!(shown(&catalog, "acme"), before);
}

#[test]
fn a_publication_under_a_hold_is_shown_held() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    catalog.set_holds(&[hold(HoldScope::Fleet)], &[]);
    publisher.publish(Fixture::new().publication(), t0()).unwrap();
    assert_eq!(edges(&shown(&catalog, "acme")), (texts(&[]), texts(&["1.1.0"])));
}

#[test]
fn bodies_that_a_new_hold_does_not_touch_are_not_made_again() {
    let (_dir, _publisher, catalog) = served();
    let body = |vendor: &str| {
        let served = catalog.served();
        let channels = &served.shown[&format!("{vendor}/kafka").parse().unwrap()];
        channels[&"stable".parse().unwrap()][&"amd64".parse().unwrap()].body.clone()
    };
    let product = "acme/kafka".parse().unwrap();
    let first = hold(HoldScope::Product { product });
    catalog.set_holds(std::slice::from_ref(&first), &[]);
    let (acme, beta) = (body("acme"), body("beta"));
    let product = "beta/kafka".parse().unwrap();
    catalog.set_holds(&[first, hold(HoldScope::Product { product })], &[]);
    assert!(std::sync::Arc::ptr_eq(&acme, &body("acme")));
    assert!(!std::sync::Arc::ptr_eq(&beta, &body("beta")));
}

#[test]
fn the_catalog_lists_what_is_published_in_order() {
    let (_dir, _publisher, catalog) = served();
    let keys: Vec<String> =
        catalog.graphs().map(|key| format!("{} {}", key.product, key.channel)).collect();
    assert_eq!(keys, ["acme/kafka stable", "beta/kafka stable"]);
    let releases = catalog.releases(&"acme/kafka".parse().unwrap());
    let versions: Vec<String> = releases.iter().map(|r| r.document.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.1.0", "1.2.0"]);
    assert!(catalog.releases(&"beta/kafka".parse().unwrap()).is_empty());
}
