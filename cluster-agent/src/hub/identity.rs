//! The cluster's key: made once, kept in the state directory, never sent anywhere.

use std::path::Path;

use signing::{SecretKey, keyfile};

use super::error::HubError;

/// File name below the state directory; unencrypted PKCS#8, mode 0600.
const KEY_FILE: &str = "cluster-key.pem";

/// Opens the key below `state_dir`, or makes it if there is none.
///
/// A key file that others can read is refused rather than replaced: the key in it may be known to
/// someone else, and its replacement has to be enrolled by a person.
pub fn open_or_create_key(state_dir: &Path) -> Result<SecretKey, HubError> {
    let path = state_dir.join(KEY_FILE);
    let failed = |source| HubError::KeyFile { path: path.clone(), source };
    if path.exists() {
        let pem = keyfile::read(&path).map_err(failed)?;
        return keyfile::from_plain_pem(&pem).map_err(failed);
    }
    let key = SecretKey::generate().map_err(|source| HubError::MakeKey { source })?;
    let pem = keyfile::to_plain_pem(&key).map_err(failed)?;
    keyfile::write_new(&path, &pem).map_err(failed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let first = open_or_create_key(dir.path()).unwrap();
        let again = open_or_create_key(dir.path()).unwrap();
        assert_eq!(first.public(), again.public());
        let mode = std::fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        open_or_create_key(dir.path()).unwrap();
        let path = dir.path().join(KEY_FILE);
        let before = std::fs::read(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = open_or_create_key(dir.path()).unwrap_err();
        assert!(matches!(refused, HubError::KeyFile { .. }), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
