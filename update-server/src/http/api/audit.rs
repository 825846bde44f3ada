//! `/api/v1/audit`: who changed what. Not for viewers: it names people.

use actix_web::{HttpRequest, HttpResponse, web};
use channels::wire::{AuditRow, Page};

use serde::Deserialize;

use super::super::negotiate::Listing;
use super::super::problem::ApiError;
use super::state::from_disk;
use super::{Guarded, HubState, Operator, export, paging};
use crate::fleet::MAX_PAGE;
use crate::store::ChainCheck;

/// Name of the list in its cursors.
const LIST: &str = "audit";

/// Parameters of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    cursor: Option<String>,
    limit: Option<usize>,
    /// `json` (a page), `ndjson` or `csv` (all rows; `cursor` and `limit` mean nothing then).
    format: Option<String>,
}

/// `GET /api/v1/audit`, newest first
pub(super) async fn list(
    _: Guarded<Operator>,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<AuditQuery>,
) -> Result<HttpResponse, ApiError> {
    let listing = export::listing(&request, query.format.as_deref())?;
    let (before, limit) =
        (paging::after(LIST, query.cursor.as_deref())?, paging::limit(query.limit)?);
    if listing == Listing::Json {
        return Ok(paging::respond(&request, &page(&state, before, limit).await?));
    }
    Ok(export::stream(LIST, listing, move |cursor| {
        let state = state.clone();
        async move {
            let before = paging::after(LIST, cursor.as_deref())?;
            page(&state, before, MAX_PAGE).await
        }
    }))
}

async fn page(
    state: &web::Data<HubState>,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<AuditRow>, ApiError> {
    let items = from_disk(state, move |reader| reader.audit(before, limit)).await?;
    Ok(paging::newest_first(LIST, items, limit, |row| row.id))
}

/// `GET /api/v1/audit/verify`: checks every row against the one before it.
pub(super) async fn verify(
    _: Guarded<Operator>,
    state: web::Data<HubState>,
) -> Result<web::Json<ChainCheck>, ApiError> {
    Ok(web::Json(from_disk(&state, crate::store::Reader::verify_audit).await?))
}
