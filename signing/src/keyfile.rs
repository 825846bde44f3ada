//! Private keys on disk: PKCS#8 **v1** PEM, encrypted unless the file must open unattended.
//!
//! Version 1 (without the public key) because OpenSSL before 3.5 refuses version 2. Encryption is
//! PBES2 with scrypt and AES-256-CBC. CBC is not authenticated: whoever opens a key compares its
//! key id with the one on record.

mod cost;
mod reencrypt;

pub use cost::MaxCost;
pub use reencrypt::reencrypt;

use crate::key::SecretKey;
use ed25519_dalek::pkcs8::{KeypairBytes, spki::der};
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{EncodePrivateKey as _, EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest key file read, in bytes. An RSA-4096 key is 3.3 kB; ours are under 500 bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024;
/// scrypt cost as log2 N. OpenSSL gives scrypt 32 MiB, which is the ceiling here: N=2^14 with
/// r=8 takes 16 MiB.
const SCRYPT_LOG_N: u8 = 14;
/// scrypt block size.
const SCRYPT_R: u32 = 8;
/// scrypt passes: five, to make up for the memory that OpenSSL's ceiling costs us.
const SCRYPT_P: u32 = 5;
/// Salt length in bytes, as OpenSSL writes it.
const SALT_BYTES: usize = 16;

/// A key file that cannot be written, read or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system refused.
    #[error("cannot {action} key file {path}")]
    Io {
        /// `create`, `write`, `read`, `replace`, `remove`, `flush`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Others could read the file.
    #[error("key file {path} is open to group or others (mode {mode:o}): chmod 600 it")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a key file by its size.
    #[error("key file {path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// The text is not an ed25519 key in the expected PEM form.
    #[error("not {expected}: {reason}")]
    Format {
        /// What was expected.
        expected: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A key file that was written again does not open.
    #[error("what was written to replace key file {path} does not open; the file is unchanged")]
    Unverified {
        /// The file.
        path: PathBuf,
    },
    /// Wrong passphrase, or a damaged file: CBC cannot tell the two apart.
    #[error("the passphrase does not open this key, or the file is damaged")]
    Passphrase,
    /// Opening the file would take more memory or time than any honest file asks for.
    #[error("the key file asks for {found} {what}, at most {limit} are accepted")]
    Cost {
        /// What there is too much of.
        what: &'static str,
        /// How much the file asks for.
        found: u64,
        /// The most that is accepted.
        limit: u64,
    },
    /// No randomness for salt and IV, or the key could not be encoded.
    #[error("cannot encrypt the key: {reason}")]
    Encrypt {
        /// What went wrong.
        reason: String,
    },
}

const ENCRYPTED: &str = "an encrypted PKCS#8 PEM";
const PLAIN: &str = "an unencrypted PKCS#8 PEM of an ed25519 key";

/// Encodes `key` as `ENCRYPTED PRIVATE KEY` PEM, which `openssl pkey` opens.
pub fn to_pem(key: &SecretKey, passphrase: &[u8]) -> Result<Zeroizing<String>, KeyFileError> {
    let failed = |reason: String| KeyFileError::Encrypt { reason };
    let (mut salt, mut iv) = ([0; SALT_BYTES], [0; 16]);
    getrandom::fill(&mut salt).map_err(|e| failed(e.to_string()))?;
    getrandom::fill(&mut iv).map_err(|e| failed(e.to_string()))?;
    let cost =
        scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).map_err(|e| failed(e.to_string()))?;
    let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)
        .map_err(|e| failed(e.to_string()))?;
    let plain = keypair(key).to_pkcs8_der().map_err(|e| failed(e.to_string()))?;
    PrivateKeyInfoRef::try_from(plain.as_bytes())
        .and_then(|info| info.encrypt_with_params(parameters, passphrase))
        .and_then(|document| Ok(document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)?))
        .map_err(|e| failed(e.to_string()))
}

/// Opens an `ENCRYPTED PRIVATE KEY` PEM, ours or OpenSSL's. One whose parameters ask for more memory
/// or time than any honest key does is refused before anything is spent.
pub fn from_pem(pem: &str, passphrase: &[u8]) -> Result<SecretKey, KeyFileError> {
    from_pem_within(pem, passphrase, MaxCost::DEFAULT)
}

/// The same with other ceilings on what the file may cost.
pub fn from_pem_within(
    pem: &str,
    passphrase: &[u8],
    cost: MaxCost,
) -> Result<SecretKey, KeyFileError> {
    let format = |reason: String| KeyFileError::Format { expected: ENCRYPTED, reason };
    let (label, document) =
        der::SecretDocument::from_pem(pem).map_err(|e| format(e.to_string()))?;
    if label != "ENCRYPTED PRIVATE KEY" {
        return Err(format(format!("the PEM label is {label:?}")));
    }
    let info = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|e| format(e.to_string()))?;
    cost.check(&info.encryption_algorithm)?;
    let plain = info.decrypt(passphrase).map_err(|_| KeyFileError::Passphrase)?;
    // What a wrong passphrase decrypts to is noise in one case out of 256, not an error.
    secret_from_der(plain.as_bytes()).map_err(|_| KeyFileError::Passphrase)
}

/// Encodes `key` without encryption, for online and agent keys kept in 0600 files.
pub fn to_plain_pem(key: &SecretKey) -> Result<Zeroizing<String>, KeyFileError> {
    keypair(key)
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|e| KeyFileError::Format { expected: PLAIN, reason: e.to_string() })
}

/// Opens an unencrypted PKCS#8 PEM.
pub fn from_plain_pem(pem: &str) -> Result<SecretKey, KeyFileError> {
    let format = |reason: String| KeyFileError::Format { expected: PLAIN, reason };
    let (label, document) =
        der::SecretDocument::from_pem(pem).map_err(|e| format(e.to_string()))?;
    if label != "PRIVATE KEY" {
        return Err(format(format!("the PEM label is {label:?}")));
    }
    secret_from_der(document.as_bytes()).map_err(format)
}

fn keypair(key: &SecretKey) -> KeypairBytes {
    // Without the public key the encoding is version 1.
    KeypairBytes { secret_key: *key.seed(), public_key: None }
}

fn secret_from_der(der: &[u8]) -> Result<SecretKey, String> {
    let pair = KeypairBytes::try_from(der).map_err(|e| e.to_string())?;
    let key = SecretKey::from_seed(pair.secret_key);
    match &pair.public_key {
        Some(public) if public.0.as_slice() != key.public().value().1 => {
            Err("the public half in the file belongs to another key".to_owned())
        }
        _ => Ok(key),
    }
}

/// Writes a new key file: never over an existing one, mode 0600, flushed to disk.
pub fn write_new(path: impl AsRef<Path>, pem: &str) -> Result<(), KeyFileError> {
    let path = path.as_ref();
    let io = |action| move |source| KeyFileError::Io { action, path: path.to_owned(), source };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io("create"))?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(io("write"))
}

/// Reads a key file, refusing one that group or others may read or write.
pub fn read(path: impl AsRef<Path>) -> Result<Zeroizing<String>, KeyFileError> {
    let path = path.as_ref();
    let io = |source| KeyFileError::Io { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    // The open file is asked, not the path: the path may name another file by now.
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(io)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_FILE_BYTES) {
        return Err(KeyFileError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
