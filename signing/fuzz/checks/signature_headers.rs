//! Signed requests: whatever the headers say, only what the key signed is accepted.

use jiff::Timestamp;
use signing::SecretKey;
use signing::message::{MAX_CLOCK_SKEW, MAX_LIFETIME, RequestParts, SignedHeaders, key_id, verify};
use std::time::Duration;

/// The key of all seeds.
pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed([5; 32])
}

/// When all seeds were signed.
pub(crate) fn created() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

/// Lines: `Signature-Input`, `Signature`, `Content-Digest`, `Content-Type`, method, path, query;
/// everything behind them is the body. An empty header line is an absent header.
pub(crate) fn check(bytes: &[u8]) {
    let mut parts = bytes.splitn(8, |byte| *byte == b'\n');
    let mut line = || parts.next().and_then(|line| std::str::from_utf8(line).ok());
    let (Some(input), Some(signature), Some(digest), Some(kind)) = (line(), line(), line(), line())
    else {
        let _ = std::str::from_utf8(bytes).map(key_id);
        return;
    };
    let (Some(method), Some(path), Some(query)) = (line(), line(), line()) else { return };
    let body = parts.next().unwrap_or_default();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let headers = SignedHeaders {
        content_digest: some(digest),
        signature_input: input.to_owned(),
        signature: signature.to_owned(),
    };
    let content_type = some(kind);
    let request = RequestParts { method, path, query, content_type: content_type.as_deref(), body };

    let key = key();
    let now = created();
    for max_age in [MAX_LIFETIME, Duration::from_hours(24 * 365)] {
        let Ok(params) = verify(&request, &headers, key.public(), now, max_age) else { continue };
        assert_eq!(params.key_id, key.public().key_id());
        assert_eq!(key_id(input).as_ref(), Ok(&params.key_id));
        let ahead = params.created.duration_since(now);
        assert!(!ahead.is_positive() || ahead.unsigned_abs() <= MAX_CLOCK_SKEW);
        assert!(params.expires.duration_since(params.created).unsigned_abs() <= MAX_LIFETIME);
        // Ed25519 signs one message in one way: another signature for the same parts is a forgery.
        let signed = signing::message::sign(&request, &key, params.created, &params.nonce)
            .expect("verified, so it can be signed");
        assert_eq!(signed.signature.trim(), headers.signature.trim(), "two signatures verify");
        assert_eq!(signed.signature_input.trim(), headers.signature_input.trim());
        assert_eq!(
            signed.content_digest.as_deref(),
            headers.content_digest.as_deref().map(str::trim)
        );
    }
}
