//! `/api/v1/tokens`: API tokens of people and pipelines. `/api/v1/sessions`: who is signed in.

use actix_web::{HttpResponse, web};
use channels::wire::Page;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::{Admin, Guarded, HubState};
use crate::auth::{Access, Scope, Secret, SecretKind, SessionRecord, TokenRecord};
use crate::store::NewToken;

/// Longest name of a token.
const MAX_NAME_CHARS: usize = 100;
/// Longest life of a token that is given one: ten years.
const MAX_EXPIRES_IN_S: u64 = 10 * 366 * 24 * 3600;
/// Begin of the names of people who sign in: no token may look like one in the audit log.
pub(in crate::http) const PERSON_PREFIX: &str = "sso:";

/// Body of `POST /api/v1/tokens`.
#[derive(Debug, Deserialize)]
pub(super) struct TokenRequest {
    /// Who or what will hold it.
    name: String,
    /// What it may do.
    access: Access,
    /// For which clusters; all if absent.
    #[serde(default)]
    selector: Option<String>,
    /// Seconds until it stops working; never if absent.
    #[serde(default)]
    expires_in_s: Option<u64>,
}

/// Answer to `POST /api/v1/tokens`: the secret is shown this once.
#[derive(Debug, Serialize)]
struct TokenAnswer {
    id: u64,
    name: String,
    access: Access,
    #[serde(rename = "selector", skip_serializing_if = "Scope::is_whole")]
    scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    token: String,
}

/// `GET /api/v1/tokens`
pub(super) async fn list(
    _: Guarded<Admin>,
    state: web::Data<HubState>,
) -> web::Json<Page<TokenRecord>> {
    web::Json(Page { items: state.store.committed().tokens().list(), next: None })
}

fn refuse(detail: impl Into<String>) -> ApiError {
    ApiError::new(Code::Unprocessable, detail)
}

fn name(given: &str) -> Result<String, ApiError> {
    let name = given.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.contains(char::is_control) {
        return Err(refuse(format!("name must have 1 to {MAX_NAME_CHARS} printable characters")));
    }
    if name.starts_with(PERSON_PREFIX) {
        return Err(refuse(format!("names that begin with {PERSON_PREFIX} are those of people")));
    }
    Ok(name.to_owned())
}

fn scope(selector: Option<&str>, access: Access) -> Result<Scope, ApiError> {
    let Some(text) = selector else { return Ok(Scope::whole()) };
    let scope: Scope = text.parse().map_err(|error| refuse(format!("selector: {error}")))?;
    scope.fits(access).map_err(|error| refuse(error.to_string()))?;
    Ok(scope)
}

fn expiry(expires_in_s: Option<u64>, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let Some(seconds) = expires_in_s else { return Ok(None) };
    if !(1..=MAX_EXPIRES_IN_S).contains(&seconds) {
        return Err(refuse(format!("expires_in_s must be between 1 and {MAX_EXPIRES_IN_S}")));
    }
    let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let at = now.checked_add(life).map_err(|error| ApiError::internal("add a life", &error))?;
    Ok(Some(at))
}

/// `POST /api/v1/tokens`
pub(super) async fn create(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    request: Json<TokenRequest>,
) -> Result<HttpResponse, ApiError> {
    let TokenRequest { name: given, access, selector, expires_in_s } = request.into_inner();
    let now = state.now();
    let secret = Secret::generate(SecretKind::Api)
        .map_err(|error| ApiError::internal("make a token", &error))?;
    let new = NewToken {
        name: name(&given)?,
        access,
        scope: scope(selector.as_deref(), access)?,
        expires_at: expiry(expires_in_s, now)?,
        digest: secret.digest(),
        by: by.actor,
        now,
    };
    let record = state.store.create_token(new).await?;
    tracing::info!(
        token.id = record.id, by = record.created_by, %access, scope = %record.scope, "token made"
    );
    Ok(HttpResponse::Created().json(TokenAnswer {
        id: record.id,
        name: record.name,
        access,
        scope: record.scope,
        expires_at: record.expires_at,
        token: secret.reveal().to_owned(),
    }))
}

/// `DELETE /api/v1/tokens/{id}`
pub(super) async fn revoke(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    state.store.revoke_token(*path, by.actor.clone(), state.now()).await?;
    tracing::info!(token.id = *path, by = by.actor, "token revoked");
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/v1/sessions`
pub(super) async fn sessions(
    _: Guarded<Admin>,
    state: web::Data<HubState>,
) -> web::Json<Page<SessionRecord>> {
    web::Json(Page { items: state.store.committed().sessions().list(), next: None })
}

/// `DELETE /api/v1/sessions/{id}`
pub(super) async fn end_session(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    state.store.end_session(*path, by.actor.clone(), state.now()).await?;
    tracing::info!(session.id = *path, by = by.actor, "session ended");
    Ok(HttpResponse::NoContent().finish())
}
