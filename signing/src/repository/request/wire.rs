//! The file: `application/vnd.fairway.signing-request.v1+json`.

use super::review::Authority;
use super::{Content, Delegator, RequestError, SigningRequest};
use crate::json;
use crate::key::{KeyId, PublicKey};
use crate::metadata::KeySet;
use crate::names::{RoleName, TopRole};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Media type of the file.
pub const MEDIA_TYPE: &str = "application/vnd.fairway.signing-request.v1+json";

/// The format written into every request.
pub const FORMAT: u64 = 1;

/// Largest request read, in bytes. A list of releases with a long history has 2 MB, and a request
/// holds it twice.
pub const MAX_REQUEST_BYTES: u64 = 32 * 1024 * 1024;

/// The document. Members it does not know are left for newer programs.
#[derive(Serialize, Deserialize)]
struct Wire {
    format: u64,
    role: RoleName,
    /// The metadata that the draft follows, as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Value>,
    /// The metadata to sign, with the signatures so far.
    draft: Value,
    must_sign: Vec<WireSet>,
    /// Who signed `previous`, where others sign the draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_keys: Option<WireKeys>,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct WireSet {
    of: Authority,
    #[serde(rename = "by")]
    keys: WireKeys,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct WireKeys {
    threshold: u64,
    keys: BTreeMap<KeyId, PublicKey>,
}

impl From<&KeySet> for WireKeys {
    fn from(set: &KeySet) -> Self {
        Self { threshold: set.threshold, keys: set.keys.clone() }
    }
}

impl From<WireKeys> for KeySet {
    fn from(wire: WireKeys) -> Self {
        Self { keys: wire.keys, threshold: wire.threshold }
    }
}

impl SigningRequest {
    /// Reads and checks a request.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RequestError> {
        let malformed = |reason: String| RequestError::Malformed { reason };
        let value = json::parse(bytes).map_err(|e| malformed(e.to_string()))?;
        let format = value.get("format").and_then(Value::as_u64);
        if let Some(found) = format.filter(|format| *format != FORMAT) {
            return Err(RequestError::Format { found, known: FORMAT });
        }
        let wire = Wire::deserialize(value).map_err(|e| malformed(e.to_string()))?;
        let previous = wire.previous.as_ref().map(compact);
        let draft = compact(&wire.draft);
        let (role, previous) = (wire.role, previous.as_deref());
        if role.as_top() == Some(TopRole::Root) {
            let request = Self::root(previous, &draft)?;
            // Recomputed from the two roots; what the file says is only for people to read.
            if request.wire_sets() != wire.must_sign || wire.previous_keys.is_some() {
                return Err(RequestError::KeySets { role });
            }
            return Ok(request);
        }
        let mut sets = wire.must_sign.into_iter();
        let (Some(WireSet { of: Authority::Delegator, keys }), None) = (sets.next(), sets.next())
        else {
            return Err(RequestError::KeySets { role });
        };
        if keys.threshold == 0 {
            return Err(crate::Error::ZeroThreshold { role }.into());
        }
        let before = wire.previous_keys.map(KeySet::from);
        Self::targets(&role, previous, &draft, Delegator { keys: keys.into(), before })
    }

    /// The request as a file: indented, so that a reviewer can read it.
    pub fn to_json(&self) -> Result<Vec<u8>, RequestError> {
        let malformed = |e: serde_json::Error| RequestError::Malformed { reason: e.to_string() };
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).map_err(malformed);
        let previous_keys = match &self.content {
            Content::Root(_) => None,
            Content::Targets(_, delegator) => delegator.before.as_ref().map(WireKeys::from),
        };
        let wire = Wire {
            format: FORMAT,
            role: self.role.clone(),
            previous: self.previous().map(value).transpose()?,
            draft: value(self.draft())?,
            must_sign: self.wire_sets(),
            previous_keys,
        };
        let mut bytes = serde_json::to_vec_pretty(&wire).map_err(malformed)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn wire_sets(&self) -> Vec<WireSet> {
        let set = |(of, keys)| WireSet { of, keys: WireKeys::from(keys) };
        self.key_sets().into_iter().map(set).collect()
    }
}

/// The bytes as our own writer has them, so that the digest of a file of ours is the same inside
/// and outside a request.
fn compact(value: &Value) -> Vec<u8> {
    let mut text = value.to_string();
    text.push('\n');
    text.into_bytes()
}
