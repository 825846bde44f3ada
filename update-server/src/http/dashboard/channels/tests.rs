//! The list of channels over made-up graphs.

use askama::Template as _;
use channels::wire::RiskExposure;
use jiff::Timestamp;

use super::list::{ChannelsFacts, ChannelsPage, GraphFacts};
use super::{address, key_of};
use crate::catalog::CatalogStatus;
use crate::fleet::GraphKey;
use crate::http::dashboard::shell::{Live, Place, Shell};
use crate::http::dashboard::visitor::Visitor;

fn key(product: &str, channel: &str) -> GraphKey {
    GraphKey {
        product: product.parse().unwrap(),
        channel: channel.parse().unwrap(),
        arch: "amd64".parse().unwrap(),
    }
}

fn graph(product: &str, channel: &str) -> GraphFacts {
    GraphFacts {
        key: key(product, channel),
        head: Some("1.1.0".parse().unwrap()),
        releases: 2,
        risky: 1,
        totals: None,
        exposure: Vec::new(),
        stops: Vec::new(),
        newer: Vec::new(),
    }
}

fn html(graphs: Vec<GraphFacts>, page: usize, pages: usize) -> String {
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let visitor = Visitor::sample(now, "/channels", "");
    let status = CatalogStatus {
        root_version: None,
        expires: None,
        stale: None,
        expired_roles: Vec::new(),
        products: Vec::new(),
    };
    let shell = Shell::new(&visitor, &status, Place::Channels, "Channels", Live::No);
    let facts = ChannelsFacts { all: graphs.len(), graphs, page, pages };
    ChannelsPage::new(shell, &facts).render().unwrap()
}

#[test]
fn channels_stand_under_their_product_and_lead_to_their_graph() {
    let page = html(vec![graph("acme/kafka", "fast"), graph("acme/kafka", "stable")], 1, 1);
    assert_eq!(page.matches("<h2").count(), 1);
    assert!(page.contains("href=\"/channels/acme/kafka/stable/amd64\""), "{page}");
    let key = key("acme/kafka", "stable");
    let path: Vec<String> = address(&key).split('/').skip(2).map(str::to_owned).collect();
    let [vendor, product, channel, arch] = <[String; 4]>::try_from(path).unwrap();
    assert_eq!(key_of(&(vendor, product, channel, arch)), Some(key));
}

#[test]
fn holds_risks_and_newer_releases_are_said() {
    let mut graph = graph("acme/kafka", "stable");
    graph.stops = vec![(Some("1.1.0".parse().unwrap()), "<disk>".to_owned())];
    graph.newer = vec![
        ("1.2.0".parse().unwrap(), vec!["fast".parse().unwrap()]),
        ("1.3.0".parse().unwrap(), vec!["candidate".parse().unwrap(), "fast".parse().unwrap()]),
    ];
    graph.exposure = vec![RiskExposure {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        risk: "DiskStorm".to_owned(),
        message: String::new(),
        url: String::new(),
        always: false,
        clusters: 4,
        blocked: 3,
        to: Vec::new(),
    }];
    let page = html(vec![graph], 1, 1);
    for text in [
        "to 1.1.0: &#60;disk&#62;",
        "1.3.0 in candidate, fast, 1 more",
        "DiskStorm: 4 clusters, 3 without another way",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
}

#[test]
fn an_empty_list_says_what_to_do_and_a_long_one_has_pages() {
    assert!(html(Vec::new(), 1, 1).contains("fairway publish DIR"));
    let page = html(vec![graph("acme/kafka", "stable")], 2, 3);
    assert!(page.contains("href=\"?page=1\"") && page.contains("href=\"?page=3\""), "{page}");
}
