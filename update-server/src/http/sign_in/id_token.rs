//! Whether an ID token is to be believed (`OpenID` Connect Core §3.1.3.7), and what it says.
//!
//! Pure: keys, time and nonce are arguments.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::flow::is_same;
use super::keys::{Algorithm, KeySet, Verdict};

/// Longest token read.
const TOKEN_MAX_BYTES: usize = 64 * 1024;
/// How far the provider's clock may be off.
const LEEWAY_S: i64 = 60;

/// Claims that were verified.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claims(pub(super) Map<String, Value>);

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum IdTokenError {
    #[error("it is no signed token")]
    Form,
    #[error("its algorithm {0:?} is not one of RS256, PS256, ES256, EdDSA")]
    Algorithm(String),
    #[error("it is signed by a key that the provider does not publish")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for another client")]
    Audience,
    #[error("it expired")]
    Expired,
    #[error("it is from the future")]
    FromFuture,
    #[error("it lacks the claim {0:?}")]
    Missing(&'static str),
    #[error("its nonce is that of another sign-in")]
    Nonce,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

fn decoded(part: &str) -> Result<Vec<u8>, IdTokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenError::Form)
}

/// The claims of a token that is to be believed.
pub(super) fn verify(
    token: &str,
    keys: &KeySet,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<Claims, IdTokenError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(IdTokenError::Form)?;
    let (header, payload) = signed.split_once('.').ok_or(IdTokenError::Form)?;
    if token.len() > TOKEN_MAX_BYTES || payload.contains('.') {
        return Err(IdTokenError::Form);
    }
    let header: Header =
        serde_json::from_slice(&decoded(header)?).map_err(|_| IdTokenError::Form)?;
    if header.crit.is_some() {
        return Err(IdTokenError::Form);
    }
    let algorithm = Algorithm::parse(&header.alg)
        .ok_or_else(|| IdTokenError::Algorithm(header.alg.chars().take(20).collect()))?;
    match keys.verify(algorithm, header.kid.as_deref(), signed.as_bytes(), &decoded(signature)?) {
        Verdict::Good => {}
        Verdict::Wrong => return Err(IdTokenError::Signature),
        Verdict::UnknownKey => return Err(IdTokenError::UnknownKey),
    }
    let claims: Map<String, Value> =
        serde_json::from_slice(&decoded(payload)?).map_err(|_| IdTokenError::Form)?;
    check(&claims, expected, now)?;
    Ok(Claims(claims))
}

fn check(
    claims: &Map<String, Value>,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<(), IdTokenError> {
    let text = |name: &'static str| {
        claims.get(name).and_then(Value::as_str).ok_or(IdTokenError::Missing(name))
    };
    // Dates are numbers that may have a fraction (RFC 7519 §2).
    let second = |name: &'static str| {
        let number = claims.get(name).ok_or(IdTokenError::Missing(name))?;
        number
            .as_i64()
            .or_else(|| number.to_string().split('.').next()?.parse().ok())
            .ok_or(IdTokenError::Missing(name))
    };
    if text("iss")? != expected.issuer {
        return Err(IdTokenError::Issuer);
    }
    let several = Vec::new();
    let audience = claims.get("aud").ok_or(IdTokenError::Missing("aud"))?;
    let others = audience.as_array().unwrap_or(&several);
    let is_ours = |value: &Value| value.as_str() == Some(expected.client_id);
    if !is_ours(audience) && !others.iter().any(is_ours) {
        return Err(IdTokenError::Audience);
    }
    let presenter = claims.get("azp");
    if (others.len() > 1 || presenter.is_some()) && !presenter.is_some_and(is_ours) {
        return Err(IdTokenError::Audience);
    }
    if second("exp")?.saturating_add(LEEWAY_S) <= now.as_second() {
        return Err(IdTokenError::Expired);
    }
    if second("iat")? > now.as_second().saturating_add(LEEWAY_S) {
        return Err(IdTokenError::FromFuture);
    }
    if text("sub")?.is_empty() {
        return Err(IdTokenError::Missing("sub"));
    }
    if is_same(text("nonce")?, expected.nonce) { Ok(()) } else { Err(IdTokenError::Nonce) }
}
