//! Keys: who signed, and whether the signature is good.
//!
//! Verification knows ed25519 (strict), ECDSA P-256 and RSA-PSS, because KMS and hardware keys
//! speak the latter two. Signing in this process is ed25519 only; anything else is a [`Signer`].

pub(crate) mod batch;
mod id;
mod low_order;
mod public;
mod secret;

pub use id::KeyId;
pub use public::{KeyScheme, PublicKey};
pub use secret::{SecretKey, SignError, Signer};

/// A public key or key id that cannot be used, or a signature that is not one of that key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key id that is empty, longer than 128 bytes or not printable.
    #[error("not a key id: {found:?}")]
    Id {
        /// What was read.
        found: String,
    },
    /// A key type and scheme this crate does not verify.
    #[error("unsupported key: type {keytype:?} with scheme {scheme:?}")]
    Unsupported {
        /// TUF `keytype`.
        keytype: String,
        /// TUF `scheme`.
        scheme: String,
    },
    /// Key material that does not parse, or that is of low order.
    #[error("unusable {scheme} public key: {reason}")]
    Material {
        /// The scheme the material was read for.
        scheme: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The signature is not by this key over this message.
    #[error("signature does not verify with key {key_id}")]
    Signature {
        /// The key that was tried.
        key_id: KeyId,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system: {reason}")]
    Randomness {
        /// The system's answer.
        reason: String,
    },
}

#[cfg(test)]
mod tests;
