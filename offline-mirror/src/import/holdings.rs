//! What is really at the target, asked from it: for inventories and for `prune`.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::error::ImportError;
use super::target::{AT_ONCE, Target};
use crate::bundle::CarriedImage;
use crate::oci::{Digest, Manifest, Repository};
use crate::site::Held;
use crate::store::Store;

/// Manifests below one image that are followed; more than any real image has.
const MANIFESTS_MAX: usize = 1024;

/// What is below a manifest at the target, itself included, as far as it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Manifests with their lengths.
    pub(crate) manifests: BTreeMap<Digest, u64>,
    /// Blobs with their lengths, whether or not they are there.
    pub(crate) blobs: BTreeMap<Digest, u64>,
}

impl Target {
    /// Follows a manifest at the target; empty where it is not there.
    pub(crate) async fn tree(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Tree, ImportError> {
        let (mut tree, mut queue) = (Tree::default(), vec![digest]);
        let mut known = BTreeSet::from([digest]);
        while let Some(digest) = queue.pop() {
            let Some((bytes, _)) = self.manifest(repository, &digest).await? else { continue };
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            tree.manifests.insert(digest, size);
            // What a registry took without our doing need not be something we can follow.
            let Ok(manifest) = Manifest::parse(&bytes) else { continue };
            tree.blobs.extend(manifest.blobs().map(|blob| (blob.digest, blob.size)));
            for child in manifest.children() {
                if known.len() < MANIFESTS_MAX && known.insert(child.digest) {
                    queue.push(child.digest);
                }
            }
        }
        Ok(tree)
    }

    /// Everything that is there: of a store all it has, of a registry what `images` need. `there` is
    /// known to be there and not asked for again.
    pub(super) async fn holdings(
        &self,
        images: &[CarriedImage],
        there: &BTreeSet<(Repository, Digest)>,
    ) -> Result<Vec<Held>, ImportError> {
        if let Self::Store(store) = self {
            return of_store(store);
        }
        let trees: Vec<(Repository, Tree)> = stream::iter(images)
            .map(|image| async {
                let tree = self.tree(&image.repository, image.digest).await?;
                Ok::<_, ImportError>((image.repository.clone(), tree))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let (mut held, mut blobs) = (BTreeMap::new(), BTreeMap::new());
        for (repository, tree) in trees {
            for (digest, size) in tree.manifests {
                add(&mut held, digest, size, &repository, true);
            }
            let keys =
                tree.blobs.into_iter().map(|(digest, size)| ((repository.clone(), digest), size));
            blobs.extend(keys);
        }
        let found: Vec<Option<(Repository, Digest, u64)>> = stream::iter(blobs)
            .map(|((repository, digest), size)| async move {
                let known = there.contains(&(repository.clone(), digest));
                let is_there = known || self.has_blob(&repository, &digest).await?;
                Ok::<_, ImportError>(is_there.then_some((repository, digest, size)))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for (repository, digest, size) in found.into_iter().flatten() {
            add(&mut held, digest, size, &repository, false);
        }
        Ok(held.into_values().collect())
    }
}

fn add(
    held: &mut BTreeMap<Digest, Held>,
    digest: Digest,
    size: u64,
    repository: &Repository,
    is_manifest: bool,
) {
    let known = held.entry(digest).or_insert_with(|| Held {
        digest,
        size,
        repositories: Vec::new(),
        is_manifest,
    });
    known.is_manifest |= is_manifest;
    if let Err(at) = known.repositories.binary_search(repository) {
        known.repositories.insert(at, repository.clone());
    }
}

fn of_store(store: &Store) -> Result<Vec<Held>, ImportError> {
    let mut all: Vec<Held> = Vec::new();
    loop {
        let after = all.last().map(|held| held.digest);
        let page = store.held(after.as_ref())?;
        if page.is_empty() {
            all.retain(|held| !held.repositories.is_empty());
            all.sort();
            return Ok(all);
        }
        all.extend(page.into_iter().map(|held| Held {
            digest: held.digest,
            size: held.size,
            repositories: held.repositories,
            is_manifest: held.is_manifest,
        }));
    }
}
