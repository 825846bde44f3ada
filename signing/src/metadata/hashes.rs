//! Hashes of a file as metadata lists them (TUF 1.0.34 §3): SHA-256 and SHA-512 are computed,
//! other kinds are ignored as long as one of ours is there.

use crate::Sha256Digest;
use crate::error::Error;
use crate::names::{FileName, HashPrefix};
use serde::Deserialize;
use sha2::{Digest as _, Sha512};
use std::collections::BTreeMap;

/// Hex hashes by algorithm name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

impl Hashes {
    /// A single SHA-256.
    pub fn sha256(digest: Sha256Digest) -> Self {
        Self(BTreeMap::from([("sha256".to_owned(), digest.hex())]))
    }

    /// The SHA-256, if it is listed and well formed.
    pub fn as_sha256(&self) -> Option<Sha256Digest> {
        Sha256Digest::from_hex(self.0.get("sha256")?).ok()
    }

    /// The hash that names the file in a repository with consistent snapshots: SHA-256 if it is
    /// listed, otherwise SHA-512.
    pub fn prefix(&self) -> Option<HashPrefix> {
        let hex = self.0.get("sha256").or_else(|| self.0.get("sha512"))?;
        HashPrefix::from_hex(hex).ok()
    }

    /// Requires every known hash to match, and at least one known hash.
    pub fn check(&self, file: &FileName, bytes: &[u8]) -> Result<(), Error> {
        let mut known = false;
        for (algorithm, expected) in &self.0 {
            let (algorithm, found) = match algorithm.as_str() {
                "sha256" => ("sha256", Sha256Digest::of(bytes).hex()),
                "sha512" => ("sha512", hex::encode(Sha512::digest(bytes))),
                _ => continue,
            };
            known = true;
            if found != *expected {
                let (file, expected) = (file.clone(), expected.clone());
                return Err(Error::Hash { file, algorithm, found, expected });
            }
        }
        if known {
            return Ok(());
        }
        let found = self.0.keys().cloned().collect::<Vec<_>>().join(", ");
        Err(Error::UnknownHash { file: file.clone(), found })
    }
}
