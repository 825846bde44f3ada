//! Where private keys come from: memory here, encrypted files in `authoring`.

use std::collections::BTreeMap;

use signing::{PublicKey, RoleName, SecretKey, Signer};

use super::layout::RoleKeys;

/// Why a keyring could not open a role's keys.
pub type KeyringError = Box<dyn std::error::Error + Send + Sync>;

/// Opens private keys when a role must be signed, and not before: an offline key that is not
/// needed is never asked for.
pub trait Keyring {
    /// Signers for at least the role's threshold of `keys`.
    fn open(
        &mut self,
        role: &RoleName,
        keys: &RoleKeys,
    ) -> Result<Vec<Box<dyn Signer>>, KeyringError>;

    /// Whether the private half of `key` is here. Nothing is opened to find out.
    fn is_at_hand(&self, key: &PublicKey) -> bool;
}

/// Keys held in memory, for tests and the demo.
#[derive(Debug, Clone, Default)]
pub struct MemoryKeyring {
    keys: BTreeMap<String, SecretKey>,
}

/// A public key of which the keyring holds no private half.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no private key is at hand for {key}")]
struct NotHere {
    key: signing::KeyId,
}

impl MemoryKeyring {
    /// Adds a key; returns its public half.
    pub fn add(&mut self, key: SecretKey) -> PublicKey {
        let public = key.public().clone();
        self.keys.insert(public.key_id().to_string(), key);
        public
    }
}

impl Keyring for MemoryKeyring {
    fn open(
        &mut self,
        _role: &RoleName,
        keys: &RoleKeys,
    ) -> Result<Vec<Box<dyn Signer>>, KeyringError> {
        let open = |key: &PublicKey| -> Result<Box<dyn Signer>, KeyringError> {
            let id = key.key_id();
            match self.keys.get(id.as_str()) {
                Some(key) => Ok(Box::new(key.clone())),
                None => Err(Box::new(NotHere { key: id })),
            }
        };
        keys.keys.iter().map(open).collect()
    }

    fn is_at_hand(&self, key: &PublicKey) -> bool {
        self.keys.contains_key(key.key_id().as_str())
    }
}
