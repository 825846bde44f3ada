//! `/api/v1/audit`: who changed what. Not for viewers: it names people.

use actix_web::web;
use channels::wire::{AuditRow, Page};

use super::super::problem::ApiError;
use super::paging::{self, PageQuery};
use super::state::from_disk;
use super::{Guarded, HubState, Operator};
use crate::store::ChainCheck;

/// `GET /api/v1/audit`, newest first
pub(super) async fn list(
    _: Guarded<Operator>,
    state: web::Data<HubState>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<AuditRow>>, ApiError> {
    let (before, limit) = query.read("audit")?;
    let items = from_disk(&state, move |reader| reader.audit(before, limit)).await?;
    Ok(web::Json(paging::newest_first("audit", items, limit, |row| row.id)))
}

/// `GET /api/v1/audit/verify`: checks every row against the one before it.
pub(super) async fn verify(
    _: Guarded<Operator>,
    state: web::Data<HubState>,
) -> Result<web::Json<ChainCheck>, ApiError> {
    Ok(web::Json(from_disk(&state, crate::store::Reader::verify_audit).await?))
}
