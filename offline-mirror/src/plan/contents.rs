//! What goes into the bundle and what is left to the sites: every manifest and blob once. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::held::{SiteHas, all_have_blob, all_have_manifest};
use crate::bundle::{CarriedImage, ListedImage, Required};
use crate::oci::{Digest, Repository, Tag, Tree};

/// An image, or an artifact about one, with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gathered {
    /// What the manifest of the bundle says of it.
    pub image: CarriedImage,
    /// Its manifests and blobs.
    pub tree: Tree,
    /// Which of the configured registries has it.
    pub registry: usize,
}

/// A place to read a blob from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// Which of the configured registries.
    pub registry: usize,
    /// The repository there.
    pub repository: Repository,
}

/// A manifest that is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestToCarry {
    /// Its media type.
    pub media_type: String,
    /// Its bytes, as the registry gave them.
    pub bytes: Vec<u8>,
}

/// A blob that is carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobToCarry {
    /// Its length in bytes.
    pub size: u64,
    /// Its media type, as the first manifest that needs it says.
    pub media_type: String,
    /// Where it can be read, in order.
    pub places: BTreeSet<Place>,
}

/// Everything the images need, sorted into what is carried and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Manifests to carry.
    pub manifests: BTreeMap<Digest, ManifestToCarry>,
    /// Blobs to carry.
    pub blobs: BTreeMap<Digest, BlobToCarry>,
    /// What all addressed sites have already, by digest.
    pub required: BTreeMap<Digest, Required>,
}

/// Two manifests that say different things of one digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{digest} has {found} bytes in {repository} and {known} elsewhere")]
pub struct Contradiction {
    /// The blob or manifest.
    pub digest: Digest,
    /// Where the second length was met.
    pub repository: Repository,
    /// The second.
    pub found: u64,
    /// The first.
    pub known: u64,
}

/// What is known of a digest before it is decided where it goes.
#[derive(Debug)]
struct Need {
    size: u64,
    repositories: BTreeSet<Repository>,
    manifest: Option<ManifestToCarry>,
    media_type: String,
    places: BTreeSet<Place>,
}

/// Sorts what `images` need by what `sites` have. `absent` are layers that their registry need not
/// hold and does not: nobody needs those.
///
/// # Errors
/// When two images contradict each other.
pub(crate) fn sort(
    images: &[Gathered],
    sites: &[SiteHas],
    absent: &BTreeSet<Digest>,
) -> Result<Contents, Contradiction> {
    let mut contents = Contents::default();
    let needs = needs(images, absent)?;
    let there = there(images, &needs, sites, absent);
    for (digest, need) in needs {
        let is_manifest = need.manifest.is_some();
        if there.contains(&digest) {
            let repositories = need.repositories.into_iter().collect();
            let required = Required { digest, size: need.size, repositories, is_manifest };
            contents.required.insert(digest, required);
        } else if let Some(manifest) = need.manifest {
            contents.manifests.insert(digest, manifest);
        } else {
            let Need { size, media_type, places, .. } = need;
            contents.blobs.insert(digest, BlobToCarry { size, media_type, places });
        }
    }
    Ok(contents)
}

/// What need not be carried. A manifest must be, though sites have it, when something below it is: an
/// import finds by it where that belongs.
fn there(
    images: &[Gathered],
    needs: &BTreeMap<Digest, Need>,
    sites: &[SiteHas],
    absent: &BTreeSet<Digest>,
) -> BTreeSet<Digest> {
    let is_held = |(digest, need): &(&Digest, &Need)| match need.manifest {
        Some(_) => all_have_manifest(sites, digest, &need.repositories),
        None => all_have_blob(sites, digest),
    };
    let mut there: BTreeSet<Digest> =
        needs.iter().filter(is_held).map(|(digest, _)| *digest).collect();
    for gathered in images {
        for node in gathered.tree.children_first() {
            let below = node.manifest.children().iter().chain(node.manifest.blobs());
            let below = below.filter(|descriptor| !absent.contains(&descriptor.digest));
            if below.into_iter().any(|descriptor| !there.contains(&descriptor.digest)) {
                there.remove(&node.digest);
            }
        }
    }
    there
}

fn needs(
    images: &[Gathered],
    absent: &BTreeSet<Digest>,
) -> Result<BTreeMap<Digest, Need>, Contradiction> {
    let mut needs: BTreeMap<Digest, Need> = BTreeMap::new();
    for gathered in images {
        let repository = &gathered.image.repository;
        let place = Place { registry: gathered.registry, repository: repository.clone() };
        let manifests = gathered.tree.manifests().iter().map(|node| {
            let manifest = ManifestToCarry {
                media_type: node.manifest.media_type.clone(),
                bytes: node.bytes.clone(),
            };
            (node.descriptor(), Some(manifest))
        });
        let blobs = gathered.tree.blobs().filter(|blob| !absent.contains(&blob.digest));
        for (descriptor, manifest) in manifests.chain(blobs.map(|blob| (blob.clone(), None))) {
            let (digest, found) = (descriptor.digest, descriptor.size);
            let need = needs.entry(digest).or_insert_with(|| Need {
                size: found,
                repositories: BTreeSet::new(),
                manifest: None,
                media_type: descriptor.media_type.clone(),
                places: BTreeSet::new(),
            });
            if need.size != found {
                let (repository, known) = (repository.clone(), need.size);
                return Err(Contradiction { digest, repository, found, known });
            }
            need.repositories.insert(repository.clone());
            need.places.insert(place.clone());
            // A digest that somebody also names as a layer is carried as the manifest it is.
            need.manifest = need.manifest.take().or(manifest);
        }
    }
    Ok(needs)
}

impl Contents {
    /// Bytes of manifests and blobs that are carried.
    pub(crate) fn bytes(&self) -> u64 {
        let manifests = self.manifests.values().map(|m| u64::try_from(m.bytes.len()).unwrap_or(0));
        manifests.chain(self.blobs.values().map(|blob| blob.size)).sum()
    }

    /// Everything that a site has once it took the bundle in, with the repositories that need it.
    pub(crate) fn afterwards(&self, images: &[Gathered]) -> Vec<Required> {
        let mut all = self.required.clone();
        let mut add = |digest: Digest, size: u64, is_manifest: bool, repository: &Repository| {
            let held = all.entry(digest).or_insert_with(|| Required {
                digest,
                size,
                repositories: Vec::new(),
                is_manifest,
            });
            if let Err(at) = held.repositories.binary_search(repository) {
                held.repositories.insert(at, repository.clone());
            }
        };
        for Gathered { image, tree, .. } in images {
            for node in tree.manifests() {
                let size = node.descriptor().size;
                add(node.digest, size, true, &image.repository);
            }
            for blob in tree.blobs().filter(|blob| self.blobs.contains_key(&blob.digest)) {
                add(blob.digest, blob.size, false, &image.repository);
            }
        }
        all.into_values().collect()
    }

    /// The images of the OCI layout's list: those whose manifest is carried.
    pub(crate) fn listed(&self, images: &[Gathered]) -> Vec<ListedImage> {
        let carried = images.iter().filter_map(|gathered| {
            let manifest = self.manifests.get(&gathered.image.digest)?;
            let size = u64::try_from(manifest.bytes.len()).unwrap_or(u64::MAX);
            Some(listed(&gathered.image, &manifest.media_type, size))
        });
        carried.flatten().collect()
    }
}

/// An image under each of its tags, or under its digest where it has none.
pub(crate) fn listed(image: &CarriedImage, media_type: &str, size: u64) -> Vec<ListedImage> {
    let one = |tag: Option<&Tag>| ListedImage {
        repository: image.repository.clone(),
        tag: tag.cloned(),
        digest: image.digest,
        size,
        media_type: media_type.to_owned(),
    };
    match image.tags.as_slice() {
        [] => vec![one(None)],
        tags => tags.iter().map(|tag| one(Some(tag))).collect(),
    }
}

#[cfg(test)]
mod tests;
