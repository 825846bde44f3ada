//! ID tokens that are believed, and every way in which one is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};

use super::id_token::{Claims, Expected, IdTokenError, verify};
use super::keys::KeySet;

const NOW: i64 = 1_790_000_000;
const EXPECTED: Expected<'static> =
    Expected { issuer: "https://id.example", client_id: "hub", nonce: "n-1" };

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ed25519(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// The provider's keys: `a` and `b`, both Ed25519.
fn keys() -> KeySet {
    let jwk = |kid: &str, seed: u8| {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig",
                "x": base64url(ed25519(seed).public_key()) })
    };
    let rsa = json!({ "kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB", "x5c": ["…"] });
    serde_json::from_value(json!({ "keys": [jwk("a", 1), rsa, jwk("b", 2)] })).unwrap()
}

fn claims() -> Value {
    json!({ "iss": "https://id.example", "aud": "hub", "sub": "mira", "nonce": "n-1",
            "iat": NOW - 5, "exp": NOW + 300 })
}

/// The claims of [`claims`], with one of them set, or taken away by null.
fn with(name: &str, value: Value) -> Value {
    let mut all = claims();
    let map = all.as_object_mut().unwrap();
    if value.is_null() {
        map.remove(name)
    } else {
        map.insert(name.to_owned(), value)
    };
    all
}

fn signed(header: &Value, claims: &Value, seed: u8) -> String {
    let text = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let signature = ed25519(seed).sign(text.as_bytes());
    format!("{text}.{}", base64url(signature))
}

fn check(token: &str) -> Result<Claims, IdTokenError> {
    verify(token, &keys(), EXPECTED, Timestamp::from_second(NOW).unwrap())
}

/// Of a token that is signed as it should be.
fn of(claims: &Value) -> Result<Claims, IdTokenError> {
    check(&signed(&json!({ "alg": "EdDSA", "kid": "a" }), claims, 1))
}

#[test]
fn a_token_of_the_provider_for_this_hub_and_sign_in_is_believed() {
    assert_eq!(of(&claims()).unwrap().0["sub"], "mira");
    for claims in [
        with("aud", json!(["hub"])),
        with("azp", json!("hub")),
        with("exp", json!(NOW - 59)),
        with("iat", json!(NOW + 59)),
        with("exp", json!(1_790_000_300.5)),
    ] {
        assert!(of(&claims).is_ok(), "{claims}");
    }
    let several = json!({ "iss": "https://id.example", "aud": ["other", "hub"], "azp": "hub",
        "sub": "mira", "nonce": "n-1", "iat": NOW, "exp": NOW + 300 });
    assert!(of(&several).is_ok());
}

#[test]
fn what_a_token_says_wrong_is_named() {
    use IdTokenError::{Audience, Expired, FromFuture, Issuer, Missing, Nonce};
    for (claims, error) in [
        (with("iss", json!("https://id.example/")), Issuer),
        (with("iss", Value::Null), Missing("iss")),
        (with("aud", json!("other")), Audience),
        (with("aud", json!(["hub", "other"])), Audience),
        (with("azp", json!("other")), Audience),
        (with("aud", Value::Null), Missing("aud")),
        (with("exp", json!(NOW - 60)), Expired),
        (with("exp", json!("soon")), Missing("exp")),
        (with("iat", json!(NOW + 61)), FromFuture),
        (with("iat", Value::Null), Missing("iat")),
        (with("sub", json!("")), Missing("sub")),
        (with("nonce", json!("n-2")), Nonce),
        (with("nonce", Value::Null), Missing("nonce")),
    ] {
        assert_eq!(of(&claims), Err(error), "{claims}");
    }
}

#[test]
fn only_the_key_that_is_named_and_published_signs() {
    let header = |kid: &str| json!({ "alg": "EdDSA", "kid": kid });
    assert!(check(&signed(&header("b"), &claims(), 2)).is_ok());
    assert_eq!(check(&signed(&header("b"), &claims(), 1)), Err(IdTokenError::Signature));
    assert_eq!(check(&signed(&header("c"), &claims(), 1)), Err(IdTokenError::UnknownKey));
    let unnamed = json!({ "alg": "EdDSA" });
    let two = check(&signed(&unnamed, &claims(), 1));
    assert_eq!(two, Err(IdTokenError::UnknownKey), "which of the two is for nobody to guess");
    let altered = signed(&header("a"), &claims(), 1);
    let (head, rest) = altered.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let forged = base64url(with("sub", json!("boss")).to_string());
    assert_eq!(check(&format!("{head}.{forged}.{signature}")), Err(IdTokenError::Signature));
}

#[test]
fn algorithms_without_a_key_pair_are_refused_by_name() {
    for alg in ["none", "HS256", "RS1", "ES384", ""] {
        let token = signed(&json!({ "alg": alg, "kid": "a" }), &claims(), 1);
        assert_eq!(check(&token), Err(IdTokenError::Algorithm(alg.to_owned())), "{alg}");
    }
    let other_kind = signed(&json!({ "alg": "RS256", "kid": "a" }), &claims(), 1);
    assert_eq!(check(&other_kind), Err(IdTokenError::UnknownKey), "a key signs as its kind does");
    let short = signed(&json!({ "alg": "RS256", "kid": "r" }), &claims(), 1);
    assert_eq!(check(&short), Err(IdTokenError::Signature));
    let critical = json!({ "alg": "EdDSA", "kid": "a", "crit": ["b64"], "b64": false });
    assert_eq!(check(&signed(&critical, &claims(), 1)), Err(IdTokenError::Form));
}

#[test]
fn what_is_no_token_is_refused_without_looking_further() {
    for text in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "é.é.é", &"a".repeat(70_000)] {
        assert_eq!(check(text), Err(IdTokenError::Form), "{text:.20}");
    }
}

#[test]
fn elliptic_curves_sign_as_well() {
    let random = SystemRandom::new();
    let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(how, pkcs8.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
    let keys: KeySet = serde_json::from_value(
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": x, "y": y }] }),
    )
    .unwrap();
    let header = base64url(json!({ "alg": "ES256" }).to_string());
    let text = format!("{header}.{}", base64url(claims().to_string()));
    let signature = pair.sign(&random, text.as_bytes()).unwrap();
    let now = Timestamp::from_second(NOW).unwrap();
    let token = format!("{text}.{}", base64url(signature.as_ref()));
    assert!(verify(&token, &keys, EXPECTED, now).is_ok());
    let wrong = format!("{text}.{}", base64url([0; 64]));
    assert_eq!(verify(&wrong, &keys, EXPECTED, now), Err(IdTokenError::Signature));
}
