//! What is at a site, in the site's own signed words. Increments are computed against it.

use std::collections::BTreeMap;

use channels::names::SiteName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::{KeySet, PublicKey, SecretKey, Sha256Digest, Statement};

use super::error::SiteError;
use super::pattern::ImagePattern;
use crate::bundle::{BundleName, Required};
use crate::oci::{Digest, Repository};

/// Longest inventory read or written, in bytes: some 300 000 digests at 200 bytes each, far above
/// what a site's registry holds of ours.
pub const INVENTORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a site holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Form of this document; [`Inventory::FORMAT`] is what this version reads and writes.
    pub format: u32,
    /// Whose.
    pub site: SiteName,
    /// The view that the site follows.
    pub view: ViewIdentity,
    /// Grows with every inventory of the site: of two, the one with the higher counter is newer,
    /// whatever its clock said.
    pub counter: u64,
    /// Sequence of the newest bundle taken in; 0 before the first.
    pub sequence: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Which registry or store was asked, for people.
    pub target: String,
    /// Which extra images the site takes.
    pub images: Vec<ImagePattern>,
    /// Every manifest and blob found there, in the order of the digests.
    pub contents: Vec<Held>,
}

/// Which view a site follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewIdentity {
    /// Digest of the root that the site pinned.
    pub pinned: Sha256Digest,
    /// Version of the newest root it has seen; 0 before the first bundle.
    pub root_version: u64,
}

/// A manifest or blob at a site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Repositories that have it, in order.
    pub repositories: Vec<Repository>,
    /// Whether it is a manifest.
    pub is_manifest: bool,
}

impl Inventory {
    /// `_type` of the statement.
    pub const KIND: &'static str = "fairway-inventory";
    /// The form written by this version.
    pub const FORMAT: u32 = 1;

    /// Signs it with the site's key.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, key: &SecretKey) -> Result<Vec<u8>, SiteError> {
        signing::statement::sign(Self::KIND, self, &[key])
            .map_err(|source| SiteError::Sign { what: "inventory", source })
    }

    /// Reads an inventory signed with the site's key; also its digest, by which bundles and receipts
    /// name it.
    ///
    /// # Errors
    /// When it is no inventory, signed by somebody else, or of a later form.
    pub fn read(bytes: &[u8], key: &PublicKey) -> Result<(Self, Sha256Digest), SiteError> {
        let failed = |source| SiteError::Statement { what: "inventory", source };
        let read = Statement::parse(Self::KIND, bytes).map_err(failed)?;
        let keys = KeySet::one(key.clone());
        let found = read.verify::<Self>(&keys).map_err(failed)?.into_inner();
        let (what, known) = ("inventory", Self::FORMAT);
        if found.format != known {
            return Err(SiteError::Format { what, found: found.format, known });
        }
        Ok((found, read.digest()))
    }

    /// The contents by digest.
    pub fn by_digest(&self) -> BTreeMap<Digest, &Held> {
        self.contents.iter().map(|held| (held.digest, held)).collect()
    }
}

/// Digests that a bundle presumes and a site does not have, for a repair bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingList {
    /// Form of this document.
    pub format: u32,
    /// Where they are missing.
    pub site: SiteName,
    /// The bundle that presumes them.
    pub bundle: BundleName,
    /// Its sequence.
    pub sequence: u64,
    /// What is missing, in the order of the digests.
    pub missing: Vec<Required>,
}

impl MissingList {
    /// The form written by this version.
    pub const FORMAT: u32 = 1;
}

#[cfg(test)]
mod tests {
    use signing::Attack;

    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn inventory() -> Inventory {
        Inventory {
            format: Inventory::FORMAT,
            site: "north".parse().unwrap(),
            view: ViewIdentity { pinned: Sha256Digest::of(b"root"), root_version: 3 },
            counter: 7,
            sequence: 4,
            taken_at: "2026-11-21T00:00:00Z".parse().unwrap(),
            target: "store /srv/store".to_owned(),
            images: vec!["r.example/tools/*".parse().unwrap()],
            contents: vec![Held {
                digest: Digest::of(b"blob"),
                size: 4,
                repositories: vec!["acme/app".parse().unwrap()],
                is_manifest: false,
            }],
        }
    }

    #[test]
    fn an_inventory_is_believed_from_its_own_site_only() {
        let bytes = inventory().sign(&key(1)).unwrap();
        let (read, digest) = Inventory::read(&bytes, key(1).public()).unwrap();
        assert_eq!((read, digest), (inventory(), Sha256Digest::of(&bytes)));
        let error = Inventory::read(&bytes, key(2).public()).unwrap_err();
        assert_eq!(error.attack(), Some(Attack::ArbitrarySoftware), "{error}");
        assert_eq!(inventory().sign(&key(1)).unwrap(), bytes, "the same bytes every time");
    }

    #[test]
    fn every_flipped_byte_of_an_inventory_is_refused() {
        let good = inventory().sign(&key(1)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Inventory::read(&bad, key(1).public()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_inventory_of_a_later_form_is_not_guessed_at() {
        let later = Inventory { format: 2, ..inventory() }.sign(&key(1)).unwrap();
        let error = Inventory::read(&later, key(1).public()).unwrap_err();
        assert!(matches!(error, SiteError::Format { found: 2, known: 1, .. }), "{error}");
    }
}
