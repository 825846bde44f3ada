//! The private half of one key: an encrypted file `x.pem`, or a program named in `x.signer`.

use std::path::{Path, PathBuf};

use signing::signer::ExecSigner;
use signing::{PublicKey, SecretKey, Signer, keyfile};

use super::passphrase::Passphrases;
use super::{read_public, signer};
use crate::error::chain;

/// Ending of a file with a private key.
const KEY_FILE: &str = "pem";

/// Ending of a file that names a program.
pub(super) const SIGNER_FILE: &str = "signer";

/// Ending of a file with a public key.
const PUBLIC_FILE: &str = "pub";

/// Something that signs with one key.
#[derive(Debug, Clone)]
pub(crate) enum Private {
    /// A key in memory.
    Key(SecretKey),
    /// A local program that has it.
    Program(ExecSigner),
}

/// Why a private half is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateError {
    /// It cannot be read, or its passphrase is wrong.
    #[error("{}: {reason}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// It belongs to another key.
    #[error("{} is not the private half of {}", private.display(), public.display())]
    OtherKey {
        /// The private half.
        private: PathBuf,
        /// The public half on record.
        public: PathBuf,
    },
    /// Two private halves: which one is meant is not for us to guess.
    #[error("both {} and {} are there; remove one", key.display(), signer.display())]
    Both {
        /// The key file.
        key: PathBuf,
        /// The signer file.
        signer: PathBuf,
    },
    /// A program without a key on record to hold it to.
    #[error(
        "{} names a program, and there is no {}: `fairway key public` makes it",
        signer.display(),
        public.display()
    )]
    NoPublic {
        /// The signer file.
        signer: PathBuf,
        /// Where its public half would be.
        public: PathBuf,
    },
}

impl Private {
    /// The public half.
    pub(crate) fn public(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key.public(),
            Self::Program(program) => Signer::public(program),
        }
    }

    /// Ready to sign.
    pub(crate) fn into_signer(self) -> Box<dyn Signer> {
        match self {
            Self::Key(key) => Box::new(key),
            Self::Program(program) => Box::new(program),
        }
    }
}

/// Where the private half of a public key file is looked for first, and what to name when it is
/// nowhere.
pub(crate) fn private_path(public: &Path) -> PathBuf {
    public.with_extension(KEY_FILE)
}

/// Where the public half of a private key file is kept.
pub(crate) fn public_path(private: &Path) -> PathBuf {
    private.with_extension(PUBLIC_FILE)
}

/// Whether a file names a program.
pub(crate) fn is_signer(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == SIGNER_FILE)
}

/// The private half beside a public key file, if there is one.
pub(super) fn beside(public: &Path) -> Result<Option<PathBuf>, PrivateError> {
    let (key, signer) = (private_path(public), public.with_extension(SIGNER_FILE));
    // A link to nowhere is something somebody put there: it is opened, and the error says so.
    let there = |path: &Path| path.symlink_metadata().is_ok();
    match (there(&key), there(&signer)) {
        (true, true) => Err(PrivateError::Both { key, signer }),
        (true, false) => Ok(Some(key)),
        (false, true) => Ok(Some(signer)),
        (false, false) => Ok(None),
    }
}

/// Opens a private half and holds it to the public half on record: `recorded`, or else the `.pub`
/// file beside it. The cipher of key files is not authenticated, and files get mixed up.
pub(crate) fn open(
    file: &Path,
    recorded: Option<&PublicKey>,
    passphrases: &mut Passphrases,
) -> Result<Private, PrivateError> {
    let failed = |reason: String| PrivateError::Open { file: file.to_owned(), reason };
    let public = public_path(file);
    let recorded = match recorded {
        Some(key) => Some(key.clone()),
        None if public.exists() => {
            Some(read_public(&public).map_err(|error| failed(error.to_string()))?)
        }
        None => None,
    };
    if is_signer(file) {
        let program = signer::read(file).map_err(|error| failed(error.to_string()))?;
        let signer = file.to_owned();
        let key = recorded.ok_or(PrivateError::NoPublic { signer, public })?;
        return Ok(Private::Program(ExecSigner::new(program, key)));
    }
    let pem = keyfile::read(file).map_err(|error| failed(chain(&error)))?;
    let key = passphrases.open(file, &pem).map_err(|error| failed(error.to_string()))?;
    if recorded.is_some_and(|recorded| key.public() != &recorded) {
        return Err(PrivateError::OtherKey { private: file.to_owned(), public });
    }
    Ok(Private::Key(key))
}

/// The public half as the private one has it, without looking at what is on record.
pub(crate) fn derive_public(
    file: &Path,
    passphrases: &mut Passphrases,
) -> Result<PublicKey, PrivateError> {
    let failed = |reason: String| PrivateError::Open { file: file.to_owned(), reason };
    if is_signer(file) {
        let program = signer::read(file).map_err(|error| failed(error.to_string()))?;
        return program.public().map_err(|error| failed(chain(&error)));
    }
    let pem = keyfile::read(file).map_err(|error| failed(chain(&error)))?;
    let key = passphrases.open(file, &pem).map_err(|error| failed(error.to_string()))?;
    Ok(key.public().clone())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    /// A key file that opens without a passphrase, beside the public half of `public`.
    fn pair(dir: &Path, private: &SecretKey, public: &SecretKey) -> PathBuf {
        let file = dir.join("a.pem");
        keyfile::write_new(&file, &keyfile::to_plain_pem(private).unwrap()).unwrap();
        std::fs::write(dir.join("a.pub"), public.public().to_spki_pem()).unwrap();
        file
    }

    fn open_alone(file: &Path) -> Result<Private, PrivateError> {
        open(file, None, &mut Passphrases::given("unused"))
    }

    #[test]
    fn a_key_is_held_to_the_public_half_beside_it_or_to_the_one_on_record() {
        let dir = tempfile::tempdir().unwrap();
        let file = pair(dir.path(), &secret(1), &secret(1));
        assert_eq!(open_alone(&file).unwrap().public(), secret(1).public());
        let recorded = open(&file, Some(secret(2).public()), &mut Passphrases::given("unused"));
        assert!(matches!(recorded.unwrap_err(), PrivateError::OtherKey { .. }));
        std::fs::remove_file(&file).unwrap();
        let file = pair(dir.path(), &secret(1), &secret(2));
        assert!(matches!(open_alone(&file).unwrap_err(), PrivateError::OtherKey { .. }));
        // A holder may carry the private half alone; the request says who may sign.
        std::fs::remove_file(dir.path().join("a.pub")).unwrap();
        assert!(open_alone(&file).is_ok());
    }

    #[test]
    fn a_program_needs_a_public_half_to_be_held_to() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.signer");
        std::fs::write(&file, "command = ['/bin/false']").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(matches!(open_alone(&file).unwrap_err(), PrivateError::NoPublic { .. }));
        std::fs::write(dir.path().join("a.pub"), secret(1).public().to_spki_pem()).unwrap();
        assert_eq!(open_alone(&file).unwrap().public(), secret(1).public());
    }

    #[test]
    fn a_private_half_at_a_loose_end_of_a_link_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let public = dir.path().join("a.pub");
        assert!(beside(&public).unwrap().is_none());
        std::os::unix::fs::symlink("/nowhere", dir.path().join("a.pem")).unwrap();
        let file = beside(&public).unwrap().unwrap();
        let error = open(&file, Some(secret(1).public()), &mut Passphrases::given("unused"));
        assert!(matches!(error.unwrap_err(), PrivateError::Open { .. }));
        std::fs::write(dir.path().join("a.signer"), "").unwrap();
        assert!(matches!(beside(&public).unwrap_err(), PrivateError::Both { .. }));
    }
}
