//! `/api/v1/holds`: people stop things, and let them go on.

use actix_web::{HttpResponse, web};
use channels::wire::{Hold, HoldRequest, HoldScope, Page, ResumeRequest};
use serde::Deserialize;

use super::super::problem::{ApiError, Code};
use super::state::from_disk;
use super::{Guarded, HubState, Operator, Viewer};
use crate::fleet::MAX_PAGE;
use crate::store::NewHold;

/// A few sentences.
const MAX_TEXT_CHARS: usize = 1000;

/// Checks that a person gave a reason; returns it trimmed.
pub(super) fn text(name: &'static str, text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_TEXT_CHARS {
        let detail = format!("{name} must have 1 to {MAX_TEXT_CHARS} characters");
        return Err(ApiError::new(Code::Unprocessable, detail));
    }
    Ok(text.to_owned())
}

/// Parameters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Lifted ones too, newest first.
    #[serde(default)]
    all: bool,
}

/// `GET /api/v1/holds`
pub(super) async fn list(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
    query: web::Query<ListQuery>,
) -> Result<web::Json<Page<Hold>>, ApiError> {
    let items = if query.all {
        from_disk(&state, |reader| reader.all_holds(MAX_PAGE)).await?
    } else {
        state.store.committed().holds().as_ref().clone()
    };
    Ok(web::Json(Page { items, next: None }))
}

/// `POST /api/v1/holds`
pub(super) async fn place(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    request: web::Json<HoldRequest>,
) -> Result<HttpResponse, ApiError> {
    let HoldRequest { scope, reason } = request.into_inner();
    let reason = text("reason", &reason)?;
    if let HoldScope::Cluster { cluster } = &scope
        && state.store.committed().fleet().slot(*cluster).is_none()
    {
        return Err(ApiError::new(Code::NotFound, format!("no cluster {cluster}")));
    }
    let new = NewHold { scope, reason, by: by.actor, now: state.now() };
    let hold = state.store.hold(new).await?;
    tracing::info!(hold.id, by = hold.by, reason = hold.reason, "hold placed");
    show(&state).await?;
    Ok(HttpResponse::Created().json(hold))
}

/// `POST /api/v1/holds/{id}/resume`
pub(super) async fn resume(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
    request: web::Json<ResumeRequest>,
) -> Result<web::Json<Hold>, ApiError> {
    let acknowledge = text("acknowledge", &request.acknowledge)?;
    let hold = state.store.resume(*path, acknowledge, by.actor.clone(), state.now()).await?;
    tracing::info!(hold.id, by = by.actor, "hold lifted");
    show(&state).await?;
    Ok(web::Json(hold))
}

/// Shows the committed holds to plain Cincinnati clients before the person hears of success.
pub(super) async fn show(state: &web::Data<HubState>) -> Result<(), ApiError> {
    let state = state.clone();
    web::block(move || state.show_holds())
        .await
        .map_err(|error| ApiError::internal("show holds", &error))
}
