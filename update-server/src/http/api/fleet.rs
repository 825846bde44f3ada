//! `/api/v1/{drift,health,products,channels}`: answers about the fleet and what is served to it.

use std::collections::BTreeSet;

use actix_web::web;
use channels::names::{Arch, ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{DriftAnswer, DriftTotals, HealthAnswer, Page, Severity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::{Guarded, HubState, Scoped, Viewer};

/// Parameters of the drift answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DriftQuery {
    product: Option<ProductRef>,
    channel: Option<ChannelName>,
}

/// `GET /api/v1/drift`
pub(super) async fn drift(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
    query: web::Query<DriftQuery>,
) -> web::Json<DriftAnswer> {
    let sites = state.store.committed().sites();
    let mut answer = state.with_fleet(|fleet, view| {
        let mut answer = fleet.drift(view);
        answer.sites = sites.drift(view);
        answer
    });
    let wanted = |totals: &DriftTotals| {
        query.product.as_ref().is_none_or(|p| *p == totals.product)
            && query.channel.as_ref().is_none_or(|c| *c == totals.channel)
    };
    answer.items.retain(wanted);
    answer.sites.retain(|site| wanted(&site.totals));
    answer.sites_never_reported = sites.never_reported();
    web::Json(answer)
}

/// `GET /api/v1/health`
pub(super) async fn health(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
) -> web::Json<HealthAnswer> {
    web::Json(state.with_fleet(|fleet, view| fleet.health(view)))
}

/// A product that is served.
#[derive(Debug, Serialize)]
pub(super) struct ProductAnswer {
    product: ProductRef,
    releases: Vec<ReleaseAnswer>,
}

/// A release document that is served.
#[derive(Debug, Serialize)]
struct ReleaseAnswer {
    version: ReleaseVersion,
    digest: Sha256Digest,
    released_at: Timestamp,
    severity: Severity,
}

/// `GET /api/v1/products`
pub(super) async fn products(
    _: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
) -> web::Json<Page<ProductAnswer>> {
    let products: BTreeSet<ProductRef> = state.catalog.graphs().map(|key| key.product).collect();
    let items = products
        .into_iter()
        .map(|product| {
            let releases = state
                .catalog
                .releases(&product)
                .iter()
                .map(|entry| ReleaseAnswer {
                    version: entry.document.version.clone(),
                    digest: entry.digest,
                    released_at: entry.document.released_at,
                    severity: entry.document.severity,
                })
                .collect();
            ProductAnswer { product, releases }
        })
        .collect();
    web::Json(Page { items, next: None })
}

/// A graph that is served.
#[derive(Debug, Serialize)]
pub(super) struct ChannelAnswer {
    product: ProductRef,
    channel: ChannelName,
    arch: Arch,
    head: Option<ReleaseVersion>,
    nodes: usize,
    edges: usize,
    conditional_edges: usize,
    digest: Sha256Digest,
}

/// `GET /api/v1/channels`
pub(super) async fn channels(
    _: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
) -> web::Json<Page<ChannelAnswer>> {
    let items = state
        .catalog
        .graphs()
        .filter_map(|key| {
            let entry = state.catalog.graph(&key.product, &key.channel, &key.arch)?;
            let graph = &entry.graph;
            Some(ChannelAnswer {
                head: graph.head().cloned(),
                nodes: graph.nodes().len(),
                edges: graph.edges().len(),
                conditional_edges: graph.conditional().iter().map(|c| c.edges.len()).sum(),
                digest: entry.digest,
                product: key.product,
                channel: key.channel,
                arch: key.arch,
            })
        })
        .collect();
    web::Json(Page { items, next: None })
}
