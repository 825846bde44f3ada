//! Private keys in encrypted files, opened when a role must be signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use signing::{KeyId, PublicKey, RoleName, SecretKey, Signer, keyfile};

use super::passphrase::Passphrases;
use crate::error::chain;
use crate::publisher::{Keyring, KeyringError, RoleKeys};

/// Keys by the file of their public half.
#[derive(Debug)]
pub(crate) struct FileKeyring {
    files: BTreeMap<KeyId, PathBuf>,
    passphrases: Passphrases,
    opened: BTreeMap<KeyId, SecretKey>,
}

/// Why a role's keys cannot be used.
#[derive(Debug, thiserror::Error)]
enum FileKeyringError {
    #[error(
        "{needed} of its private keys are needed and {found} are here; missing: {}",
        missing.join(", ")
    )]
    TooFew { needed: u32, found: usize, missing: Vec<String> },
    #[error("{}: {reason}", file.display())]
    Open { file: PathBuf, reason: String },
    #[error("{} is not the private half of {}", private.display(), public.display())]
    OtherKey { private: PathBuf, public: PathBuf },
}

/// Where the private half of a public key file is looked for.
pub(crate) fn private_path(public: &Path) -> PathBuf {
    public.with_extension("pem")
}

impl FileKeyring {
    pub(crate) fn new(files: BTreeMap<KeyId, PathBuf>, passphrases: Passphrases) -> Self {
        Self { files, passphrases, opened: BTreeMap::new() }
    }

    /// The key, or where it would be if it were here.
    fn get(&mut self, public: &PublicKey) -> Result<Result<SecretKey, String>, FileKeyringError> {
        let id = public.key_id();
        if let Some(key) = self.opened.get(&id) {
            return Ok(Ok(key.clone()));
        }
        let Some(public_file) = self.files.get(&id) else {
            return Ok(Err(format!("key {id}")));
        };
        let file = private_path(public_file);
        if !file.exists() {
            return Ok(Err(file.display().to_string()));
        }
        let open = |reason: String| FileKeyringError::Open { file: file.clone(), reason };
        let pem = keyfile::read(&file).map_err(|error| open(chain(&error)))?;
        let key = self.passphrases.open(&file, &pem).map_err(|error| open(error.to_string()))?;
        // The cipher is not authenticated, and files get mixed up.
        if key.public() != public {
            let public = public_file.clone();
            return Err(FileKeyringError::OtherKey { private: file, public });
        }
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
                Ok(key) => signers.push(Box::new(key)),
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
        self.files.get(&key.key_id()).is_some_and(|file| private_path(file).exists())
    }
}

#[cfg(test)]
mod tests {
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
}
