//! `/api/v1/hub`: what the hub says about itself. Public: nothing in it is secret, and
//! `fairway init` needs the keys before anybody has a token.

use actix_web::web;
use channels::wire::{HubKeys, HubStatus};

use super::HubState;

/// `GET /api/v1/hub`
pub(super) async fn status(state: web::Data<HubState>) -> web::Json<HubStatus> {
    let at = state.now();
    let status = state.catalog.status(at);
    web::Json(HubStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at,
        root_version: status.root_version,
        expires: status.expires,
        products: status.products,
        default_product: state.settings.default_product.clone(),
    })
}

/// `GET /api/v1/hub/keys`
pub(super) async fn keys(state: web::Data<HubState>) -> web::Json<HubKeys> {
    web::Json(state.publisher.online_keys())
}
