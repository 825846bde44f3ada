//! Key ids: our own are the SHA-256 of the canonical key, others' are opaque (TAP 12).

use super::KeyError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names a key. Two ids may name the same key, so an id is never proof of distinctness.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// Longest id, in bytes: twice a SHA-256 in hex.
    const MAX_BYTES: usize = 128;

    /// Checks and takes `id`: 1 to 128 printable ASCII characters.
    pub fn new(id: impl Into<String>) -> Result<Self, KeyError> {
        let id = id.into();
        if Self::is_valid(&id) {
            Ok(Self(id))
        } else {
            Err(KeyError::Id { found: id.chars().take(Self::MAX_BYTES).collect() })
        }
    }

    /// Whether this text is an id.
    pub(crate) fn is_valid(id: &str) -> bool {
        let printable = id.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        !id.is_empty() && id.len() <= Self::MAX_BYTES && printable
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<crate::Sha256Digest> for KeyId {
    fn from(digest: crate::Sha256Digest) -> Self {
        Self(digest.hex())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl TryFrom<String> for KeyId {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}
