//! `/audit`: who changed what, and whether the log is whole.

mod filter;
#[cfg(test)]
mod tests;
mod view;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::Visitor;
use crate::http::api::{Guarded, HubState, Operator, from_disk, get, methods};
use crate::http::problem::ApiError;
use crate::store::{AuditFound, ChainCheck, Reader};
use filter::Asked;

/// Rows on one page.
const PAGE: usize = 100;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(methods("/audit", "GET, HEAD").route(get().to(page)));
}

/// Everything the page shows.
#[derive(Debug)]
struct AuditFacts {
    found: AuditFound,
    /// What checking the whole chain found, where somebody asked for it.
    check: Option<ChainCheck>,
}

/// The handler. Not for viewers, as in the API: the log names people. It does not refresh itself:
/// rows that move while they are read help nobody.
async fn page(
    visitor: Visitor,
    _operator: Guarded<Operator>,
    state: web::Data<HubState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let asked = Asked::read(&visitor.query);
    let (filter, before) = (asked.filter(), asked.before);
    let found = from_disk(&state, move |reader| reader.search_audit(&filter, before, PAGE)).await?;
    let check = match asked.check {
        filter::Check::No => None,
        filter::Check::Whole => Some(from_disk(&state, Reader::verify_audit).await?),
    };
    let status = state.catalog.status(visitor.at);
    let shell = Shell::new(&visitor, &status, Place::Audit, "Audit log", Live::No);
    let facts = AuditFacts { found, check };
    send::page(&request, &view::AuditPage::new(shell, &asked, &facts, visitor.at))
}
