//! The header fields of a signed request, which anybody may have written.

use std::time::Duration;

use jiff::Timestamp;
use signing::SecretKey;
use signing::message::{self, MAX_LIFETIME, RequestParts, SignedHeaders};

/// When the request arrives, in seconds since 1970.
const NOW_S: i64 = 1_790_000_000;
/// How old its signature may be, as at the hub.
const WINDOW: Duration = Duration::from_mins(1);
/// The path that it was sent to.
const PATH: &str = "/api/v1/reports";

/// The key that every input is judged by.
pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

/// When it arrives.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(NOW_S).expect("a time")
}

/// The request that the fields belong to.
pub(crate) fn parts<'a>(content_type: &'a str, body: &'a [u8]) -> RequestParts<'a> {
    let content_type = (!content_type.is_empty()).then_some(content_type);
    RequestParts { method: "POST", path: PATH, query: "", content_type, body }
}

/// Five lines: `Content-Digest`, `Signature-Input`, `Signature`, `Content-Type` and the body. Fields
/// of any form have an answer; those that verify name the key, live no longer than they may, and
/// verify for no other body, path or key.
pub(crate) fn check(bytes: &[u8]) {
    let mut lines = bytes.splitn(5, |byte| *byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let (digest, input, signature, content_type) = (next(), next(), next(), next());
    let body = next();
    let texts = [digest, input, signature, content_type].map(str::from_utf8);
    let [Ok(digest), Ok(input), Ok(signature), Ok(content_type)] = texts else { return };
    let claimed = message::key_id(input);
    let headers = SignedHeaders {
        content_digest: (!digest.is_empty()).then(|| digest.to_owned()),
        signature_input: input.to_owned(),
        signature: signature.to_owned(),
    };
    let (key, parts) = (key(), parts(content_type, body));
    let public = key.public();
    let Ok(params) = message::verify(&parts, &headers, public, now(), WINDOW) else { return };
    assert_eq!(claimed.as_ref(), Ok(&params.key_id));
    assert_eq!(params.key_id, public.key_id());
    let life = params.expires.duration_since(params.created);
    assert!(!life.is_negative() && life.unsigned_abs() <= MAX_LIFETIME);
    let other_body = [body, b" "].concat();
    for other in [
        RequestParts { body: &other_body, ..parts },
        RequestParts { path: "/api/v1/enrolments", ..parts },
        RequestParts { method: "PUT", ..parts },
        RequestParts { query: "x", ..parts },
    ] {
        assert!(message::verify(&other, &headers, public, now(), WINDOW).is_err());
    }
    let stranger = SecretKey::from_seed([8; 32]);
    assert!(message::verify(&parts, &headers, stranger.public(), now(), WINDOW).is_err());
}
