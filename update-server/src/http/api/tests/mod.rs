//! The API over a real store and a really signed repository, in process.

mod access;
mod admin;
mod agents;
mod eol;
mod exports;
mod front;
mod hooks;
mod identity;
pub(super) mod openapi;
mod packed;
mod pages;
mod people;
mod record_pages;
mod refused_pages;
mod restored;
mod rollouts;
mod rotation;
mod sign_in;
mod sign_in_peer;
mod sites;
mod telling;
mod trends;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::web::{self, Bytes};
use actix_web::{App, ResponseError as _};
use channels::names::ClusterId;
use channels::wire::{
    ClusterHeader, EnrolmentReply, EnrolmentRequest, GrantRequest, HealthSummary, JoinToken, Phase,
    Problem, ProductState, Report, ReportReply,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use signing::SecretKey;
use signing::message::{RequestParts, SignedHeaders, sign};

use super::super::dashboard::{self, PageCache};
use super::super::public::{self, Clock, PublicState};
use super::{HubState, routes};
use crate::auth::{Access, Scope, Secret, SecretKind};
use crate::config::{Fragments, Settings};
use crate::metrics::Metrics;
use crate::publish::fixture::{Fixture, open, t0};
use crate::store::{NewToken, Reader, Store, StoreSettings};

pub(super) struct Hub {
    dir: tempfile::TempDir,
    state: web::Data<HubState>,
    clock_s: Arc<AtomicI64>,
}

pub(super) struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e} in {}", String::from_utf8_lossy(&self.body)))
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// Asserts that this is a problem with its media type; returns status and slug.
    fn problem(&self) -> (u16, String) {
        let problem: Problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem.status, self.status);
        (self.status, problem.kind.strip_prefix("/problems/").unwrap().to_owned())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }
}

/// The token of an access level, the same in every test.
fn token(access: Access) -> Secret {
    let letter = match access {
        Access::Viewer => "V",
        Access::Operator => "Q",
        Access::Publisher => "U",
        Access::Admin => "A",
    };
    // The last character carries two unused bits, which must be zero.
    Secret::parse(SecretKind::Api, &format!("fw_{}A", letter.repeat(42))).unwrap()
}

impl Hub {
    pub(super) async fn new() -> Self {
        Self::with("").await
    }

    /// Settings in TOML beside the defaults.
    pub(super) async fn with(toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Time stands still in a test: agents would all be too fast.
        let limits = if toml.contains("[limits]") { "" } else { "[limits]\nreport_floor_s = 0" };
        let data_dir = format!("data_dir = {:?}\n{toml}\n{limits}", dir.path());
        let settings: Settings = Fragments::parse(&data_dir).unwrap().try_into().unwrap();
        let (publisher, catalog) = open(dir.path(), t0());
        let store_settings = StoreSettings {
            report_interval_s: settings.report_interval_s,
            grant_ttl_s: settings.grant_ttl_s,
            queue_capacity: settings.queue_capacity,
            history_days: settings.history_days,
        };
        let served = Arc::new(catalog.clone());
        let (store, _writer) =
            Store::open(dir.path(), store_settings, served, Box::new(|_, _| ()), t0()).unwrap();
        for access in [Access::Viewer, Access::Operator, Access::Publisher, Access::Admin] {
            let new = NewToken {
                name: format!("the-{access}"),
                access,
                scope: Scope::whole(),
                expires_at: None,
                digest: token(access).digest(),
                by: "hub".to_owned(),
                now: t0(),
            };
            store.create_token(new).await.unwrap();
        }
        let clock_s = Arc::new(AtomicI64::new(t0().as_second()));
        let time = Arc::clone(&clock_s);
        let clock =
            Clock::new(move || Timestamp::from_second(time.load(Ordering::Relaxed)).unwrap());
        let state = web::Data::new(HubState {
            reader: Reader::open(dir.path()).unwrap(),
            store,
            catalog,
            publisher,
            leadership: crate::server::Leadership::alone(),
            metrics: Metrics::new("0.1.0"),
            clock,
            access: crate::http::access::Access::open(&settings).unwrap(),
            settings,
            deliveries: crate::webhooks::Deliveries::default(),
            caught_up: Mutex::default(),
            holds_shown: Mutex::default(),
            pages: PageCache::default(),
        });
        Self { dir, state, clock_s }
    }

    /// A hub that serves acme/kafka 1.0.0 → 1.1.0 in `stable`.
    pub(super) async fn published() -> Self {
        let hub = Self::new().await;
        hub.state.publisher.publish(Fixture::new().publication(), t0()).unwrap();
        hub
    }

    fn advance(&self, seconds: i64) {
        self.clock_s.fetch_add(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> Timestamp {
        self.state.now()
    }

    async fn call(&self, request: TestRequest) -> Answer {
        let public = PublicState {
            catalog: self.state.catalog.clone(),
            metrics: self.state.metrics.clone(),
            clock: self.state.clock.clone(),
            fcos: crate::fcos::Fcos::new(self.state.store.committed().clone()),
            lookout: crate::http::lookout::Lookout::default(),
        };
        let app = App::new()
            .wrap_fn(dashboard::refuse_with_pages)
            .configure(super::agents)
            .configure(public::routes(public))
            .configure(routes(self.state.clone()))
            .default_service(web::to(async || {
                super::ApiError::new(super::Code::NotFound, "no such path").error_response()
            }));
        let request = request.to_request();
        let asked = (request.method().to_string(), request.path().to_owned());
        let response = call_service(&init_service(app).await, request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        openapi::assert_declared(&asked.0, &asked.1, status);
        Answer { status, headers, body: read_body(response).await }
    }

    /// A person's request.
    async fn ask(&self, access: Access, method: &str, path: &str, body: Option<Value>) -> Answer {
        let header = format!("Bearer {}", token(access).reveal());
        self.ask_with(Some(&header), method, path, body).await
    }

    async fn ask_with(
        &self,
        authorization: Option<&str>,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = TestRequest::default().method(method.parse().unwrap()).uri(path);
        if let Some(header) = authorization {
            request = request.insert_header(("authorization", header));
        }
        if let Some(body) = body {
            request = request.set_json(body);
        }
        self.call(request).await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.ask(Access::Operator, "GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    async fn invite(&self, uses: u32) -> String {
        let body = json!({ "uses": uses, "expires_in_s": 3600 });
        let answer = self.ask(Access::Operator, "POST", "/api/v1/join-tokens", Some(body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json::<JoinToken>().token
    }

    async fn enrol(&self, token: &str, name: &str, key: &SecretKey) -> Answer {
        let body = EnrolmentRequest {
            join_token: token.to_owned(),
            public_key: key.public().to_spki_pem(),
            name: name.to_owned(),
            agent_version: "0.1.0".to_owned(),
        };
        let body = serde_json::to_vec(&body).unwrap();
        self.call(signed("/api/v1/enrolments", &body, key, self.now())).await
    }

    /// An agent named `site-<n>` that has enrolled.
    async fn agent(&self, n: u8) -> Agent {
        let key = SecretKey::from_seed([n; 32]);
        let token = self.invite(1).await;
        let answer = self.enrol(&token, &format!("site-{n}"), &key).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        Agent { id: answer.json::<EnrolmentReply>().cluster_id, key }
    }

    async fn report(&self, agent: &Agent, report: &Report) -> Answer {
        let body = serde_json::to_vec(report).unwrap();
        self.call(signed("/api/v1/reports", &body, &agent.key, self.now())).await
    }

    async fn reply(&self, agent: &Agent, report: &Report) -> ReportReply {
        let answer = self.report(agent, report).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

pub(super) struct Agent {
    id: ClusterId,
    key: SecretKey,
}

impl Agent {
    /// A full report of one idle product on 1.0.0.
    fn idle(&self, seq: u64) -> Report {
        self.of(seq, vec![kafka(Phase::Idle)])
    }

    fn of(&self, seq: u64, products: Vec<ProductState>) -> Report {
        let agent_version = "0.1.0".to_owned();
        let id = self.id;
        let cluster = ClusterHeader {
            id,
            seq,
            sent_at: t0(),
            agent_version,
            instance: None,
            heard_seq: None,
        };
        Report { cluster, full: true, products }
    }
}

fn kafka(phase: Phase) -> ProductState {
    ProductState {
        product: "acme/kafka".parse().unwrap(),
        channel: "stable".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        target: None,
        phase,
        since: t0(),
        unit: None,
        progress: None,
        health: HealthSummary::default(),
        waiting_on: Vec::new(),
        failure: None,
        accepted_risks: Vec::new(),
        wants: None,
        units: Vec::new(),
    }
}

/// Asks to go to `to` with the digest the hub serves, or with another one.
fn asking(hub: &Hub, to: &str) -> ProductState {
    let state = kafka(Phase::Waiting);
    let to = to.parse().unwrap();
    let served = hub.state.catalog.release(&state.product, &to);
    let release_digest =
        served.map_or_else(|| signing::Sha256Digest::of(b"none"), |entry| entry.digest);
    ProductState { wants: Some(GrantRequest { to, release_digest, renews: None }), ..state }
}

fn signature(path: &str, body: &[u8], key: &SecretKey, at: Timestamp) -> SignedHeaders {
    let parts = RequestParts {
        method: "POST",
        path,
        query: "",
        content_type: Some("application/json"),
        body,
    };
    sign(&parts, key, at, "nonce").unwrap()
}

/// A POST of JSON signed by `key` at `at`.
fn signed(path: &str, body: &[u8], key: &SecretKey, at: Timestamp) -> TestRequest {
    with_headers(path, body, &signature(path, body, key, at))
}

fn with_headers(path: &str, body: &[u8], headers: &SignedHeaders) -> TestRequest {
    TestRequest::post()
        .uri(path)
        .insert_header(("content-type", "application/json"))
        .insert_header(("content-digest", headers.content_digest.clone().unwrap()))
        .insert_header(("signature-input", headers.signature_input.clone()))
        .insert_header(("signature", headers.signature.clone()))
        .set_payload(body.to_vec())
}

fn seconds(s: i64) -> SignedDuration {
    SignedDuration::from_secs(s)
}
