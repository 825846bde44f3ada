//! Signing: our own ed25519 keys, and the trait behind which any other signer hides.

use super::{KeyError, PublicKey};
use ed25519_dalek::{Signer as _, SigningKey};
use std::fmt;
use zeroize::Zeroizing;

/// A signer could not sign. For [`SecretKey`] this never happens; for a helper program, a token
/// or a key service it can.
#[derive(Debug, thiserror::Error)]
#[error("signing failed: {reason}")]
pub struct SignError {
    /// What the signer said.
    pub reason: String,
}

/// Something that signs with one key: a key in memory, or a helper program in front of a KMS or
/// a PKCS#11 token.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// Signs `message` with the scheme of [`Signer::public`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// An ed25519 private key. Wiped from memory on drop; never printed.
#[derive(Clone)]
pub struct SecretKey {
    signing: SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// Makes a new key from the operating system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|e| KeyError::Randomness { reason: e.to_string() })?;
        Ok(Self::from_seed(*seed))
    }

    /// The key of an RFC 8032 seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let signing = SigningKey::from_bytes(&seed);
        let public = PublicKey::from_verifying_key(signing.verifying_key());
        Self { signing, public }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`; 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.signing.sign(message).to_vec()
    }

    /// The RFC 8032 seed, for key files.
    #[cfg(feature = "keys")]
    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes())
    }
}

impl Signer for SecretKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(Self::sign(self, message))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public.key_id())
    }
}
