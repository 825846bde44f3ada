//! Verifying a signed request.

use super::base::{components, content_digest, covered, signature_base};
use super::{
    MAX_CLOCK_SKEW, MAX_LIFETIME, MessageError, RequestParts, SignatureParams, SignedHeaders, parse,
};
use crate::Verified;
use crate::key::{KeyId, KeyScheme, PublicKey};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The key id a request claims, to look the key up. Nothing is verified.
pub fn key_id(signature_input: &str) -> Result<KeyId, MessageError> {
    Ok(parse::input(signature_input)?.params.key_id)
}

/// Verifies a request against the key that the caller has on record for it.
///
/// `max_age` bounds the time since `created`. Up to [`MAX_LIFETIME`] the signature's own
/// `expires` counts too; a caller that takes requests carried by hand passes a longer `max_age`,
/// and then `expires` is not enforced.
pub fn verify(
    parts: &RequestParts<'_>,
    headers: &SignedHeaders,
    key: &PublicKey,
    now: Timestamp,
    max_age: Duration,
) -> Result<Verified<SignatureParams>, MessageError> {
    let input = parse::input(&headers.signature_input)?;
    let params = input.params;
    if key.scheme() != KeyScheme::Ed25519 {
        return Err(MessageError::KeyType);
    }
    let expected = key.key_id();
    if params.key_id != expected {
        return Err(MessageError::Key { found: params.key_id, expected });
    }
    check_age(&params, now, max_age)?;

    // The digest in the header must be exactly the one we compute, over the bytes as received.
    let digest = content_digest(parts.body);
    if headers.content_digest.as_deref().map(str::trim) != digest.as_deref() {
        return Err(MessageError::ContentDigest);
    }
    let components = components(parts, digest.as_deref())?;
    let wanted = covered(&components);
    if input.covered != wanted {
        let found = input.covered.to_owned();
        return Err(MessageError::Components { found, expected: wanted });
    }
    let base = signature_base(components.iter().map(|(n, v)| (*n, v.as_str())), input.params_text);
    let signature = parse::signature(&headers.signature)?;
    key.verify(base.as_bytes(), &signature).map_err(MessageError::Signature)?;
    Ok(Verified::new(params))
}

fn check_age(
    params: &SignatureParams,
    now: Timestamp,
    max_age: Duration,
) -> Result<(), MessageError> {
    let created = params.created;
    let age = now.duration_since(created);
    if age < -SignedDuration::try_from(MAX_CLOCK_SKEW).unwrap_or(SignedDuration::ZERO) {
        return Err(MessageError::NotYet { created, now });
    }
    let too_old = age.is_positive() && age.unsigned_abs() > max_age;
    let expired = max_age <= MAX_LIFETIME && now > params.expires;
    if too_old || expired {
        return Err(MessageError::TooOld { created, now });
    }
    Ok(())
}
