//! What of the carried bytes goes where. Pure: manifests are in memory, blobs are digests.
//!
//! Walks every image as `create` did. A manifest that the bundle names as required is at the site
//! already with everything below it, and the walk ends there; what another bundle brings of that
//! goes where the first one says that it is needed.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ImportError;
use super::target::plain;
use crate::bundle::{BundleManifest, BundleName, CarriedImage, Content, ImageRole, Required};
use crate::oci::{Descriptor, Digest, Manifest, Node, Repository, Tag, Tree, TreeError, Walk};

/// Bytes of all manifests of the bundles together, which are held in memory: thousands of images.
const MANIFEST_BYTES_MAX: usize = 96 * 1024 * 1024;

/// What the bundles of one import carry, by digest.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    manifests: BTreeMap<Digest, Vec<u8>>,
    blobs: BTreeMap<Digest, u64>,
    manifest_bytes: usize,
}

impl Carried {
    /// Adds the blobs of a bundle.
    pub(crate) fn add_blobs(&mut self, manifest: &BundleManifest) {
        for entry in &manifest.entries {
            if let Content::Blob { blob, part, .. } = &entry.content {
                self.blobs.insert(*blob, part.map_or(entry.size, |part| part.of));
            }
        }
    }

    /// Adds a manifest whose digest was checked.
    pub(crate) fn add_manifest(
        &mut self,
        digest: Digest,
        bytes: Vec<u8>,
    ) -> Result<(), ImportError> {
        self.manifest_bytes = self.manifest_bytes.saturating_add(bytes.len());
        if self.manifest_bytes > MANIFEST_BYTES_MAX {
            return Err(ImportError::TooManyManifests { limit: MANIFEST_BYTES_MAX });
        }
        self.manifests.insert(digest, bytes);
        Ok(())
    }

    /// Whether the digest is carried.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.manifests.contains_key(digest) || self.blobs.contains_key(digest)
    }
}

/// An image with what is carried of it.
#[derive(Debug)]
pub(crate) struct Placed {
    /// The image.
    pub(crate) image: CarriedImage,
    /// Its carried manifests and their blobs.
    pub(crate) tree: Tree,
    /// Manifests in it that are at the site already.
    pub(crate) at_site: BTreeSet<Digest>,
}

/// Everything that bundles ask to be done.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Images in the order of pushing: what is about an image comes after it.
    pub(crate) images: Vec<Placed>,
    /// Images of an incomplete bundle that are not whole.
    pub(crate) left_out: Vec<CarriedImage>,
    /// What must be at the target already, and is not carried by any of the bundles.
    pub(crate) required: BTreeMap<Digest, Required>,
    /// What one bundle presumes and another one brings. The walk of an image ends at a manifest that
    /// the site has, so that it may be in no image's tree.
    repaired: BTreeMap<Digest, Required>,
    /// The manifests among them, each after what it points at.
    repaired_manifests: Vec<Node>,
}

impl Contents {
    /// Works out what a bundle asks for, beside what other bundles of the same import did.
    pub(crate) fn add(
        &mut self,
        manifest: &BundleManifest,
        carried: &Carried,
    ) -> Result<(), ImportError> {
        let required: BTreeMap<Digest, &Required> =
            manifest.required.iter().map(|required| (required.digest, required)).collect();
        for required in &manifest.required {
            let is_carried = carried.has(&required.digest);
            let list = if is_carried { &mut self.repaired } else { &mut self.required };
            let known = list.entry(required.digest).or_insert_with(|| required.clone());
            known.repositories.extend(required.repositories.iter().cloned());
            known.repositories.sort();
            known.repositories.dedup();
        }
        for image in &manifest.images {
            match place(&manifest.name, image, carried, &required) {
                Ok(placed) => self.images.push(placed),
                Err(ImportError::NotCarried { .. }) if !manifest.complete => {
                    self.left_out.push(image.clone());
                }
                Err(error) => return Err(error),
            }
        }
        self.order();
        self.repaired_manifests = self.read_repaired(carried)?;
        Ok(())
    }

    /// The repaired manifests, each after those of them that it points at.
    fn read_repaired(&self, carried: &Carried) -> Result<Vec<Node>, ImportError> {
        let (mut left, mut placed) = (BTreeMap::new(), Vec::new());
        for (digest, required) in &self.repaired {
            let Some(bytes) = carried.manifests.get(digest) else { continue };
            let manifest = Manifest::parse(bytes).map_err(|source| ImportError::Tree {
                image: told(required),
                source: Box::new(TreeError::Manifest { digest: *digest, source }),
            })?;
            left.insert(*digest, Node { digest: *digest, bytes: bytes.clone(), manifest });
        }
        while !left.is_empty() {
            let waits = |node: &Node| {
                node.manifest.children().iter().any(|child| left.contains_key(&child.digest))
            };
            // Digests cannot form a circle; if they did, pushing in any order is as good.
            let ready = left.values().find(|node| !waits(node)).or_else(|| left.values().next());
            let Some(digest) = ready.map(|node| node.digest) else { break };
            placed.extend(left.remove(&digest));
        }
        Ok(placed)
    }

    /// Manifests that were lost below what the site still has, with the repositories they belong
    /// in, each after what it points at.
    pub(crate) fn repaired_manifests(&self) -> impl Iterator<Item = (&Node, &[Repository])> {
        self.repaired_manifests.iter().filter_map(|node| {
            self.repaired.get(&node.digest).map(|r| (node, r.repositories.as_slice()))
        })
    }

    /// Blobs that were lost and are brought, with the repositories they belong in.
    pub(crate) fn repaired_blobs(&self) -> impl Iterator<Item = &Required> {
        self.repaired.values().filter(|required| !required.is_manifest)
    }

    /// What is about an image comes after it; otherwise the manifest's order stays.
    fn order(&mut self) {
        let rank =
            |placed: &Placed| usize::from(matches!(placed.image.role, ImageRole::Referrer { .. }));
        self.images.sort_by_key(rank);
        let subjects: BTreeMap<Digest, Digest> = self
            .images
            .iter()
            .filter_map(|placed| match placed.image.role {
                ImageRole::Referrer { subject } => Some((placed.image.digest, subject)),
                ImageRole::Release | ImageRole::Extra => None,
            })
            .collect();
        let depth = |placed: &Placed| {
            let (mut depth, mut at) = (0_usize, placed.image.digest);
            // Digests cannot form a circle; the bound holds whatever the list says.
            while let Some(subject) = subjects.get(&at).filter(|_| depth <= subjects.len()) {
                (depth, at) = (depth + 1, *subject);
            }
            depth
        };
        self.images.sort_by_key(depth);
    }

    /// Manifests that will be in a repository afterwards, by digest.
    pub(crate) fn known(&self) -> BTreeSet<(Repository, Digest)> {
        let mut known = BTreeSet::new();
        for placed in &self.images {
            let repository = &placed.image.repository;
            known.insert((repository.clone(), placed.image.digest));
            let nodes = placed.tree.manifests().iter().map(|node| node.digest);
            known.extend(
                nodes.chain(placed.at_site.iter().copied()).map(|d| (repository.clone(), d)),
            );
        }
        let presumed = self.required.values().chain(self.repaired.values());
        for required in presumed.filter(|required| required.is_manifest) {
            known.extend(required.repositories.iter().map(|r| (r.clone(), required.digest)));
        }
        known
    }

    /// The blobs that each repository needs, without those that need not be in a registry.
    pub(crate) fn blobs(&self) -> BTreeMap<(Repository, Digest), Descriptor> {
        let mut blobs = BTreeMap::new();
        for placed in &self.images {
            for blob in placed.tree.blobs() {
                blobs.insert((placed.image.repository.clone(), blob.digest), blob.clone());
            }
        }
        for Required { digest, size, repositories, .. } in self.repaired_blobs() {
            for repository in repositories {
                let blob = blobs.entry((repository.clone(), *digest));
                blob.or_insert_with(|| plain(*digest, *size));
            }
        }
        blobs
    }

    /// The tags to be set, with what they point at.
    pub(crate) fn tags(&self) -> BTreeMap<(Repository, Tag), Digest> {
        let mut tags = BTreeMap::new();
        for CarriedImage { repository, digest, tags: wanted, .. } in
            self.images.iter().map(|placed| &placed.image)
        {
            tags.extend(wanted.iter().map(|tag| ((repository.clone(), tag.clone()), *digest)));
        }
        tags
    }
}

fn told(required: &Required) -> String {
    let repository = required.repositories.first().map(Repository::as_str).unwrap_or_default();
    format!("{repository}@{}", required.digest)
}

fn place(
    name: &BundleName,
    image: &CarriedImage,
    carried: &Carried,
    required: &BTreeMap<Digest, &Required>,
) -> Result<Placed, ImportError> {
    let told = || format!("{}@{}", image.repository, image.digest);
    let not_carried =
        |digest| ImportError::NotCarried { name: name.clone(), image: told(), digest };
    let broken = |source| ImportError::Tree { image: told(), source: Box::new(source) };
    let mut walk = Walk::from(image.digest);
    let mut at_site = BTreeSet::new();
    while let Some(wanted) = walk.next() {
        let digest = wanted.digest;
        match carried.manifests.get(&digest) {
            Some(bytes) => walk.visit(wanted, bytes.clone()).map_err(broken)?,
            None if required.get(&digest).is_some_and(|r| r.is_manifest) => {
                at_site.insert(digest);
            }
            None => return Err(not_carried(digest)),
        }
    }
    let tree = walk.finish();
    for blob in tree.blobs() {
        let size = carried.blobs.get(&blob.digest).copied();
        let size = size.or_else(|| required.get(&blob.digest).map(|required| required.size));
        match size {
            Some(size) if size == blob.size => {}
            Some(found) => {
                return Err(ImportError::BlobSize {
                    image: told(),
                    blob: blob.digest,
                    expected: blob.size,
                    found,
                });
            }
            None if blob.may_be_elsewhere() => {}
            None => return Err(not_carried(blob.digest)),
        }
    }
    Ok(Placed { image: image.clone(), tree, at_site })
}
