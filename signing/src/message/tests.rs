//! The published test vector, the profile, and every way a request can be altered.

use super::base::signature_base;
use super::*;
use crate::SecretKey;
use base64::Engine as _;
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_mins(1);

fn key() -> SecretKey {
    SecretKey::from_seed([5; 32])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn post() -> RequestParts<'static> {
    RequestParts {
        method: "POST",
        path: "/api/v1/reports",
        query: "a=b",
        content_type: Some("application/json"),
        body: b"{}",
    }
}

fn get() -> RequestParts<'static> {
    RequestParts { method: "GET", path: "/x", query: "", content_type: None, body: b"" }
}

fn signed(parts: &RequestParts<'_>) -> SignedHeaders {
    sign(parts, &key(), at(0), "n-1").unwrap()
}

fn check(parts: &RequestParts<'_>, headers: &SignedHeaders) -> Result<(), MessageError> {
    verify(parts, headers, key().public(), at(10), MINUTE).map(|_| ())
}

/// RFC 9421, appendix B.2.6, with the key of appendix B.1.4.
#[test]
fn rfc_9421_b_2_6_is_reproduced_bit_for_bit() {
    let base64 = base64::engine::general_purpose::STANDARD;
    let pkcs8 = base64.decode("MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF");
    let seed: [u8; 32] = pkcs8.unwrap()[16..].try_into().unwrap();
    let components = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ];
    let params = "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \
                  \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"";
    let components = components.map(|(name, value)| (name, ["", value]));
    let base = signature_base(components, params);
    let expected = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQ\
                    v5lIp5WPpBKRCw==";
    assert_eq!(base64.encode(SecretKey::from_seed(seed).sign(base.as_bytes())), expected);
}

#[test]
fn signed_requests_verify_and_name_their_key() {
    for parts in [post(), get()] {
        let headers = signed(&parts);
        assert_eq!(key_id(&headers.signature_input).unwrap(), key().public().key_id());
        let params = verify(&parts, &headers, key().public(), at(10), MINUTE).unwrap();
        assert_eq!((params.nonce.as_str(), params.created), ("n-1", at(0)));
        assert_eq!(params.expires, at(300));
    }
    assert_eq!(signed(&get()).content_digest, None);
}

#[test]
fn the_profile_is_what_the_documentation_says() {
    let id = key().public().key_id();
    let expected = format!(
        "fairway=(\"@method\" \"@path\" \"@query\" \"content-digest\" \"content-type\")\
         ;created=1800000000;expires=1800000300;nonce=\"n-1\";keyid=\"{id}\";alg=\"ed25519\"\
         ;tag=\"fairway-v1\""
    );
    assert_eq!(signed(&post()).signature_input, expected);
}

#[test]
fn every_altered_part_is_refused() {
    let headers = signed(&post());
    let bad_signature = |parts: RequestParts<'_>| {
        let error = check(&parts, &headers).unwrap_err();
        assert!(matches!(error, MessageError::Signature(_)), "{error}");
    };
    bad_signature(RequestParts { method: "PUT", ..post() });
    bad_signature(RequestParts { path: "/api/v1/report", ..post() });
    bad_signature(RequestParts { query: "a=c", ..post() });
    bad_signature(RequestParts { content_type: Some("text/plain"), ..post() });
    let other_body = RequestParts { body: b"{} ", ..post() };
    assert_eq!(check(&other_body, &headers).unwrap_err(), MessageError::ContentDigest);
}

#[test]
fn body_and_type_cannot_be_stripped_or_added() {
    let headers = signed(&post());
    let no_type = RequestParts { content_type: None, ..post() };
    assert!(matches!(check(&no_type, &headers), Err(MessageError::Components { .. })));
    let no_body = RequestParts { body: b"", ..post() };
    assert_eq!(check(&no_body, &headers), Err(MessageError::ContentDigest));
    let no_digest = SignedHeaders { content_digest: None, ..headers };
    assert_eq!(check(&post(), &no_digest), Err(MessageError::ContentDigest));
    assert!(matches!(check(&no_body, &no_digest), Err(MessageError::Components { .. })));
    let added = RequestParts { body: b"x", ..get() };
    assert_eq!(check(&added, &signed(&get())), Err(MessageError::ContentDigest));
}

#[test]
fn another_key_is_refused_by_name() {
    let other = SecretKey::from_seed([6; 32]);
    let error = verify(&post(), &signed(&post()), other.public(), at(10), MINUTE).unwrap_err();
    assert!(matches!(error, MessageError::Key { .. }), "{error}");
}

/// A hub finds keys by the digest that is their id, and keeps the digest of the body.
#[test]
fn a_claim_is_verified_with_the_key_of_a_registry_and_names_the_body() {
    let headers = signed(&post());
    let claim = Claim::read(headers.fields()).unwrap();
    let id = crate::Sha256Digest::from_hex(claim.key_id()).unwrap();
    let verify = |id, secret: &SecretKey| {
        let result = claim.verify(&post(), id, secret.public(), at(10), MINUTE);
        result.map(crate::Verified::into_inner)
    };
    assert_eq!(verify(&id, &key()), Ok(Some(crate::Sha256Digest::of(b"{}"))));
    let other = SecretKey::from_seed([6; 32]);
    assert!(matches!(verify(&id, &other), Err(MessageError::Signature(_))));
    let other_id = crate::Sha256Digest::of(b"another key");
    assert!(matches!(verify(&other_id, &key()), Err(MessageError::Key { .. })));
}

#[test]
fn old_expired_and_future_signatures_are_refused() {
    let headers = signed(&get());
    let check = |now, max_age| verify(&get(), &headers, key().public(), now, max_age).map(|_| ());
    assert_eq!(check(at(60), MINUTE), Ok(()));
    assert!(matches!(check(at(61), MINUTE), Err(MessageError::TooOld { .. })));
    assert!(matches!(check(at(301), MAX_LIFETIME), Err(MessageError::TooOld { .. })));
    assert_eq!(check(at(-60), MINUTE), Ok(()));
    assert!(matches!(check(at(-61), MINUTE), Err(MessageError::NotYet { .. })));
    let a_week = Duration::from_hours(168);
    assert_eq!(check(at(100_000), a_week), Ok(()));
    assert!(matches!(check(at(700_000), a_week), Err(MessageError::TooOld { .. })));
}

/// Signs a hand-written `Signature-Input`, so that only the profile can object.
fn with_input(edit: impl Fn(String) -> String) -> SignedHeaders {
    let params = edit(signed(&get()).signature_input.replacen("fairway=", "", 1));
    let components = [("@method", ["", "GET"]), ("@path", ["", "/x"]), ("@query", ["?", ""])];
    let base = signature_base(components, &params);
    let signature = base64::engine::general_purpose::STANDARD.encode(key().sign(base.as_bytes()));
    SignedHeaders {
        content_digest: None,
        signature_input: format!("fairway={params}"),
        signature: format!("fairway=:{signature}:"),
    }
}

#[test]
fn well_signed_requests_outside_the_profile_are_refused() {
    assert_eq!(check(&get(), &with_input(|params| params)), Ok(()));
    for (from, to) in [
        (";tag=\"fairway-v1\"", ""),
        ("fairway-v1", "fairway-v2"),
        (";tag=", ";tag=\"fairway-v1\";tag="),
        ("alg=\"ed25519\"", "alg=\"hmac-sha256\""),
        ("created=1800000000", "created=+1800000000"),
        ("created=1800000000", "created=01800000000"),
        ("created=1800000000", "created=1799999999"),
        ("expires=1800000300", "expires=1799999000"),
        ("expires=1800000300", "expires=1799999999"),
        ("expires=1800000300", "expires=1800000301"),
        ("nonce=\"n-1\"", "nonce=\"\""),
        ("nonce=\"n-1\"", "nonce=n-1"),
        (";alg", ";bogus=1;alg"),
    ] {
        let headers = with_input(|params| {
            assert!(params.contains(from), "{from}");
            params.replacen(from, to, 1)
        });
        let error = check(&get(), &headers).unwrap_err();
        assert!(
            matches!(error, MessageError::Profile { .. } | MessageError::Nonce { .. }),
            "{to}: {error}"
        );
    }
    let fewer = with_input(|params| params.replacen(" \"@query\"", "", 1));
    assert!(matches!(check(&get(), &fewer), Err(MessageError::Components { .. })));
}

#[test]
fn signature_ends_with_its_own_expiry_although_it_is_young() {
    let short = with_input(|params| params.replacen("expires=1800000300", "expires=1800000100", 1));
    let check = |now, age| verify(&get(), &short, key().public(), now, age).map(|_| ());
    assert_eq!(check(at(100), MAX_LIFETIME), Ok(()));
    assert!(matches!(check(at(101), MAX_LIFETIME), Err(MessageError::TooOld { .. })));
    // Carried by hand, it counts from its making.
    let hand = MAX_LIFETIME + Duration::from_secs(1);
    assert_eq!(check(at(101), hand), Ok(()));
    assert_eq!(check(at(301), hand), Ok(()));
    assert!(matches!(check(at(302), hand), Err(MessageError::TooOld { .. })));
}

#[test]
fn header_fields_are_read_up_to_their_limit_and_no_further() {
    let reason = |error: MessageError| {
        let MessageError::Profile { reason, .. } = error else { panic!("{error}") };
        reason
    };
    let too_long = "too long";
    let text = |length| "x".repeat(length);
    assert_ne!(reason(super::parse::input(&text(1024)).unwrap_err()), too_long);
    assert_eq!(reason(super::parse::input(&text(1025)).unwrap_err()), too_long);
    assert_ne!(reason(super::parse::signature(&text(1024)).unwrap_err()), too_long);
    assert_eq!(reason(super::parse::signature(&text(1025)).unwrap_err()), too_long);
    // The longest of everything still fits.
    let headers = sign(&post(), &key(), at(0), &"n".repeat(128)).unwrap();
    assert!(headers.signature_input.len() <= 1024);
    assert_eq!(check(&post(), &headers), Ok(()));
    assert_eq!(super::parse::signature("fairway=:AAEC:"), Ok(vec![0, 1, 2]));
    for bad in
        ["fairway=:AAE:", "fairway=:AA EC:", "fairway=AAEC", "other=:AAEC:", "fairway=:AAF=:"]
    {
        assert!(super::parse::signature(bad).is_err(), "{bad}");
    }
}

#[test]
fn key_of_another_scheme_is_refused_whatever_the_message_says() {
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    let rng = ring::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &rng).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &rng).unwrap();
    let mut spki = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    spki.extend_from_slice(pair.public_key().as_ref());
    let body = base64::engine::general_purpose::STANDARD.encode(spki);
    let (first, second) = body.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n");
    let public = crate::PublicKey::from_spki_pem(&pem).unwrap();
    let ids = (key().public().key_id().to_string(), public.key_id().to_string());
    let headers = with_input(|params| params.replacen(&ids.0, &ids.1, 1));
    let result = verify(&get(), &headers, &public, at(10), MINUTE).map(|_| ());
    assert_eq!(result, Err(MessageError::KeyType));
}

#[test]
fn another_label_is_refused() {
    let mut headers = signed(&get());
    headers.signature_input = headers.signature_input.replacen("fairway=", "sig1=", 1);
    assert!(matches!(check(&get(), &headers), Err(MessageError::Profile { .. })));
}

#[test]
fn requests_that_could_forge_a_base_line_are_not_signed() {
    let split = RequestParts { path: "/x\n\"@query\": ?admin", ..get() };
    let error = sign(&split, &key(), at(0), "n").unwrap_err();
    assert_eq!(error, MessageError::Unsignable { part: "@path" });
    for nonce in ["", "a\"b", "a\\b", "a b", "a\n", &"n".repeat(129)] {
        assert!(matches!(sign(&get(), &key(), at(0), nonce), Err(MessageError::Nonce { .. })));
    }
}

proptest! {
    #[test]
    fn any_header_text_is_answered_without_panic(input in "[ -~]{0,80}", signature in "[ -~]{0,40}") {
        let headers = SignedHeaders {
            content_digest: None,
            signature_input: format!("fairway=({input}"),
            signature,
        };
        prop_assert!(check(&get(), &headers).is_err());
    }

    #[test]
    fn any_request_round_trips(path in "/[!-~]{0,20}", query in "[!-~]{0,20}", body in any::<Vec<u8>>()) {
        let parts = RequestParts { path: &path, query: &query, body: &body, ..post() };
        prop_assert_eq!(check(&parts, &signed(&parts)), Ok(()));
    }
}
