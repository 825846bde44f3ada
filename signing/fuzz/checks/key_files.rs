//! Key files: private keys as PEM, public keys as PEM and as TUF objects.

use signing::keyfile::{MaxCost, from_pem_within, from_plain_pem, to_plain_pem};
use signing::{PublicKey, json};

/// So little that a derivation takes microseconds: the bound is what is tested, not the wait.
const TINY: MaxCost = MaxCost { scrypt_bytes: 16 * 1024, scrypt_work: 128, pbkdf2_iterations: 16 };

/// The passphrase of all seeds.
pub(crate) const PASSPHRASE: &[u8] = b"passphrase";

/// Any bytes.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for secret in [from_plain_pem(text), from_pem_within(text, PASSPHRASE, TINY)] {
        let Ok(secret) = secret else { continue };
        let pem = to_plain_pem(&secret).expect("a key that was read can be written");
        let again = from_plain_pem(&pem).expect("a key that was written can be read");
        assert_eq!(again.public(), secret.public());
        let signature = secret.sign(b"message");
        assert!(secret.public().verify(b"message", &signature).is_ok());
    }
    if let Ok(public) = PublicKey::from_spki_pem(text) {
        let again = PublicKey::from_spki_pem(&public.to_spki_pem()).expect("its own PEM");
        assert_eq!((again.key_id(), &again), (public.key_id(), &public));
        round_trip(&public);
    }
    if let Some(public) = json::parse(bytes).ok().and_then(|v| PublicKey::from_tuf_json(&v).ok()) {
        round_trip(&public);
    }
}

fn round_trip(public: &PublicKey) {
    let again = PublicKey::from_tuf_json(&public.to_tuf_json()).expect("its own TUF object");
    assert_eq!((again.key_id(), &again), (public.key_id(), public));
    assert!(public.verify(b"message", &[0; 64]).is_err(), "a key that accepts anything");
}
