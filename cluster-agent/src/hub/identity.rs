//! The cluster's key: made once, kept in the state directory, never sent anywhere; and the key that
//! is to follow it, kept beside it until the hub has taken it.
//!
//! A key file appears whole or not at all, and the one in force is only ever replaced by a rename:
//! a crash leaves a key that can be used.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use signing::{SecretKey, keyfile};

use super::error::HubError;

/// A place for a key below the state directory; unencrypted PKCS#8, mode 0600.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// The key in force.
    InForce,
    /// The key a rotation asks for.
    Next,
    /// The key of an enrolment that replaces a lost or conflicted one.
    Enrolling,
}

impl KeyPlace {
    /// Its file below `state_dir`.
    pub fn path(self, state_dir: &Path) -> PathBuf {
        state_dir.join(match self {
            Self::InForce => "cluster-key.pem",
            Self::Next => "cluster-key.next.pem",
            Self::Enrolling => "cluster-key.enrolling.pem",
        })
    }
}

/// Opens the key at a place, if there is one.
///
/// A key file that others can read is refused rather than replaced: the key in it may be known to
/// someone else, and its replacement has to be enrolled by a person.
pub fn open_key(state_dir: &Path, place: KeyPlace) -> Result<Option<SecretKey>, HubError> {
    let path = place.path(state_dir);
    if !path.exists() {
        return Ok(None);
    }
    let pem = keyfile::read(&path).and_then(|pem| keyfile::from_plain_pem(&pem));
    pem.map(Some).map_err(|source| HubError::KeyFile { path, source })
}

/// Opens the key at a place, or makes it if there is none.
pub fn open_or_create_key(state_dir: &Path, place: KeyPlace) -> Result<SecretKey, HubError> {
    if let Some(key) = open_key(state_dir, place)? {
        return Ok(key);
    }
    let path = place.path(state_dir);
    let temporary = path.with_extension("tmp");
    let failed = |source| HubError::KeyFile { path: temporary.clone(), source };
    let key = SecretKey::generate().map_err(|source| HubError::MakeKey { source })?;
    let pem = keyfile::to_plain_pem(&key).map_err(failed)?;
    remove(&temporary)?;
    keyfile::write_new(&temporary, &pem).map_err(failed)?;
    rename(&temporary, &path)?;
    Ok(key)
}

/// Puts the key at `place` into force; the one before is gone with it.
pub fn put_in_force(state_dir: &Path, place: KeyPlace) -> Result<(), HubError> {
    rename(&place.path(state_dir), &KeyPlace::InForce.path(state_dir))
}

/// Forgets the key at a place, if there is one.
pub fn forget_key(state_dir: &Path, place: KeyPlace) -> Result<(), HubError> {
    remove(&place.path(state_dir))
}

fn rename(from: &Path, to: &Path) -> Result<(), HubError> {
    let failed = |source| HubError::KeyPlace { action: "replace", path: to.to_owned(), source };
    fs::rename(from, to).map_err(failed)?;
    let Some(parent) = to.parent() else { return Ok(()) };
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed)
}

fn remove(path: &Path) -> Result<(), HubError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(HubError::KeyPlace { action: "remove", path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        for place in [KeyPlace::InForce, KeyPlace::Next, KeyPlace::Enrolling] {
            let first = open_or_create_key(dir.path(), place).unwrap();
            let again = open_or_create_key(dir.path(), place).unwrap();
            assert_eq!(first.public(), again.public());
            let mode = fs::metadata(place.path(dir.path())).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        open_or_create_key(dir.path(), KeyPlace::InForce).unwrap();
        let path = KeyPlace::InForce.path(dir.path());
        let before = fs::read(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = open_or_create_key(dir.path(), KeyPlace::InForce).unwrap_err();
        assert!(matches!(refused, HubError::KeyFile { .. }), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_crash_in_the_making_leaves_no_key_and_the_next_try_makes_one() {
        let dir = tempfile::tempdir().unwrap();
        let half = KeyPlace::InForce.path(dir.path()).with_extension("tmp");
        fs::write(&half, "-----BEGIN PRIV").unwrap();
        assert!(open_key(dir.path(), KeyPlace::InForce).unwrap().is_none());
        open_or_create_key(dir.path(), KeyPlace::InForce).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn the_next_key_takes_the_place_of_the_one_in_force() {
        let dir = tempfile::tempdir().unwrap();
        open_or_create_key(dir.path(), KeyPlace::InForce).unwrap();
        let next = open_or_create_key(dir.path(), KeyPlace::Next).unwrap();
        put_in_force(dir.path(), KeyPlace::Next).unwrap();
        assert!(open_key(dir.path(), KeyPlace::Next).unwrap().is_none());
        let now = open_key(dir.path(), KeyPlace::InForce).unwrap().unwrap();
        assert_eq!(now.public(), next.public());
    }
}
