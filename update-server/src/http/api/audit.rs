//! `/api/v1/audit`: who changed what. Not for viewers: it names people.

use actix_web::web;
use channels::wire::{AuditRow, Page};
use serde::Deserialize;

use super::super::problem::ApiError;
use super::state::from_disk;
use super::{Guarded, HubState, Operator, paging};
use crate::store::ChainCheck;

/// Parameters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /api/v1/audit`, newest first
pub(super) async fn list(
    _: Guarded<Operator>,
    state: web::Data<HubState>,
    query: web::Query<ListQuery>,
) -> Result<web::Json<Page<AuditRow>>, ApiError> {
    let limit = paging::limit(query.limit)?;
    let before = paging::after("audit", query.cursor.as_deref())?;
    let items = from_disk(&state, move |reader| reader.audit(before, limit)).await?;
    let next = items
        .last()
        .filter(|row| items.len() == limit && row.id > 1)
        .map(|row| paging::cursor("audit", row.id));
    Ok(web::Json(Page { items, next }))
}

/// `GET /api/v1/audit/verify`: checks every row against the one before it.
pub(super) async fn verify(
    _: Guarded<Operator>,
    state: web::Data<HubState>,
) -> Result<web::Json<ChainCheck>, ApiError> {
    Ok(web::Json(from_disk(&state, crate::store::Reader::verify_audit).await?))
}
