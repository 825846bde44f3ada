//! The two keys the hub holds itself: `snapshot` and `timestamp`.

use std::path::Path;
use std::{fs, io};

use channels::wire::HubKeys;
use signing::{SecretKey, keyfile};

use super::disk::{self, create_private_dir, sync_dir};
use super::error::PublishError;

/// Keys of the online roles. `Debug` shows key ids only.
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
        let directory = data_dir.join("keys");
        create_private_dir(&directory)?;
        let repository = data_dir.join("tuf/metadata/1.root.json");
        Ok(Self {
            snapshot: load_or_create(&directory, "snapshot", &repository)?,
            timestamp: load_or_create(&directory, "timestamp", &repository)?,
        })
    }

    /// The public halves, for `fairway init` to sign into root 1.
    pub fn public(&self) -> HubKeys {
        HubKeys {
            snapshot: self.snapshot.public().to_spki_pem(),
            timestamp: self.timestamp.public().to_spki_pem(),
        }
    }
}

fn load_or_create(
    directory: &Path,
    role: &'static str,
    repository: &Path,
) -> Result<SecretKey, PublishError> {
    let path = directory.join(format!("{role}.pem"));
    let failed = |source| PublishError::Key { role, source };
    let draft = directory.join(format!("{role}.pem.new"));
    remove_if_there(&draft)?;
    if !path.exists() {
        if repository.exists() {
            // A hub with other keys could not serve that repository anyway.
            return Err(PublishError::KeyLost { role, path });
        }
        let key = SecretKey::generate().map_err(|source| PublishError::NewKey { role, source })?;
        let pem = keyfile::to_plain_pem(&key).map_err(failed)?;
        keyfile::write_new(&draft, &pem).map_err(failed)?;
        // The name appears with its whole content or not at all, and never over another key.
        fs::hard_link(&draft, &path).map_err(disk::failed("create", &path))?;
        remove_if_there(&draft)?;
        sync_dir(directory)?;
    }
    keyfile::read(&path).and_then(|pem| keyfile::from_plain_pem(&pem)).map_err(failed)
}

fn remove_if_there(path: &Path) -> Result<(), PublishError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(disk::failed("remove", path)(error))
        }
        _ => Ok(()),
    }
}
