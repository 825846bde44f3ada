//! One signed file: envelope, signatures, typed content.

use super::role::{Body, KeySet};
use crate::error::Error;
use crate::key::KeyId;
use crate::names::RoleName;
use crate::{Sha256Digest, cjson, json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most signatures in one file. A signature is checked for every key that may sign, and no
/// ceremony gathers hundreds of people.
const MAX_SIGNATURES: usize = 256;

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// The key it claims.
    pub key_id: KeyId,
    /// The signature; empty where the file holds no hex (tuf-on-ci writes `""` for "not yet").
    pub signature: Vec<u8>,
}

/// A parsed metadata file. Parsing checks form only; [`Document::verify`] checks who signed.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// The typed view of `signed`.
    pub body: T,
    role: RoleName,
    raw: Vec<u8>,
    digest: Sha256Digest,
    canonical: Vec<u8>,
    signatures: Vec<SignedBy>,
}

/// What every signed file is: the signatures beside what they are over.
pub(crate) struct Envelope {
    pub(crate) signed: Value,
    pub(crate) signatures: Vec<SignedBy>,
}

#[derive(Deserialize)]
struct WireEnvelope {
    signatures: Vec<WireSignature>,
    signed: Value,
}

impl Envelope {
    /// Takes an envelope apart; the reason where it is none.
    pub(crate) fn read(value: Value) -> Result<Self, String> {
        let WireEnvelope { signatures, signed } =
            WireEnvelope::deserialize(value).map_err(|e| e.to_string())?;
        // Of which role is for the message alone, and a statement has none.
        if signatures.len() > MAX_SIGNATURES {
            return Err(format!("{} signatures, at most {MAX_SIGNATURES}", signatures.len()));
        }
        let ids: BTreeSet<_> = signatures.iter().map(|signature| &signature.keyid).collect();
        if ids.len() != signatures.len() {
            return Err("two signatures of one key".to_owned());
        }
        Ok(Self { signed, signatures: signatures.into_iter().map(WireSignature::read).collect() })
    }
}

#[derive(Serialize, Deserialize)]
struct WireSignature {
    keyid: KeyId,
    sig: String,
}

impl WireSignature {
    /// Not hex is not a signature; it counts for nothing rather than spoiling the others.
    fn read(self) -> SignedBy {
        SignedBy { key_id: self.keyid, signature: hex::decode(self.sig).unwrap_or_default() }
    }
}

/// What every `signed` part begins with (TUF 1.0.34 §4.3).
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "_type")]
    kind: String,
    spec_version: String,
}

impl<T: Body> Document<T> {
    /// Parses the metadata of `role`.
    pub fn parse(role: &RoleName, bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |reason: String| Error::Malformed { role: role.clone(), reason };
        let value = json::parse(bytes).map_err(|e| malformed(e.to_string()))?;
        let WireEnvelope { signatures, signed } =
            WireEnvelope::deserialize(value).map_err(|e| malformed(e.to_string()))?;
        let signatures = unique(role, signatures)?;
        let canonical = cjson::encode(&signed).map_err(|e| malformed(e.to_string()))?;

        let header = Header::deserialize(&signed).map_err(|e| malformed(e.to_string()))?;
        if header.kind != T::TYPE {
            let role = role.clone();
            return Err(Error::WrongType { role, found: header.kind, expected: T::TYPE });
        }
        // Only the major version says whether we would understand the rest (§4.3).
        if header.spec_version.split('.').next() != Some("1") {
            return Err(Error::SpecVersion { role: role.clone(), found: header.spec_version });
        }
        let body = T::deserialize(signed).map_err(|e| malformed(e.to_string()))?;
        if body.version() == 0 {
            return Err(malformed("version 0".to_owned()));
        }
        body.validate(role)?;
        let (role, raw, digest) = (role.clone(), bytes.to_vec(), Sha256Digest::of(bytes));
        Ok(Self { body, role, raw, digest, canonical, signatures })
    }

    /// Requires good signatures of at least `keys.threshold` *distinct keys*: the same key under
    /// two ids counts once (§5.3.4, §5.4.2, §5.5.3, §5.6.3).
    pub fn verify(&self, keys: &KeySet) -> Result<(), Error> {
        if keys.threshold == 0 {
            return Err(Error::ZeroThreshold { role: self.role.clone() });
        }
        let valid = u64::try_from(self.signers(keys).len()).unwrap_or(u64::MAX);
        if valid < keys.threshold {
            let role = self.role.clone();
            return Err(Error::Signatures { role, valid, threshold: keys.threshold });
        }
        Ok(())
    }

    /// The ids of the keys of `keys` that signed, one per distinct key.
    pub fn signers(&self, keys: &KeySet) -> Vec<KeyId> {
        keys.signers(&self.canonical, &self.signatures)
    }

    /// Requires an expiry later than `now` (§5.3.10, §5.4.4, §5.5.6, §5.6.5).
    pub fn check_expiry(&self, now: Timestamp) -> Result<(), Error> {
        let expires = self.body.expires();
        if expires > now {
            Ok(())
        } else {
            Err(Error::Expired { role: self.role.clone(), expires, now })
        }
    }

    /// Whose metadata this is.
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// The bytes as they were read.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The digest of the bytes as they were read.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The signatures as they were read, unverified.
    pub fn signatures(&self) -> &[SignedBy] {
        &self.signatures
    }

    /// The bytes that are signed.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }
}

/// Requires that there are at most `limit` of something.
pub(super) fn at_most(
    role: &RoleName,
    what: &'static str,
    found: usize,
    limit: usize,
) -> Result<(), Error> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::TooMany { role: role.clone(), what, found, limit })
}

/// Two signatures for one key id are refused: no honest signer makes them.
fn unique(role: &RoleName, wire: Vec<WireSignature>) -> Result<Vec<SignedBy>, Error> {
    at_most(role, "signatures", wire.len(), MAX_SIGNATURES)?;
    let mut seen = BTreeSet::new();
    let mut signatures = Vec::with_capacity(wire.len());
    for signature in wire {
        if !seen.insert(signature.keyid.clone()) {
            let (role, key_id) = (role.clone(), signature.keyid);
            return Err(Error::DuplicateSignature { role, key_id });
        }
        signatures.push(signature.read());
    }
    Ok(signatures)
}
