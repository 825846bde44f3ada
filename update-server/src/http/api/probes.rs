//! `/livez`, `/readyz`, `/metrics`.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use channels::wire::{DriftState, Freshness, HealthVerdict, Reason};
use jiff::Timestamp;
use serde::Serialize;

use super::HubState;
use crate::fleet::{FleetIndex, View};
use crate::metrics::{CONTENT_TYPE, ClusterLabels, DriftLabels, Metrics, State};

/// Series of `fairway_clusters`: channels × versions × phases of a large fleet. Beyond it
/// versions are counted as `other`.
const MAX_CLUSTER_SERIES: usize = 5_000;

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
    if !state.store.committed().is_writable() {
        let message = "the last commit failed; the log says why".to_owned();
        reasons.push(reason("store_not_writable", message));
    }
    reasons
}

/// `GET /metrics`
pub(super) async fn metrics(state: web::Data<HubState>) -> HttpResponse {
    let metrics = &state.metrics;
    fill_server(&state);
    state.with_fleet(|fleet, view| fill_fleet(metrics, fleet, view));
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(metrics.render())
}

fn gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn fill_server(state: &HubState) {
    let (metrics, committed) = (&state.metrics, state.store.committed());
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    metrics.ingest_queue_depth.set(count(committed.queued()));
    metrics.holds.set(count(committed.holds().len()));
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
    fill_drift(metrics, fleet, view);
}

fn fill_drift(metrics: &Metrics, fleet: &FleetIndex, view: &mut View<'_>) {
    metrics.clusters_drift.clear();
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
    }
}
