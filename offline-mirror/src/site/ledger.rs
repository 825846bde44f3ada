//! Which bundles a site took in. Unsigned: it is the site's own memory, on its own disk.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::bundle::{BundleManifest, BundleName, CarriedImage, CarriedRelease};
use crate::oci::{Digest, Repository, Tag};

/// Longest ledger read or written, in bytes: a bundle of a hundred images takes 30 KiB, so this is
/// thousands of bundles.
pub(super) const LEDGER_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// What a site remembers of its bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Form of this file.
    pub format: u32,
    /// Counter of the last inventory; spent before one is signed.
    pub inventories: u64,
    /// Version of the view's newest root that was seen.
    pub root_version: u64,
    /// When the files in `metadata/` were believed, for verifying them again after they expired.
    pub believed_at: Option<Timestamp>,
    /// Bundles taken in, by sequence.
    pub bundles: Vec<TakenIn>,
}

/// A bundle that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenIn {
    /// Its sequence.
    pub sequence: u64,
    /// Its name.
    pub name: BundleName,
    /// Digest of its signed manifest.
    pub manifest: Sha256Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its import ended, the first time.
    pub imported_at: Timestamp,
    /// Whether everything asked for was in it.
    pub complete: bool,
    /// What it carried.
    pub releases: Vec<CarriedRelease>,
    /// What it carried; without those that an incomplete bundle lacked.
    pub images: Vec<CarriedImage>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            format: Self::FORMAT,
            inventories: 0,
            root_version: 0,
            believed_at: None,
            bundles: Vec::new(),
        }
    }
}

impl Ledger {
    /// The form written by this version.
    pub const FORMAT: u32 = 1;

    /// Sequence of the newest bundle; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.bundles.iter().map(|bundle| bundle.sequence).max().unwrap_or(0)
    }

    /// The bundle with this sequence.
    pub fn bundle(&self, sequence: u64) -> Option<&TakenIn> {
        self.bundles.iter().find(|bundle| bundle.sequence == sequence)
    }

    /// Remembers a bundle whose import ended. One that is there already stays as it was, except
    /// that it may have become complete.
    pub fn add(
        &mut self,
        manifest: &BundleManifest,
        digest: Sha256Digest,
        images: Vec<CarriedImage>,
        now: Timestamp,
    ) {
        let known = self.bundles.iter().position(|known| known.sequence == manifest.sequence);
        let imported_at =
            known.and_then(|at| self.bundles.get(at)).map_or(now, |known| known.imported_at);
        let taken = TakenIn {
            sequence: manifest.sequence,
            name: manifest.name.clone(),
            manifest: digest,
            created_at: manifest.created_at,
            imported_at,
            complete: manifest.complete,
            releases: manifest.releases.clone(),
            images,
        };
        self.bundles.retain(|known| known.sequence != manifest.sequence);
        self.bundles.push(taken);
        self.bundles.sort_by_key(|bundle| bundle.sequence);
    }

    /// Every image taken in, each once; its tags are those of the newest bundle that tagged it.
    pub fn images(&self) -> Vec<CarriedImage> {
        let mut found: BTreeMap<(Repository, Digest), CarriedImage> = BTreeMap::new();
        let mut moved: BTreeMap<(Repository, Tag), Digest> = BTreeMap::new();
        for image in self.bundles.iter().flat_map(|bundle| &bundle.images) {
            let key = (image.repository.clone(), image.digest);
            for tag in &image.tags {
                moved.insert((image.repository.clone(), tag.clone()), image.digest);
            }
            let tags: BTreeSet<Tag> = found
                .get(&key)
                .into_iter()
                .flat_map(|known| known.tags.iter().cloned())
                .chain(image.tags.iter().cloned())
                .collect();
            found.insert(key, CarriedImage { tags: tags.into_iter().collect(), ..image.clone() });
        }
        let mut images: Vec<_> = found.into_values().collect();
        for image in &mut images {
            let (repository, digest) = (image.repository.clone(), image.digest);
            image.tags.retain(|tag| moved.get(&(repository.clone(), tag.clone())) == Some(&digest));
        }
        images
    }

    /// Forgets images that were removed from the target.
    pub fn forget(&mut self, removed: &BTreeSet<(Repository, Digest)>) {
        for bundle in &mut self.bundles {
            bundle
                .images
                .retain(|image| !removed.contains(&(image.repository.clone(), image.digest)));
        }
    }
}
