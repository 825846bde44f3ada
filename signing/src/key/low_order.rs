//! The points of low order on edwards25519, as a signature's `R` may name them.
//!
//! Strict verification refuses them. Whoever compares the `R` of a signature with one that was
//! computed, and so encoded the one canonical way, needs no curve arithmetic for that: eight
//! encodings are left to compare with, and a signature is checked a fifth faster than by decoding
//! its `R` only to ask this.

/// The canonical encodings (RFC 8032 §5.1.2) of the points whose order divides the cofactor 8.
const LOW_ORDER: [[u8; 32]; 8] = [
    // The identity.
    encoding(1, 0, 0),
    // Of order two.
    encoding(0xec, 0xff, 0x7f),
    // Of order four.
    encoding(0, 0, 0),
    encoding(0, 0, 0x80),
    // Of order eight.
    EIGHT,
    ending_in(EIGHT, 0x85),
    OTHER_EIGHT,
    ending_in(OTHER_EIGHT, 0xfa),
];

const EIGHT: [u8; 32] = [
    0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
    0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
];

const OTHER_EIGHT: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
    0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

/// First byte, those between, last byte.
const fn encoding(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// With another last byte: the sign of `x` is in its highest bit.
const fn ending_in(mut bytes: [u8; 32], last: u8) -> [u8; 32] {
    bytes[31] = last;
    bytes
}

/// Whether this is the canonical encoding of a point of low order.
pub(super) fn is_low_order(encoding: &[u8; 32]) -> bool {
    LOW_ORDER.contains(encoding)
}

/// Whether all verifiers read this encoding alike: it is canonical, and not of a point of low order.
pub(super) fn is_plain(encoding: &[u8; 32]) -> bool {
    let [first, between @ .., last] = encoding;
    let unsigned = last & 0x7f;
    // y < p = 2^255 - 19.
    let canonical = unsigned < 0x7f || *first < 0xed || between.iter().any(|&byte| byte < 0xff);
    let same_y = |low: &[u8; 32]| low[..31] == encoding[..31] && low[31] & 0x7f == unsigned;
    canonical && !LOW_ORDER.iter().any(same_y)
}

#[cfg(test)]
mod tests {
    use super::super::batch::{Check, all_good};
    use super::*;
    use crate::PublicKey;
    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Vectors of the paper on taming the many `EdDSA`s (Chalkias, Garillot, Nikolaenko; SSR 2020):
    /// message, key and signature of which verifiers think differently
    /// (github.com/novifinancial/ed25519-speccheck, Apache-2.0).
    const VECTORS: &str = include_str!("low_order/speccheck.json");

    #[derive(serde::Deserialize)]
    struct Vector {
        message: String,
        pub_key: String,
        signature: String,
    }

    fn dalek(bytes: &[u8]) -> Option<VerifyingKey> {
        VerifyingKey::from_bytes(bytes.try_into().unwrap()).ok()
    }

    #[test]
    fn the_eight_are_distinct_canonical_and_of_low_order() {
        assert_eq!(LOW_ORDER.iter().collect::<BTreeSet<_>>().len(), 8);
        for encoding in &LOW_ORDER {
            assert!(dalek(encoding).unwrap().is_weak(), "{encoding:x?}");
            // y < 2^255 - 19: below the largest, or equal to -1, the largest of all.
            let y = negated_to_positive(*encoding);
            assert!(y[31] < 0x7f || y == LOW_ORDER[1], "{encoding:x?}");
        }
    }

    fn negated_to_positive(mut bytes: [u8; 32]) -> [u8; 32] {
        bytes[31] &= 0x7f;
        bytes
    }

    #[test]
    fn verifiers_differ_on_these_and_ours_is_the_strict_one() {
        let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
        let mut lax = 0;
        for (number, vector) in vectors.iter().enumerate() {
            let decoded = |text: &str| hex::decode(text).unwrap();
            let (message, key) = (decoded(&vector.message), decoded(&vector.pub_key));
            let bytes = decoded(&vector.signature);
            let signature = Signature::from_slice(&bytes).unwrap();
            let theirs = dalek(&key);
            let strict = theirs.is_some_and(|key| key.verify_strict(&message, &signature).is_ok());
            let ours = PublicKey::ed25519(key.as_slice().try_into().unwrap());
            let ours = ours.is_ok_and(|key| key.verify(&message, &bytes).is_ok());
            assert_eq!(ours, strict, "vector {number}");
            lax += usize::from(theirs.is_some_and(|key| key.verify(&message, &signature).is_ok()));
        }
        assert!(lax > 0, "the plain equation accepts some of them");
    }

    /// What the sum of many equations takes and the strict check does not is what this module says of
    /// it: vectors 4 and 5 have a point of low order in key and `R`, made by whoever made the key.
    #[test]
    fn together_only_displaced_points_pass_that_would_not_alone() {
        let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
        let company: Vec<_> = (1..=9).map(|seed| crate::SecretKey::from_seed([seed; 32])).collect();
        let company: Vec<_> = company.iter().map(|key| (key.public(), key.sign(b"good"))).collect();
        let (mut refused, mut read) = (0, 0);
        for (number, vector) in vectors.iter().enumerate() {
            let decoded = |text: &str| hex::decode(text).unwrap();
            let (message, signature) = (decoded(&vector.message), decoded(&vector.signature));
            let key = decoded(&vector.pub_key);
            let Ok(key) = PublicKey::ed25519(key.as_slice().try_into().unwrap()) else { continue };
            let mut checks: Vec<_> = company
                .iter()
                .map(|(key, signature)| Check { key, message: b"good", signature })
                .collect();
            checks.push(Check { key: &key, message: &message, signature: &signature });
            let together = all_good(&checks);
            let alone = key.verify(&message, &signature).is_ok();
            assert!(!together || alone || [4, 5].contains(&number), "vector {number}");
            (read, refused) = (read + 1, refused + usize::from(!together));
        }
        assert!(read > 4 && refused > 2, "{read} keys were read, {refused} refused together");
    }

    #[test]
    fn encodings_that_are_read_differently_are_not_plain() {
        // -19 + p ≤ y < 2^255 names y again; 1 with the sign of x = 0; every point of low order.
        let again =
            (0xed..=0xff).flat_map(|first| [0x7f, 0xff].map(|last| encoding(first, 0xff, last)));
        assert!(again.chain(LOW_ORDER).chain([encoding(1, 0, 0x80)]).all(|odd| !is_plain(&odd)));
        let mut largest = encoding(0xeb, 0xff, 0x7f);
        assert!(is_plain(&largest));
        largest[31] = 0xff;
        assert!(
            is_plain(&largest)
                && is_plain(&encoding(3, 0, 0))
                && is_plain(&encoding(0xff, 0xfe, 0x7f))
        );
    }

    proptest! {
        /// Whatever is changed in a signature, also into a point of low order, ours and the strict
        /// verification of the library agree.
        #[test]
        fn ours_is_the_strict_verification(
            seed: [u8; 32],
            message: Vec<u8>,
            low in proptest::option::of(0..8_usize),
            flip in proptest::option::of((0..64_usize, 1..=255_u8)),
        ) {
            let secret = crate::SecretKey::from_seed(seed);
            let mut bytes: [u8; 64] = secret.sign(&message)[..].try_into().unwrap();
            if let Some(low) = low {
                bytes[..32].copy_from_slice(&LOW_ORDER[low]);
            }
            if let Some((at, mask)) = flip {
                bytes[at] ^= mask;
            }
            let key = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
            let strict = key.verify_strict(&message, &Signature::from_bytes(&bytes)).is_ok();
            prop_assert_eq!(secret.public().verify(&message, &bytes).is_ok(), strict);
            prop_assert_eq!(strict, low.is_none() && flip.is_none());
        }
    }
}
