//! Builders for the four kinds of metadata. Each refuses what a client would refuse by form;
//! whether enough keys have signed is [`super::progress`]'s to say, because holders sign in turn.

use super::envelope::{BuildError, header, seal, whole_seconds};
use crate::Sha256Digest;
use crate::key::{PublicKey, Signer};
use crate::metadata::{Body, Document, Root, SIGNED_AT, Snapshot, Targets};
use crate::names::{RoleName, TargetPath, TopRole};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a new root says.
#[derive(Debug, Clone)]
pub struct RootSpec {
    /// Version: 1, or one more than the previous root.
    pub version: u64,
    /// End of validity.
    pub expires: Timestamp,
    /// Keys and threshold of each top-level role.
    pub roles: BTreeMap<TopRole, (Vec<PublicKey>, u32)>,
}

/// A listed file.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetEntry {
    /// Bytes.
    pub length: u64,
    /// SHA-256.
    pub digest: Sha256Digest,
    /// Anything to say about it; integers only, no fractions.
    pub custom: Option<Value>,
}

impl TargetEntry {
    /// The entry of a file with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { length, digest: Sha256Digest::of(bytes), custom: None }
    }
}

/// A delegation to another role.
#[derive(Debug, Clone)]
pub struct Delegation {
    /// The delegate.
    pub role: RoleName,
    /// Who may sign for it.
    pub keys: Vec<PublicKey>,
    /// How many of them must.
    pub threshold: u32,
    /// Path patterns; `*` and `?` never cross `/`.
    pub paths: Vec<String>,
    /// Whether a matching path is searched no further than this delegate.
    pub terminating: bool,
}

/// A pin on a metadata file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaPin {
    /// Its version.
    pub version: u64,
    /// Its bytes.
    pub length: u64,
    /// Its SHA-256.
    pub digest: Sha256Digest,
}

impl MetaPin {
    /// The pin of a targets role's file, top-level or delegated.
    pub fn of_targets(role: &RoleName, bytes: &[u8]) -> Result<Self, BuildError> {
        Ok(Self::of(&Document::<Targets>::parse(role, bytes)?))
    }

    /// The pin of a snapshot file.
    pub fn of_snapshot(bytes: &[u8]) -> Result<Self, BuildError> {
        Ok(Self::of(&Document::<Snapshot>::parse(&TopRole::Snapshot.into(), bytes)?))
    }

    fn of<T: Body>(document: &Document<T>) -> Self {
        Self {
            version: document.body.version(),
            length: u64::try_from(document.raw().len()).unwrap_or(u64::MAX),
            digest: document.digest(),
        }
    }

    fn to_json(self) -> Value {
        json!({
            "version": self.version,
            "length": self.length,
            "hashes": { "sha256": self.digest.hex() },
        })
    }
}

/// Builds a root and signs it with `signers`, each of which must hold a root key of this root or
/// of the previous one. With fewer signers than the thresholds ask for the result is a draft, to
/// which other holders add their signatures ([`super::add_signature`]).
pub fn build_root(
    spec: &RootSpec,
    signers: &[&dyn Signer],
    previous: Option<&[u8]>,
) -> Result<Vec<u8>, BuildError> {
    let root = RoleName::from(TopRole::Root);
    let previous = previous.map(|bytes| Document::<Root>::parse(&root, bytes)).transpose()?;
    if let Some(previous) = &previous {
        let expected = previous.body.version.checked_add(1);
        let expected = expected.ok_or_else(|| BuildError::Range { role: root.clone() })?;
        if spec.version != expected {
            return Err(BuildError::Version { role: root, found: spec.version, expected });
        }
    }
    let mut signed = header(&root, "root", spec.version, spec.expires)?;
    let mut keys = Map::new();
    let mut roles = Map::new();
    for top in TopRole::ALL {
        let role = RoleName::from(top);
        let (listed, threshold) =
            spec.roles.get(&top).ok_or_else(|| BuildError::MissingRole { role: role.clone() })?;
        let ids = key_ids(&role, listed, *threshold, &mut keys)?;
        roles.insert(top.as_str().to_owned(), json!({"keyids": ids, "threshold": threshold}));
    }
    signed.insert("consistent_snapshot".to_owned(), true.into());
    signed.insert("keys".to_owned(), keys.into());
    signed.insert("roles".to_owned(), roles.into());
    for signer in signers {
        let new = spec.roles.get(&TopRole::Root).is_some_and(|(k, _)| k.contains(signer.public()));
        let old = previous.as_ref().is_some_and(|previous| {
            previous.body.keys(TopRole::Root).keys.values().any(|key| key == signer.public())
        });
        if !new && !old {
            let key_id = signer.public().key_id();
            return Err(BuildError::StrangeSigner { role: root, key_id });
        }
    }
    seal(signed, signers)
}

/// Builds the metadata of a targets role, top-level or delegated.
pub fn build_targets(
    version: u64,
    expires: Timestamp,
    targets: &BTreeMap<TargetPath, TargetEntry>,
    delegations: &[Delegation],
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, BuildError> {
    let mut signed = header(&TopRole::Targets.into(), "targets", version, expires)?;
    let mut listed = Map::new();
    for (path, entry) in targets {
        let mut member = json!({
            "length": entry.length,
            "hashes": { "sha256": entry.digest.hex() },
        });
        if let (Value::Object(member), Some(custom)) = (&mut member, &entry.custom) {
            member.insert("custom".to_owned(), custom.clone());
        }
        listed.insert(path.to_string(), member);
    }
    signed.insert("targets".to_owned(), listed.into());
    if !delegations.is_empty() {
        signed.insert("delegations".to_owned(), delegations_json(delegations)?);
    }
    seal(signed, signers)
}

fn delegations_json(delegations: &[Delegation]) -> Result<Value, BuildError> {
    let mut keys = Map::new();
    let mut roles = Vec::new();
    let mut names = BTreeSet::new();
    for delegation in delegations {
        let role = &delegation.role;
        if role.as_top().is_some() || !names.insert(role) {
            return Err(BuildError::DelegateName { role: role.clone() });
        }
        if delegation.paths.is_empty() {
            return Err(BuildError::NoPaths { role: role.clone() });
        }
        roles.push(json!({
            "name": role,
            "keyids": key_ids(role, &delegation.keys, delegation.threshold, &mut keys)?,
            "threshold": delegation.threshold,
            "paths": delegation.paths,
            "terminating": delegation.terminating,
        }));
    }
    Ok(json!({"keys": keys, "roles": roles}))
}

/// The ids of `listed`, which are added to `keys`; refuses thresholds that cannot be met.
fn key_ids(
    role: &RoleName,
    listed: &[PublicKey],
    threshold: u32,
    keys: &mut Map<String, Value>,
) -> Result<BTreeSet<String>, BuildError> {
    let distinct: BTreeSet<_> = listed.iter().map(PublicKey::value).collect();
    let reachable = usize::try_from(threshold).is_ok_and(|t| (1..=distinct.len()).contains(&t));
    if !reachable {
        let (threshold, keys) = (threshold.into(), distinct.len());
        return Err(BuildError::Threshold { role: role.clone(), threshold, keys });
    }
    let mut ids = BTreeSet::new();
    for key in listed {
        let id = key.key_id().to_string();
        keys.insert(id.clone(), key.to_tuf_json());
        ids.insert(id);
    }
    Ok(ids)
}

/// Builds a snapshot that pins every role of `meta`, which must name `targets`.
pub fn build_snapshot(
    version: u64,
    expires: Timestamp,
    meta: &BTreeMap<RoleName, MetaPin>,
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, BuildError> {
    let targets = RoleName::from(TopRole::Targets);
    if !meta.contains_key(&targets) {
        return Err(BuildError::NotStaged { role: targets });
    }
    let mut signed = header(&TopRole::Snapshot.into(), "snapshot", version, expires)?;
    let pins: Map<_, _> =
        meta.iter().map(|(role, pin)| (format!("{role}.json"), pin.to_json())).collect();
    signed.insert("meta".to_owned(), pins.into());
    seal(signed, signers)
}

/// Builds a timestamp over one snapshot. `signed_at` is the signer's clock.
pub fn build_timestamp(
    version: u64,
    expires: Timestamp,
    signed_at: Timestamp,
    snapshot: MetaPin,
    signers: &[&dyn Signer],
) -> Result<Vec<u8>, BuildError> {
    let role = RoleName::from(TopRole::Timestamp);
    let mut signed = header(&role, "timestamp", version, expires)?;
    signed.insert("meta".to_owned(), json!({"snapshot.json": snapshot.to_json()}));
    signed.insert(SIGNED_AT.to_owned(), whole_seconds(&role, signed_at)?.into());
    seal(signed, signers)
}
