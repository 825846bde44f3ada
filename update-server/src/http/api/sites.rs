//! `/api/v1/sites`: dark sites, which people register and whose status is carried here.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use channels::names::SiteName;
use channels::wire::{Page, SiteImport, SiteRegistration, SiteRow};
use serde::Deserialize;
use signing::PublicKey;

use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::state::from_disk;
use super::{Admin, Guarded, HubState, Viewer, paging};
use crate::site::{MAX_INTERVAL_S, MIN_INTERVAL_S};
use crate::store::NewSite;

/// A sentence.
const MAX_DESCRIPTION_CHARS: usize = 1000;

/// `GET /api/v1/sites`
pub(super) async fn list(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
) -> web::Json<Page<SiteRow>> {
    let sites = state.store.committed().sites();
    let items = state.with_fleet(|_, view| sites.rows(view));
    web::Json(Page { items, next: None })
}

/// `PUT /api/v1/sites/{name}`: registers it, or changes what is registered.
pub(super) async fn put(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    path: web::Path<SiteName>,
    request: Json<SiteRegistration>,
) -> Result<HttpResponse, ApiError> {
    let (name, mut said) = (path.into_inner(), request.into_inner());
    let refuse = |detail: String| ApiError::new(Code::Unprocessable, detail);
    said.description = said.description.trim().to_owned();
    if said.description.chars().count() > MAX_DESCRIPTION_CHARS {
        let max = MAX_DESCRIPTION_CHARS;
        return Err(refuse(format!("description must have at most {max} characters")));
    }
    if said.expected_interval_s.is_some_and(|s| !(MIN_INTERVAL_S..=MAX_INTERVAL_S).contains(&s)) {
        let (min, max) = (MIN_INTERVAL_S, MAX_INTERVAL_S);
        return Err(refuse(format!("expected_interval_s must be between {min} and {max}")));
    }
    let key = PublicKey::from_spki_pem(&said.public_key)
        .map_err(|error| refuse(format!("public_key: {error}")))?;
    let key_id = key.key_id();
    let new = NewSite { name: name.clone(), key, said, by: by.actor.clone(), now: state.now() };
    let is_new = state.store.put_site(new).await?;
    tracing::info!(site = %name, key = %key_id, by = by.actor, "site registered");
    let sites = state.store.committed().sites();
    let row = state.with_fleet(|_, view| sites.rows(view)).into_iter().find(|r| r.name == name);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(row))
}

/// `DELETE /api/v1/sites/{name}`
pub(super) async fn remove(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    path: web::Path<SiteName>,
) -> Result<HttpResponse, ApiError> {
    let name = path.into_inner();
    state.store.remove_site(name.clone(), by.actor.clone(), state.now()).await?;
    tracing::info!(site = %name, by = by.actor, "site removed");
    Ok(HttpResponse::NoContent().finish())
}

/// Parameters of a site's imports.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportsQuery {
    limit: Option<usize>,
}

/// `GET /api/v1/sites/{name}/imports`, newest first
pub(super) async fn imports(
    _: Guarded<Viewer>,
    state: web::Data<HubState>,
    path: web::Path<SiteName>,
    query: web::Query<ImportsQuery>,
) -> Result<web::Json<Page<SiteImport>>, ApiError> {
    let (name, limit) = (path.into_inner(), paging::limit(query.limit)?);
    if state.store.committed().sites().get(&name).is_none() {
        let detail = format!("no site {:?} is registered here", name.as_str());
        return Err(ApiError::new(Code::UnknownSite, detail));
    }
    let items = from_disk(&state, move |reader| reader.site_imports(&name, limit)).await?;
    Ok(web::Json(Page { items, next: None }))
}
