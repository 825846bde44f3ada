//! What all roles have in common: who may sign, how many must, and the common members.

use super::document::SignedBy;
use crate::error::Error;
use crate::key::{KeyId, PublicKey};
use crate::names::RoleName;
use jiff::Timestamp;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The content of one kind of metadata.
pub trait Body: DeserializeOwned {
    /// Its `_type`.
    const TYPE: &'static str;
    /// Its version, at least 1 once parsed.
    fn version(&self) -> u64;
    /// When it stops being valid.
    fn expires(&self) -> Timestamp;
    /// Checks beyond form that need no other file.
    fn validate(&self, role: &RoleName) -> Result<(), Error>;
}

/// The keys that may sign for a role, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// Usable keys by the id their delegator gave them.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// Distinct keys that must sign; 0 is refused wherever it is read.
    pub threshold: u64,
}

impl KeySet {
    /// Picks the keys of `ids` out of `all`. Ids without a usable key are left out: they can
    /// never count towards a threshold.
    pub(super) fn pick(all: &BTreeMap<KeyId, PublicKey>, ids: &[KeyId], threshold: u64) -> Self {
        let keys =
            ids.iter().filter_map(|id| all.get(id).map(|key| (id.clone(), key.clone()))).collect();
        Self { keys, threshold }
    }

    /// One key, which must sign.
    pub fn one(key: PublicKey) -> Self {
        Self { keys: BTreeMap::from([(key.key_id(), key)]), threshold: 1 }
    }

    /// The ids of those of these keys that signed `message`, one per distinct key.
    pub(crate) fn signers(&self, message: &[u8], signatures: &[SignedBy]) -> Vec<KeyId> {
        let mut values = BTreeSet::new();
        let mut signers = Vec::new();
        for SignedBy { key_id, signature } in signatures {
            let Some(key) = self.keys.get(key_id) else { continue };
            if key.verify(message, signature).is_ok() && values.insert(key.value()) {
                signers.push(key_id.clone());
            }
        }
        signers
    }

    /// Whether a key that `before` trusted is no longer trusted: the key was rotated out.
    pub fn lost_a_key_since(&self, before: &Self) -> bool {
        let held: BTreeSet<_> = self.keys.values().map(PublicKey::value).collect();
        before.keys.values().any(|key| !held.contains(&key.value()))
    }
}

/// Reads a map of TUF keys, leaving out those of kinds we do not verify. They count for nothing,
/// but a repository may list them for other clients.
pub(super) fn usable_keys<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<KeyId, PublicKey>, D::Error> {
    let all = BTreeMap::<KeyId, Value>::deserialize(deserializer)?;
    Ok(all
        .into_iter()
        .filter_map(|(id, value)| Some((id, PublicKey::from_tuf_json(&value).ok()?)))
        .collect())
}
