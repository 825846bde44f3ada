//! `/api/v1/holds`: people stop things, and let them go on.

use actix_web::{HttpResponse, web};
use channels::names::ClusterId;
use channels::rollout::Labels;
use channels::wire::{Hold, HoldRequest, HoldScope, Page, ResumeRequest};
use serde::Deserialize;

use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::state::from_disk;
use super::{Guarded, HubState, Needs, Operator, Scoped, Viewer};
use crate::auth::Scope;
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
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    query: web::Query<ListQuery>,
) -> Result<web::Json<Page<Hold>>, ApiError> {
    let items = if query.all {
        from_disk(&state, |reader| reader.all_holds(MAX_PAGE)).await?
    } else {
        state.store.committed().holds().as_ref().clone()
    };
    let items = seen(&state, by.scope(), items);
    Ok(web::Json(Page { items, next: None }))
}

/// The one cluster that a hold stops, if it is one.
fn cluster_of(scope: &HoldScope) -> Option<ClusterId> {
    if let HoldScope::Cluster { cluster } = scope { Some(*cluster) } else { None }
}

fn labels_of(state: &HubState, cluster: ClusterId) -> Option<Labels> {
    let committed = state.store.committed();
    let fleet = committed.fleet();
    Some(fleet.record(fleet.slot(cluster)?)?.labels.as_ref().clone())
}

fn is_in(state: &HubState, scope: &Scope, cluster: ClusterId) -> bool {
    scope.is_whole() || labels_of(state, cluster).is_some_and(|labels| scope.contains(&labels))
}

/// The holds that somebody of this scope may see: what stops everything stops theirs as well; what
/// stops another cluster is not theirs to see.
pub(in crate::http) fn seen(state: &HubState, scope: &Scope, mut holds: Vec<Hold>) -> Vec<Hold> {
    holds.retain(|hold| cluster_of(&hold.scope).is_none_or(|id| is_in(state, scope, id)));
    holds
}

/// Whoever is confined to some clusters stops and lets go these, one by one.
fn may_change<A: Needs>(
    state: &HubState,
    by: &Guarded<A>,
    scope: Option<&HoldScope>,
) -> Result<(), ApiError> {
    let cluster = scope.and_then(cluster_of);
    let named = cluster.map_or_else(|| "any".to_owned(), |id| id.to_string());
    by.may_change(&named, cluster.and_then(|id| labels_of(state, id)).as_ref())
}

/// `POST /api/v1/holds`
pub(super) async fn place(
    by: Guarded<Scoped<Operator>>,
    state: web::Data<HubState>,
    request: Json<HoldRequest>,
) -> Result<HttpResponse, ApiError> {
    let hold = placed(&state, by, request.into_inner()).await?;
    Ok(HttpResponse::Created().json(hold))
}

/// Stops something.
pub(in crate::http) async fn placed(
    state: &web::Data<HubState>,
    by: Guarded<Scoped<Operator>>,
    request: HoldRequest,
) -> Result<Hold, ApiError> {
    let HoldRequest { scope, reason } = request;
    let reason = text("reason", &reason)?;
    may_change(state, &by, Some(&scope))?;
    if let HoldScope::Cluster { cluster } = &scope
        && state.store.committed().fleet().slot(*cluster).is_none()
    {
        return Err(ApiError::new(Code::NotFound, format!("no cluster {cluster}")));
    }
    let new = NewHold { scope, reason, by: by.actor, now: state.now() };
    let hold = state.store.hold(new).await?;
    tracing::info!(hold.id, by = hold.by, reason = hold.reason, "hold placed");
    show(state).await?;
    Ok(hold)
}

/// `POST /api/v1/holds/{id}/resume`
pub(super) async fn resume(
    by: Guarded<Scoped<Operator>>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
    request: Json<ResumeRequest>,
) -> Result<web::Json<Hold>, ApiError> {
    lifted(&state, &by, *path, &request.into_inner().acknowledge).await.map(web::Json)
}

/// Lets something go on.
pub(in crate::http) async fn lifted(
    state: &web::Data<HubState>,
    by: &Guarded<Scoped<Operator>>,
    id: u64,
    acknowledge: &str,
) -> Result<Hold, ApiError> {
    let acknowledge = text("acknowledge", acknowledge)?;
    let holds = state.store.committed().holds();
    may_change(state, by, holds.iter().find(|hold| hold.id == id).map(|hold| &hold.scope))?;
    let hold = state.store.resume(id, acknowledge, by.actor.clone(), state.now()).await?;
    tracing::info!(hold.id, by = by.actor, "hold lifted");
    show(state).await?;
    Ok(hold)
}

/// Shows the committed holds to plain Cincinnati clients before the person hears of success.
pub(super) async fn show(state: &web::Data<HubState>) -> Result<(), ApiError> {
    let state = state.clone();
    web::block(move || state.show_holds())
        .await
        .map_err(|error| ApiError::internal("show holds", &error))
}
