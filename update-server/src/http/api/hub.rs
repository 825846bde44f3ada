//! `/api/v1/hub`: what the hub says about itself. Public: nothing in it is secret, and
//! `fairway init` needs the keys before anybody has a token. Only asking for a new key takes an admin.
//!
//! Keys are files, not rows: as with publications, one audit row says who asked before anything
//! changes and a second one what came of it.

use actix_web::HttpRequest;
use actix_web::web::{self, Payload};
use channels::wire::{HubKeys, HubStatus, NextKeyRequest};
use serde_json::json;

use super::super::problem::{ApiError, Code};
use super::{Admin, Guarded, HubState, body};
use crate::publish::OnlineRole;
use crate::store::Event;

/// Largest request for a key: one word.
const MAX_BODY_BYTES: usize = 4 * 1024;

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

/// `POST /api/v1/hub/keys/{role}/next`: the key that takes over as soon as a root names it. Asking
/// again gives the same key until then, unless a fresh one is asked for.
pub(super) async fn next_key(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    role: web::Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<web::Json<HubKeys>, ApiError> {
    let role = OnlineRole::parse(&role).ok_or_else(|| {
        ApiError::new(Code::NotFound, "the hub has a snapshot and a timestamp key")
    })?;
    // Never guessed at: a request for a fresh key that cannot be read must not be answered with the
    // one that waits.
    let NextKeyRequest { fresh } = match &*body::read(&request, payload, MAX_BODY_BYTES).await? {
        b"" => NextKeyRequest::default(),
        body => serde_json::from_slice(body).map_err(|error| {
            ApiError::new(Code::InvalidJson, format!("not a request for a next key: {error}"))
        })?,
    };
    if fresh || state.publisher.next_key(role).is_none() {
        // On a task of its own, which goes on when the connection is closed.
        actix_web::rt::spawn(make(state.clone(), by.actor, role, fresh))
            .await
            .map_err(|error| ApiError::internal("make a key", &error))??;
    }
    Ok(web::Json(state.publisher.online_keys()))
}

async fn make(
    state: web::Data<HubState>,
    actor: String,
    role: OnlineRole,
    fresh: bool,
) -> Result<(), ApiError> {
    let (at, object) = (state.now(), format!("hub-key/{}", role.as_str()));
    let event = |action, detail| {
        let (actor, object) = (actor.clone(), object.clone());
        Event { at, actor, action, object, detail }
    };
    let in_force = state.publisher.online_key_ids().remove(role.as_str());
    let replaces = state.publisher.next_key(role);
    let detail = json!({ "in_force": in_force, "fresh": fresh, "replaces": replaces });
    state.store.record(event("next_key_requested", detail)).await?;
    let maker = state.clone();
    let key = web::block(move || maker.publisher.make_next_key(role, fresh))
        .await
        .map_err(|error| ApiError::internal("make a key", &error))??;
    tracing::info!(role = role.as_str(), key = %key, by = actor, "next online key made");
    Ok(state.store.record(event("next_key", json!({ "key_id": key }))).await?)
}
