//! Verifying a signed request.

use super::base::{Components, is_content_digest};
use super::parse::{self, Input};
use super::together::Pending;
use super::{
    MAX_CLOCK_SKEW, MAX_LIFETIME, MessageError, RequestParts, SignatureParams, SignedHeaders,
};
use crate::key::{KeyId, KeyScheme, PublicKey};
use crate::{Sha256Digest, Verified};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The three header fields of a signed request, as received.
#[derive(Debug, Clone, Copy)]
pub struct HeaderFields<'a> {
    /// `Content-Digest`; none for a request without a body.
    pub content_digest: Option<&'a str>,
    /// `Signature-Input`.
    pub signature_input: &'a str,
    /// `Signature`.
    pub signature: &'a str,
}

impl SignedHeaders {
    /// The fields, to be verified.
    pub fn fields(&self) -> HeaderFields<'_> {
        HeaderFields {
            content_digest: self.content_digest.as_deref(),
            signature_input: &self.signature_input,
            signature: &self.signature,
        }
    }
}

/// What the headers of a request claim. They are read once: for the id under which the key is looked
/// up, and for the check with that key.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    fields: HeaderFields<'a>,
    input: Input<'a>,
}

impl<'a> Claim<'a> {
    /// Reads the claim. Nothing is verified.
    pub fn read(fields: HeaderFields<'a>) -> Result<Self, MessageError> {
        Ok(Self { fields, input: parse::input(fields.signature_input)? })
    }

    /// The id of the key that is said to have signed.
    pub fn key_id(&self) -> &'a str {
        self.input.key_id
    }

    /// Verifies the request against `key`, which the caller's registry has under `id`; see
    /// [`verify`] for `max_age`. Returns the digest of the body, if there is one.
    pub fn verify(
        &self,
        parts: &RequestParts<'_>,
        id: &Sha256Digest,
        key: &PublicKey,
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Verified<Option<Sha256Digest>>, MessageError> {
        self.pending(parts, id, key.clone(), now, max_age)?.verify()
    }

    /// Checks everything but the signature itself, which is left to do: alone, or with those of
    /// other requests ([`verify_together`](super::verify_together)).
    pub fn pending(
        &self,
        parts: &RequestParts<'_>,
        id: &Sha256Digest,
        key: PublicKey,
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Pending, MessageError> {
        let claimed = Sha256Digest::from_hex(self.key_id());
        if claimed.as_ref() != Ok(id) {
            return Err(self.another_key((*id).into()));
        }
        self.check(parts, key, now, max_age)
    }

    fn another_key(&self, expected: KeyId) -> MessageError {
        // Reading it made sure that it is one.
        let found = KeyId::new(self.key_id()).unwrap_or_else(|_| expected.clone());
        MessageError::Key { found, expected }
    }

    fn check(
        &self,
        parts: &RequestParts<'_>,
        key: PublicKey,
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Pending, MessageError> {
        if key.scheme() != KeyScheme::Ed25519 {
            return Err(MessageError::KeyType);
        }
        check_age(&self.input, now, max_age)?;
        // The digest in the header must be exactly the one we compute, over the bytes as received.
        let body = (!parts.body.is_empty()).then(|| Sha256Digest::of(parts.body));
        let field = self.fields.content_digest.map(str::trim);
        let same = match (field, &body) {
            (Some(field), Some(body)) => is_content_digest(field, body),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            return Err(MessageError::ContentDigest);
        }
        let components = Components::of(parts, field)?;
        if self.input.covered != components.covered() {
            let found = self.input.covered.to_owned();
            let expected = components.covered().to_owned();
            return Err(MessageError::Components { found, expected });
        }
        let base = components.base(self.input.params_text);
        let signature = parse::signature(self.fields.signature)?;
        Ok(Pending { key, base, signature, body })
    }
}

/// The key id a request claims, to look the key up. Nothing is verified.
pub fn key_id(signature_input: &str) -> Result<KeyId, MessageError> {
    Ok(parse::input(signature_input)?.params()?.key_id)
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
    let claim = Claim::read(headers.fields())?;
    if key.scheme() != KeyScheme::Ed25519 {
        return Err(MessageError::KeyType);
    }
    let expected = key.key_id();
    if claim.key_id() != expected.as_str() {
        return Err(claim.another_key(expected));
    }
    claim.check(parts, key.clone(), now, max_age)?.verify()?;
    Ok(Verified::new(claim.input.params()?))
}

fn check_age(input: &Input<'_>, now: Timestamp, max_age: Duration) -> Result<(), MessageError> {
    let created = input.created;
    let age = now.duration_since(created);
    if age < -SignedDuration::try_from(MAX_CLOCK_SKEW).unwrap_or(SignedDuration::ZERO) {
        return Err(MessageError::NotYet { created, now });
    }
    let too_old = age.is_positive() && age.unsigned_abs() > max_age;
    let expired = max_age <= MAX_LIFETIME && now > input.expires;
    if too_old || expired {
        return Err(MessageError::TooOld { created, now });
    }
    Ok(())
}
