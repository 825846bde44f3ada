//! `GET /`: the dashboard's page, filled from the fleet index.

use actix_web::http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};

use super::super::access::origin;
use super::super::dashboard::{self, DashboardView, SignedIn};
use super::super::problem::{ApiError, Code};
use super::caller::session;
use super::{Guarded, HubState, Scoped, Viewer, holds};
use crate::fleet::ClusterFilter;

/// Clusters listed on the first page; the rest is a click on the API or the command line away.
const MAX_LISTED: usize = 200;

/// Whether a person sits there who can sign in: a browser, at a hub with a provider, without a token.
fn may_sign_in(state: &HubState, request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    state.access.sign_in.is_some()
        && !request.headers().contains_key(AUTHORIZATION)
        && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The handler.
pub(super) async fn page(
    by: Result<Guarded<Scoped<Viewer>>, ApiError>,
    state: web::Data<HubState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let by = match by {
        Ok(by) => by,
        Err(error) if error.code() == Code::Unauthenticated && may_sign_in(&state, &request) => {
            let to = (LOCATION, "/auth/login");
            let headers = (CACHE_CONTROL, "no-store");
            return Ok(HttpResponse::SeeOther().insert_header(to).insert_header(headers).finish());
        }
        Err(error) => return Err(error),
    };
    let scope = by.scope();
    let at = state.now();
    let signed_in = session(&request, &state, at)
        .map(|(session, secret)| SignedIn { name: session.name, csrf: origin::token(&secret) });
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
        DashboardView {
            at,
            hub_version: env!("CARGO_PKG_VERSION").to_owned(),
            signed_in,
            refresh_s: dashboard::refresh_from_query(request.query_string()),
            status: state.catalog.status(at),
            drift: fleet.drift_within(scope, view).items,
            clusters,
            clusters_total: fleet.in_force_within(scope).saturating_add(carried),
            sites: rows,
            site_drift: drift,
            holds,
        }
    });
    dashboard::respond(&view)
}
