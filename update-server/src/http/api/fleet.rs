//! `/api/v1/{drift,health,products,channels}`: answers about the fleet and what is served to it.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpRequest, HttpResponse, web};
use channels::names::{Arch, ChannelName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{DriftTotals, HealthAnswer, Page, Severity};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::super::negotiate::Listing;
use super::super::problem::{ApiError, Code};
use super::export::DriftLine;
use super::paging::Version;
use super::{Guarded, HubState, Scoped, Viewer, export};
use crate::auth::Scope;
use crate::fleet::{GraphKey, HealthQuestion, MAX_WORST_LAGS};
use crate::telemetry::exposure;

/// Parameters of the drift answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DriftQuery {
    product: Option<ProductRef>,
    channel: Option<ChannelName>,
    /// `json`, `ndjson` or `csv`.
    format: Option<String>,
}

/// `GET /api/v1/drift`
pub(super) async fn drift(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<DriftQuery>,
) -> Result<HttpResponse, ApiError> {
    let listing = export::listing(&request, query.format.as_deref())?;
    let version = Version::of(&state);
    if let Some(known) = version.known_to(&request).filter(|_| listing == Listing::Json) {
        return Ok(known);
    }
    let sites = state.store.committed().sites();
    let mut answer = state.with_fleet(|fleet, view| {
        let mut answer = fleet.drift_within(by.scope(), view);
        if by.scope().is_whole() {
            answer.sites = sites.drift(view);
            answer.sites_never_reported = sites.never_reported();
        }
        answer
    });
    let wanted = |totals: &DriftTotals| {
        query.product.as_ref().is_none_or(|p| *p == totals.product)
            && query.channel.as_ref().is_none_or(|c| *c == totals.channel)
    };
    answer.items.retain(wanted);
    answer.sites.retain(|site| wanted(&site.totals));
    if listing == Listing::Json {
        return Ok(version.on(HttpResponse::Ok().json(answer)));
    }
    let live = answer.items.into_iter().map(DriftLine::Live);
    let lines = live.chain(answer.sites.into_iter().map(DriftLine::Site)).collect();
    Ok(export::whole("drift", listing, lines))
}

/// Longest time that may be asked for as standing still.
const MAX_STUCK_AFTER_S: u64 = 30 * 86_400;
/// Shorter than any phase takes.
const MIN_STUCK_AFTER_S: u64 = 60;

/// Parameters of the health answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HealthQuery {
    product: Option<ProductRef>,
    channel: Option<ChannelName>,
    /// How many of the worst lags per channel and kind, 1 to 50; 5 if not given.
    worst: Option<usize>,
    /// Standing still for longer is being stuck, seconds; an hour if not given.
    stuck_after_s: Option<u64>,
    /// `json`, or the clusters that are not healthy as `ndjson` or `csv`.
    format: Option<String>,
}

impl HealthQuery {
    fn question(&self, scope: &Scope) -> Result<HealthQuestion, ApiError> {
        let refuse = |detail| ApiError::new(Code::InvalidRequest, detail);
        let default = HealthQuestion::default();
        let worst = self.worst.unwrap_or(default.worst);
        if !(1..=MAX_WORST_LAGS).contains(&worst) {
            return Err(refuse(format!("worst must be between 1 and {MAX_WORST_LAGS}")));
        }
        let stuck_after = match self.stuck_after_s {
            None => default.stuck_after,
            Some(s) if (MIN_STUCK_AFTER_S..=MAX_STUCK_AFTER_S).contains(&s) => {
                SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX))
            }
            Some(_) => {
                return Err(refuse(format!(
                    "stuck_after_s must be between {MIN_STUCK_AFTER_S} and {MAX_STUCK_AFTER_S}"
                )));
            }
        };
        let (product, channel) = (self.product.clone(), self.channel.clone());
        Ok(HealthQuestion { product, channel, worst, stuck_after, scope: scope.clone() })
    }
}

/// `GET /api/v1/health`
pub(super) async fn health(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<HealthQuery>,
) -> Result<HttpResponse, ApiError> {
    let question = query.question(by.scope())?;
    let listing = export::listing(&request, query.format.as_deref())?;
    if listing != Listing::Json {
        return Ok(export::whole("health", listing, health_answer(&state, &question).worst));
    }
    let version = Version::of(&state);
    if let Some(known) = version.known_to(&request) {
        return Ok(known);
    }
    Ok(version.on(HttpResponse::Ok().json(health_answer(&state, &question))))
}

/// Health of the fleet with its exposure to risks of what is served.
pub(in crate::http) fn health_answer(state: &HubState, question: &HealthQuestion) -> HealthAnswer {
    let (mut answer, counts) = state.with_fleet(|fleet, view| {
        (fleet.health(question, view), fleet.counts_within(&question.scope))
    });
    let mut versions: BTreeMap<GraphKey, BTreeMap<ReleaseVersion, u64>> = BTreeMap::new();
    for count in
        counts.into_iter().filter(|c| question.is_about(&c.graph.product, &c.graph.channel))
    {
        *versions.entry(count.graph).or_default().entry(count.version).or_default() +=
            count.clusters;
    }
    for (key, versions) in &versions {
        if let Some(entry) = state.catalog.graph(&key.product, &key.channel, &key.arch) {
            answer.risks.extend(exposure(key, &entry.graph, versions));
        }
    }
    answer
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
