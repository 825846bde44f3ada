//! Signatures and keys that a lax ed25519 verifier accepts. They need arithmetic modulo the group
//! order, done here in the open: the libraries refuse to make such signatures.

use crate::kit::{Repo, at, attacked, key};
use crate::{all_refused, refused};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};
use signing::{Error, cjson};

/// A number below 2^256, least significant word first.
type Number = [u64; 4];

/// The order of the base point, 2^252 + 27742317777372353535851937790883648493.
const ORDER: Number = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6, 0, 0x1000_0000_0000_0000];
/// The encoding of the identity, a point of order one.
const IDENTITY: &str = "0100000000000000000000000000000000000000000000000000000000000000";

fn number(bytes: &[u8]) -> Number {
    std::array::from_fn(|n| u64::from_le_bytes(bytes[n * 8..][..8].try_into().unwrap()))
}

fn bytes(number: Number) -> Vec<u8> {
    number.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn plain_sum(a: Number, b: Number) -> Number {
    let mut carry = false;
    std::array::from_fn(|n| {
        let (sum, one) = a[n].overflowing_add(b[n]);
        let (sum, two) = sum.overflowing_add(u64::from(carry));
        carry = one || two;
        sum
    })
}

fn less(a: Number, b: Number) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// a + b modulo the order, for numbers below it.
fn sum(a: Number, b: Number) -> Number {
    let sum = plain_sum(a, b);
    if less(sum, ORDER) {
        return sum;
    }
    let mut borrow = false;
    std::array::from_fn(|n| {
        let (difference, one) = sum[n].overflowing_sub(ORDER[n]);
        let (difference, two) = difference.overflowing_sub(u64::from(borrow));
        borrow = one || two;
        difference
    })
}

/// bits · factor modulo the order, bit by bit; `bits` is little-endian.
fn product(bits: &[u8], factor: Number) -> Number {
    (0..bits.len() * 8).rev().fold([0; 4], |so_far, bit| {
        let doubled = sum(so_far, so_far);
        if bits[bit / 8] >> (bit % 8) & 1 == 1 { sum(doubled, factor) } else { doubled }
    })
}

/// A signature by the holder of `seed` with the identity as R and s = H(R, A, M) · a: the plain
/// equation holds, the strict check refuses R.
fn lax_signature(seed: u8, message: &[u8]) -> Vec<u8> {
    let mut scalar = Sha512::digest([seed; 32])[..32].to_vec();
    scalar[0] &= 0xf8;
    scalar[31] = scalar[31] & 0x7f | 0x40;
    let scalar = product(&scalar, [1, 0, 0, 0]);
    let r = hex::decode(IDENTITY).unwrap();
    let public = key(seed).public().value().1.to_vec();
    let challenge = Sha512::digest([&r[..], &public, message].concat());
    [r, bytes(product(&challenge, scalar))].concat()
}

fn lax_verifies(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_bytes(public.try_into().unwrap()).unwrap();
    key.verify(message, &Signature::from_slice(signature).unwrap()).is_ok()
}

fn timestamp_of(repo: &Repo) -> Value {
    serde_json::from_slice(&repo.files.get("metadata/timestamp.json")).unwrap()
}

#[tokio::test]
async fn metadata_whose_signature_only_a_lax_verifier_accepts_is_refused() {
    let tamper = |repo: &mut Repo| {
        repo.publish_next();
        let mut timestamp = timestamp_of(repo);
        let message = cjson::encode(&timestamp["signed"]).unwrap();
        let signature = lax_signature(40, &message);
        assert!(lax_verifies(key(40).public().value().1, &message, &signature));
        timestamp["signatures"][0]["sig"] = json!(hex::encode(signature));
        repo.files.put("metadata/timestamp.json", timestamp.to_string().into_bytes());
    };
    all_refused!(
        attacked(Repo::new, tamper, 0).await,
        ArbitrarySoftware,
        Error::Signatures { valid: 0, threshold: 1, .. }
    );
}

#[tokio::test]
async fn second_spelling_of_a_good_signature_is_refused() {
    let tamper = |repo: &mut Repo| {
        repo.publish_next();
        let mut timestamp = timestamp_of(repo);
        let mut signature =
            hex::decode(timestamp["signatures"][0]["sig"].as_str().unwrap()).unwrap();
        let s = plain_sum(number(&signature[32..]), ORDER);
        signature[32..].copy_from_slice(&bytes(s));
        timestamp["signatures"][0]["sig"] = json!(hex::encode(signature));
        repo.files.put("metadata/timestamp.json", timestamp.to_string().into_bytes());
    };
    all_refused!(
        attacked(Repo::new, tamper, 0).await,
        ArbitrarySoftware,
        Error::Signatures { valid: 0, .. }
    );
}

/// Under a key of low order one signature fits every message: R the identity, s zero.
#[tokio::test]
async fn key_of_low_order_counts_for_nothing_even_if_root_lists_it() {
    let mut repo = Repo::new();
    repo.trusting().await;
    repo.edit("root", |signed| {
        let weak = json!({"keytype": "ed25519", "scheme": "ed25519",
            "keyval": {"public": IDENTITY}});
        signed["keys"]["weak"] = weak;
        signed["roles"]["timestamp"]["keyids"] = json!(["weak"]);
    });
    repo.publish_next_root(&[]);
    repo.publish_next();
    let fits_everything = format!("{IDENTITY}{}", "0".repeat(64));
    assert!(lax_verifies(
        &hex::decode(IDENTITY).unwrap(),
        b"anything",
        &hex::decode(&fits_everything).unwrap()
    ));
    let mut timestamp = timestamp_of(&repo);
    timestamp["signatures"] = json!([{"keyid": "weak", "sig": fits_everything}]);
    repo.files.put("metadata/timestamp.json", timestamp.to_string().into_bytes());
    for _ in 0..2 {
        refused!(
            repo.client().refresh(at(0)).await,
            ArbitrarySoftware,
            Error::Signatures { valid: 0, threshold: 1, .. }
        );
    }
}
