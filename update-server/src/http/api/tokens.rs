//! `/api/v1/tokens`: API tokens of people and pipelines.

use actix_web::{HttpResponse, web};
use channels::wire::Page;
use serde::{Deserialize, Serialize};

use super::super::problem::{ApiError, Code};
use super::{Admin, Guarded, HubState};
use crate::auth::{Access, Secret, SecretKind, TokenRecord};
use crate::store::NewToken;

/// Longest name of a token.
const MAX_NAME_CHARS: usize = 100;

/// Body of `POST /api/v1/tokens`.
#[derive(Debug, Deserialize)]
pub(super) struct TokenRequest {
    /// Who or what will hold it.
    name: String,
    /// What it may do.
    access: Access,
}

/// Answer to `POST /api/v1/tokens`: the secret is shown this once.
#[derive(Debug, Serialize)]
struct TokenAnswer {
    id: u64,
    name: String,
    access: Access,
    token: String,
}

/// `GET /api/v1/tokens`
pub(super) async fn list(
    _: Guarded<Admin>,
    state: web::Data<HubState>,
) -> web::Json<Page<TokenRecord>> {
    web::Json(Page { items: state.store.committed().tokens().list(), next: None })
}

/// `POST /api/v1/tokens`
pub(super) async fn create(
    by: Guarded<Admin>,
    state: web::Data<HubState>,
    request: web::Json<TokenRequest>,
) -> Result<HttpResponse, ApiError> {
    let TokenRequest { name, access } = request.into_inner();
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.contains(char::is_control) {
        let detail = format!("name must have 1 to {MAX_NAME_CHARS} printable characters");
        return Err(ApiError::new(Code::Unprocessable, detail));
    }
    let secret = Secret::generate(SecretKind::Api)
        .map_err(|error| ApiError::internal("make a token", &error))?;
    let new = NewToken { name, access, digest: secret.digest(), by: by.actor, now: state.now() };
    let record = state.store.create_token(new).await?;
    tracing::info!(token.id = record.id, by = record.created_by, %access, "token made");
    Ok(HttpResponse::Created().json(TokenAnswer {
        id: record.id,
        name: record.name,
        access,
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
