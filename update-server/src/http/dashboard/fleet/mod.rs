//! `/`: what the fleet runs, what moves, and why the rest does not.

mod dark;
#[cfg(test)]
mod tests;
mod view;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use channels::wire::{ClusterRow, DriftTotals, Hold, SiteDrift, SiteRow};
use jiff::Timestamp;

use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::Visitor;
use crate::catalog::CatalogStatus;
use crate::fleet::ClusterFilter;
use crate::http::api::{HubState, get, holds, only};
use crate::http::problem::ApiError;

/// Clusters listed on the first page; the rest is a click on the API or the command line away.
const MAX_LISTED: usize = 200;

/// Events that change what is shown here.
const KINDS: &str = "fleet,hold,resume,publish,enrol,re_enrol,retire,label,import_status";

/// Everything the page shows.
#[derive(Debug, Clone)]
struct FleetView {
    /// The hub's time.
    at: Timestamp,
    /// The repository.
    status: CatalogStatus,
    /// One entry per graph.
    drift: Vec<DriftTotals>,
    /// The clusters to list, already limited.
    clusters: Vec<ClusterRow>,
    /// How many clusters there are in all.
    clusters_total: u64,
    /// Holds in force.
    holds: Vec<Hold>,
    /// Dark sites.
    sites: Vec<SiteRow>,
    /// Their drift on this hub's graphs.
    site_drift: Vec<SiteDrift>,
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(only("/", "GET, HEAD").route(get().to(page)));
}

/// The handler.
async fn page(
    visitor: Visitor,
    state: web::Data<HubState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (scope, at) = (&visitor.scope, visitor.at);
    let sites = state.store.committed().sites();
    let holds = holds::seen(&state, scope, state.store.committed().holds().as_ref().clone());
    let view = state.with_fleet(|fleet, view| {
        let everyone = ClusterFilter { scope: scope.clone(), ..ClusterFilter::default() };
        let (mut clusters, _) = fleet.page(&everyone, None, MAX_LISTED, view);
        let room = MAX_LISTED.saturating_sub(clusters.len());
        clusters.extend(sites.page(&everyone, None, room, view).0);
        // Dark sites are in no scope but the whole.
        let (carried, rows, drift) = if scope.is_whole() {
            (sites.carried_clusters(None), sites.rows(view), sites.drift(view))
        } else {
            (0, Vec::new(), Vec::new())
        };
        let carried = u64::try_from(carried).unwrap_or(u64::MAX);
        FleetView {
            at,
            status: state.catalog.status(at),
            drift: fleet.drift_within(scope, view).items,
            clusters,
            clusters_total: fleet.in_force_within(scope).saturating_add(carried),
            sites: rows,
            site_drift: drift,
            holds,
        }
    });
    let shell = Shell::new(&visitor, &view.status, Place::Fleet, "Fleet", Live::On(KINDS));
    send::page(&request, &view::Page::new(&view, shell))
}
