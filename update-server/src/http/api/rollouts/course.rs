//! `GET /api/v1/rollouts/{id}/course`: how it was meant to go, how it went, and how it goes on.

use actix_web::web;

use super::super::super::problem::ApiError;
use super::super::state::from_disk;
use super::super::{Guarded, HubState, Scoped, Viewer};
use super::visible;
use crate::auth::Scope;
use crate::rollout::{Course, RolloutId, RolloutView};

/// The handler.
pub(in super::super) async fn get(
    by: Guarded<Scoped<Viewer>>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
) -> Result<web::Json<Course>, ApiError> {
    let view = visible(&state, by.scope(), RolloutId(*path)).await?;
    of(&state, &view, by.scope()).await.map(web::Json)
}

/// The course of a rollout as far as the clusters of a scope are concerned.
pub(in crate::http) async fn of(
    state: &web::Data<HubState>,
    view: &RolloutView,
    scope: &Scope,
) -> Result<Course, ApiError> {
    let id = view.id;
    let mut went = from_disk(state, move |reader| reader.went(id)).await?;
    let committed = state.store.committed();
    if !scope.is_whole() {
        let fleet = committed.fleet();
        went.retain(|one| fleet.record(one.slot).is_some_and(|own| scope.contains(&own.labels)));
    }
    let course = committed.rollouts().course(id, view.status, &to_go(view), &went, state.now());
    course.ok_or_else(|| super::missing(id))
}

/// Of each ring, the clusters that are to go: members that did not run the release already.
pub(in crate::http) fn to_go(view: &RolloutView) -> Vec<u32> {
    let counts = view.rings.iter().map(|ring| ring.counts);
    counts.map(|counts| counts.members.saturating_sub(counts.there)).collect()
}
