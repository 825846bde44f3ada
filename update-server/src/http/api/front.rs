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
    let view = state.with_fleet(|fleet, view| {
        let everyone = ClusterFilter::default();
        let (clusters, _) = fleet.page(&everyone, None, MAX_LISTED, view);
        DashboardView {
            at,
            hub_version: env!("CARGO_PKG_VERSION").to_owned(),
            refresh_s: dashboard::refresh_from_query(request.query_string()),
            status: state.catalog.status(at),
            drift: fleet.drift(view).items,
            clusters,
            clusters_total: fleet.in_force(),
            holds: state.store.committed().holds().as_ref().clone(),
        }
    });
    dashboard::respond(&view)
}
