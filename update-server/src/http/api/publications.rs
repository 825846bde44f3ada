//! `POST /api/v1/publications`: a publisher hands in signed metadata and targets.
//!
//! The repository is files, not rows, so its swap and an audit row cannot share a transaction. Two
//! rows stand around it instead: who asked is on record before anything changes, and what came of
//! it after, whether it was taken, unchanged or refused. A publisher that hangs up changes nothing
//! about that. A request without a result means that the hub ended between the two, or could not
//! write the second; the repository itself is the old one or the new one, never between.

use actix_web::web;
use channels::wire::{Publication, PublicationReply};
use jiff::Timestamp;
use signing::Attack;

use super::super::problem::ApiError;
use super::body::Json;
use super::{Guarded, HubState, Publisher};
use crate::publish::PublishError;
use crate::store::Event;

/// Who asked for what, for both audit rows.
struct Asked {
    at: Timestamp,
    by: String,
    message: String,
    files: usize,
}

impl Asked {
    fn event(&self, action: &'static str, object: String, detail: serde_json::Value) -> Event {
        Event { at: self.at, actor: self.by.clone(), action, object, detail }
    }
}

/// The handler: puts the request on record, then leaves it to a task of its own, which goes on when
/// the connection is closed.
pub(super) async fn post(
    by: Guarded<Publisher>,
    state: web::Data<HubState>,
    request: Json<Publication>,
) -> Result<web::Json<PublicationReply>, ApiError> {
    let publication = request.into_inner();
    let asked = Asked {
        at: state.now(),
        by: by.actor,
        message: publication.message.clone(),
        files: publication.files.len(),
    };
    let detail = serde_json::json!({ "message": asked.message, "files": asked.files });
    let event = asked.event("publish_requested", "publication".to_owned(), detail);
    state.store.record(event).await?;
    let reply = actix_web::rt::spawn(publish(state, asked, publication))
        .await
        .map_err(|error| ApiError::internal("publish", &error))??;
    Ok(web::Json(reply))
}

/// Verifies and swaps on a thread that may block, then writes what came of it.
async fn publish(
    state: web::Data<HubState>,
    asked: Asked,
    publication: Publication,
) -> Result<PublicationReply, ApiError> {
    let (publisher, now) = (state.clone(), asked.at);
    let result = web::block(move || publisher.publisher.publish(publication, now))
        .await
        .map_err(|error| ApiError::internal("publish", &error))?;
    match result {
        Ok(reply) => {
            state.store.record(taken(&state, &asked, &reply)).await?;
            Ok(reply)
        }
        Err(error) => {
            let (event, error) = refused(&state, &asked, error);
            if let Err(refusal) = state.store.record(event).await {
                // The caller still hears why; the log has both.
                tracing::error!(reason = %refusal, "refused publication not on record");
            }
            Err(error)
        }
    }
}

fn taken(state: &HubState, asked: &Asked, reply: &PublicationReply) -> Event {
    state.metrics.count_publication(if reply.changed { "ok" } else { "unchanged" });
    tracing::info!(
        by = asked.by,
        publication.files = asked.files,
        publication.changed = reply.changed,
        root.version = reply.root_version,
        timestamp.version = reply.timestamp_version,
        "publication taken"
    );
    let object = format!("timestamp/{}", reply.timestamp_version);
    if !reply.changed {
        let detail = serde_json::json!({ "message": asked.message, "files": asked.files });
        return asked.event("publish_unchanged", object, detail);
    }
    let detail = serde_json::json!({
        "message": asked.message, "files": asked.files, "graphs": reply.graphs,
        "root_version": reply.root_version,
        "snapshot_version": reply.snapshot_version,
        "timestamp_etag": state.catalog.timestamp_etag(),
        "online_keys": state.publisher.online_key_ids(),
    });
    asked.event("publish", object, detail)
}

fn refused(state: &HubState, asked: &Asked, error: PublishError) -> (Event, ApiError) {
    let attack = error.attack().map(Attack::as_str);
    let error = ApiError::from(error);
    let reason = error.code().slug();
    state.metrics.count_publication(reason);
    let by = &asked.by;
    tracing::warn!(by, reason, attack, detail = error.detail(), "publication refused");
    let detail = serde_json::json!({ "reason": reason, "attack": attack });
    (asked.event("publish_refused", "publication".to_owned(), detail), error)
}
