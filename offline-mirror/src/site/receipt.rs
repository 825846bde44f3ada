//! A site's signed word that a bundle arrived.

use channels::names::SiteName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::{KeySet, PublicKey, SecretKey, Sha256Digest, Statement};

use super::error::SiteError;
use crate::bundle::BundleName;

/// Longest receipt read, in bytes: it names a bundle and a few numbers.
pub(crate) const RECEIPT_BYTES_MAX: u64 = 64 * 1024;

/// A bundle was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Form of this document; [`Receipt::FORMAT`] is what this version reads and writes.
    pub format: u32,
    /// Where.
    pub site: SiteName,
    /// Name of the bundle.
    pub bundle: BundleName,
    /// Its sequence.
    pub sequence: u64,
    /// Digest of its signed manifest.
    pub manifest: Sha256Digest,
    /// When its import ended.
    pub imported_at: Timestamp,
    /// Whether everything that was asked for was in it and arrived.
    pub complete: bool,
    /// The registry or store that has it now, for people.
    pub target: String,
    /// What was verified and moved.
    pub told: Told,
    /// Counter of the inventory taken afterwards.
    pub inventory_counter: u64,
    /// Digest of that signed inventory.
    pub inventory: Sha256Digest,
}

/// What an import verified and moved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Entries of the bundle that were hashed.
    pub entries_verified: u64,
    /// Their bytes.
    pub bytes_verified: u64,
    /// Manifests and blobs written to the target.
    pub objects_written: u64,
    /// Manifests and blobs that were there already.
    pub objects_present: u64,
    /// Vendors whose files the update server took, in order.
    pub vendors_published: Vec<String>,
    /// Vendors whose files it refused, in order.
    pub vendors_refused: Vec<String>,
}

impl Receipt {
    /// `_type` of the statement.
    pub const KIND: &'static str = "fairway-receipt";
    /// The form written by this version.
    pub const FORMAT: u32 = 1;

    /// Signs it with the site's key.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, key: &SecretKey) -> Result<Vec<u8>, SiteError> {
        signing::statement::sign(Self::KIND, self, &[key])
            .map_err(|source| SiteError::Sign { what: "receipt", source })
    }

    /// Reads a receipt signed with the site's key.
    ///
    /// # Errors
    /// When it is no receipt, signed by somebody else, or of a later form.
    pub fn read(bytes: &[u8], key: &PublicKey) -> Result<Self, SiteError> {
        let failed = |source| SiteError::Statement { what: "receipt", source };
        let read = Statement::parse(Self::KIND, bytes).map_err(failed)?;
        let found = read.verify::<Self>(&KeySet::one(key.clone())).map_err(failed)?.into_inner();
        let (what, known) = ("receipt", Self::FORMAT);
        if found.format != known {
            return Err(SiteError::Format { what, found: found.format, known });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_byte_of_a_receipt_is_refused() {
        let key = SecretKey::from_seed([1; 32]);
        let receipt = Receipt {
            format: Receipt::FORMAT,
            site: "north".parse().unwrap(),
            bundle: "north-7".parse().unwrap(),
            sequence: 7,
            manifest: Sha256Digest::of(b"manifest"),
            imported_at: "2026-11-21T00:00:00Z".parse().unwrap(),
            complete: true,
            target: "registry r.example".to_owned(),
            told: Told::default(),
            inventory_counter: 2,
            inventory: Sha256Digest::of(b"inventory"),
        };
        let good = receipt.sign(&key).unwrap();
        assert_eq!(Receipt::read(&good, key.public()).unwrap(), receipt);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Receipt::read(&bad, key.public()).is_err(), "byte {at}");
        }
    }
}
