//! Whose key signed a request (RFC 9421, the profile of `signing::message`).

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use jiff::Timestamp;
use signing::message::{self, MessageError, RequestParts, SignedHeaders};
use signing::{PublicKey, Sha256Digest};

use super::super::problem::{ApiError, Code};
use super::HubState;
use crate::fleet::Identity;
use crate::store::Refusal;

/// How old a signature may be. Agents sign right before they send; with the growing `seq` a
/// shorter window would only punish clocks.
pub const CREATED_WINDOW: Duration = Duration::from_mins(1);

/// A request whose signature verified.
#[derive(Debug, Clone, Copy)]
pub struct SignedBy {
    /// The cluster whose key it is.
    pub cluster: Identity,
}

/// Reads the three header fields; each exactly once.
fn headers(request: &HttpRequest) -> Result<SignedHeaders, ApiError> {
    let field = |name: &'static str| {
        let mut values = request.headers().get_all(name);
        match (values.next().map(|v| v.to_str()), values.next()) {
            (Some(Ok(value)), None) => Ok(value.to_owned()),
            (None, _) => Err(invalid(format!("the header {name} is missing"))),
            _ => Err(invalid(format!("the header {name} must appear once, in ASCII"))),
        }
    };
    Ok(SignedHeaders {
        content_digest: Some(field("content-digest")?),
        signature_input: field("signature-input")?,
        signature: field("signature")?,
    })
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

/// Verifies a request with a body against a key.
pub(super) fn verify_with(
    request: &HttpRequest,
    body: &[u8],
    key: &PublicKey,
    now: Timestamp,
) -> Result<(), ApiError> {
    verify(request, &headers(request)?, body, key, now)
}

fn verify(
    request: &HttpRequest,
    headers: &SignedHeaders,
    body: &[u8],
    key: &PublicKey,
    now: Timestamp,
) -> Result<(), ApiError> {
    let parts = RequestParts {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        content_type: request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()),
        body,
    };
    message::verify(&parts, headers, key, now, CREATED_WINDOW).map_err(|e| refuse(&e))?;
    Ok(())
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
    let headers = headers(request)?;
    let key_id = message::key_id(&headers.signature_input).map_err(|e| refuse(&e))?;
    let unknown =
        || ApiError::new(Code::UnknownCluster, format!("no cluster enrolled with key {key_id}"));
    let digest: Sha256Digest = format!("sha256:{key_id}").parse().map_err(|_| unknown())?;
    let cluster = state.store.committed().fleet().identity(&digest).ok_or_else(unknown)?;
    let key = PublicKey::ed25519(&cluster.key.bytes)
        .map_err(|error| ApiError::internal("read a cluster's key", &error))?;
    verify(request, &headers, body, &key, now)?;
    if cluster.retired {
        return Err(Refusal::Retired.into());
    }
    Ok(SignedBy { cluster })
}
