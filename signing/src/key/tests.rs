//! Every scheme verifies its own signatures and nothing else.

use super::*;
use base64::Engine as _;
use proptest::prelude::*;
use serde_json::json;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// A P-256 key pair made by ring, and its public half as SPKI PEM.
fn p256() -> (ring::signature::EcdsaKeyPair, PublicKey) {
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
    (pair, PublicKey::from_spki_pem(&pem).unwrap())
}

#[test]
fn ed25519_signature_verifies_only_with_its_key_and_message() {
    let signature = key(1).sign(b"message");
    assert!(key(1).public().verify(b"message", &signature).is_ok());
    assert!(key(1).public().verify(b"other", &signature).is_err());
    assert!(key(2).public().verify(b"message", &signature).is_err());
    assert!(key(1).public().verify(b"message", &signature[..63]).is_err());
    assert!(key(1).public().verify(b"message", b"").is_err());
}

#[test]
fn p256_signature_verifies_only_with_its_key_and_message() {
    let (pair, public) = p256();
    let rng = ring::rand::SystemRandom::new();
    let signature = pair.sign(&rng, b"message").unwrap();
    assert!(public.verify(b"message", signature.as_ref()).is_ok());
    assert!(public.verify(b"other", signature.as_ref()).is_err());
    assert!(p256().1.verify(b"message", signature.as_ref()).is_err());
    let again = PublicKey::from_tuf_json(&public.to_tuf_json()).unwrap();
    assert_eq!((again.key_id(), again.scheme()), (public.key_id(), KeyScheme::EcdsaP256));
}

#[test]
fn low_order_ed25519_keys_are_refused() {
    // The identity, and the eight-torsion point of order two: any signature could fit.
    for hex in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let mut bytes = [0; 32];
        hex::decode_to_slice(hex, &mut bytes).unwrap();
        assert!(PublicKey::ed25519(&bytes).is_err(), "{hex}");
    }
}

#[test]
fn signature_that_only_a_lax_verifier_accepts_is_refused() {
    // R is the identity and s = H(R, A, M)·a, made by the holder of the key: the plain equation
    // holds, but the signature proves nothing about how it was made.
    let hex = "0100000000000000000000000000000000000000000000000000000000000000\
               95c0fdcc54fccad1f2b8bc9b96aa6837c82f86349e6576ad29ca3ece7b7ea905";
    let bytes = hex::decode(hex).unwrap();
    let key = key(1).public().clone();
    let lax = ed25519_dalek::VerifyingKey::from_bytes(key.value().1.try_into().unwrap()).unwrap();
    let signature = ed25519_dalek::Signature::from_slice(&bytes).unwrap();
    assert!(ed25519_dalek::Verifier::verify(&lax, b"message", &signature).is_ok());
    assert!(key.verify(b"message", &bytes).is_err());
}

#[test]
fn key_id_is_the_hash_of_the_canonical_key() {
    let public = key(1).public().clone();
    let canonical = format!(
        r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#,
        hex::encode(public.value().1)
    );
    assert_eq!(public.key_id().as_str(), crate::Sha256Digest::of(canonical.as_bytes()).hex());
}

#[test]
fn spki_pem_round_trips() {
    let public = key(7).public().clone();
    assert_eq!(PublicKey::from_spki_pem(&public.to_spki_pem()).unwrap(), public);
}

#[test]
fn keys_of_other_kinds_are_named_as_unsupported() {
    let other = json!({"keytype": "x", "scheme": "y", "keyval": {"public": ""}});
    let expected = KeyError::Unsupported { keytype: "x".to_owned(), scheme: "y".to_owned() };
    assert_eq!(PublicKey::from_tuf_json(&other).unwrap_err(), expected);
}

#[test]
fn pem_of_another_scheme_than_the_key_says_is_refused() {
    let (_, public) = p256();
    let mut json = public.to_tuf_json();
    json["keytype"] = "rsa".into();
    json["scheme"] = "rsassa-pss-sha256".into();
    assert!(PublicKey::from_tuf_json(&json).is_err());
}

#[test]
fn secret_key_is_not_printed() {
    let text = format!("{:?}", key(3));
    assert!(!text.contains("0303"), "{text}");
    assert!(text.contains(key(3).public().key_id().as_str()));
}

#[test]
fn generated_keys_differ() {
    let (a, b) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    assert_ne!(a.public(), b.public());
}

proptest! {
    #[test]
    fn any_pem_text_is_answered_without_panic(text in "[ -~\n]{0,80}") {
        let _ = PublicKey::from_spki_pem(&text);
    }
}
