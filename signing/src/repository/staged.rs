//! A repository in memory, on its way to being published.

use super::build::{MetaPin, build_snapshot, build_timestamp};
use super::envelope::BuildError;
use crate::client::Versions;
use crate::key::Signer;
use crate::metadata::{Document, Root, Snapshot, Targets, TimestampMetadata};
use crate::names::{FileName, RoleName, TargetPath, TopRole};
use crate::{MemSource, Sha256Digest};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Life of a snapshot signed by [`StagedRepository::with_online_roles`].
pub const SNAPSHOT_LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Life of a timestamp signed by [`StagedRepository::with_online_roles`]; re-sign at a third.
pub const TIMESTAMP_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Metadata and targets by file name. Clones share the bytes.
#[derive(Debug, Clone, Default)]
pub struct StagedRepository {
    files: BTreeMap<FileName, Arc<[u8]>>,
}

impl StagedRepository {
    /// Nothing staged.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stages the metadata of `role` under the version it says it has; returns that version.
    /// Staging another file of the same version is refused: published versions are immutable.
    /// The timestamp, which has one name for all versions, is replaced.
    pub fn put_metadata(&mut self, role: &RoleName, bytes: Vec<u8>) -> Result<u64, BuildError> {
        let version = match role.as_top() {
            Some(TopRole::Root) => Document::<Root>::parse(role, &bytes)?.body.version,
            Some(TopRole::Snapshot) => Document::<Snapshot>::parse(role, &bytes)?.body.version,
            Some(TopRole::Timestamp) => {
                let version = Document::<TimestampMetadata>::parse(role, &bytes)?.body.version;
                self.files.insert(FileName::timestamp(), bytes.into());
                return Ok(version);
            }
            Some(TopRole::Targets) | None => Document::<Targets>::parse(role, &bytes)?.body.version,
        };
        self.put(FileName::Metadata { role: role.clone(), version: Some(version) }, bytes)?;
        Ok(version)
    }

    /// Stages a target under its SHA-256, which is returned.
    pub fn put_target(&mut self, path: &TargetPath, bytes: Vec<u8>) -> Sha256Digest {
        let digest = Sha256Digest::of(&bytes);
        self.files.insert(FileName::target(path.clone(), digest), bytes.into());
        digest
    }

    /// Stages a file by its relative path, as [`FileName::relative_path`] and
    /// [`StagedRepository::write_order`] have it. Name and content must agree.
    pub fn put_file(&mut self, relative_path: &str, bytes: Vec<u8>) -> Result<(), BuildError> {
        let name = FileName::from_relative_path(relative_path)?;
        let conflict = || BuildError::Conflict { file: relative_path.to_owned() };
        match &name {
            FileName::Target { digest, .. } => {
                let found = Sha256Digest::of(&bytes).into();
                if digest.as_ref() != Some(&found) {
                    return Err(conflict());
                }
                self.files.insert(name, bytes.into());
            }
            FileName::Metadata { role, version } => {
                let mut alone = Self::new();
                let found = alone.put_metadata(role, bytes.clone())?;
                if version.is_some_and(|version| version != found)
                    || !alone.files.contains_key(&name)
                {
                    return Err(conflict());
                }
                self.put_metadata(role, bytes)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, name: FileName, bytes: Vec<u8>) -> Result<(), BuildError> {
        let bytes: Arc<[u8]> = bytes.into();
        match self.files.get(&name) {
            Some(staged) if *staged != bytes => {
                Err(BuildError::Conflict { file: name.to_string() })
            }
            _ => {
                self.files.insert(name, bytes);
                Ok(())
            }
        }
    }

    /// A staged file.
    pub fn get(&self, name: &FileName) -> Option<&Arc<[u8]>> {
        self.files.get(name)
    }

    /// All staged files, by name.
    pub fn files(&self) -> impl Iterator<Item = (&FileName, &Arc<[u8]>)> {
        self.files.iter()
    }

    /// The newest staged version of `role` and its bytes.
    pub fn newest(&self, role: &RoleName) -> Option<(u64, &Arc<[u8]>)> {
        let of_role = |(name, bytes)| match name {
            &FileName::Metadata { role: ref staged, version: Some(version) } if staged == role => {
                Some((version, bytes))
            }
            FileName::Metadata { .. } | FileName::Target { .. } => None,
        };
        self.files.iter().filter_map(of_role).max_by_key(|(version, _)| *version)
    }

    /// The staged files as a source, for our own client.
    pub fn as_source(&self) -> MemSource {
        MemSource::new(
            self.files.iter().map(|(name, bytes)| (name.relative_path(), bytes.clone())).collect(),
        )
    }

    /// Signs a snapshot over the newest version of every staged targets role, and a timestamp
    /// over that snapshot. Each version is `max(previous + 1, unix time)`, so that it never goes
    /// back whatever was restored from backup.
    pub fn with_online_roles(
        mut self,
        snapshot_signer: &dyn Signer,
        timestamp_signer: &dyn Signer,
        now: Timestamp,
        previous: Versions,
    ) -> Result<Self, BuildError> {
        let role = RoleName::from(TopRole::Snapshot);
        let version = next_version(&role, previous.snapshot, now)?;
        let expires = later(&role, now, SNAPSHOT_LIFETIME)?;
        let bytes = build_snapshot(version, expires, &self.pins()?, &[snapshot_signer])?;
        self.put_metadata(&role, bytes)?;
        self.with_timestamp(timestamp_signer, now, previous)
    }

    /// Signs a new timestamp over the newest staged snapshot, which stays as it is: the daily
    /// renewal, after which clients fetch nothing but the timestamp.
    pub fn with_timestamp(
        mut self,
        signer: &dyn Signer,
        now: Timestamp,
        previous: Versions,
    ) -> Result<Self, BuildError> {
        let snapshot = RoleName::from(TopRole::Snapshot);
        let pin = match self.newest(&snapshot) {
            Some((_, bytes)) => MetaPin::of_snapshot(bytes)?,
            None => return Err(BuildError::NotStaged { role: snapshot }),
        };
        let role = RoleName::from(TopRole::Timestamp);
        let version = next_version(&role, previous.timestamp, now)?;
        let expires = later(&role, now, TIMESTAMP_LIFETIME)?;
        let bytes = build_timestamp(version, expires, now, pin, &[signer])?;
        self.put_metadata(&role, bytes)?;
        Ok(self)
    }

    /// Pins on the newest version of every targets role.
    fn pins(&self) -> Result<BTreeMap<RoleName, MetaPin>, BuildError> {
        let mut newest: BTreeMap<&RoleName, (u64, &Arc<[u8]>)> = BTreeMap::new();
        for (name, bytes) in &self.files {
            let FileName::Metadata { role, version: Some(version) } = name else { continue };
            if !matches!(role.as_top(), None | Some(TopRole::Targets)) {
                continue;
            }
            let entry = newest.entry(role).or_insert((*version, bytes));
            if *version > entry.0 {
                *entry = (*version, bytes);
            }
        }
        newest
            .into_iter()
            .map(|(role, (_, bytes))| Ok((role.clone(), MetaPin::of_targets(role, bytes)?)))
            .collect()
    }

    /// Every file with its relative path, in the order in which a live repository may be
    /// overwritten: no reader ever sees metadata that promises a file which is not there yet.
    pub fn write_order(&self) -> Vec<(String, Arc<[u8]>)> {
        let rank = |name: &FileName| match name {
            FileName::Target { .. } => 0,
            FileName::Metadata { role, .. } => match role.as_top() {
                None | Some(TopRole::Targets | TopRole::Root) => 1,
                Some(TopRole::Snapshot) => 2,
                Some(TopRole::Timestamp) => 3,
            },
        };
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|(name, _)| rank(name));
        files.into_iter().map(|(name, bytes)| (name.relative_path(), bytes.clone())).collect()
    }
}

fn next_version(role: &RoleName, previous: u64, now: Timestamp) -> Result<u64, BuildError> {
    let next = previous.checked_add(1).ok_or_else(|| BuildError::Range { role: role.clone() })?;
    // Before 1970 there is no unix time to go by; the previous version still counts.
    Ok(next.max(u64::try_from(now.as_second()).unwrap_or(0)))
}

fn later(role: &RoleName, now: Timestamp, by: SignedDuration) -> Result<Timestamp, BuildError> {
    now.checked_add(by).map_err(|_| BuildError::Range { role: role.clone() })
}
