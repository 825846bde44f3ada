//! Private keys of roles, opened when a role must be signed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use signing::{KeyId, PublicKey, RoleName, Signer};

use super::passphrase::Passphrases;
use super::private::{self, Private, PrivateError};
use crate::publisher::{Keyring, KeyringError, RoleKeys};

/// Keys by the file of their public half; the private half is a key file or a signer file beside it.
#[derive(Debug)]
pub(crate) struct FileKeyring {
    files: BTreeMap<KeyId, PathBuf>,
    passphrases: Passphrases,
    opened: BTreeMap<KeyId, Private>,
}

/// Why a role's keys cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileKeyringError {
    #[error(
        "{needed} of its private keys are needed and {found} are here; missing: {}",
        missing.join(", ")
    )]
    TooFew { needed: u32, found: usize, missing: Vec<String> },
}

impl FileKeyring {
    pub(crate) fn new(files: BTreeMap<KeyId, PathBuf>, passphrases: Passphrases) -> Self {
        Self { files, passphrases, opened: BTreeMap::new() }
    }

    /// The key, or where it would be if it were here.
    fn get(&mut self, public: &PublicKey) -> Result<Result<Private, String>, PrivateError> {
        let id = public.key_id();
        if let Some(key) = self.opened.get(&id) {
            return Ok(Ok(key.clone()));
        }
        let Some(public_file) = self.files.get(&id) else {
            return Ok(Err(format!("key {id}")));
        };
        let Some(file) = private::beside(public_file)? else {
            return Ok(Err(private::private_path(public_file).display().to_string()));
        };
        let key = private::open(&file, Some(public), &mut self.passphrases)?;
        self.opened.insert(id, key.clone());
        Ok(Ok(key))
    }
}

impl Keyring for FileKeyring {
    fn open(
        &mut self,
        _role: &RoleName,
        keys: &RoleKeys,
    ) -> Result<Vec<Box<dyn Signer>>, KeyringError> {
        let needed = usize::try_from(keys.threshold).unwrap_or(usize::MAX);
        let mut signers: Vec<Box<dyn Signer>> = Vec::new();
        let mut missing = Vec::new();
        for public in &keys.keys {
            // Every further key would cost a passphrase and add nothing.
            if signers.len() >= needed {
                break;
            }
            match self.get(public)? {
                Ok(key) => signers.push(key.into_signer()),
                Err(place) => missing.push(place),
            }
        }
        if signers.len() < needed {
            let found = signers.len();
            return Err(FileKeyringError::TooFew { needed: keys.threshold, found, missing }.into());
        }
        Ok(signers)
    }

    fn is_at_hand(&self, key: &PublicKey) -> bool {
        // Two private halves are an error for whoever opens them, and here all the same.
        self.files.get(&key.key_id()).is_some_and(|file| !matches!(private::beside(file), Ok(None)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use signing::{SecretKey, keyfile};

    use super::private::private_path;
    use super::*;

    const SECRET: &str = "correct horse";

    fn write(dir: &Path, name: &str, key: &SecretKey) -> PathBuf {
        let public = dir.join(format!("{name}.pub"));
        std::fs::write(&public, key.public().to_spki_pem()).unwrap();
        let pem = keyfile::to_pem(key, SECRET.as_bytes()).unwrap();
        keyfile::write_new(private_path(&public), &pem).unwrap();
        public
    }

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn role(keys: &[&SecretKey], threshold: u32) -> RoleKeys {
        RoleKeys { keys: keys.iter().map(|key| key.public().clone()).collect(), threshold }
    }

    fn keyring(files: &[(&SecretKey, PathBuf)], passphrase: &str) -> FileKeyring {
        let files = files.iter().map(|(key, path)| (key.public().key_id(), path.clone()));
        FileKeyring::new(files.collect(), Passphrases::given(passphrase))
    }

    fn open(keyring: &mut FileKeyring, keys: &RoleKeys) -> Result<usize, String> {
        let role = RoleName::new("acme.releases").unwrap();
        keyring.open(&role, keys).map(|signers| signers.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_as_many_keys_are_opened_as_must_sign() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (key(1), key(2));
        let files = [(&a, write(dir.path(), "a", &a)), (&b, write(dir.path(), "b", &b))];
        assert_eq!(open(&mut keyring(&files, SECRET), &role(&[&a, &b], 1)), Ok(1));
    }

    #[test]
    fn a_missing_private_key_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (key(1), key(2));
        let files = [(&a, write(dir.path(), "a", &a)), (&b, dir.path().join("b.pub"))];
        let error = open(&mut keyring(&files, SECRET), &role(&[&a, &b], 2)).unwrap_err();
        let start = "2 of its private keys are needed and 1 are here; missing: ";
        assert!(error.starts_with(start) && error.ends_with("b.pem"), "{error}");
    }

    #[test]
    fn a_private_key_in_the_wrong_file_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (key(1), key(2));
        let (a_file, b_file) = (write(dir.path(), "a", &a), write(dir.path(), "b", &b));
        std::fs::rename(private_path(&b_file), private_path(&a_file)).unwrap();
        let error = open(&mut keyring(&[(&a, a_file)], SECRET), &role(&[&a], 1)).unwrap_err();
        assert!(error.contains("a.pem is not the private half of "), "{error}");
    }

    #[test]
    fn a_wrong_passphrase_is_said_and_not_asked_for_without_a_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let a = key(1);
        let files = [(&a, write(dir.path(), "a", &a))];
        let error = open(&mut keyring(&files, "wrong"), &role(&[&a], 1)).unwrap_err();
        assert!(error.contains("passphrase does not open"), "{error}");
    }

    /// A signer file beside `a.pub` whose program answers with a signature of `key` over `message`.
    fn write_signer(dir: &Path, key: &SecretKey, message: &[u8]) -> PathBuf {
        use base64::Engine as _;
        let public = dir.join("a.pub");
        std::fs::write(&public, key.public().to_spki_pem()).unwrap();
        let signature = base64::engine::general_purpose::STANDARD.encode(key.sign(message));
        let answer = format!(r#"echo '{{"signature":"{signature}"}}'"#);
        let text = format!("command = ['/bin/sh', '-c', \"\"\"{answer}\"\"\"]\n");
        let file = dir.join("a.signer");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
        public
    }

    #[test]
    fn a_program_signs_where_there_is_no_key_file() {
        let dir = tempfile::tempdir().unwrap();
        let a = key(1);
        let files = [(&a, write_signer(dir.path(), &a, b"message"))];
        let role = RoleName::new("acme.releases").unwrap();
        let keys = self::role(&[&a], 1);
        let signers = keyring(&files, "unused").open(&role, &keys).unwrap();
        assert_eq!(signers[0].sign(b"message").unwrap(), a.sign(b"message"));
        let error = signers[0].sign(b"another").unwrap_err().to_string();
        assert!(error.contains("did not sign with key"), "{error}");
    }

    #[test]
    fn a_key_file_and_a_signer_file_for_one_key_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let a = key(1);
        let public = write(dir.path(), "a", &a);
        write_signer(dir.path(), &a, b"message");
        let error = open(&mut keyring(&[(&a, public)], SECRET), &role(&[&a], 1)).unwrap_err();
        assert!(error.starts_with("both ") && error.ends_with("; remove one"), "{error}");
    }

    #[test]
    fn a_signer_file_from_git_runs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let a = key(1);
        let files = [(&a, write_signer(dir.path(), &a, b"message"))];
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(dir.path().join("a.signer"), mode).unwrap();
        let error = open(&mut keyring(&files, SECRET), &role(&[&a], 1)).unwrap_err();
        assert!(error.contains("a.signer: its mode is 600"), "{error}");
    }
}
