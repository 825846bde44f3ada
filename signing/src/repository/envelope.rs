//! Signing an object and writing its envelope.

use crate::cjson::{self, CjsonError};
use crate::error::Error;
use crate::key::{KeyId, SignError, Signer};
use crate::metadata::SPEC_VERSION;
use crate::names::{NameError, RoleName};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Metadata that cannot be built, because a client would refuse it or a signer failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Versions begin at 1.
    #[error("{role}: version 0")]
    VersionZero {
        /// Whose metadata.
        role: RoleName,
    },
    /// The version does not follow the one before.
    #[error("{role}: version {found}, expected {expected}")]
    Version {
        /// Whose metadata.
        role: RoleName,
        /// Version asked for.
        found: u64,
        /// Version it must have.
        expected: u64,
    },
    /// A threshold of 0, or one that its keys can never reach.
    #[error("{role}: threshold {threshold} with {keys} distinct keys")]
    Threshold {
        /// The role.
        role: RoleName,
        /// Threshold asked for.
        threshold: u64,
        /// Distinct keys given.
        keys: usize,
    },
    /// A top-level role without keys in a new root.
    #[error("root names no keys for {role}")]
    MissingRole {
        /// The role.
        role: RoleName,
    },
    /// A delegate named like a top-level role, or twice.
    #[error("cannot delegate to {role}: the name is reserved or already used")]
    DelegateName {
        /// The name.
        role: RoleName,
    },
    /// A delegation without paths.
    #[error("delegation to {role} has no paths")]
    NoPaths {
        /// The delegate.
        role: RoleName,
    },
    /// A signer whose key the role does not list.
    #[error("key {key_id} may not sign for {role}")]
    StrangeSigner {
        /// The role.
        role: RoleName,
        /// The signer's key.
        key_id: KeyId,
    },
    /// Not the same `signed` part, so signatures cannot be merged.
    #[error("{role}: the files differ in more than their signatures")]
    Different {
        /// Whose metadata.
        role: RoleName,
    },
    /// Two files of the same name with different content.
    #[error("{file} is already staged with other content")]
    Conflict {
        /// The file.
        file: String,
    },
    /// No file of a role that is needed.
    #[error("no {role} metadata is staged")]
    NotStaged {
        /// The role.
        role: RoleName,
    },
    /// A time or version beyond what can be written.
    #[error("{role}: time or version out of range")]
    Range {
        /// Whose metadata.
        role: RoleName,
    },
    /// A name that cannot be used.
    #[error("unusable name")]
    Name(#[from] NameError),
    /// A number in `custom` that canonical JSON cannot hold.
    #[error("cannot be signed")]
    Canonical(#[from] CjsonError),
    /// Existing metadata that does not parse or verify.
    #[error("existing metadata is not usable")]
    Existing(#[from] Error),
    /// A statement whose body is no JSON object.
    #[error("{kind}: only an object can be signed")]
    NotAnObject {
        /// The type of the statement.
        kind: &'static str,
    },
    /// A signer failed.
    #[error("signer failed")]
    Sign(#[from] SignError),
}

/// The members every `signed` part has.
pub(super) fn header(
    role: &RoleName,
    kind: &str,
    version: u64,
    expires: Timestamp,
) -> Result<Map<String, Value>, BuildError> {
    if version == 0 {
        return Err(BuildError::VersionZero { role: role.clone() });
    }
    let mut signed = Map::new();
    signed.insert("_type".to_owned(), kind.into());
    signed.insert("spec_version".to_owned(), SPEC_VERSION.into());
    signed.insert("version".to_owned(), version.into());
    signed.insert("expires".to_owned(), whole_seconds(role, expires)?.into());
    Ok(signed)
}

/// `YYYY-MM-DDTHH:MM:SSZ`, the one form the specification allows.
pub(super) fn whole_seconds(role: &RoleName, time: Timestamp) -> Result<String, BuildError> {
    let second = Timestamp::from_second(time.as_second())
        .map_err(|_| BuildError::Range { role: role.clone() })?;
    Ok(second.to_string())
}

/// Signs `signed` with every signer once and writes the envelope.
pub(crate) fn seal(
    signed: Map<String, Value>,
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, BuildError> {
    let signed = Value::Object(signed);
    let canonical = cjson::encode(&signed)?;
    let mut signatures = BTreeMap::new();
    for signer in signers {
        signatures.insert(signer.public().key_id(), signer.sign(&canonical)?);
    }
    Ok(write(&signed, &signatures))
}

/// Writes an envelope with its signatures in the order of their key ids.
pub(super) fn write(signed: &Value, signatures: &BTreeMap<KeyId, Vec<u8>>) -> Vec<u8> {
    let signatures: Vec<_> = signatures
        .iter()
        .map(|(key_id, signature)| json!({"keyid": key_id, "sig": hex::encode(signature)}))
        .collect();
    let mut text = json!({"signatures": signatures, "signed": signed}).to_string();
    text.push('\n');
    text.into_bytes()
}
