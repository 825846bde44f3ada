//! `root`: the keys and thresholds of the top-level roles (TUF 1.0.34 §4.3).

use super::role::{Body, KeySet, usable_keys};
use crate::error::Error;
use crate::key::{KeyId, PublicKey};
use crate::names::{RoleName, TopRole};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The content of `root.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Wire")]
pub struct Root {
    /// Version, one higher than the root before.
    pub version: u64,
    /// End of validity.
    pub expires: Timestamp,
    /// Whether file names carry versions and hashes.
    pub consistent_snapshot: bool,
    roles: Roles,
}

/// One key set per top-level role, so that a lookup cannot fail.
#[derive(Debug, Clone)]
struct Roles {
    root: KeySet,
    snapshot: KeySet,
    targets: KeySet,
    timestamp: KeySet,
}

#[derive(Deserialize)]
struct Wire {
    version: u64,
    expires: Timestamp,
    #[serde(default)]
    consistent_snapshot: bool,
    #[serde(deserialize_with = "usable_keys")]
    keys: BTreeMap<KeyId, PublicKey>,
    roles: WireRoles,
}

/// Exactly the roles we need; `mirrors` and others may be there too.
#[derive(Deserialize)]
struct WireRoles {
    root: WireRole,
    snapshot: WireRole,
    targets: WireRole,
    timestamp: WireRole,
}

#[derive(Deserialize)]
struct WireRole {
    keyids: Vec<KeyId>,
    threshold: u64,
}

impl From<Wire> for Root {
    fn from(wire: Wire) -> Self {
        let pick = |role: WireRole| KeySet::pick(&wire.keys, &role.keyids, role.threshold);
        let WireRoles { root, snapshot, targets, timestamp } = wire.roles;
        Self {
            version: wire.version,
            expires: wire.expires,
            consistent_snapshot: wire.consistent_snapshot,
            roles: Roles {
                root: pick(root),
                snapshot: pick(snapshot),
                targets: pick(targets),
                timestamp: pick(timestamp),
            },
        }
    }
}

impl Root {
    /// Who may sign for `role`.
    pub fn keys(&self, role: TopRole) -> &KeySet {
        match role {
            TopRole::Root => &self.roles.root,
            TopRole::Snapshot => &self.roles.snapshot,
            TopRole::Targets => &self.roles.targets,
            TopRole::Timestamp => &self.roles.timestamp,
        }
    }
}

impl Body for Root {
    const TYPE: &'static str = "root";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn validate(&self, _role: &RoleName) -> Result<(), Error> {
        match TopRole::ALL.into_iter().find(|role| self.keys(*role).threshold == 0) {
            Some(role) => Err(Error::ZeroThreshold { role: role.into() }),
            None => Ok(()),
        }
    }
}
