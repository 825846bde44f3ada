//! `POST /api/v1/clusters/self/key`: a cluster replaces its own key, signed by the old one and
//! proved by the new one.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use channels::wire::{KeyRotationReply, KeyRotationRequest, media_type};
use signing::PublicKey;

use super::super::problem::{ApiError, Code};
use super::enrolments::cluster_key;
use super::{HubState, body, signature};
use crate::store::KeyRotation;

/// Two keys and a signature.
const MAX_BODY_BYTES: usize = 8 * 1024;

/// The handler: replaces the key, and logs how it went.
pub(super) async fn post(
    state: web::Data<HubState>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    match receive(&state, &request, payload).await {
        Ok(reply) => {
            tracing::info!(
                cluster.id = %reply.cluster_id, key.id = reply.key_id, "cluster key replaced"
            );
            Ok(HttpResponse::Ok().json(reply))
        }
        Err(error) => {
            let reason = error.code().slug();
            tracing::warn!(reason, detail = error.detail(), "key rotation refused");
            Err(error)
        }
    }
}

async fn receive(
    state: &web::Data<HubState>,
    request: &HttpRequest,
    payload: Payload,
) -> Result<KeyRotationReply, ApiError> {
    body::check_type(request, media_type::KEY_ROTATION)?;
    let body = body::read(request, payload, MAX_BODY_BYTES).await?;
    let now = state.now();
    let identify = || signature::identify(state, request, &body, now);
    let signer = state.unless_behind(identify(), identify).await?.cluster;
    let wanted: KeyRotationRequest = serde_json::from_slice(&body).map_err(|error| {
        ApiError::new(Code::InvalidJson, format!("not a key rotation: {error}"))
    })?;
    if wanted.cluster_id != signer.id {
        let detail = format!("cluster {} signed for cluster {}", signer.id, wanted.cluster_id);
        return Err(ApiError::new(Code::Forbidden, detail));
    }
    let unusable = |detail: String| ApiError::new(Code::Unprocessable, detail);
    // SQLite's integers; no agent counts that far.
    if i64::try_from(wanted.seq).is_err() {
        return Err(unusable(format!("seq {} is out of range", wanted.seq)));
    }
    let key = PublicKey::from_spki_pem(&wanted.public_key)
        .map_err(|error| unusable(format!("public_key: {error}")))?;
    let new = cluster_key(&key)?;
    let proof = hex::decode(&wanted.proof)
        .map_err(|error| unusable(format!("proof is not hexadecimal: {error}")))?;
    let (old_id, new_id) = (signer.key.id.hex(), new.id.hex());
    let statement = KeyRotationRequest::statement(signer.id, &old_id, &new_id, wanted.seq);
    key.verify(&statement, &proof).map_err(|error| {
        ApiError::new(Code::InvalidSignature, format!("proof by the new key: {error}"))
    })?;
    let rotation = KeyRotation { slot: signer.slot, old: signer.key.id, new, seq: wanted.seq, now };
    state.store.rotate_key(rotation).await?;
    Ok(KeyRotationReply { cluster_id: signer.id, key_id: new_id })
}
