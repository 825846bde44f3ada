//! `/livez`, `/readyz`, `/metrics`.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::header::{ACCEPT, CACHE_CONTROL, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use channels::wire::{DriftState, Freshness, HealthVerdict, Reason};
use jiff::Timestamp;
use serde::Serialize;

use super::HubState;
use crate::fleet::{FleetIndex, View};
use crate::metrics::{
    CONTENT_TYPE, ChannelLabels, ClusterLabels, DriftLabels, Metrics, PLAIN_CONTENT_TYPE,
    ProductLabel, RolloutLabels, State, plain_text,
};

/// Four rounds of maintenance without a commit.
const STALLED_AFTER: Duration = Duration::from_mins(1);

/// Several looks at what other replicas committed, which come every second.
const BEHIND_MAX: Duration = Duration::from_secs(5);

/// Series of `fairway_clusters`: channels × versions × phases of a large fleet. Beyond it
/// versions are counted as `other`.
const MAX_CLUSTER_SERIES: usize = 5_000;

/// Products that are told apart in series of rollouts.
const MAX_ROLLOUT_PRODUCTS: usize = 200;

/// `GET /livez`: the process answers.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body("ok\n")
}

/// Answer of `/readyz`.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<Reason>,
}

/// `GET /readyz`: what is served is there and fresh, and a report could be committed.
pub(super) async fn ready(state: web::Data<HubState>) -> HttpResponse {
    let reasons = reasons(&state);
    let mut response =
        if reasons.is_empty() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(Readiness { ready: reasons.is_empty(), reasons })
}

fn reasons(state: &HubState) -> Vec<Reason> {
    let reason = |code: &str, message: String| Reason { code: code.to_owned(), message };
    let mut reasons = Vec::new();
    let status = state.catalog.status(state.now());
    if status.root_version.is_none() {
        let message = "nothing has been published here; see `fairway init`".to_owned();
        reasons.push(reason("not_published", message));
    }
    if let Some(stale) = status.stale {
        reasons.push(reason("metadata_expired", stale));
    }
    if let Some(why) = state.publisher.trouble() {
        reasons.push(reason("repository_behind", why));
    }
    let behind = state.store.committed().behind().filter(|behind| *behind > BEHIND_MAX);
    if let Some(behind) = behind {
        let message = format!("no word of the other replicas for {} s", behind.as_secs());
        reasons.push(reason("replicas_unheard", message));
    }
    if !state.store.committed().is_writable() {
        let message = "the last commit failed; the log says why".to_owned();
        reasons.push(reason("store_not_writable", message));
    } else if let Some(age_s) = writer_stalled_s(state) {
        let message = format!("no commit for {age_s} s: does the disk hang?");
        reasons.push(reason("store_stalled", message));
    }
    reasons
}

/// Seconds since the last commit, if they are too many. The maintenance timer commits something every
/// quarter of a minute, so a writer that is well is never silent for long.
fn writer_stalled_s(state: &HubState) -> Option<u64> {
    let last_s = state.metrics.store_commit_timestamp_seconds.get();
    let now_s = state.now().duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
    // Zero: nothing has been committed by this process yet.
    let age = Duration::try_from_secs_f64(now_s - last_s).ok().filter(|_| last_s > 0.0)?;
    (age > STALLED_AFTER).then_some(age.as_secs())
}

/// `GET /metrics`: as `OpenMetrics` for whoever asks for it, as Prometheus does.
pub(super) async fn metrics(request: HttpRequest, state: web::Data<HubState>) -> HttpResponse {
    let page = page(&state);
    let asked = request.headers().get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let mut response = HttpResponse::Ok();
    response.insert_header((VARY, "Accept"));
    if asked.into_iter().any(|value| value.contains("application/openmetrics-text")) {
        response.content_type(CONTENT_TYPE).body(page)
    } else {
        response.content_type(PLAIN_CONTENT_TYPE).body(plain_text(&page))
    }
}

/// The metrics page of this moment.
pub(crate) fn page(state: &HubState) -> String {
    let metrics = &state.metrics;
    fill_server(state);
    fill_rollouts(state);
    state.with_fleet(|fleet, view| fill_fleet(metrics, fleet, view));
    metrics.render()
}

fn gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn fill_server(state: &HubState) {
    let (metrics, committed) = (&state.metrics, state.store.committed());
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    metrics.ingest_queue_depth.set(count(committed.queued()));
    metrics.holds.set(count(committed.holds().len()));
    metrics.leader.set(i64::from(state.leadership.is_leader()));
    let (sites, now) = (committed.sites(), state.now());
    for class in [Freshness::Carried, Freshness::Late, Freshness::Silent, Freshness::Never] {
        let found = sites.iter().filter(|site| site.freshness(now) == class).count();
        metrics.sites.get_or_create(&State { state: class.as_str() }).set(count(found));
    }
    let seconds = |at: Timestamp| at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
    if let Some(expires) = state.catalog.status(state.now()).expires {
        metrics.graph_signature_expiry_timestamp_seconds.set(seconds(expires));
    }
    if let Some(published) = &state.catalog.served().published {
        metrics.graph_build_timestamp_seconds.set(seconds(published.versions.signed_at));
    }
}

/// Rollouts that somebody may have to look at: those that are over say nothing any more.
fn fill_rollouts(state: &HubState) {
    let metrics = &state.metrics;
    metrics.rollouts.clear();
    metrics.rollout_in_flight.clear();
    metrics.rollout_failures.clear();
    let mut products = BTreeSet::new();
    for view in state.store.committed().rollouts().open_views(state.now()) {
        let known = products.contains(&view.product) || products.len() < MAX_ROLLOUT_PRODUCTS;
        let product = if known { view.product.to_string() } else { "other".to_owned() };
        if known {
            products.insert(view.product.clone());
        }
        let labels = RolloutLabels { product: product.clone(), state: view.status.as_str() };
        metrics.rollouts.get_or_create(&labels).inc();
        let label = ProductLabel { product };
        metrics.rollout_in_flight.get_or_create(&label).inc_by(gauge(view.in_flight.into()));
        metrics.rollout_failures.get_or_create(&label).inc_by(gauge(view.failures));
    }
}

fn fill_fleet(metrics: &Metrics, fleet: &FleetIndex, view: &mut View<'_>) {
    metrics.clusters.clear();
    for (n, count) in fleet.counts().into_iter().enumerate() {
        let version =
            if n < MAX_CLUSTER_SERIES { count.version.to_string() } else { "other".to_owned() };
        let labels = ClusterLabels {
            product: count.graph.product.to_string(),
            channel: count.graph.channel.to_string(),
            version,
            phase: count.phase.as_str(),
        };
        metrics.clusters.get_or_create(&labels).inc_by(gauge(count.clusters));
    }
    let by_class = fleet.freshness_counts();
    for class in
        [Freshness::Fresh, Freshness::Late, Freshness::Silent, Freshness::Gone, Freshness::Never]
    {
        let n = by_class.get(&class).copied().unwrap_or(0);
        metrics.clusters_freshness.get_or_create(&State { state: class.as_str() }).set(gauge(n));
    }
    let by_verdict = fleet.verdict_counts();
    for verdict in [HealthVerdict::Healthy, HealthVerdict::Unhealthy, HealthVerdict::Unknown] {
        let n = by_verdict.get(&verdict).copied().unwrap_or(0);
        metrics.clusters_health.get_or_create(&State { state: verdict.as_str() }).set(gauge(n));
    }
    metrics.silent_while_updating.set(gauge(fleet.silent_while_updating()));
    metrics.identity_conflicts.set(gauge(fleet.identity_conflicts()));
    metrics.channel_mismatches.set(gauge(fleet.channel_mismatches()));
    fill_drift(metrics, fleet, view);
}

fn fill_drift(metrics: &Metrics, fleet: &FleetIndex, view: &mut View<'_>) {
    metrics.clusters_drift.clear();
    metrics.clusters_eol.clear();
    for totals in fleet.drift(view).items {
        for (state, n) in [
            (DriftState::Current, totals.current),
            (DriftState::Behind, totals.behind),
            (DriftState::Stranded, totals.stranded),
            (DriftState::OffGraph, totals.off_graph),
        ] {
            let labels = DriftLabels {
                product: totals.product.to_string(),
                channel: totals.channel.to_string(),
                state: state.as_str(),
            };
            metrics.clusters_drift.get_or_create(&labels).inc_by(gauge(n));
        }
        let (product, channel) = (totals.product.to_string(), totals.channel.to_string());
        let labels = ChannelLabels { product, channel };
        metrics.clusters_eol.get_or_create(&labels).inc_by(gauge(totals.eol));
    }
}
