//! Signed documents that are no TUF metadata: bundle manifests, inventories, receipts, status files.
//!
//! They wear the envelope of TUF (`signatures` beside `signed`, OLPC canonical JSON), so that the same
//! keys and signers serve them and a person can read them. What keeps one from passing for another,
//! or for a TUF role, is `_type`, which lies inside what is signed.
//!
//! ```
//! use signing::statement::{self, Statement};
//! use signing::{KeySet, SecretKey};
//!
//! let key = SecretKey::from_seed([7; 32]);
//! let bytes = statement::sign("fairway-receipt", &serde_json::json!({"site": "north"}), &[&key])?;
//! let read = Statement::parse("fairway-receipt", &bytes)?;
//! let body = read.verify::<serde_json::Value>(&KeySet::one(key.public().clone()))?.into_inner();
//! assert_eq!(body["site"], "north");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::attack::Attack;
use crate::key::{KeyId, Signer};
use crate::metadata::{Envelope, KeySet, SignedBy};
use crate::repository::{BuildError, seal};
use crate::verified::Verified;
use crate::{Sha256Digest, cjson, json};

/// Member that says what a statement is.
const TYPE: &str = "_type";

/// A statement that cannot be read or is not signed as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not an envelope, not canonical, or a body of another shape.
    #[error("not a {expected}: {reason}")]
    Malformed {
        /// The type that was asked for.
        expected: &'static str,
        /// What the parser met, with line and column where it has them.
        reason: String,
    },
    /// A statement of another type.
    #[error("this is a {found}, expected a {expected}")]
    WrongType {
        /// Its own `_type`, cut to a printable length.
        found: String,
        /// The type that was asked for.
        expected: &'static str,
    },
    /// Too few good signatures.
    #[error("{kind}: {valid} good signatures of {threshold}")]
    Signatures {
        /// The type of the statement.
        kind: &'static str,
        /// Distinct keys whose signature is good.
        valid: usize,
        /// How many must be.
        threshold: u64,
    },
}

impl StatementError {
    /// The attack that this error would have been.
    pub fn attack(&self) -> Option<Attack> {
        match self {
            Self::Malformed { .. } => None,
            Self::WrongType { .. } => Some(Attack::WrongSoftware),
            Self::Signatures { .. } => Some(Attack::ArbitrarySoftware),
        }
    }
}

/// Signs `body` as a statement of type `kind`, once by every signer.
///
/// # Errors
/// When the body is no JSON object, holds numbers that canonical JSON has no form for, or a signer
/// fails.
pub fn sign<T: Serialize>(
    kind: &'static str,
    body: &T,
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, BuildError> {
    let Ok(Value::Object(mut signed)) = serde_json::to_value(body) else {
        return Err(BuildError::NotAnObject { kind });
    };
    signed.insert(TYPE.to_owned(), kind.into());
    seal(signed, signers)
}

/// A parsed statement. Parsing checks form only; [`Statement::verify`] checks who signed.
#[derive(Debug, Clone)]
pub struct Statement {
    kind: &'static str,
    signed: Value,
    canonical: Vec<u8>,
    signatures: Vec<SignedBy>,
    digest: Sha256Digest,
}

impl Statement {
    /// Parses a statement of type `kind`.
    ///
    /// # Errors
    /// [`StatementError::Malformed`] or [`StatementError::WrongType`].
    pub fn parse(kind: &'static str, bytes: &[u8]) -> Result<Self, StatementError> {
        let malformed = |reason: String| StatementError::Malformed { expected: kind, reason };
        let value = json::parse(bytes).map_err(|e| malformed(e.to_string()))?;
        let Envelope { signed, signatures } = Envelope::read(value).map_err(malformed)?;
        let canonical = cjson::encode(&signed).map_err(|e| malformed(e.to_string()))?;
        match signed.get(TYPE).and_then(Value::as_str) {
            Some(found) if found == kind => {}
            Some(found) => {
                // Longer than any type we know.
                let found = found.chars().take(80).collect();
                return Err(StatementError::WrongType { found, expected: kind });
            }
            None => return Err(malformed(format!("it has no {TYPE}"))),
        }
        Ok(Self { kind, signed, canonical, signatures, digest: Sha256Digest::of(bytes) })
    }

    /// The digest of the file as it was read.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The keys that claim to have signed. Nobody's word: for error messages and for finding out
    /// which key to verify with.
    pub fn claimed_keys(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|signature| &signature.key_id)
    }

    /// The body before anybody's signature was checked. Only for finding what is needed to verify
    /// it, such as where the metadata lies that names its keys.
    ///
    /// # Errors
    /// [`StatementError::Malformed`] when it has another shape.
    pub fn unverified<T: DeserializeOwned>(&self) -> Result<T, StatementError> {
        T::deserialize(&self.signed)
            .map_err(|e| StatementError::Malformed { expected: self.kind, reason: e.to_string() })
    }

    /// The body, once enough distinct keys of `keys` have signed it.
    ///
    /// # Errors
    /// [`StatementError::Signatures`], or [`StatementError::Malformed`] when the body has another
    /// shape.
    pub fn verify<T: DeserializeOwned>(
        &self,
        keys: &KeySet,
    ) -> Result<Verified<T>, StatementError> {
        let valid = keys.signers(&self.canonical, &self.signatures).len();
        let enough = u64::try_from(valid).is_ok_and(|valid| valid >= keys.threshold);
        if keys.threshold == 0 || !enough {
            let threshold = keys.threshold.max(1);
            return Err(StatementError::Signatures { kind: self.kind, valid, threshold });
        }
        self.unverified().map(Verified::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;
    use serde_json::json;

    const KIND: &str = "fairway-receipt";

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn trusted(seed: u8) -> KeySet {
        KeySet::one(key(seed).public().clone())
    }

    fn signed() -> Vec<u8> {
        sign(KIND, &json!({"site": "north", "sequence": 7}), &[&key(1)]).unwrap()
    }

    #[test]
    fn what_was_signed_is_read_back() {
        let read = Statement::parse(KIND, &signed()).unwrap();
        let body = read.verify::<Value>(&trusted(1)).unwrap().into_inner();
        assert_eq!(body["sequence"], 7);
        assert_eq!(read.digest(), Sha256Digest::of(&signed()));
        assert!(read.claimed_keys().eq([&key(1).public().key_id()]));
    }

    #[test]
    fn another_key_is_refused() {
        let read = Statement::parse(KIND, &signed()).unwrap();
        let error = read.verify::<Value>(&trusted(2)).unwrap_err();
        assert_eq!(error, StatementError::Signatures { kind: KIND, valid: 0, threshold: 1 });
        assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware));
    }

    #[test]
    fn no_threshold_is_met_by_nobody() {
        let read = Statement::parse(KIND, &signed()).unwrap();
        let nobody = KeySet { threshold: 0, ..trusted(1) };
        assert!(matches!(
            read.verify::<Value>(&nobody),
            Err(StatementError::Signatures { threshold: 1, .. })
        ));
    }

    #[test]
    fn a_statement_of_another_type_is_refused_although_its_key_is_good() {
        let error = Statement::parse("fairway-inventory", &signed()).unwrap_err();
        assert_eq!(error.attack(), Some(Attack::WrongSoftware));
        assert_eq!(error.to_string(), "this is a fairway-receipt, expected a fairway-inventory");
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let good = signed();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let read =
                    Statement::parse(KIND, &bad).and_then(|s| s.verify::<Value>(&trusted(1)));
                // Hex digits of a signature have two cases, and white space may trail.
                let same = bad.eq_ignore_ascii_case(&good)
                    || bad.trim_ascii_end() == good.trim_ascii_end();
                assert!(read.is_err() || same, "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn two_signatures_of_one_key_are_refused() {
        let mut envelope: Value = serde_json::from_slice(&signed()).unwrap();
        let twice = envelope["signatures"][0].clone();
        envelope["signatures"].as_array_mut().unwrap().push(twice);
        let error = Statement::parse(KIND, envelope.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "not a fairway-receipt: two signatures of one key");
    }

    #[test]
    fn as_many_people_sign_as_metadata_may_have() {
        let of = |people: u16| {
            let mut envelope: Value = serde_json::from_slice(&signed()).unwrap();
            let more = (1..people).map(|n| json!({"keyid": format!("{n:064x}"), "sig": "00"}));
            envelope["signatures"].as_array_mut().unwrap().extend(more);
            Statement::parse(KIND, envelope.to_string().as_bytes())
        };
        of(256).unwrap().verify::<Value>(&trusted(1)).unwrap();
        let error = of(257).unwrap_err();
        assert_eq!(error.to_string(), "not a fairway-receipt: 257 signatures, at most 256");
    }

    #[test]
    fn only_objects_with_whole_numbers_are_signed() {
        let refused = sign(KIND, &json!([1]), &[&key(1)]).unwrap_err();
        assert!(matches!(refused, BuildError::NotAnObject { kind: KIND }));
        let refused = sign(KIND, &json!({"share": 0.5}), &[&key(1)]).unwrap_err();
        assert!(matches!(refused, BuildError::Canonical(_)));
    }
}
