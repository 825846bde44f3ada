//! `POST /api/v1/join-tokens`: a person invites clusters.

use actix_web::{HttpResponse, web};
use channels::wire::{JoinToken, JoinTokenRequest};
use jiff::SignedDuration;

use super::super::problem::{ApiError, Code};
use super::{Guarded, HubState, Operator};
use crate::auth::{Secret, SecretKind};
use crate::store::NewJoinToken;

/// A whole fleet by one token.
const MAX_USES: u32 = 100_000;
/// A forgotten token must not work for ever: 30 days.
const MAX_EXPIRES_IN_S: u64 = 30 * 24 * 3600;
/// A sentence for the audit log.
const MAX_NOTE_CHARS: usize = 1000;

/// The handler.
pub(super) async fn mint(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    request: web::Json<JoinTokenRequest>,
) -> Result<HttpResponse, ApiError> {
    let JoinTokenRequest { uses, expires_in_s, note } = request.into_inner();
    let refuse = |detail: String| Err(ApiError::new(Code::Unprocessable, detail));
    if !(1..=MAX_USES).contains(&uses) {
        return refuse(format!("uses must be between 1 and {MAX_USES}"));
    }
    if !(1..=MAX_EXPIRES_IN_S).contains(&expires_in_s) {
        return refuse(format!("expires_in_s must be between 1 and {MAX_EXPIRES_IN_S}"));
    }
    if note.chars().count() > MAX_NOTE_CHARS {
        return refuse(format!("note must have at most {MAX_NOTE_CHARS} characters"));
    }
    let secret = Secret::generate(SecretKind::Join)
        .map_err(|error| ApiError::internal("make a join token", &error))?;
    let now = state.now();
    let life = SignedDuration::from_secs(i64::try_from(expires_in_s).unwrap_or(i64::MAX));
    let expires_at =
        now.checked_add(life).map_err(|error| ApiError::internal("compute an expiry", &error))?;
    let new =
        NewJoinToken { digest: secret.digest(), uses, expires_at, note, by: by.actor.clone(), now };
    state.store.create_join_token(new).await?;
    tracing::info!(by = by.actor, uses, expires_at = %expires_at, "join token made");
    let token = JoinToken { token: secret.reveal().to_owned(), uses, expires_at };
    Ok(HttpResponse::Created().json(token))
}
