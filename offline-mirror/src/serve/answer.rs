//! One request in, one answer out: route, access, work, count.

use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde_json::json;

use super::access::{Anonymous, Role, Tokens, Verdict};
use super::body::{blocking, drained};
use super::error::Refusal;
use super::metrics::Metrics;
use super::route::{self, Route};
use super::server::Allowed;
use super::{listing, pull, push};
use crate::oci::{Digest, Repository};
use crate::store::Store;

/// `Docker-Content-Digest`.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";
/// Old clients look for it at `/v2/`.
const API_VERSION: (&str, &str) = ("docker-distribution-api-version", "registry/2.0");
/// Query parameters of one request; pushes by digest may bring several tags.
const PARAMETERS_MAX: usize = 32;

/// What every request is answered from.
#[derive(Debug)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) allowed: Allowed,
    pub(super) anonymous: Anonymous,
    pub(super) tokens: Tokens,
    pub(super) clock: fn() -> Timestamp,
    pub(super) metrics: web::Data<Metrics>,
}

impl State {
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Names and values of a query, decoded.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(request: &HttpRequest) -> Result<Self, Refusal> {
        let refuse = |why| Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", why);
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| refuse("the query cannot be read"))?
            .into_inner();
        if pairs.len() > PARAMETERS_MAX {
            return Err(refuse("the query has too many parameters"));
        }
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a digest.
    pub(super) fn digest(&self, name: &str) -> Result<Option<Digest>, Refusal> {
        Ok(self.get(name).map(route::digest).transpose()?)
    }
}

/// A header as text.
pub(super) fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Path of a blob or upload of a repository.
pub(super) fn location(repository: &Repository, rest: &str) -> (header::HeaderName, String) {
    (header::LOCATION, format!("/v2/{repository}/{rest}"))
}

/// Answers a request.
pub(super) async fn answer(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<State>,
) -> HttpResponse {
    let mut response = match request.path() {
        "/livez" => HttpResponse::Ok().body("ok\n"),
        "/readyz" => ready(&state).await,
        "/metrics" => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(state.metrics.page()),
        _ => match registry(&request, payload, &state).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(),
        },
    };
    let version = header::HeaderValue::from_static(API_VERSION.1);
    response.headers_mut().insert(header::HeaderName::from_static(API_VERSION.0), version);
    let (method, status) = (request.method().as_str(), response.status().as_u16());
    state.metrics.answered(method, status);
    tracing::info!(method, path = request.path(), status, "answered");
    response
}

async fn ready(state: &web::Data<State>) -> HttpResponse {
    let store = state.store.clone();
    match blocking(move || store.totals()).await {
        Ok(_) => HttpResponse::Ok().body("ready\n"),
        Err(_) => HttpResponse::ServiceUnavailable().body("the store does not answer\n"),
    }
}

async fn registry(
    request: &HttpRequest,
    payload: web::Payload,
    state: &web::Data<State>,
) -> Result<HttpResponse, Refusal> {
    let permitted = permitted(request, state);
    let (route, parameters) = match permitted {
        Ok(permitted) => permitted,
        Err(refusal) => {
            drained(payload).await;
            return Err(refusal);
        }
    };
    let method = request.method().clone();
    match (method, route) {
        (Method::GET | Method::HEAD, Route::Base) => Ok(HttpResponse::Ok().json(json!({}))),
        (Method::GET | Method::HEAD, Route::Catalog) => listing::catalog(state, &parameters).await,
        (Method::GET | Method::HEAD, Route::Tags(repository)) => {
            listing::tags(state, repository, &parameters).await
        }
        (Method::GET | Method::HEAD, Route::Referrers(repository, digest)) => {
            listing::referrers(state, repository, digest, &parameters).await
        }
        (Method::GET | Method::HEAD, Route::Blob(repository, digest)) => {
            pull::blob(state, request, repository, digest).await
        }
        (Method::GET | Method::HEAD, Route::Manifest(repository, reference)) => {
            pull::manifest(state, request, repository, reference).await
        }
        (Method::PUT, Route::Manifest(repository, reference)) => {
            push::manifest(state, request, payload, repository, reference, &parameters).await
        }
        (Method::POST, Route::Uploads(repository)) => {
            push::begin(state, request, payload, repository, &parameters).await
        }
        (Method::PATCH, Route::Upload(repository, id)) => {
            push::piece(state, request, payload, repository, id).await
        }
        (Method::PUT, Route::Upload(repository, id)) => {
            push::finish(state, request, payload, repository, id, &parameters).await
        }
        (Method::GET | Method::HEAD, Route::Upload(repository, id)) => {
            push::status(state, repository, id).await
        }
        (Method::DELETE, Route::Upload(repository, id)) => {
            push::cancel(state, repository, id).await
        }
        (Method::DELETE, Route::Blob(repository, digest)) => {
            push::delete_blob(state, repository, digest).await
        }
        (Method::DELETE, Route::Manifest(repository, reference)) => {
            push::delete_manifest(state, repository, reference).await
        }
        _ => Err(Refusal::unsupported("the endpoint has no such method")),
    }
}

/// What the request asks for, if whoever sent it may.
fn permitted(request: &HttpRequest, state: &State) -> Result<(Route, Parameters), Refusal> {
    let route = route::parse(request.path());
    let is_upload = matches!(route, Ok(Route::Upload(..) | Route::Uploads(_)));
    let wanted = match *request.method() {
        Method::GET | Method::HEAD if !is_upload => Role::Pull,
        Method::DELETE if !is_upload => Role::Delete,
        _ => Role::Push,
    };
    match wanted {
        Role::Push if !state.allowed.push => {
            return Err(Refusal::unsupported("this registry takes no pushes"));
        }
        Role::Delete if !state.allowed.delete => {
            return Err(Refusal::unsupported("this registry deletes nothing"));
        }
        Role::Pull | Role::Push | Role::Delete => {}
    }
    let authorization = header(request, "authorization");
    match state.tokens.judge(authorization, wanted, state.anonymous) {
        Verdict::Yes => {}
        Verdict::WhoAreYou => {
            let (status, text) = (StatusCode::UNAUTHORIZED, "a token is needed");
            return Err(Refusal::new(status, "UNAUTHORIZED", text));
        }
        Verdict::No { name } => {
            let message = format!("the token {name:?} may not do this");
            return Err(Refusal::new(StatusCode::FORBIDDEN, "DENIED", message));
        }
    }
    Ok((route?, Parameters::of(request)?))
}
