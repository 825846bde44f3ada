//! `/trust`: which keys may sign what, how long that is good for, and who must sign next.

mod facts;
#[cfg(test)]
mod tests;
mod view;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::Visitor;
use crate::http::api::{HubState, get, methods};
use crate::http::problem::ApiError;
use crate::publish::OnlineRole;

pub(super) use facts::TrustFacts;

/// Events that change what is shown here.
const KINDS: &str = "publish,next_key";

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(methods("/trust", "GET, HEAD").route(get().to(page)));
}

/// A key that the hub signs with itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Online {
    role: OnlineRole,
    /// The key in force.
    key: String,
    /// The one that takes over as soon as a root names it.
    next: Option<String>,
}

/// The handler. Metadata and public keys are public; the page is for those who may read anything.
async fn page(
    visitor: Visitor,
    state: web::Data<HubState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let tag = state.catalog.timestamp_etag();
    let catalog = &state.catalog;
    let read = |name: &str| catalog.tuf_file(name).map(|file| file.bytes);
    let facts = tag.map(|tag| state.pages.trust(&tag, || TrustFacts::read(&read)));
    let in_force = state.publisher.online_key_ids();
    let online = OnlineRole::ALL.map(|role| Online {
        role,
        key: in_force.get(role.as_str()).map(ToString::to_string).unwrap_or_default(),
        next: state.publisher.next_key(role).map(|key| key.to_string()),
    });
    let status = catalog.status(visitor.at);
    let shell = Shell::new(&visitor, &status, Place::Trust, "Trust", Live::On(KINDS));
    let view = view::TrustPage::new(shell, facts.as_deref(), &online, visitor.at);
    send::page(&request, &view)
}
