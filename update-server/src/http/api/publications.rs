//! `POST /api/v1/publications`: a publisher hands in signed metadata and targets.
//!
//! The repository is files, not rows, so its swap and an audit row cannot share a transaction. Two
//! rows stand around it instead: who asked is on record before anything changes, and what came of
//! it after. A request without a result means that the hub ended, or the publisher hung up, between
//! the two; the repository itself is the old one or the new one, never between.

use actix_web::web;
use channels::wire::{Publication, PublicationReply};
use signing::Attack;

use super::super::problem::ApiError;
use super::{Guarded, HubState, Publisher};
use crate::publish::PublishError;
use crate::store::Event;

/// The handler: verifies and swaps on a thread that may block, then writes the audit row.
pub(super) async fn post(
    by: Guarded<Publisher>,
    state: web::Data<HubState>,
    request: web::Json<Publication>,
) -> Result<web::Json<PublicationReply>, ApiError> {
    let publication = request.into_inner();
    let (now, files, message) = (state.now(), publication.files.len(), publication.message.clone());
    let asked = Event {
        at: now,
        actor: by.actor.clone(),
        action: "publish_requested",
        object: "publication".to_owned(),
        detail: serde_json::json!({ "message": message, "files": files }),
    };
    state.store.record(asked).await?;
    let result = {
        let state = state.clone();
        web::block(move || state.publisher.publish(publication, now))
            .await
            .map_err(|error| ApiError::internal("publish", &error))?
    };
    let reply = match result {
        Ok(reply) => reply,
        Err(error) => return Err(refused(&state, &by.actor, error)),
    };
    state.metrics.count_publication(if reply.changed { "ok" } else { "unchanged" });
    tracing::info!(
        by = by.actor,
        publication.files = files,
        publication.changed = reply.changed,
        root.version = reply.root_version,
        timestamp.version = reply.timestamp_version,
        "publication taken"
    );
    if reply.changed {
        let event = Event {
            at: now,
            actor: by.actor,
            action: "publish",
            object: format!("timestamp/{}", reply.timestamp_version),
            detail: serde_json::json!({
                "message": message, "files": files, "graphs": reply.graphs,
                "root_version": reply.root_version,
                "snapshot_version": reply.snapshot_version,
                "timestamp_etag": state.catalog.timestamp_etag(),
            }),
        };
        state.store.record(event).await?;
    }
    Ok(web::Json(reply))
}

fn refused(state: &HubState, by: &str, error: PublishError) -> ApiError {
    let attack = error.attack().map(Attack::as_str);
    let error = ApiError::from(error);
    let reason = error.code().slug();
    state.metrics.count_publication(reason);
    tracing::warn!(by, reason, attack, detail = error.detail(), "publication refused");
    error
}
