//! Whose key signed a request (RFC 9421, the profile of `signing::message`).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use jiff::Timestamp;
use signing::message::{Claim, HeaderFields, MessageError, Pending, RequestParts};
use signing::{PublicKey, Sha256Digest, Verified};

use super::super::problem::{ApiError, Code};
use super::HubState;
use super::crowd::Crowd;
use crate::fleet::Identity;
use crate::store::Refusal;

/// How old a signature may be. Agents sign right before they send; with the growing `seq` a
/// shorter window would only punish clocks.
pub const CREATED_WINDOW: Duration = Duration::from_mins(1);

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// A request whose signature verified.
#[derive(Debug, Clone, Copy)]
pub struct SignedBy {
    /// The cluster whose key it is.
    pub cluster: Identity,
    /// SHA-256 of the body as received.
    pub body: Sha256Digest,
}

/// Reads the three header fields; each exactly once.
fn claim(request: &HttpRequest) -> Result<Claim<'_>, ApiError> {
    let field = |name: HeaderName| {
        let mut values = request.headers().get_all(&name);
        match (values.next().map(|v| v.to_str()), values.next()) {
            (Some(Ok(value)), None) => Ok(value),
            (None, _) => Err(invalid(format!("the header {name} is missing"))),
            _ => Err(invalid(format!("the header {name} must appear once, in ASCII"))),
        }
    };
    let fields = HeaderFields {
        content_digest: Some(field(CONTENT_DIGEST)?),
        signature_input: field(SIGNATURE_INPUT)?,
        signature: field(SIGNATURE)?,
    };
    Claim::read(fields).map_err(|e| refuse(&e))
}

fn invalid(detail: String) -> ApiError {
    ApiError::new(Code::InvalidSignature, detail)
}

fn refuse(error: &MessageError) -> ApiError {
    let code = match error {
        MessageError::NotYet { .. } | MessageError::TooOld { .. } => Code::SignatureExpired,
        MessageError::Unsignable { .. }
        | MessageError::Nonce { .. }
        | MessageError::Time
        | MessageError::Profile { .. }
        | MessageError::Components { .. }
        | MessageError::ContentDigest
        | MessageError::Key { .. }
        | MessageError::KeyType
        | MessageError::Signature(_) => Code::InvalidSignature,
    };
    ApiError::new(code, error.to_string())
}

fn parts<'a>(request: &'a HttpRequest, body: &'a [u8]) -> RequestParts<'a> {
    RequestParts {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        content_type: request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()),
        body,
    }
}

/// Verifies a request with a body against a key and its id.
pub(super) fn verify_with(
    request: &HttpRequest,
    body: &[u8],
    id: &Sha256Digest,
    key: PublicKey,
    now: Timestamp,
) -> Result<(), ApiError> {
    let pending = pending(request, &claim(request)?, body, id, key, now)?;
    pending.verify().map(drop).map_err(|e| refuse(&e))
}

/// Checks everything but the signature itself.
fn pending(
    request: &HttpRequest,
    claim: &Claim<'_>,
    body: &[u8],
    id: &Sha256Digest,
    key: PublicKey,
    now: Timestamp,
) -> Result<Pending, ApiError> {
    let parts = parts(request, body);
    claim.pending(&parts, id, key, now, CREATED_WINDOW).map_err(|e| refuse(&e))
}

/// Verifies a request with a body against the key its signature names, if a cluster enrolled it.
/// Only a request that its key did sign is told that the cluster was retired. A key that was
/// replaced is left to the store: the request may be the one that replaced it, sent again, or show
/// that two agents have it.
pub(super) fn identify(
    state: &HubState,
    request: &HttpRequest,
    body: &[u8],
    now: Timestamp,
) -> Result<SignedBy, ApiError> {
    let (cluster, pending) = look_up(state, request, body, now)?;
    signed_by(cluster, body, pending.verify())
}

/// The same for a request that may wait a moment, to be verified with others.
pub(super) async fn identify_in_crowd(
    state: &HubState,
    request: &HttpRequest,
    body: &[u8],
    now: Timestamp,
) -> Result<SignedBy, ApiError> {
    let look_up = || look_up(state, request, body, now);
    let (cluster, pending) = state.unless_behind(look_up(), look_up).await?;
    let crowd = request.app_data::<Crowd>().ok_or_else(|| {
        ApiError::new(Code::Internal, "the handler is registered without its crowd")
    })?;
    let checked = crowd.verify(pending).await.ok_or(Refusal::Stopped)?;
    signed_by(cluster, body, checked)
}

fn look_up(
    state: &HubState,
    request: &HttpRequest,
    body: &[u8],
    now: Timestamp,
) -> Result<(Identity, Pending), ApiError> {
    let claim = claim(request)?;
    let unknown = || {
        let detail = format!("no cluster enrolled with key {}", claim.key_id());
        ApiError::new(Code::UnknownCluster, detail)
    };
    let id = Sha256Digest::from_hex(claim.key_id()).map_err(|_| unknown())?;
    let cluster = state.store.committed().fleet().identity(&id).ok_or_else(unknown)?;
    let key = PublicKey::ed25519(&cluster.key.bytes)
        .map_err(|error| ApiError::internal("read a cluster's key", &error))?;
    Ok((cluster, pending(request, &claim, body, &id, key, now)?))
}

fn signed_by(
    cluster: Identity,
    body: &[u8],
    checked: Result<Verified<Option<Sha256Digest>>, MessageError>,
) -> Result<SignedBy, ApiError> {
    let digest = checked.map_err(|e| refuse(&e))?.into_inner();
    if cluster.retired {
        return Err(Refusal::Retired.into());
    }
    Ok(SignedBy { cluster, body: digest.unwrap_or_else(|| Sha256Digest::of(body)) })
}
