//! Listing repositories, tags and referrers.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::json;

use super::answer::{Parameters, State};
use super::body::blocking;
use super::error::Refusal;
use crate::oci::{Descriptor, Digest, INDEX_TYPES, Repository};

/// `GET /v2/_catalog`, which is no part of the specification and which everybody has.
pub(super) async fn catalog(
    state: &web::Data<State>,
    parameters: &Parameters,
) -> Result<HttpResponse, Refusal> {
    let (limit, last) = paging(parameters)?;
    let store = state.store.clone();
    let page = blocking(move || store.repositories(last.as_deref(), limit)).await?;
    let mut response = HttpResponse::Ok();
    if let Some(last) = page.names.last().filter(|_| page.more) {
        response.insert_header((header::LINK, link("_catalog", limit, last.as_str())));
    }
    Ok(response.json(json!({"repositories": page.names})))
}

/// `GET /v2/<name>/tags/list`
pub(super) async fn tags(
    state: &web::Data<State>,
    repository: Repository,
    parameters: &Parameters,
) -> Result<HttpResponse, Refusal> {
    let (limit, last) = paging(parameters)?;
    let store = state.store.clone();
    let name = repository.clone();
    let page = blocking(move || store.tags(&name, last.as_deref(), limit)).await?;
    let mut response = HttpResponse::Ok();
    if let Some(last) = page.names.last().filter(|_| page.more) {
        let path = format!("{repository}/tags/list");
        response.insert_header((header::LINK, link(&path, limit, last.as_str())));
    }
    Ok(response.json(json!({"name": repository, "tags": page.names})))
}

/// `GET /v2/<name>/referrers/<digest>`
pub(super) async fn referrers(
    state: &web::Data<State>,
    repository: Repository,
    digest: Digest,
    parameters: &Parameters,
) -> Result<HttpResponse, Refusal> {
    /// An index whose entries are the referrers.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Referrers {
        schema_version: u32,
        media_type: &'static str,
        manifests: Vec<Descriptor>,
    }
    let artifact_type = parameters.get("artifactType").map(str::to_owned);
    // As with tags; without it a page is as long as pages get.
    let (limit, _) = paging(parameters)?;
    let after = parameters.digest("last")?;
    let store = state.store.clone();
    let (name, kind) = (repository.clone(), artifact_type.clone());
    let page = blocking(move || {
        store.referrers_after(
            &name,
            &digest,
            kind.as_deref(),
            after.as_ref(),
            limit.unwrap_or(usize::MAX),
        )
    })
    .await?;
    let [media_type, _] = INDEX_TYPES;
    let mut response = HttpResponse::Ok();
    response.content_type(media_type);
    if artifact_type.is_some() {
        response.insert_header(("oci-filters-applied", "artifactType"));
    }
    if let Some(last) = page.names.last().filter(|_| page.more) {
        let kind = artifact_type.map(|kind| format!("artifactType={}&", encoded(&kind)));
        let count = limit.map(|limit| format!("n={limit}&")).unwrap_or_default();
        let query = format!("{}{count}last={}", kind.unwrap_or_default(), last.digest);
        let next = format!("</v2/{repository}/referrers/{digest}?{query}>; rel=\"next\"");
        response.insert_header((header::LINK, next));
    }
    let index = Referrers { schema_version: 2, media_type, manifests: page.names };
    let body = serde_json::to_vec(&index).map_err(|error| Refusal::internal(&error))?;
    Ok(response.body(body))
}

/// A value of a query.
fn encoded(value: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(value, NON_ALPHANUMERIC)
}

/// `n` and `last`.
fn paging(parameters: &Parameters) -> Result<(Option<usize>, Option<String>), Refusal> {
    let limit = match parameters.get("n") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            let message = format!("n is {text:?}, not a number");
            Refusal::new(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", message)
        })?),
    };
    Ok((limit, parameters.get("last").map(str::to_owned)))
}

/// Where the next page is (RFC 5988).
fn link(path: &str, limit: Option<usize>, last: &str) -> String {
    let count = limit.map(|limit| format!("n={limit}&")).unwrap_or_default();
    format!("</v2/{path}?{count}last={last}>; rel=\"next\"")
}
