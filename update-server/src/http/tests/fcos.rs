//! The graph as Fedora `CoreOS` clients get it over HTTP.

use std::sync::Arc;

use channels::rollout::order::FleetSalt;
use channels::rollout::share::Share;
use channels::wire::{Hold, HoldScope};
use serde_json::json;
use signing::Sha256Digest;

use super::*;
use crate::catalog::GraphEntry;
use crate::fcos::{Limit, Limits, OpenShares};

const FCOS: &str = "/api/fcos/acme/kafka/v1/graph?stream=stable&basearch=x86_64";

/// 1.1.0 is open to so many per cent.
struct Percent(u64);

impl OpenShares for Percent {
    fn limits(&self, graph: &GraphEntry, _: Timestamp) -> Limits {
        assert_eq!(graph.key.product.to_string(), "acme/kafka");
        let limit = Limit {
            release: "1.1.0".parse().unwrap(),
            document: Sha256Digest::of(b"1.1.0"),
            open: Share::of_ratio(self.0, 100),
        };
        Limits { salt: FleetSalt::from_bytes([1; 32]), releases: vec![limit] }
    }
}

fn open_to(percent: u64) -> Hub {
    let mut hub = Hub::at(t0());
    hub.state.fcos = Fcos::new(Arc::new(Percent(percent)));
    hub
}

#[actix_web::test]
async fn a_client_gets_nodes_edges_and_the_metadata_it_reads() {
    let hub = Hub::at(t0());
    // What a real client sends.
    let query = "&os_version=1.0.0&os_checksum=ab&group=default&platform=metal&oci=true\
                 &node_uuid=0f6f8a1cf9a84e9f8d0b3f1f6a3c2d10";
    let answer = hub.get(&format!("{FCOS}{query}"), &[("accept", "application/json")]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let graph = answer.json();
    assert_eq!(graph["edges"], json!([[0, 1]]));
    let node = &graph["nodes"][1];
    assert_eq!(node["version"], "1.1.0");
    assert_eq!(node["metadata"]["org.fedoraproject.coreos.scheme"], "oci");
    assert_eq!(node["metadata"]["org.fedoraproject.coreos.releases.age_index"], "1");
}

#[actix_web::test]
async fn wariness_is_measured_against_the_open_share() {
    let hub = open_to(40);
    for (wariness, edges) in [("0.1", json!([[0, 1]])), ("0.39", json!([[0, 1]]))] {
        let answer = hub.get(&format!("{FCOS}&rollout_wariness={wariness}"), &[]).await;
        assert_eq!(answer.json()["edges"], edges, "{wariness}");
    }
    for wariness in ["0.4", "0.5", "1"] {
        let answer = hub.get(&format!("{FCOS}&rollout_wariness={wariness}"), &[]).await;
        assert_eq!(answer.json()["edges"], json!([]), "{wariness}");
        assert_eq!(answer.json()["nodes"].as_array().unwrap().len(), 2, "it finds itself");
    }
    let nameless = open_to(99).get(FCOS, &[]).await;
    assert_eq!(nameless.json()["edges"], json!([]), "who does not say who it is goes last");
}

#[actix_web::test]
async fn tags_and_codings_are_those_of_what_this_client_is_shown() {
    let hub = open_to(40);
    let (eager, wary) =
        (format!("{FCOS}&rollout_wariness=0"), format!("{FCOS}&rollout_wariness=1"));
    let tag = |answer: &Answer| answer.header("etag").unwrap().to_owned();
    let (one, other) = (tag(&hub.get(&eager, &[]).await), tag(&hub.get(&wary, &[]).await));
    assert_ne!(one, other);
    assert_eq!(hub.get(&eager, &[("if-none-match", &one)]).await.status, 304);
    assert_eq!(hub.get(&wary, &[("if-none-match", &one)]).await.status, 200);
    let gzip = hub.get(&wary, &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut decoded).unwrap();
    assert_eq!(decoded, hub.get(&wary, &[]).await.body);
    let stale = Hub::at(hours(30)).get(&eager, &[]).await;
    assert!(stale.header("x-fairway-stale").unwrap().starts_with("timestamp expired"));
}

#[actix_web::test]
async fn a_hold_takes_the_edges_away_and_its_end_gives_them_back() {
    let hub = Hub::at(t0());
    let hold = Hold {
        id: 1,
        scope: HoldScope::Product { product: "acme/kafka".parse().unwrap() },
        reason: "storm".to_owned(),
        by: "ann".to_owned(),
        at: t0(),
        resumed_at: None,
        resumed_by: None,
    };
    let edges = async |hub: &Hub| hub.get(FCOS, &[]).await.json()["edges"].clone();
    assert_eq!(edges(&hub).await, json!([[0, 1]]));
    hub.state.catalog.set_holds(&[hold], &[]);
    assert_eq!(edges(&hub).await, json!([]));
    hub.state.catalog.set_holds(&[], &[]);
    assert_eq!(edges(&hub).await, json!([[0, 1]]));
}

#[actix_web::test]
async fn errors_are_cincinnatis() {
    let hub = Hub::at(t0());
    let path = "/api/fcos/acme/kafka/v1/graph";
    for (uri, status, kind) in [
        (path.to_owned(), 400, "missing_params"),
        (format!("{path}?stream=stable"), 400, "missing_params"),
        (format!("{path}?stream=A&basearch=x86_64"), 400, "invalid_params"),
        (format!("{path}?stream=stable&basearch=x%2F64"), 400, "invalid_params"),
        (format!("{path}?stream=%FF&basearch=x86_64"), 400, "invalid_params"),
        ("/api/fcos/acme/os/v1/graph?stream=a&basearch=x86_64".to_owned(), 404, "does_not_exist"),
    ] {
        let answer = hub.get(&uri, &[]).await;
        assert_eq!((answer.status, answer.kind().as_str()), (status, kind), "{uri}");
    }
    assert_eq!(hub.ask(Method::POST, FCOS, &[]).await.status, 405);
    let nothing = hub.get(&format!("{path}?stream=next&basearch=x86_64"), &[]).await;
    assert_eq!((nothing.status, nothing.header("x-fairway-unknown")), (200, Some("channel")));
    let early = Hub::empty_at(t0()).get(FCOS, &[]).await;
    assert_eq!((early.status, early.kind().as_str()), (503, "not_ready"));
}
