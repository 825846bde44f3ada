//! The public endpoints over a really signed repository.

mod fcos;

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpServer, rt, test, web};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::lookout::Lookout;
use super::public::{Clock, PublicState, routes};
use crate::catalog::Catalog;
use crate::fcos::Fcos;
use crate::metrics::{Metrics, Status};
use crate::publish::Publisher;
use crate::publish::fixture::{Fixture, Vendor, hours, open, t0};

const GRAPH: &str = "/api/upgrades_info/v1/graph?channel=stable";
const TIMESTAMP: &str = "/tuf/metadata/timestamp.json";

struct Hub {
    _dir: TempDir,
    publisher: Arc<Publisher>,
    state: PublicState,
}

fn state(catalog: Catalog, metrics: Metrics, clock: Clock) -> PublicState {
    PublicState { catalog, metrics, clock, fcos: Fcos::default(), lookout: Lookout::default() }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: web::Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn kind(&self) -> String {
        self.json()["kind"].as_str().unwrap().to_owned()
    }
}

impl Hub {
    fn empty_at(now: Timestamp) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (publisher, catalog) = open(dir.path(), t0());
        let (metrics, clock) = (Metrics::new("0.1.0"), Clock::new(move || now));
        Self { _dir: dir, publisher: Arc::new(publisher), state: state(catalog, metrics, clock) }
    }

    fn at(now: Timestamp) -> Self {
        let hub = Self::empty_at(now);
        hub.publisher.publish(Fixture::new().publication(), t0()).unwrap();
        hub
    }

    async fn ask(&self, method: Method, uri: &str, headers: &[(&str, &[u8])]) -> Answer {
        let app = test::init_service(App::new().configure(routes(self.state.clone()))).await;
        let mut request = test::TestRequest::with_uri(uri).method(method);
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request = request.append_header((name, HeaderValue::from_bytes(value).unwrap()));
        }
        let response = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: test::read_body(response).await }
    }

    async fn get(&self, uri: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        self.ask(Method::GET, uri, &headers).await
    }
}

#[actix_web::test]
async fn every_graph_path_answers_the_signed_bytes() {
    let hub = Hub::at(t0());
    let mut fixture = Fixture::new();
    let signed = fixture.acme().graphs["acme/kafka/stable.amd64.graph.json"].clone();
    for path in [
        "/api/upgrades_info/v1/graph",
        "/api/upgrades_info/graph",
        "/api/upgrades_info/acme/kafka/v1/graph",
    ] {
        let uri = format!("{path}?channel=stable&arch=amd64&version=1.0.0&id=7&other=x");
        let answer = hub.get(&uri, &[]).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &signed[..]), "{path}");
        let media = channels::wire::media_type::CINCINNATI;
        assert_eq!(answer.header("content-type"), Some(media));
        assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
        assert!(answer.header("cache-control").unwrap().contains("max-age=30"));
        assert_eq!(answer.header("x-fairway-stale"), None);
        assert_eq!(answer.header("x-fairway-unknown"), None);
    }
}

#[actix_web::test]
async fn a_tag_of_the_same_coding_answers_304_and_one_of_another_does_not() {
    let hub = Hub::at(t0());
    for coding in ["identity", "gzip", "zstd"] {
        let accept = ("accept-encoding", coding);
        let first = hub.get(GRAPH, &[accept]).await;
        let etag = first.header("etag").unwrap().to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "strong: {etag}");
        let weak = format!("\"zzz\", W/{etag}");
        for condition in [etag.as_str(), weak.as_str(), "*"] {
            let second = hub.get(GRAPH, &[accept, ("if-none-match", condition)]).await;
            assert_eq!((second.status, second.body.len()), (304, 0), "{coding} {condition}");
            assert_eq!(second.header("etag"), Some(etag.as_str()));
            assert_eq!(second.header("vary"), Some("Accept, Accept-Encoding"));
            assert!(second.header("cache-control").is_some());
        }
        let other = if coding == "gzip" { "zstd" } else { "gzip" };
        let headers = [("accept-encoding", other), ("if-none-match", etag.as_str())];
        assert_eq!(hub.get(GRAPH, &headers).await.status, 200);
    }
}

#[actix_web::test]
async fn compressed_bodies_decode_to_the_signed_bytes() {
    let hub = Hub::at(t0());
    let plain = hub.get(GRAPH, &[]).await;
    assert_eq!(plain.header("content-encoding"), None);
    let gzip = hub.get(GRAPH, &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut decoded).unwrap();
    assert_eq!(decoded, plain.body);
    let zstd = hub.get(GRAPH, &[("accept-encoding", "br, zstd;q=0.9, gzip;q=0.1")]).await;
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd::decode_all(&zstd.body[..]).unwrap(), plain.body);
}

#[actix_web::test]
async fn what_the_client_cannot_take_is_406_and_lists_are_not() {
    let hub = Hub::at(t0());
    let refused = hub.get(GRAPH, &[("accept", "text/html")]).await;
    assert_eq!((refused.status, refused.kind().as_str()), (406, "invalid_content_type"));
    let coding = ("accept-encoding", "identity;q=0, br");
    assert_eq!(hub.get(GRAPH, &[coding]).await.status, 406);
    let list = hub.get(GRAPH, &[("accept", "application/json, */*;q=0.5")]).await;
    assert_eq!((list.status, list.header("content-type")), (200, Some("application/json")));
}

#[actix_web::test]
async fn missing_and_invalid_parameters_are_named() {
    let hub = Hub::at(t0());
    for (query, kind) in [
        ("", "missing_params"),
        ("?arch=amd64", "missing_params"),
        ("?channel=", "invalid_params"),
        ("?channel=Stable", "invalid_params"),
        ("?channel=a%2Fb", "invalid_params"),
        ("?channel=%FF%FE", "invalid_params"),
        ("?channel=stable&arch=", "invalid_params"),
        ("?channel=stable&arch=x86-64", "invalid_params"),
        ("?channel=stable&channel=A", "invalid_params"),
    ] {
        let answer = hub.get(&format!("/api/upgrades_info/v1/graph{query}"), &[]).await;
        assert_eq!((answer.status, answer.kind().as_str()), (400, kind), "{query}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(!answer.json()["value"].as_str().unwrap().is_empty());
    }
    let last = hub.get("/api/upgrades_info/v1/graph?channel=A&channel=stable", &[]).await;
    assert_eq!(last.status, 200, "of a repeated parameter the last counts");
}

#[actix_web::test]
async fn an_unknown_channel_is_an_empty_graph_that_says_so() {
    let hub = Hub::at(t0());
    for (query, unknown) in [("channel=nightly", "channel"), ("channel=stable&arch=s390x", "arch")]
    {
        let answer = hub.get(&format!("/api/upgrades_info/v1/graph?{query}"), &[]).await;
        assert_eq!((answer.status, answer.header("x-fairway-unknown")), (200, Some(unknown)));
        let graph = answer.json();
        assert_eq!((&graph["version"], &graph["nodes"]), (&1.into(), &Value::Array(vec![])));
    }
}

#[actix_web::test]
async fn an_unknown_product_is_404_with_cincinnatis_kind() {
    let hub = Hub::at(t0());
    for path in ["beta/kafka", "acme/nope", "ACME/kafka", "acme/k%2F"] {
        let uri = format!("/api/upgrades_info/{path}/v1/graph?channel=stable");
        let answer = hub.get(&uri, &[]).await;
        assert_eq!((answer.status, answer.kind().as_str()), (404, "does_not_exist"), "{path}");
    }
}

#[actix_web::test]
async fn before_the_first_publication_the_answer_is_503_and_never_an_empty_200() {
    let hub = Hub::empty_at(t0());
    let answer = hub.get(GRAPH, &[]).await;
    assert_eq!((answer.status, answer.kind().as_str()), (503, "not_ready"));
    assert_eq!(answer.header("retry-after"), Some("15"));
    assert_eq!(hub.get(TIMESTAMP, &[]).await.status, 404);
}

#[actix_web::test]
async fn stale_answers_are_served_and_marked() {
    let hub = Hub::at(hours(30));
    let answer = hub.get(GRAPH, &[]).await;
    assert_eq!(answer.status, 200);
    let reason = "timestamp expired at 2026-11-21T12:00:00Z";
    assert_eq!(answer.header("x-fairway-stale"), Some(reason));
    assert_eq!(answer.header("age"), Some("108000"));
    let etag = answer.header("etag").unwrap();
    let again = hub.get(GRAPH, &[("if-none-match", etag)]).await;
    assert_eq!((again.status, again.header("x-fairway-stale")), (304, Some(reason)));
}

#[actix_web::test]
async fn an_expired_vendor_marks_its_own_graphs_only() {
    let hub = Hub::empty_at(hours(12));
    let mut fixture = Fixture::new();
    let mut beta = Vendor::new("beta", 40);
    beta.graph("stable", &["1.0.0"], &[]);
    beta.expires = hours(6);
    beta.role_prefix = "béta";
    fixture.vendors.push(beta);
    hub.publisher.publish(fixture.publication(), t0()).unwrap();
    assert_eq!(hub.get(GRAPH, &[]).await.header("x-fairway-stale"), None);
    let beta = hub.get("/api/upgrades_info/beta/kafka/v1/graph?channel=stable", &[]).await;
    let reason = beta.header("x-fairway-stale").unwrap();
    assert_eq!(reason, "b\\u{e9}ta.channels expired at 2026-11-20T18:00:00Z");
}

#[actix_web::test]
async fn other_methods_are_405_and_name_those_that_work() {
    let hub = Hub::at(t0());
    for uri in [GRAPH, TIMESTAMP, "/assets/app.css"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = hub.ask(method, uri, &[]).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{uri}");
        }
    }
    assert_eq!(hub.ask(Method::POST, GRAPH, &[]).await.kind(), "method_not_allowed");
}

#[actix_web::test]
async fn header_bytes_outside_ascii_are_ignored() {
    let hub = Hub::at(t0());
    let odd: &[u8] = b"\xff\x80\"W/";
    let headers = [("accept", odd), ("accept-encoding", odd), ("if-none-match", odd)];
    assert_eq!(hub.ask(Method::GET, GRAPH, &headers).await.status, 200);
    assert_eq!(hub.ask(Method::GET, TIMESTAMP, &headers).await.status, 200);
}

#[actix_web::test]
async fn the_timestamps_tag_covers_the_root_version_and_the_bytes() {
    let hub = Hub::at(t0());
    let first = hub.get(TIMESTAMP, &[]).await;
    let etag = first.header("etag").unwrap().to_owned();
    assert_eq!(hub.state.catalog.timestamp_etag().as_deref(), Some(etag.as_str()));
    assert_eq!(etag, signing::source::timestamp_etag(1, &first.body));
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let condition = [("if-none-match", etag.as_str())];
    assert_eq!(hub.get(TIMESTAMP, &condition).await.status, 304);
    hub.publisher.resign_if_due(hours(9)).unwrap();
    assert_eq!(hub.get(TIMESTAMP, &condition).await.status, 200);
}

#[actix_web::test]
async fn versioned_files_are_immutable_and_the_next_root_is_a_clean_404() {
    let hub = Hub::at(t0());
    let root = hub.get("/tuf/metadata/1.root.json", &[]).await;
    assert_eq!(root.status, 200);
    assert!(root.header("cache-control").unwrap().contains("immutable"));
    assert_eq!(root.header("content-type"), Some("application/json"));
    let next = hub.get("/tuf/metadata/2.root.json", &[]).await;
    assert_eq!((next.status, next.header("cache-control")), (404, Some("public, max-age=60")));
}

#[actix_web::test]
async fn targets_are_found_by_encoded_names_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let (publisher, catalog) = open(dir.path(), t0());
    let mut fixture = Fixture::new();
    fixture.acme().release("1.2.0+amd64", &[]);
    let bytes = fixture.acme().releases["acme/kafka/1.2.0+amd64.release.json"].clone();
    publisher.publish(fixture.publication(), t0()).unwrap();
    let (metrics, clock) = (Metrics::new("0.1.0"), Clock::new(t0));
    let hub =
        Hub { _dir: dir, publisher: Arc::new(publisher), state: state(catalog, metrics, clock) };
    let hex = signing::Sha256Digest::of(&bytes).hex();
    for plus in ["+", "%2B", "%2b"] {
        let uri = format!("/tuf/targets/acme/kafka/{hex}.1.2.0{plus}amd64.release.json");
        let answer = hub.get(&uri, &[]).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &bytes[..]), "{uri}");
    }
    for uri in [
        "/tuf/targets/../../keys/snapshot.pem",
        "/tuf/targets/..%2F..%2Fkeys%2Fsnapshot.pem",
        "/tuf/metadata/%2e%2e/%2e%2e/keys/snapshot.pem",
        "/tuf/metadata//etc/passwd",
        "/tuf/metadata/",
        "/tuf/targets/acme/kafka/%zz",
        "/tuf/targets/acme/kafka/%ff%fe",
        "/tuf/targets/acme/kafka/1.2.0+amd64.release.json",
    ] {
        assert_eq!(hub.get(uri, &[]).await.status, 404, "{uri}");
    }
}

#[actix_web::test]
async fn answers_are_counted_by_status() {
    let hub = Hub::at(t0());
    hub.get(GRAPH, &[]).await;
    hub.get(GRAPH, &[("if-none-match", "*")]).await;
    hub.get("/api/upgrades_info/graph", &[]).await;
    hub.get(TIMESTAMP, &[]).await;
    hub.get("/tuf/metadata/9.root.json", &[]).await;
    let metrics = &hub.state.metrics;
    let graph = |status| metrics.graph_requests.get_or_create(&Status { status }).get();
    assert_eq!([graph(200), graph(304), graph(400)], [1, 1, 1]);
    let tuf = |status| metrics.tuf_requests.get_or_create(&Status { status }).get();
    assert_eq!([tuf(200), tuf(404)], [1, 1]);
}

#[actix_web::test]
async fn assets_are_compiled_in_and_revalidated() {
    let hub = Hub::at(t0());
    let css = hub.get("/assets/app.css", &[]).await;
    assert_eq!((css.status, css.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(css.header("content-security-policy").is_some());
    let etag = css.header("etag").unwrap();
    assert_eq!(hub.get("/assets/app.css", &[("if-none-match", etag)]).await.status, 304);
    assert_eq!(hub.get("/assets/favicon.svg", &[]).await.status, 200);
    assert_eq!(hub.get("/assets/other.js", &[]).await.status, StatusCode::NOT_FOUND.as_u16());
}

/// Sends raw bytes to a real server and reads until it closes.
async fn over_the_wire(state: PublicState, requests: &[&[u8]]) -> Vec<String> {
    let server = HttpServer::new(move || App::new().configure(routes(state.clone())))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let running = rt::spawn(server);
    let mut answers = Vec::new();
    for request in requests {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        answers.push(String::from_utf8_lossy(&answer).into_owned());
    }
    handle.stop(false).await;
    running.await.unwrap().unwrap();
    answers
}

#[actix_web::test]
async fn head_sends_the_headers_of_get_without_a_body() {
    let hub = Hub::at(t0());
    let length = hub.get(GRAPH, &[]).await.body.len();
    let head = format!("HEAD {GRAPH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let odd = b"GET /api/upgrades_info/v1/graph?channel=stable HTTP/1.1\r\nhost: x\r\n\
        accept: \xff\xfe\r\nuser-agent: \x80\xff\r\nconnection: close\r\n\r\n";
    let tuf = format!("HEAD {TIMESTAMP} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let requests = [head.as_bytes(), &odd[..], tuf.as_bytes()];
    let answers = over_the_wire(hub.state.clone(), &requests).await;
    let (headers, body) = answers[0].split_once("\r\n\r\n").unwrap();
    assert!(headers.starts_with("HTTP/1.1 200"), "{headers}");
    assert!(headers.contains(&format!("content-length: {length}")), "{headers}");
    assert!(headers.contains("etag: \""), "{headers}");
    assert_eq!(body, "");
    assert!(answers[1].starts_with("HTTP/1.1 200"), "odd header bytes: {}", answers[1]);
    let (headers, body) = answers[2].split_once("\r\n\r\n").unwrap();
    assert!(headers.contains("etag: \"1-") && body.is_empty(), "{headers}");
}

#[actix_web::test]
async fn a_replica_that_may_be_behind_looks_before_it_answers() {
    let mut hub = Hub::at(t0());
    let old = hub.get(TIMESTAMP, &[]).await;
    let (publisher, looks) = (Arc::clone(&hub.publisher), Arc::new(AtomicU32::new(0)));
    let looked = Arc::clone(&looks);
    // What another replica published is there with the look.
    hub.state.lookout = Lookout::new(move || {
        looked.fetch_add(1, Ordering::SeqCst);
        drop(publisher.resign_if_due(hours(9)));
    });
    let count = || looks.swap(0, Ordering::SeqCst);
    let etag = old.header("etag").unwrap().to_owned();
    let same = hub.get(TIMESTAMP, &[("if-none-match", &etag)]).await;
    assert_eq!((same.status, count()), (304, 0), "whoever has the same set has no newer one");
    assert_eq!(hub.get("/tuf/metadata/1.root.json", &[]).await.status, 200);
    assert_eq!(count(), 0);
    let new = hub.get(TIMESTAMP, &[("if-none-match", "\"1-newer\"")]).await;
    assert_eq!((new.status, count()), (200, 1));
    assert_ne!(new.body, old.body);
    assert_eq!(hub.get(TIMESTAMP, &[]).await.body, new.body);
    assert_eq!(count(), 1, "a client that says nothing may have anything");
    assert_eq!(hub.get("/tuf/metadata/2.root.json", &[]).await.status, 404);
    assert_eq!(count(), 1, "the files of a newer set");
    assert_eq!(hub.ask(Method::POST, TIMESTAMP, &[]).await.status, 405);
    assert_eq!(count(), 0);
}
