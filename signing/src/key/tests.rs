//! Every scheme verifies its own signatures and nothing else.

use super::*;
use base64::Engine as _;
use ed25519_dalek::pkcs8::spki::der;
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
fn line_breaks_of_a_pem_are_no_part_of_the_key_id_but_what_metadata_says_is_kept() {
    let (_, public) = p256();
    let pem = public.to_spki_pem();
    let windows = pem.replace('\n', "\r\n");
    assert_eq!(PublicKey::from_spki_pem(&windows).unwrap().key_id(), public.key_id());
    let mut json = public.to_tuf_json();
    json["keyval"]["public"] = windows.clone().into();
    let read = PublicKey::from_tuf_json(&json).unwrap();
    assert_eq!((read.to_tuf_json(), &read), (json, &public));
    assert_ne!(read.key_id(), public.key_id());
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

/// Made for this test alone by `openssl genpkey`.
const RSA: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvzQwKyqBydFstx2tY8eg\n\
zHIBisXzqiaTT2MgwN1ljRRcPAkW6dNcdswZU082h06FjZaIlkf2DheXjr6uTxOu\n\
5G2TS8UCX1GYu03lh+mdxTJHhycVRgWFzwxm4WY4TMPyhBcHBvrH/WQMRDxYTZHy\n\
XtL2gdXsH/NfcFMClzGClxtyNV6uhvNvtC7KoX3lJqZnCh2+N+PTmWlYB5iFqUjZ\n\
B5JEXaWgIRkM95WdOyyCPxTNiKceu/4FgT2HxJW0YTNxKjPVzTocWdjQ5eaIdN9E\n\
weRErkZs5ryqgOWv+OFqY+ngkqIhJ3XuEWVBCREm3p/Gp77/kQmSNGk1PSfXsBJ3\n\
oQIDAQAB\n\
-----END PUBLIC KEY-----\n";
/// `openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest` of "message".
const RSA_PSS: &str = "\
    bc23a95a5c5b5449309db027d13000a63373741b48401283f77d168a0bb72ca0c43f9ff32ba970fcbab5fe0a\
    46b0a2fb3305e63931cac22c23c92eda201c8e0cd14558877d698f95c4ae315ce838522018703de016173f23\
    bb3d74a5a177983e742664c64493ddcd7111012bdd6622c56384f555b308c625fbe5c56273ff07cae28af65e\
    4d43bcfd271af1599bc216bea208c67c2eb19a279d7f36794ed4906e98a8d037f287e5ac87faa48149481d6c\
    a1e0df29a84adf858dc7c08e8d9c8750c394676b83b80319c33657e58c358a256f5aded8f2eab3d88188d29d\
    1401f5b1f11951ee5123aecdf2bdb9c2de9ce4428f14969b746ec6cc6bcff61abb8bb9c4";
/// The same without the options: PKCS#1 v1.5.
const RSA_PKCS1: &str = "\
    23c33c0bcf2d1b6f4b2e4f6884fdcfffbbff2b1fe4329dc0249cd9fa0b6431a1ae0576fde853ca9801178049\
    75f21a4986947e5ebf07145c19bad85ee4e7814d3ce435fde9ccf2b4db586540f447589309edcd34cccb43e4\
    fff3a5aaf1afff791111e14469749fa742203e0006427227b2253c4e58a1713b87c24bcb44932e59c98615a9\
    5da376ee1b28278a64c7eaf88ddbf05f2e8296996cb1a82e25a3b8ddaaade0ad71e4b0725b1d2f409d5e0dd2\
    a9814d1b3b4826feb98e3eb2743c52fa81ca67bf7aef7abb9e3b41dff0d0a7ae9d8ead1cacb6969d140bef9d\
    8868800296d86ad615e62ead09572b842d68d60fb606ee302b1dc654f7ffdd52dca227d8";

#[test]
fn rsa_pss_signature_verifies_and_the_older_padding_does_not() {
    let public = PublicKey::from_spki_pem(RSA).unwrap();
    assert_eq!(public.scheme(), KeyScheme::RsaPss);
    let signature = hex::decode(RSA_PSS).unwrap();
    assert!(public.verify(b"message", &signature).is_ok());
    assert!(public.verify(b"Message", &signature).is_err());
    assert!(public.verify(b"message", &hex::decode(RSA_PKCS1).unwrap()).is_err());
    let again = PublicKey::from_tuf_json(&public.to_tuf_json()).unwrap();
    assert_eq!((again.key_id(), again.to_spki_pem()), (public.key_id(), RSA.to_owned()));
    assert_eq!(again, public);
    assert_ne!(again, p256().1);
}

/// Repositories pin keys by the id of the object as they wrote it, so it is written as it was read.
#[test]
fn key_object_is_written_again_as_it_was_read() {
    let mut upper = key(1).public().to_tuf_json();
    upper["keyval"]["public"] = hex::encode_upper(key(1).public().value().1).into();
    let mut older = p256().1.to_tuf_json();
    older["keytype"] = "ecdsa-sha2-nistp256".into();
    for object in [upper, older] {
        let read = PublicKey::from_tuf_json(&object).unwrap();
        assert_eq!(read.to_tuf_json(), object);
        let canonical = crate::cjson::encode(&object).unwrap();
        assert_eq!(read.key_id().as_str(), crate::Sha256Digest::of(&canonical).hex());
    }
}

#[test]
fn p256_point_in_another_form_is_refused() {
    let (_, public) = p256();
    let point = public.value().1.to_vec();
    let hybrid = [&[6], &point[1..]].concat();
    let compressed = [&[2], &point[1..33]].concat();
    for (point, accepted) in [(point, true), (hybrid, false), (compressed, false)] {
        let length = u8::try_from(point.len()).unwrap();
        let mut der = vec![0x30, length + 24];
        der.extend(hex::decode("301306072a8648ce3d020106082a8648ce3d030107").unwrap());
        der.extend([0x03, length + 1, 0]);
        der.extend(&point);
        let pem = der::Document::try_from(der).unwrap();
        let pem = pem.to_pem("PUBLIC KEY", der::pem::LineEnding::LF).unwrap();
        assert_eq!(PublicKey::from_spki_pem(&pem).is_ok(), accepted, "{length}");
    }
}

#[test]
fn printed_key_says_its_scheme_and_its_id() {
    let public = key(1).public().clone();
    assert_eq!(format!("{public:?}"), format!("PublicKey(ed25519 {})", public.key_id()));
}
