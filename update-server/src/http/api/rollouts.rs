//! `/api/v1/rollouts`: rollouts watched and steered.

mod clusters;
mod confined;
mod course;
mod render;
mod why;

use std::collections::BTreeSet;

use actix_web::web;
use channels::names::ProductRef;
use channels::rollout::{Failure, FailureKind, Name};
use channels::wire::{
    Page, RolloutApproveRequest, RolloutEmergencyRequest, RolloutHoldRequest, RolloutResumeRequest,
    RolloutRow, SeenFailure,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::holds::{show, text};
use super::{Guarded, HubState, Operator, Scoped, Viewer, paging};
use crate::auth::Scope;
use crate::rollout::{RolloutCommand, RolloutId, RolloutStatus, RolloutView, Rollouts};
use crate::store::Steer;

pub(in crate::http) use clusters::first as first_members;
pub(super) use clusters::list as clusters;
pub(super) use course::get as course;
pub(in crate::http) use course::{of as course_of, to_go};
pub(super) use render::stops;
pub(in crate::http) use render::{kind, whole};
pub(super) use why::explain;

/// Name of the list in cursors.
const LIST: &str = "rollouts";

/// Parameters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Those that are over too.
    #[serde(default)]
    all: bool,
    product: Option<ProductRef>,
    policy: Option<Name>,
    cursor: Option<String>,
    limit: Option<usize>,
}

/// Nothing more will happen in it by itself.
pub(in crate::http) fn is_over(view: &RolloutView) -> bool {
    match view.status {
        RolloutStatus::Converged | RolloutStatus::Closed | RolloutStatus::Superseded => {
            view.in_flight == 0
        }
        RolloutStatus::Halted
        | RolloutStatus::Held
        | RolloutStatus::Blind
        | RolloutStatus::Scheduled
        | RolloutStatus::Running => false,
    }
}

/// `GET /api/v1/rollouts`
pub(super) async fn list(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    query: web::Query<ListQuery>,
) -> Result<web::Json<Page<RolloutRow>>, ApiError> {
    let limit = paging::limit(query.limit)?;
    let before = paging::after(LIST, query.cursor.as_deref())?;
    let fits = move |view: &RolloutView| {
        (query.all || !is_over(view))
            && before.is_none_or(|before| view.id.0 < before)
            && query.product.as_ref().is_none_or(|product| *product == view.product)
            && query.policy.as_ref().is_none_or(|policy| *policy == view.policy)
    };
    let views = within(&state, by.scope(), limit.saturating_add(1), move |rollouts, now| {
        rollouts.views(now).into_iter().filter(fits).collect()
    })
    .await?;
    let items: Vec<RolloutRow> = views.iter().take(limit).map(render::row).collect();
    let last = items.last().filter(|_| views.len() > limit).map(|row| row.id);
    Ok(web::Json(Page { next: last.map(|id| paging::cursor(LIST, id)), items }))
}

/// Rollouts as a caller of this scope sees them; on a thread that may take its time over the fleet.
pub(in crate::http) async fn within(
    state: &web::Data<HubState>,
    scope: &Scope,
    most: usize,
    select: impl FnOnce(&Rollouts, Timestamp) -> Vec<RolloutView> + Send + 'static,
) -> Result<Vec<RolloutView>, ApiError> {
    let (state, scope) = (state.clone(), scope.clone());
    let work = move || {
        let (committed, now) = (state.store.committed(), state.now());
        let fleet = committed.fleet();
        let rollouts = committed.rollouts();
        let views = select(&rollouts, now).into_iter();
        confined::narrowed(&fleet, &rollouts, &scope, views, most, now)
    };
    web::block(work).await.map_err(|error| ApiError::internal("look at rollouts", &error))
}

/// A rollout as a caller of this scope sees it. One that none of their clusters is in is not there.
pub(in crate::http) async fn visible(
    state: &web::Data<HubState>,
    scope: &Scope,
    id: RolloutId,
) -> Result<RolloutView, ApiError> {
    let one = move |rollouts: &Rollouts, now| rollouts.view(id, now).into_iter().collect();
    let found = within(state, scope, 1, one).await?;
    found.into_iter().next().ok_or_else(|| missing(id))
}

fn missing(id: RolloutId) -> ApiError {
    ApiError::new(Code::NotFound, format!("there is no rollout {id}"))
}

/// `GET /api/v1/rollouts/{id}`
pub(super) async fn one(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
) -> Result<web::Json<RolloutRow>, ApiError> {
    let view = visible(&state, by.scope(), RolloutId(*path)).await?;
    Ok(web::Json(render::whole(&state, &view, by.scope())))
}

fn found(state: &HubState, id: RolloutId) -> Result<RolloutRow, ApiError> {
    let view = view(state, id)?;
    Ok(render::whole(state, &view, &Scope::whole()))
}

fn view(state: &HubState, id: RolloutId) -> Result<RolloutView, ApiError> {
    let view = state.store.committed().rollouts().view(id, state.now());
    view.ok_or_else(|| missing(id))
}

/// What a person orders of one rollout.
#[derive(Debug, Clone)]
pub(in crate::http) enum Order {
    /// Stop it, or one ring.
    Hold(RolloutHoldRequest),
    /// Acknowledge failures, and lift holds.
    Resume(RolloutResumeRequest),
    /// Let a ring open.
    Approve(RolloutApproveRequest),
    /// Hurry.
    Emergency(RolloutEmergencyRequest),
}

/// Does it, shows plain clients what follows, and answers with the rollout as it is then.
pub(in crate::http) async fn order(
    state: &web::Data<HubState>,
    id: RolloutId,
    by: String,
    order: Order,
) -> Result<RolloutRow, ApiError> {
    let commands = commands(&view(state, id)?, order)?;
    tracing::info!(rollout.id = id.0, by, ?commands, "rollout steered");
    state.store.steer(Steer { id, commands, by, now: state.now() }).await?;
    show(state).await?;
    found(state, id)
}

fn commands(view: &RolloutView, order: Order) -> Result<Vec<RolloutCommand>, ApiError> {
    Ok(match order {
        Order::Hold(RolloutHoldRequest { reason, ring }) => {
            vec![RolloutCommand::Hold { ring, reason: text("reason", &reason)? }]
        }
        Order::Resume(request) => resuming(view, request)?,
        Order::Approve(RolloutApproveRequest { ring, reason }) => {
            vec![RolloutCommand::Approve { ring, reason: text("reason", &reason)? }]
        }
        Order::Emergency(RolloutEmergencyRequest { reason }) => {
            vec![RolloutCommand::Emergency { reason: text("reason", &reason)? }]
        }
    })
}

fn resuming(
    view: &RolloutView,
    request: RolloutResumeRequest,
) -> Result<Vec<RolloutCommand>, ApiError> {
    let RolloutResumeRequest { acknowledge, ring, failures } = request;
    let reason = text("acknowledge", &acknowledge)?;
    if ring.is_some() {
        if !failures.is_empty() {
            let detail = "failures are acknowledged for the whole rollout: leave `ring` out";
            return Err(ApiError::new(Code::Unprocessable, detail));
        }
        return Ok(vec![RolloutCommand::Release { ring, reason }]);
    }
    let seen = failures.iter().map(seen).collect::<Result<BTreeSet<Failure>, ApiError>>()?;
    let mut commands = Vec::new();
    if !seen.is_empty() || view.held.is_none() {
        commands.push(RolloutCommand::Resume { seen, reason: reason.clone() });
    }
    if view.held.is_some() {
        commands.push(RolloutCommand::Release { ring: None, reason });
    }
    Ok(commands)
}

fn seen(failure: &SeenFailure) -> Result<Failure, ApiError> {
    let why: FailureKind = serde_json::from_value(serde_json::Value::from(failure.why.as_str()))
        .map_err(|_| {
            let detail = format!("{:?} is no kind of failure of this hub", failure.why);
            ApiError::new(Code::Unprocessable, detail)
        })?;
    Ok(Failure { cluster: failure.cluster, why, at: failure.at })
}

/// `POST /api/v1/rollouts/{id}/hold`
pub(super) async fn hold(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
    request: Json<RolloutHoldRequest>,
) -> Result<web::Json<RolloutRow>, ApiError> {
    let hold = Order::Hold(request.into_inner());
    order(&state, RolloutId(*path), by.actor, hold).await.map(web::Json)
}

/// `POST /api/v1/rollouts/{id}/resume`
pub(super) async fn resume(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
    request: Json<RolloutResumeRequest>,
) -> Result<web::Json<RolloutRow>, ApiError> {
    let resume = Order::Resume(request.into_inner());
    order(&state, RolloutId(*path), by.actor, resume).await.map(web::Json)
}

/// `POST /api/v1/rollouts/{id}/approve`
pub(super) async fn approve(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
    request: Json<RolloutApproveRequest>,
) -> Result<web::Json<RolloutRow>, ApiError> {
    let approve = Order::Approve(request.into_inner());
    order(&state, RolloutId(*path), by.actor, approve).await.map(web::Json)
}

/// `POST /api/v1/rollouts/{id}/emergency`
pub(super) async fn emergency(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
    request: Json<RolloutEmergencyRequest>,
) -> Result<web::Json<RolloutRow>, ApiError> {
    let emergency = Order::Emergency(request.into_inner());
    order(&state, RolloutId(*path), by.actor, emergency).await.map(web::Json)
}
