//! `snapshot`: the version of every targets role (TUF 1.0.34 §4.4).

use super::hashes::Hashes;
use super::role::Body;
use crate::error::Error;
use crate::names::{FileName, RoleName};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A pin on another metadata file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MetaFile {
    /// Version it must have.
    pub version: u64,
    /// Bytes it must have, if pinned.
    pub length: Option<u64>,
    /// Hashes it must have, if pinned.
    pub hashes: Option<Hashes>,
}

impl MetaFile {
    /// Checks length and hashes of `bytes`, as far as they are pinned (§5.5.2, §5.6.2).
    pub fn check(&self, file: &FileName, bytes: &[u8]) -> Result<(), Error> {
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Some(expected) = self.length.filter(|length| *length != found) {
            return Err(Error::Length { file: file.clone(), found, expected });
        }
        self.hashes.as_ref().map_or(Ok(()), |hashes| hashes.check(file, bytes))
    }
}

/// The content of `snapshot.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Snapshot {
    /// Version.
    pub version: u64,
    /// End of validity.
    pub expires: Timestamp,
    /// Pins by unquoted file name, `<role>.json`.
    pub meta: BTreeMap<String, MetaFile>,
}

impl Snapshot {
    /// The pin of `role`; none means the role does not exist in this snapshot.
    pub fn pin(&self, role: &RoleName) -> Option<&MetaFile> {
        self.meta.get(&format!("{role}.json"))
    }
}

impl Body for Snapshot {
    const TYPE: &'static str = "snapshot";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn validate(&self, role: &RoleName) -> Result<(), Error> {
        if self.meta.contains_key("targets.json") {
            return Ok(());
        }
        Err(Error::Malformed { role: role.clone(), reason: "no pin of targets.json".to_owned() })
    }
}
