//! The graph as Fedora `CoreOS` machines ask for it (reference: Zincati and its policy engine).
//!
//! The same freshness marks, entity tags, codings and errors as the Cincinnati paths; what is shown
//! differs by client, see [`crate::fcos`]. What a client says of itself is neither kept nor logged.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use channels::version::ReleaseVersion;

use super::cincinnati::{self, Found, Query, Refused, deliver, find, other_method};
use super::negotiate::MediaType;
use super::public::PublicState;
use crate::catalog::Body;
use crate::fcos::{self, Place};

const PATH: &str = "/api/fcos/{vendor}/{product}/v1/graph";

/// What the query asks for.
#[derive(Debug)]
struct Asked {
    query: Query,
    place: Place,
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(
        web::resource(PATH)
            .route(web::get().to(graph))
            .route(web::head().to(graph))
            .default_service(web::to(async |state: web::Data<PublicState>| other_method(&state))),
    );
}

async fn graph(request: HttpRequest, state: web::Data<PublicState>) -> HttpResponse {
    let response = answer(&request, &state).await.unwrap_or_else(|refused| refused.respond());
    state.metrics.count_graph(response.status().as_u16());
    response
}

async fn answer(request: &HttpRequest, state: &PublicState) -> Result<HttpResponse, Refused> {
    let asked = Asked::parse(request.query_string())?;
    let path = request.match_info();
    let name = format!("{}/{}", path.query("vendor"), path.query("product"));
    let product = cincinnati::product(&cincinnati::Place::Product(&name), state)?;
    let now = state.clock.now();
    // Not the guard: it would be kept while a body is made.
    let served = Arc::clone(&state.catalog.served());
    let found = find(&served, product.as_ref(), &asked.query, now)?;
    let Some(entry) = found.entry else {
        return deliver(request, &served, &found, MediaType::Json, now);
    };
    let hidden = state.fcos.hidden(asked.place, entry, now);
    let body = match state.fcos.ready(found.body, &hidden) {
        Some(body) => body,
        None => made(state, found.body.clone(), hidden).await?,
    };
    let found = Found { body: &body, ..found };
    deliver(request, &served, &found, MediaType::Json, now)
}

/// Made on a thread that may block, once per graph and set of hidden releases.
async fn made(
    state: &PublicState,
    shown: Body,
    hidden: BTreeSet<ReleaseVersion>,
) -> Result<Arc<Body>, Refused> {
    let fcos = state.fcos.clone();
    web::block(move || fcos.make(&shown, &hidden)).await.map_err(|error| {
        tracing::error!(%error, "graph was not made");
        let value = "the server is shutting down";
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", value)
    })
}

impl Asked {
    /// `stream` and `basearch` are needed; of a repeated parameter the last counts; others
    /// (`group`, `os_version`, `platform`, `oci` …) are taken and not used.
    fn parse(query: &str) -> Result<Self, Refused> {
        let invalid =
            |value: String| Refused::new(StatusCode::BAD_REQUEST, "invalid_params", value);
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|error| invalid(error.to_string()))?;
        let last = |name: &str| {
            pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let (Some(stream), Some(basearch)) = (last("stream"), last("basearch")) else {
            let value = "mandatory client parameters missing: stream and basearch";
            return Err(Refused::new(StatusCode::BAD_REQUEST, "missing_params", value));
        };
        let channel = stream.parse().map_err(|error| invalid(format!("stream: {error}")))?;
        let arch = fcos::arch(basearch).map_err(|error| invalid(format!("basearch: {error}")))?;
        let place = Place::of(last("rollout_wariness"), last("node_uuid"));
        Ok(Self { query: Query { channel, arch }, place })
    }
}
