//! `POST /api/v1/enrolments`: a cluster registers its key with a join token.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use channels::wire::{EnrolmentReply, EnrolmentRequest, media_type};
use signing::{PublicKey, Sha256Digest};

use super::super::problem::{ApiError, Code};
use super::reports::MAX_AGENT_VERSION_BYTES;
use super::{HubState, body, signature};
use crate::auth::{Secret, SecretKind};
use crate::fleet::ClusterKey;
use crate::store::Enrolment;

/// A key, a token and two names.
const MAX_BODY_BYTES: usize = 8 * 1024;
/// Longest cluster name; a DNS name fits.
const MAX_NAME_CHARS: usize = 253;

/// The handler: enrols, and logs how it went.
pub(super) async fn post(
    state: web::Data<HubState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    match receive(&state, &request, payload).await {
        Ok((name, reply)) => {
            tracing::info!(cluster.id = %reply.cluster_id, cluster.name = name, "cluster enrolled");
            Ok(HttpResponse::Created().json(reply))
        }
        Err(error) => {
            let reason = error.code().slug();
            tracing::warn!(reason, detail = error.detail(), "enrolment refused");
            Err(error)
        }
    }
}

async fn receive(
    state: &web::Data<HubState>,
    request: &HttpRequest,
    payload: Payload,
) -> Result<(String, EnrolmentReply), ApiError> {
    body::check_type(request, media_type::ENROLMENT)?;
    let body = body::read(request, payload, MAX_BODY_BYTES).await?;
    let wanted: EnrolmentRequest = serde_json::from_slice(&body).map_err(|error| {
        ApiError::new(Code::InvalidJson, format!("not an enrolment request: {error}"))
    })?;
    let key = PublicKey::from_spki_pem(&wanted.public_key)
        .map_err(|error| ApiError::new(Code::Unprocessable, format!("public_key: {error}")))?;
    let now = state.now();
    let new = cluster_key(&key)?;
    signature::verify_with(request, &body, &new.id, key, now)?;
    check_names(&wanted).map_err(|detail| ApiError::new(Code::Unprocessable, detail))?;
    let token = Secret::parse(SecretKind::Join, &wanted.join_token).ok_or_else(|| {
        ApiError::new(Code::InvalidJoinToken, "join_token does not have a join token's form")
    })?;
    let enrolment = Enrolment {
        token_digest: token.digest(),
        key: new,
        name: wanted.name.clone(),
        agent_version: wanted.agent_version,
        now,
    };
    Ok((wanted.name, state.store.enrol(enrolment).await?))
}

pub(super) fn cluster_key(key: &PublicKey) -> Result<ClusterKey, ApiError> {
    let (_, material) = key.value();
    let bytes = material
        .try_into()
        .map_err(|_| ApiError::new(Code::Unprocessable, "public_key: not an ed25519 key"))?;
    let id: Sha256Digest = format!("sha256:{}", key.key_id())
        .parse()
        .map_err(|error| ApiError::internal("compute a key id", &error))?;
    Ok(ClusterKey { bytes, id })
}

fn check_names(wanted: &EnrolmentRequest) -> Result<(), String> {
    let name = &wanted.name;
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
        return Err(format!("name must have 1 to {MAX_NAME_CHARS} characters"));
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return Err("name must not hold control characters or begin or end blank".to_owned());
    }
    if wanted.agent_version.len() > MAX_AGENT_VERSION_BYTES {
        return Err(format!("agent_version has more than {MAX_AGENT_VERSION_BYTES} bytes"));
    }
    Ok(())
}
