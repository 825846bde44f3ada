//! A new passphrase for an existing key file.

use super::{KeyFileError, from_pem, read, to_pem, write_new};
use crate::key::SecretKey;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Encrypts the file of `key` again with another passphrase. The new file is written beside the
/// old one, flushed, read back and opened; only then does it take the old one's place, in one step.
/// Whatever fails before leaves the old file as it was.
pub fn reencrypt(
    path: impl AsRef<Path>,
    key: &SecretKey,
    passphrase: &[u8],
) -> Result<(), KeyFileError> {
    let pem = to_pem(key, passphrase)?;
    swap(path.as_ref(), &pem, |text| {
        from_pem(text, passphrase).is_ok_and(|opened| opened.public() == key.public())
    })
}

/// Replaces `path` by `pem` if `opens` says so of what was really written.
fn swap(path: &Path, pem: &str, opens: impl Fn(&str) -> bool) -> Result<(), KeyFileError> {
    let failed = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| KeyFileError::Io { action, path, source }
    };
    // A link stays a link; what it names is replaced.
    let path = fs::canonicalize(path).map_err(failed("read", path))?;
    let draft = draft_of(&path);
    // Left by a crash: a second copy of a key that is still in its place.
    remove_if_there(&draft).map_err(failed("remove", &draft))?;
    let written = write_new(&draft, pem).and_then(|()| {
        let verified = read(&draft).is_ok_and(|text| opens(&text));
        if !verified {
            return Err(KeyFileError::Unverified { path: path.clone() });
        }
        fs::rename(&draft, &path).map_err(failed("replace", &path))
    });
    if let Err(error) = written {
        remove_if_there(&draft).map_err(failed("remove", &draft))?;
        return Err(error);
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory).and_then(|dir| dir.sync_all()).map_err(failed("flush", directory))
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".passwd");
    path.with_file_name(name)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn key_file() -> (tempfile::TempDir, PathBuf, SecretKey) {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("a.pem"), SecretKey::from_seed([7; 32]));
        write_new(&path, &to_pem(&key, b"old").unwrap()).unwrap();
        (dir, path, key)
    }

    fn files(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path()).unwrap().count()
    }

    #[test]
    fn a_changed_passphrase_opens_the_same_key_and_the_old_one_does_not() {
        let (dir, path, key) = key_file();
        // What a crash in an earlier attempt left is no obstacle.
        fs::write(draft_of(&path), "half").unwrap();
        reencrypt(&path, &key, b"new").unwrap();
        let text = read(&path).unwrap();
        assert_eq!(from_pem(&text, b"new").unwrap().public(), key.public());
        assert!(matches!(from_pem(&text, b"old").unwrap_err(), KeyFileError::Passphrase));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files(&dir), 1);
    }

    #[test]
    fn a_new_file_that_does_not_open_leaves_the_old_one() {
        let (dir, path, key) = key_file();
        let error = swap(&path, "damaged", |_| false).unwrap_err();
        assert!(matches!(error, KeyFileError::Unverified { .. }), "{error}");
        assert_eq!(from_pem(&read(&path).unwrap(), b"old").unwrap().public(), key.public());
        assert_eq!(files(&dir), 1);
    }

    #[test]
    fn a_link_to_a_key_file_stays_a_link() {
        let (dir, path, key) = key_file();
        let link = dir.path().join("link.pem");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        reencrypt(&link, &key, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(from_pem(&read(&path).unwrap(), b"new").is_ok());
    }
}
