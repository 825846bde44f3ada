//! `targets`, top-level and delegated: files, and who else may list files (TUF 1.0.34 §4.5).

use super::document::at_most;
use super::hashes::Hashes;
use super::role::{Body, KeySet, usable_keys};
use crate::error::Error;
use crate::key::{KeyId, PublicKey};
use crate::names::{RoleName, TargetPath};
use crate::{Sha256Digest, glob};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most path patterns or hash prefixes of one delegation: every lookup of a path tries them all.
/// Ours have one.
const MAX_PATHS: usize = 64;
/// Most keys of one delegation: each may cost a signature check. Teams have a handful.
const MAX_KEYS: usize = 64;

/// One listed file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct TargetInfo {
    /// Bytes.
    pub length: u64,
    /// Hashes.
    pub hashes: Hashes,
    /// Whatever the signer wanted to say about it.
    pub custom: Option<Value>,
}

/// The content of a targets role.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Targets {
    /// Version.
    pub version: u64,
    /// End of validity.
    pub expires: Timestamp,
    /// Files by path, as written; lookups go through [`Targets::find`].
    pub targets: BTreeMap<String, TargetInfo>,
    /// Delegations, most trusted first.
    pub delegations: Vec<DelegatedRole>,
}

/// One delegation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegatedRole {
    /// The delegate.
    pub name: RoleName,
    /// Who may sign for it, as *this* delegator says.
    pub keys: KeySet,
    /// Whether a matching path is searched no further than this delegate.
    pub terminating: bool,
    paths: Paths,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Paths {
    Patterns(Vec<String>),
    HashPrefixes(Vec<String>),
}

impl DelegatedRole {
    /// Whether `path` is this delegate's to list.
    pub fn covers(&self, path: &TargetPath) -> bool {
        match &self.paths {
            Paths::Patterns(patterns) => {
                patterns.iter().any(|pattern| glob::matches(pattern, path.as_str()))
            }
            Paths::HashPrefixes(prefixes) => {
                let hex = Sha256Digest::of(path.as_str().as_bytes()).hex();
                prefixes.iter().any(|prefix| hex.starts_with(prefix.as_str()))
            }
        }
    }

    /// The path patterns; empty when the delegation goes by hash prefixes.
    pub fn patterns(&self) -> &[String] {
        match &self.paths {
            Paths::Patterns(patterns) => patterns,
            Paths::HashPrefixes(_) => &[],
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    version: u64,
    expires: Timestamp,
    targets: BTreeMap<String, TargetInfo>,
    delegations: Option<WireDelegations>,
}

#[derive(Deserialize)]
struct WireDelegations {
    #[serde(deserialize_with = "usable_keys")]
    keys: BTreeMap<KeyId, PublicKey>,
    roles: Vec<WireRole>,
}

#[derive(Deserialize)]
struct WireRole {
    name: RoleName,
    keyids: Vec<KeyId>,
    threshold: u64,
    #[serde(default)]
    terminating: bool,
    paths: Option<Vec<String>>,
    path_hash_prefixes: Option<Vec<String>>,
}

impl TryFrom<Wire> for Targets {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let mut delegations = Vec::new();
        if let Some(WireDelegations { keys, roles }) = wire.delegations {
            for role in roles {
                let paths = match (role.paths, role.path_hash_prefixes) {
                    (Some(patterns), None) => Paths::Patterns(patterns),
                    (None, Some(prefixes)) => Paths::HashPrefixes(prefixes),
                    (Some(_), Some(_)) | (None, None) => {
                        let name = role.name;
                        return Err(format!("{name}: needs paths or path_hash_prefixes, not both"));
                    }
                };
                delegations.push(DelegatedRole {
                    keys: KeySet::pick(&keys, &role.keyids, role.threshold),
                    name: role.name,
                    terminating: role.terminating,
                    paths,
                });
            }
        }
        let Wire { version, expires, targets, .. } = wire;
        Ok(Self { version, expires, targets, delegations })
    }
}

impl Targets {
    /// The file listed at `path`.
    pub fn find(&self, path: &TargetPath) -> Option<&TargetInfo> {
        self.targets.get(path.as_str())
    }
}

impl Body for Targets {
    const TYPE: &'static str = "targets";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn validate(&self, delegator: &RoleName) -> Result<(), Error> {
        let mut names = BTreeSet::new();
        for DelegatedRole { name, keys, paths, .. } in &self.delegations {
            let (Paths::Patterns(list) | Paths::HashPrefixes(list)) = paths;
            at_most(delegator, "paths in one delegation", list.len(), MAX_PATHS)?;
            at_most(delegator, "keys in one delegation", keys.keys.len(), MAX_KEYS)?;
            // A delegate called `snapshot` would be stored and looked up as the real one.
            if name.as_top().is_some() {
                let (delegator, role) = (delegator.clone(), name.clone());
                return Err(Error::ReservedRole { delegator, role });
            }
            if keys.threshold == 0 {
                return Err(Error::ZeroThreshold { role: name.clone() });
            }
            if !names.insert(name) {
                let reason = format!("delegates to {name} twice");
                return Err(Error::Malformed { role: delegator.clone(), reason });
            }
        }
        Ok(())
    }
}
