//! Signed HTTP requests: RFC 9421 with ed25519 and RFC 9530 `Content-Digest`, one fixed profile.
//!
//! Label `fairway`, tag `fairway-v1`. Covered, in this order: `@method`, `@path`, `@query`, then
//! `content-digest` if there is a body, then `content-type` if there is one. Parameters: exactly
//! `created`, `expires` (at most five minutes later), `nonce`, `keyid`, `alg="ed25519"` and
//! `tag`. Anything else is refused. `@authority` is not covered, so that a courier may hand a
//! request to another host; replay is the caller's to catch, by a sequence number in the body.
//!
//! This module never decides which key belongs to whom: the caller looks the key up by
//! [`key_id`] in its own registry, and the key's type comes from there too.

mod base;
mod parse;
mod sign;
mod together;
mod verify;

pub use sign::sign;
pub use together::{Pending, Together, verify_together};
pub use verify::{Claim, HeaderFields, key_id, verify};

use crate::key::{KeyError, KeyId};
use jiff::Timestamp;
use std::time::Duration;

/// The signature's label in both header fields.
pub const LABEL: &str = "fairway";
/// The application tag that keeps these signatures apart from any other use of the key.
pub const TAG: &str = "fairway-v1";
/// Longest life of a signature: `expires` minus `created`.
pub const MAX_LIFETIME: Duration = Duration::from_mins(5);
/// How far ahead of ours a signer's clock may be.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_mins(1);

/// What a signature covers. All parts as they are on the wire, undecoded.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// `GET`, `POST` …, in upper case.
    pub method: &'a str,
    /// The path, percent-encoded, beginning with `/`.
    pub path: &'a str,
    /// The query without its `?`; empty if there is none.
    pub query: &'a str,
    /// The `Content-Type` field, if there is one.
    pub content_type: Option<&'a str>,
    /// The body as received, before any decompression; empty if there is none.
    pub body: &'a [u8],
}

/// The three header fields of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// `Content-Digest`; none for a request without a body.
    pub content_digest: Option<String>,
    /// `Signature-Input`.
    pub signature_input: String,
    /// `Signature`.
    pub signature: String,
}

/// The parameters of a verified signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureParams {
    /// When it was made, by the signer's clock; whole seconds.
    pub created: Timestamp,
    /// Until when it is good; whole seconds.
    pub expires: Timestamp,
    /// The signer's random text.
    pub nonce: String,
    /// The key that signed.
    pub key_id: KeyId,
}

/// A request that cannot be signed, or whose signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// A part of the request that cannot be put into a signature base.
    #[error("{part} cannot be signed: it holds control or non-ASCII characters")]
    Unsignable {
        /// Which part.
        part: &'static str,
    },
    /// A nonce that is not 1 to 128 characters of printable ASCII without `"` and `\`.
    #[error("not a nonce: {found:?}")]
    Nonce {
        /// What was given.
        found: String,
    },
    /// A time outside the range of the calendar.
    #[error("signature time is out of range")]
    Time,
    /// A header field outside the profile.
    #[error("{field} does not follow the profile: {reason}")]
    Profile {
        /// Which header field.
        field: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The signature covers other parts than the profile wants for this request.
    #[error("signature covers {found:?}, expected {expected:?}")]
    Components {
        /// Components covered.
        found: String,
        /// Components the profile wants.
        expected: String,
    },
    /// The body is not the one that was signed.
    #[error("the body does not match Content-Digest")]
    ContentDigest,
    /// The signature names another key than the one given.
    #[error("signed with key {found}, expected {expected}")]
    Key {
        /// Key id in the signature.
        found: KeyId,
        /// Key id of the key given.
        expected: KeyId,
    },
    /// The key given is not ed25519.
    #[error("message signatures need an ed25519 key")]
    KeyType,
    /// `created` is in the future by more than the clock skew allows.
    #[error("signature was created at {created}, it is {now}")]
    NotYet {
        /// Signed time.
        created: Timestamp,
        /// Our time.
        now: Timestamp,
    },
    /// The signature is older than the caller accepts, or past its `expires`.
    #[error("signature was created at {created} and is too old at {now}")]
    TooOld {
        /// Signed time.
        created: Timestamp,
        /// Our time.
        now: Timestamp,
    },
    /// The signature does not verify.
    #[error("bad signature")]
    Signature(#[source] KeyError),
}

#[cfg(test)]
mod tests;
