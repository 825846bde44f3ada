//! Checking ed25519 signatures together: the equations of all of them, each times a number that
//! nobody could choose, are added up and hold or fail as one. For a crowd that costs less than half
//! of checking one after the other.
//!
//! What the sum lets through and the strict check does not: a signature whose `R` the *holder of the
//! key* displaced by a point of low order, if it is lucky. Nobody else can make one, over no other
//! message (Chalkias, Garillot, Nikolaenko, "Taming the many `EdDSAs`", 2020, §3: keys of low order
//! are refused, so signatures stay unforgeable and bound to key and message). Whether to take that is
//! decided where [`all_good`] is called, and nowhere for metadata.

use super::PublicKey;
use super::low_order::is_plain;
use ed25519_dalek::{Signature, verify_batch};

/// A signature that is to be checked with others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) message: &'a [u8],
    pub(crate) signature: &'a [u8],
}

/// Whether every one of them is good. `false` also for signatures of which strict verifiers and
/// others think differently, and for keys that are not ed25519: look at each alone then.
pub(crate) fn all_good(checks: &[Check<'_>]) -> bool {
    let mut messages = Vec::with_capacity(checks.len());
    let mut signatures = Vec::with_capacity(checks.len());
    let mut keys = Vec::with_capacity(checks.len());
    for check in checks {
        let (Some(key), Ok(signature)) =
            (check.key.as_ed25519(), Signature::from_slice(check.signature))
        else {
            return false;
        };
        if !is_plain(signature.r_bytes()) {
            return false;
        }
        messages.push(check.message);
        signatures.push(signature);
        keys.push(*key);
    }
    verify_batch(&messages, &signatures, &keys).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;
    use proptest::prelude::*;

    const P256: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEcADNVtNw/YLKCKayoVUXdHEC1jh1\n\
        dx9ANsKWhP4LuRgTblKk2wK9be0X5Bj2f+Nrw5nVyhG4MI4Cz7kExr6hhA==\n\
        -----END PUBLIC KEY-----\n";

    /// Message and signature of so many keys.
    fn signed(count: u8) -> Vec<(SecretKey, Vec<u8>, Vec<u8>)> {
        let each = (1..=count).map(|seed| {
            let (key, message) = (SecretKey::from_seed([seed; 32]), vec![seed; seed.into()]);
            let signature = key.sign(&message);
            (key, message, signature)
        });
        each.collect()
    }

    fn good(signed: &[(SecretKey, Vec<u8>, Vec<u8>)]) -> bool {
        let check = |(key, message, signature): &'_ (SecretKey, Vec<u8>, Vec<u8>)| {
            (key.public().clone(), message.clone(), signature.clone())
        };
        let owned: Vec<_> = signed.iter().map(check).collect();
        let checks: Vec<_> = owned
            .iter()
            .map(|(key, message, signature)| Check { key, message, signature })
            .collect();
        all_good(&checks)
    }

    #[test]
    fn signatures_of_many_keys_are_good_together() {
        for count in [0, 1, 2, 7, 120] {
            assert!(good(&signed(count)), "{count}");
        }
    }

    #[test]
    fn two_signatures_that_changed_places_are_not_good() {
        let mut signed = signed(9);
        let last = signed[8].2.clone();
        signed[8].2 = std::mem::replace(&mut signed[2].2, last);
        assert!(!good(&signed));
    }

    #[test]
    fn faults_that_cancel_each_other_are_found() {
        // Without the factors, s + 1 here and s - 1 there would add up to the same sum.
        let mut signed = signed(4);
        signed[0].2[32] = signed[0].2[32].wrapping_add(1);
        signed[1].2[32] = signed[1].2[32].wrapping_sub(1);
        assert!(!good(&signed));
    }

    #[test]
    fn keys_of_other_schemes_and_signatures_of_other_lengths_are_looked_at_alone() {
        let mut signed = signed(3);
        signed[1].2.pop();
        assert!(!good(&signed));
        let (key, message) = (PublicKey::from_spki_pem(P256).unwrap(), b"message");
        assert!(!all_good(&[Check { key: &key, message, signature: &[1; 64] }]));
    }

    proptest! {
        /// One bit anywhere, in any of them, and they are not good together.
        #[test]
        fn a_changed_bit_is_found(
            count in 1..40_u8,
            which: prop::sample::Index,
            at in 0..64_usize,
            bit in 0..8_u8,
            in_message: bool,
        ) {
            let mut signed = signed(count);
            let (_, message, signature) = &mut signed[which.index(count.into())];
            if in_message {
                let at = at % message.len();
                message[at] ^= 1 << bit;
            } else {
                signature[at] ^= 1 << bit;
            }
            prop_assert!(!good(&signed));
        }
    }
}
