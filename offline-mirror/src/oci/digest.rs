//! Digests of blobs and manifests, `sha256:<hex>` or `sha512:<hex>` (OCI image spec, descriptor).
//!
//! A digest becomes part of file paths and URLs, so only these two forms can be held.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};
use signing::Sha256Digest;

/// A registered digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, what nearly everybody uses.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Both, as folders below `blobs` are named.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Name in digests and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// The digest of a blob or manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Digest {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512([u8; 64]),
}

/// Text that is no digest we can check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sha256 or sha512 digest: {found:?}")]
pub struct DigestError {
    /// What was read, cut to a printable length.
    pub found: String,
}

impl Digest {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::Sha256(Sha256::digest(bytes).into())
    }

    /// Hashes `bytes` the way `self` was made.
    #[must_use]
    pub fn same_of(&self, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(self.algorithm());
        hasher.update(bytes);
        hasher.finish()
    }

    /// How it was made.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Lower-case hex digits, without the algorithm.
    pub fn hex(&self) -> String {
        match self {
            Self::Sha256(bytes) => hex::encode(bytes),
            Self::Sha512(bytes) => hex::encode(bytes),
        }
    }

    /// Path in an OCI image layout: `blobs/<algorithm>/<hex>`.
    pub fn layout_path(&self) -> String {
        format!("blobs/{}/{}", self.algorithm().as_str(), self.hex())
    }
}

impl From<Sha256Digest> for Digest {
    fn from(digest: Sha256Digest) -> Self {
        Self::Sha256(*digest.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm().as_str(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        // Longer than any digest we know; enough to recognise what was sent instead.
        const SHOWN: usize = 140;
        let refuse = || DigestError { found: text.chars().take(SHOWN).collect() };
        let (algorithm, hex) = text.split_once(':').ok_or_else(refuse)?;
        if hex.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refuse());
        }
        match algorithm {
            "sha256" => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(hex, &mut bytes).map_err(|_| refuse())?;
                Ok(Self::Sha256(bytes))
            }
            "sha512" => {
                let mut bytes = [0; 64];
                hex::decode_to_slice(hex, &mut bytes).map_err(|_| refuse())?;
                Ok(Self::Sha512(bytes))
            }
            _ => Err(refuse()),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Hashes a stream piece by piece. Cheap to clone: a clone finished early is the digest of a prefix.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// An empty hash.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Takes in the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hash) => Digest::Sha256(hash.finalize().into()),
            State::Sha512(hash) => Digest::Sha512(hash.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_forms_are_read_and_they_round_trip() {
        let short = Digest::of(b"abc");
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"a");
        hasher.update(b"bc");
        let long = hasher.finish();
        assert!(long.hex().starts_with("ddaf35a193617abacc417349ae204131"));
        assert_eq!(long.same_of(b"abc"), long);
        for digest in [short, long] {
            assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }
        let upper = short.to_string().to_uppercase();
        let bad = ["", "sha256:", "sha256:../..", "md5:00", "sha512:00", upper.as_str()];
        for bad in bad {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert_eq!(
            short.layout_path(),
            "blobs/sha256/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(Digest::from(Sha256Digest::of(b"abc")), short);
    }
}
