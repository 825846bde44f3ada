//! Signing in turns: a draft travels from key holder to key holder, each adds one signature.
//!
//! [`check_root_chain`] is asked before every publication. What travels between key holders is
//! [`super::request`]; [`add_signature`] and [`merge_signatures`] are the same two steps on a bare
//! metadata file.

use super::envelope::{BuildError, write};
use crate::error::Error;
use crate::json;
use crate::key::{KeyId, Signer};
use crate::metadata::{Body, Document, KeySet};
use crate::names::RoleName;
use crate::trusted::Roots;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How far a draft is from being accepted for one set of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleProgress {
    /// Keys that have signed, one id per distinct key.
    pub signed: BTreeSet<KeyId>,
    /// Keys that may still sign.
    pub open: BTreeSet<KeyId>,
    /// Distinct keys that must sign.
    pub threshold: u64,
}

impl RoleProgress {
    /// Whether enough keys have signed.
    pub fn is_complete(&self) -> bool {
        u64::try_from(self.signed.len()).is_ok_and(|signed| signed >= self.threshold)
    }
}

/// Adds one signature to the metadata of `role`. Signing twice with one key changes nothing.
/// Whether the key may sign is for [`progress`] to show, since only the delegator's file says so.
pub fn add_signature<T: Body>(
    role: &RoleName,
    bytes: &[u8],
    signer: &dyn Signer,
) -> Result<Vec<u8>, BuildError> {
    let document = Document::<T>::parse(role, bytes)?;
    let mut signatures = signatures(&document);
    signatures.insert(signer.public().key_id(), signer.sign(document.canonical())?);
    Ok(write(&signed_part(role, bytes)?, &signatures))
}

/// Joins the signatures of two copies of one draft.
pub fn merge_signatures<T: Body>(
    role: &RoleName,
    a: &[u8],
    b: &[u8],
) -> Result<Vec<u8>, BuildError> {
    let (left, right) = (Document::<T>::parse(role, a)?, Document::<T>::parse(role, b)?);
    if left.canonical() != right.canonical() {
        return Err(BuildError::Different { role: role.clone() });
    }
    let mut joined = signatures(&right);
    joined.extend(signatures(&left));
    Ok(write(&signed_part(role, a)?, &joined))
}

/// Who of `keys` has signed a draft, and who may still.
pub fn progress<T: Body>(document: &Document<T>, keys: &KeySet) -> RoleProgress {
    let signed: BTreeSet<_> = document.signers(keys).into_iter().collect();
    let open = keys.keys.keys().filter(|id| !signed.contains(*id)).cloned().collect();
    RoleProgress { signed, open, threshold: keys.threshold }
}

/// Walks roots exactly as a client does: the first is trusted by pinning, every further one must
/// be signed by the thresholds of its predecessor and its own. Returns the last version.
pub fn check_root_chain<'a>(
    pinned: &[u8],
    following: impl IntoIterator<Item = &'a [u8]>,
) -> Result<u64, Error> {
    let mut roots = Roots::pinned(pinned)?;
    for bytes in following {
        roots = roots.next(bytes)?;
    }
    Ok(roots.version())
}

/// The signatures of a draft that are more than a place holder.
pub(super) fn signatures<T: Body>(document: &Document<T>) -> BTreeMap<KeyId, Vec<u8>> {
    let signed = document.signatures().iter().filter(|signature| !signature.signature.is_empty());
    signed.map(|signature| (signature.key_id.clone(), signature.signature.clone())).collect()
}

/// The part of an envelope that is signed.
pub(super) fn signed_part(role: &RoleName, bytes: &[u8]) -> Result<Value, BuildError> {
    let malformed =
        |reason: String| BuildError::Existing(Error::Malformed { role: role.clone(), reason });
    let mut envelope = json::parse(bytes).map_err(|e| malformed(e.to_string()))?;
    envelope
        .get_mut("signed")
        .map(Value::take)
        .ok_or_else(|| malformed("no signed part".to_owned()))
}
