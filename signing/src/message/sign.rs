//! Signing a request.

use super::base::{Components, content_digest};
use super::{LABEL, MAX_LIFETIME, MessageError, RequestParts, SignedHeaders, TAG};
use crate::Sha256Digest;
use crate::key::SecretKey;
use base64ct::{Base64, Encoding as _};
use jiff::Timestamp;

/// Longest nonce, in bytes.
const MAX_NONCE_BYTES: usize = 128;

/// Signs a request with `key`, good for [`MAX_LIFETIME`] from `created`.
pub fn sign(
    parts: &RequestParts<'_>,
    key: &SecretKey,
    created: Timestamp,
    nonce: &str,
) -> Result<SignedHeaders, MessageError> {
    check_nonce(nonce)?;
    let created_s = created.as_second();
    let lifetime_s = i64::try_from(MAX_LIFETIME.as_secs()).map_err(|_| MessageError::Time)?;
    let expires_s = created_s.checked_add(lifetime_s).ok_or(MessageError::Time)?;

    let body = (!parts.body.is_empty()).then(|| Sha256Digest::of(parts.body));
    let content_digest = body.as_ref().map(content_digest);
    let components = Components::of(parts, content_digest.as_deref())?;
    let params = format!(
        "{};created={created_s};expires={expires_s};nonce=\"{nonce}\";keyid=\"{}\";\
         alg=\"ed25519\";tag=\"{TAG}\"",
        components.covered(),
        key.public().key_id(),
    );
    let signature = key.sign(components.base(&params).as_bytes());
    Ok(SignedHeaders {
        content_digest,
        signature_input: format!("{LABEL}={params}"),
        signature: format!("{LABEL}=:{}:", Base64::encode_string(&signature)),
    })
}

pub(super) fn check_nonce(nonce: &str) -> Result<(), MessageError> {
    let plain = |b: u8| (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\';
    if (1..=MAX_NONCE_BYTES).contains(&nonce.len()) && nonce.bytes().all(plain) {
        return Ok(());
    }
    Err(MessageError::Nonce { found: nonce.chars().take(MAX_NONCE_BYTES).collect() })
}
