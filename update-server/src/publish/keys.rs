//! The two keys the hub holds itself: `snapshot` and `timestamp`.

use std::path::Path;

use channels::wire::HubKeys;
use signing::{SecretKey, keyfile};

use super::disk::create_private_dir;
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
    /// at the first start.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, PublishError> {
        let directory = data_dir.join("keys");
        create_private_dir(&directory)?;
        Ok(Self {
            snapshot: load_or_create(&directory, "snapshot")?,
            timestamp: load_or_create(&directory, "timestamp")?,
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

fn load_or_create(directory: &Path, role: &'static str) -> Result<SecretKey, PublishError> {
    let path = directory.join(format!("{role}.pem"));
    let failed = |source| PublishError::Key { role, source };
    if !path.exists() {
        let key = SecretKey::generate().map_err(|source| PublishError::NewKey { role, source })?;
        let pem = keyfile::to_plain_pem(&key).map_err(failed)?;
        keyfile::write_new(&path, &pem).map_err(failed)?;
    }
    keyfile::read(&path).and_then(|pem| keyfile::from_plain_pem(&pem)).map_err(failed)
}
