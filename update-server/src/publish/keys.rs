//! The two keys the hub holds itself: `snapshot` and `timestamp`.

mod ring;

use std::path::{Path, PathBuf};
use std::{fs, io};

use channels::wire::HubKeys;
use signing::{SecretKey, TopRole, keyfile};

use super::disk::{self, create_private_dir, sync_dir};
use super::error::PublishError;
pub(super) use ring::Ring;

/// Directory below the data directory.
const KEYS_DIR: &str = "keys";

/// A role that the hub signs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnlineRole {
    /// Pins the version of every other role.
    Snapshot,
    /// Pins the snapshot; renewed daily.
    Timestamp,
}

impl OnlineRole {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Snapshot, Self::Timestamp];

    /// As in paths, file names and metadata.
    pub fn as_str(self) -> &'static str {
        self.top().as_str()
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// The TUF role.
    pub(super) fn top(self) -> TopRole {
        match self {
            Self::Snapshot => TopRole::Snapshot,
            Self::Timestamp => TopRole::Timestamp,
        }
    }
}

/// One key for each online role. `Debug` shows key ids only.
#[derive(Debug, Clone)]
pub struct OnlineKeys {
    /// Signs snapshots.
    pub(super) snapshot: SecretKey,
    /// Signs timestamps.
    pub(super) timestamp: SecretKey,
}

impl OnlineKeys {
    /// Reads `<data-dir>/keys/{snapshot,timestamp}.pem` (plain PKCS#8, mode 0600), which are made
    /// at the first start: as long as nothing was published with them.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, PublishError> {
        let directory = data_dir.join(KEYS_DIR);
        create_private_dir(&directory)?;
        let repository = data_dir.join("tuf/metadata/1.root.json");
        Ok(Self {
            snapshot: load_or_create(&directory, OnlineRole::Snapshot, &repository)?,
            timestamp: load_or_create(&directory, OnlineRole::Timestamp, &repository)?,
        })
    }

    /// Reads the same files, which must be there.
    pub fn load(data_dir: &Path) -> Result<Self, PublishError> {
        let read = |role: OnlineRole| {
            let path = Self::path(data_dir, role);
            if !path.exists() {
                return Err(PublishError::ForeignKey { role: role.as_str(), path });
            }
            read(role, &path)
        };
        Ok(Self { snapshot: read(OnlineRole::Snapshot)?, timestamp: read(OnlineRole::Timestamp)? })
    }

    /// Where the key of a role is kept.
    pub(super) fn path(data_dir: &Path, role: OnlineRole) -> PathBuf {
        data_dir.join(KEYS_DIR).join(format!("{}.pem", role.as_str()))
    }

    /// The public half of one of them, as PEM.
    pub(super) fn public_of(&self, role: OnlineRole) -> String {
        self.get(role).public().to_spki_pem()
    }

    /// The public halves, for `fairway init` to sign into root 1.
    pub fn public(&self) -> HubKeys {
        HubKeys {
            snapshot: self.snapshot.public().to_spki_pem(),
            timestamp: self.timestamp.public().to_spki_pem(),
            snapshot_next: None,
            timestamp_next: None,
        }
    }

    /// The key of a role.
    fn get(&self, role: OnlineRole) -> &SecretKey {
        match role {
            OnlineRole::Snapshot => &self.snapshot,
            OnlineRole::Timestamp => &self.timestamp,
        }
    }

    /// The same with another key for one role.
    fn with(self, role: OnlineRole, key: SecretKey) -> Self {
        match role {
            OnlineRole::Snapshot => Self { snapshot: key, ..self },
            OnlineRole::Timestamp => Self { timestamp: key, ..self },
        }
    }
}

fn load_or_create(
    directory: &Path,
    role: OnlineRole,
    repository: &Path,
) -> Result<SecretKey, PublishError> {
    let path = directory.join(format!("{}.pem", role.as_str()));
    remove_if_there(&path.with_extension("pem.new"))?;
    if !path.exists() {
        if repository.exists() {
            // A hub with other keys could not serve that repository anyway.
            return Err(PublishError::KeyLost { role: role.as_str(), path });
        }
        create(directory, role, &path)?;
    }
    read(role, &path)
}

/// Makes a key file. Its name appears with its whole content or not at all, and never over another
/// key.
fn create(directory: &Path, role: OnlineRole, path: &Path) -> Result<(), PublishError> {
    let failed = |source| PublishError::Key { role: role.as_str(), source };
    let draft = path.with_extension("pem.new");
    remove_if_there(&draft)?;
    let key = SecretKey::generate()
        .map_err(|source| PublishError::NewKey { role: role.as_str(), source })?;
    let pem = keyfile::to_plain_pem(&key).map_err(failed)?;
    keyfile::write_new(&draft, &pem).map_err(failed)?;
    fs::hard_link(&draft, path).map_err(disk::failed("create", path))?;
    remove_if_there(&draft)?;
    sync_dir(directory)
}

fn read(role: OnlineRole, path: &Path) -> Result<SecretKey, PublishError> {
    let failed = |source| PublishError::Key { role: role.as_str(), source };
    keyfile::read(path).and_then(|pem| keyfile::from_plain_pem(&pem)).map_err(failed)
}

fn remove_if_there(path: &Path) -> Result<(), PublishError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(disk::failed("remove", path)(error))
        }
        _ => Ok(()),
    }
}
