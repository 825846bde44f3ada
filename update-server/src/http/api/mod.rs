//! `/api/v1`, `/metrics`, the probes and the dashboard's route.
//!
//! Every handler that needs a person says so in its signature ([`Guarded`]); agents are known by
//! their request signature; the rest is public. Handlers parse, ask [`crate::store`] or
//! [`crate::fleet`], and render.

mod audit;
pub(super) mod body;
mod bulk;
mod caller;
mod cluster_key;
pub(super) mod clusters;
mod crowd;
mod encoding;
mod enrolments;
mod events;
mod export;
pub(super) mod fleet;
mod guarded;
pub(super) mod holds;
mod hub;
mod join_tokens;
mod openapi;
mod paging;
mod probes;
mod publications;
mod refusal;
mod reports;
pub(super) mod risks;
mod rollout_policies;
pub(super) mod rollouts;
mod signature;
mod sites;
mod soak;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod tokens;
mod trends;
mod webhooks;

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource, ResponseError as _, Route, guard};
use channels::wire::{MAX_POLICY_BODY_BYTES, MAX_PUBLICATION_BYTES};

use super::problem::{self, ApiError, Code};
use super::{dashboard, sign_in};
pub(super) use caller::session as session_of;
use crowd::Crowd;
pub use guarded::{Admin, Guarded, Needs, Operator, Publisher, Scoped, Viewer};
pub(crate) use probes::page as metrics_page;
pub use signature::{CREATED_WINDOW, SignedBy};
pub use state::HubState;
pub(super) use state::from_disk;
pub(super) use tokens::PERSON_PREFIX;

/// Largest body that acknowledges failures: all that are listed, 150 bytes each.
const MAX_RESUME_BYTES: usize = 4 * 1024 * 1024;

/// Registers everything: `App::new().configure(api::agents).configure(api::routes(state))`.
pub fn routes(state: web::Data<HubState>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config
            .app_data(state)
            .app_data(web::QueryConfig::default().error_handler(problem::query_error))
            .app_data(web::PathConfig::default().error_handler(problem::path_error));
        fleet_reads(config);
        rollout_paths(config);
        people(config);
        dark_sites(config);
        operations(config);
        sign_in::routes(config);
        dashboard::routes(config);
        config.service(web::scope("/api/v1").default_service(web::to(async || {
            ApiError::new(Code::NotFound, "no such path below /api/v1").error_response()
        })));
    }
}

/// Registers what agents ask for, to be found before anything else: of all requests these are the
/// most, and the router looks one path after the other. The rest is [`routes`].
pub fn agents(config: &mut ServiceConfig) {
    config
        .app_data(Crowd::default())
        .service(only("/api/v1/reports", "POST").route(web::post().to(reports::post)))
        .service(only("/api/v1/enrolments", "POST").route(web::post().to(enrolments::post)))
        .service(
            only("/api/v1/clusters/self/key", "POST").route(web::post().to(cluster_key::post)),
        );
}

fn fleet_reads(config: &mut ServiceConfig) {
    config
        .service(read("/api/v1/clusters").route(get().to(clusters::list)))
        .service(
            only("/api/v1/clusters/{id}", "GET, HEAD, DELETE")
                .route(get().to(clusters::one))
                .route(web::delete().to(clusters::retire)),
        )
        .service(read("/api/v1/clusters/{id}/history").route(get().to(clusters::history)))
        .service(read("/api/v1/clusters/{id}/risks").route(get().to(risks::of_cluster)))
        .service(read("/api/v1/clusters/{id}/timeline").route(get().to(clusters::timeline)))
        .service(
            only("/api/v1/clusters/{id}/join-tokens", "POST")
                .route(web::post().to(join_tokens::reinvite)),
        )
        .service(only("/api/v1/clusters/{id}/labels", "PUT").route(web::put().to(clusters::label)))
        .service(only("/api/v1/clusters/{id}/settings", "PUT").route(web::put().to(clusters::set)))
        .service(
            only("/api/v1/clusters/{id}/revoke", "POST").route(web::post().to(clusters::revoke)),
        )
        .service(only("/api/v1/clusters/{id}/trust", "POST").route(web::post().to(clusters::trust)))
        .service(only("/api/v1/bulk", "POST").route(web::post().to(bulk::post)))
        .service(read("/api/v1/drift").route(get().to(fleet::drift)))
        .service(read("/api/v1/health").route(get().to(fleet::health)))
        .service(read("/api/v1/soak").route(get().to(soak::soak)))
        .service(read("/api/v1/trends").route(get().to(trends::trends)))
        // A stream has no length to tell: not for HEAD.
        .service(only("/api/v1/events", "GET").route(web::get().to(events::stream)))
        .service(read("/api/v1/products").route(get().to(fleet::products)))
        .service(read("/api/v1/channels").route(get().to(fleet::channels)))
        .service(read("/api/v1/audit").route(get().to(audit::list)))
        .service(read("/api/v1/audit/verify").route(get().to(audit::verify)));
}

fn rollout_paths(config: &mut ServiceConfig) {
    let verb = |verb: &str| only(&format!("/api/v1/rollouts/{{id}}/{verb}"), "POST");
    config
        .service(read("/api/v1/rollouts").route(get().to(rollouts::list)))
        .service(read("/api/v1/rollouts/{id}").route(get().to(rollouts::one)))
        .service(read("/api/v1/rollouts/{id}/clusters").route(get().to(rollouts::clusters)))
        .service(read("/api/v1/rollouts/{id}/course").route(get().to(rollouts::course)))
        .service(verb("hold").route(web::post().to(rollouts::hold)))
        .service(
            verb("resume")
                .app_data(body::MaxBytes(MAX_RESUME_BYTES))
                .route(web::post().to(rollouts::resume)),
        )
        .service(verb("approve").route(web::post().to(rollouts::approve)))
        .service(verb("emergency").route(web::post().to(rollouts::emergency)))
        .service(read("/api/v1/rollout-policies").route(get().to(rollout_policies::list)))
        .service(
            only("/api/v1/rollout-policies/{name}", "GET, HEAD, PUT, DELETE")
                .app_data(body::MaxBytes(MAX_POLICY_BODY_BYTES))
                .route(get().to(rollout_policies::one))
                .route(web::put().to(rollout_policies::put))
                .route(web::delete().to(rollout_policies::remove)),
        );
}

fn people(config: &mut ServiceConfig) {
    config
        .service(
            only("/api/v1/holds", "GET, HEAD, POST")
                .route(get().to(holds::list))
                .route(web::post().to(holds::place)),
        )
        .service(only("/api/v1/holds/{id}/resume", "POST").route(web::post().to(holds::resume)))
        .service(
            only("/api/v1/join-tokens", "GET, HEAD, POST")
                .route(get().to(join_tokens::list))
                .route(web::post().to(join_tokens::mint)),
        )
        .service(
            only("/api/v1/join-tokens/{id}", "DELETE").route(web::delete().to(join_tokens::end)),
        )
        .service(
            only("/api/v1/tokens", "GET, HEAD, POST")
                .route(get().to(tokens::list))
                .route(web::post().to(tokens::create)),
        )
        .service(only("/api/v1/tokens/{id}", "DELETE").route(web::delete().to(tokens::revoke)))
        .service(read("/api/v1/sessions").route(get().to(tokens::sessions)))
        .service(
            only("/api/v1/sessions/{id}", "DELETE").route(web::delete().to(tokens::end_session)),
        )
        .service(
            only("/api/v1/webhooks", "GET, HEAD, POST")
                .route(get().to(webhooks::list))
                .route(web::post().to(webhooks::create)),
        )
        .service(only("/api/v1/webhooks/{id}", "DELETE").route(web::delete().to(webhooks::delete)))
        .service(read("/api/v1/webhooks/{id}/dead").route(get().to(webhooks::dead)))
        .service(
            only("/api/v1/webhooks/{id}/dead/{dead}/retry", "POST")
                .route(web::post().to(webhooks::retry)),
        )
        .service(only("/api/v1/webhooks/{id}/test", "POST").route(web::post().to(webhooks::test)))
        .service(
            only("/api/v1/publications", "POST")
                .app_data(body::MaxBytes(MAX_PUBLICATION_BYTES))
                .route(web::post().to(publications::post)),
        );
}

fn dark_sites(config: &mut ServiceConfig) {
    config
        .service(read("/api/v1/sites").route(get().to(sites::list)))
        .service(
            only("/api/v1/sites/{name}", "PUT, DELETE")
                .route(web::put().to(sites::put))
                .route(web::delete().to(sites::remove)),
        )
        .service(read("/api/v1/sites/{name}/imports").route(get().to(sites::imports)))
        // Every one is a document of its own with a number of its own: not for HEAD.
        .service(only("/api/v1/status-export", "GET").route(web::get().to(status::export)))
        .service(only("/api/v1/status-export/key", "GET").route(web::get().to(status::key)))
        .service(only("/api/v1/status-imports", "POST").route(web::post().to(status::import)));
}

fn operations(config: &mut ServiceConfig) {
    config
        .service(read("/api/v1/hub").route(get().to(hub::status)))
        .service(read("/api/v1/hub/keys").route(get().to(hub::keys)))
        .service(only("/api/v1/hub/keys/{role}/next", "POST").route(web::post().to(hub::next_key)))
        .service(read("/metrics").route(get().to(probes::metrics)))
        .service(read("/openapi.json").route(get().to(openapi::get)))
        .service(read("/livez").route(get().to(probes::live)))
        .service(read("/readyz").route(get().to(probes::ready)));
}

/// A resource of the API that answers other methods with a problem and `Allow`.
pub(super) fn only(path: &str, allow: &'static str) -> Resource {
    #[cfg(test)]
    tests::openapi::note(path, allow);
    methods(path, allow)
}

/// The same for a page, which the API's description does not have.
pub(super) fn methods(path: &str, allow: &'static str) -> Resource {
    web::resource(path.to_owned()).default_service(web::to(move || async move {
        let mut response: HttpResponse =
            ApiError::new(Code::MethodNotAllowed, format!("use {allow}")).error_response();
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        response
    }))
}

pub(super) fn read(path: &str) -> Resource {
    only(path, "GET, HEAD")
}

/// GET, and HEAD with the same headers.
pub(super) fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
