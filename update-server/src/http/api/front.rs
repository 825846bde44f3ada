//! `GET /`: the dashboard's page, filled from the fleet index.

use actix_web::{HttpRequest, HttpResponse, web};

use super::super::dashboard::{self, DashboardView};
use super::super::problem::ApiError;
use super::{Guarded, HubState, Viewer};
use crate::fleet::ClusterFilter;

/// Clusters listed on the first page; the rest is a click on the API or the command line away.
const MAX_LISTED: usize = 200;

/// The handler.
pub(super) async fn page(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let at = state.now();
    let sites = state.store.committed().sites();
    let view = state.with_fleet(|fleet, view| {
        let everyone = ClusterFilter::default();
        let (mut clusters, _) = fleet.page(&everyone, None, MAX_LISTED, view);
        let room = MAX_LISTED.saturating_sub(clusters.len());
        clusters.extend(sites.page(&everyone, None, room, view).0);
        let carried = u64::try_from(sites.carried_clusters(None)).unwrap_or(u64::MAX);
        DashboardView {
            at,
            hub_version: env!("CARGO_PKG_VERSION").to_owned(),
            refresh_s: dashboard::refresh_from_query(request.query_string()),
            status: state.catalog.status(at),
            drift: fleet.drift(view).items,
            clusters,
            clusters_total: fleet.in_force().saturating_add(carried),
            sites: sites.rows(view),
            site_drift: sites.drift(view),
            holds: state.store.committed().holds().as_ref().clone(),
        }
    });
    dashboard::respond(&view)
}
