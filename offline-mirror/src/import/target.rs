//! Where bundles go: any OCI registry, or the site's own store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use signing::Sha256Digest;

use super::error::ImportError;
use crate::bundle::Reader;
use crate::oci::{Descriptor, Digest, Hasher, Repository, Tag};
use crate::registry::{self, Registry, RegistryError};
use crate::store::{
    self, Adopt, Children, Exclusive, Extent, Put, SegmentId, SegmentName, Store, StoreError,
};

/// Blobs that one import pushes or asks for at once; the registry's own gate lets through as many as
/// it copes with. Each has one piece of a megabyte in memory and one on the wire.
pub(super) const AT_ONCE: usize = 16;
/// Read size when a copied segment is hashed.
const READ_BYTES: usize = 1024 * 1024;

/// A registry or a store.
#[derive(Debug, Clone)]
pub enum Target {
    /// A registry.
    Registry(Registry),
    /// The site's own store.
    Store(Store),
}

impl Target {
    /// How errors, inventories and receipts call it.
    pub fn told(&self) -> String {
        match self {
            Self::Registry(registry) => {
                let access = registry.access();
                match &access.prefix {
                    Some(prefix) => format!("registry {}/{prefix}", access.host),
                    None => format!("registry {}", access.host),
                }
            }
            Self::Store(store) => format!("store {}", store.dir().display()),
        }
    }

    /// A manifest's bytes and media type; none if it is not there.
    pub(super) async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<(Vec<u8>, String)>, ImportError> {
        match self {
            Self::Registry(registry) => {
                let reference = registry::Reference::Digest(*digest);
                match registry.manifest(repository, &reference).await {
                    Ok(found) => Ok(Some((found.bytes, found.media_type))),
                    Err(RegistryError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Self::Store(store) => {
                let reference = store::Reference::Digest(*digest);
                match store.manifest_bytes(repository, &reference) {
                    Ok((found, bytes)) => Ok(Some((bytes, found.media_type))),
                    Err(error) if is_unknown(&error) => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Whether a repository has a manifest.
    pub(crate) async fn has_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, ImportError> {
        match self {
            Self::Registry(registry) => {
                let reference = registry::Reference::Digest(*digest);
                Ok(registry.has_manifest(repository, &reference).await?)
            }
            Self::Store(store) => {
                let reference = store::Reference::Digest(*digest);
                match store.manifest(repository, &reference) {
                    Ok(_) => Ok(true),
                    Err(error) if is_unknown(&error) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Whether a blob is where the repository can have it: in the repository itself, or in a store
    /// anywhere.
    pub(super) async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, ImportError> {
        match self {
            Self::Registry(registry) => Ok(registry.has_blob(repository, digest).await?),
            Self::Store(store) => Ok(store.stat(digest)?.is_some()),
        }
    }

    /// Puts a manifest, under its digest or a tag.
    pub(super) async fn put_manifest(
        &self,
        repository: &Repository,
        reference: &registry::Reference,
        media_type: &str,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), ImportError> {
        match self {
            Self::Registry(registry) => {
                let bytes = bytes.to_vec();
                registry.push_manifest(repository, reference, media_type, bytes).await?;
            }
            Self::Store(store) => {
                let reference = match reference {
                    registry::Reference::Tag(tag) => store::Reference::Tag(tag.clone()),
                    registry::Reference::Digest(digest) => store::Reference::Digest(*digest),
                };
                let children = Children::Give;
                let put = Put { reference: &reference, media_type: Some(media_type), children };
                store.put_manifest(repository, bytes, &put, now)?;
            }
        }
        Ok(())
    }

    /// Everything of a repository that has a tag, with its digest; of a store every manifest beside.
    pub(crate) async fn named(
        &self,
        repository: &Repository,
    ) -> Result<(Vec<(Tag, Digest)>, Vec<Digest>), ImportError> {
        let mut tagged = Vec::new();
        match self {
            Self::Registry(registry) => {
                for tag in registry.tags(repository).await? {
                    let reference = registry::Reference::Tag(tag.clone());
                    match registry.manifest(repository, &reference).await {
                        Ok(found) => tagged.push((tag, found.digest)),
                        // Removed between the two looks.
                        Err(RegistryError::NotFound { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok((tagged, Vec::new()))
            }
            Self::Store(store) => {
                for tag in all_tags(store, repository)? {
                    let reference = store::Reference::Tag(tag.clone());
                    match store.manifest(repository, &reference) {
                        Ok(found) => tagged.push((tag, found.digest)),
                        Err(error) if is_unknown(&error) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok((tagged, store.manifests(repository)?))
            }
        }
    }

    /// Takes the store's turn, so that no collection comes between what is found there and what is
    /// put there; a registry has none.
    pub(super) fn turn(&self) -> Result<Option<Arc<Exclusive>>, ImportError> {
        match self {
            Self::Registry(_) => Ok(None),
            Self::Store(store) => Ok(Some(Arc::new(store.exclusive()?))),
        }
    }

    /// Refuses an import that would fill the disk: only a store that has to copy segments needs room.
    pub(super) fn check_space(
        &self,
        readers: &[(Sha256Digest, Reader)],
        turn: Option<&Exclusive>,
    ) -> Result<(), ImportError> {
        let (Self::Store(store), Some(turn)) = (self, turn) else { return Ok(()) };
        let mut needed = 0_u64;
        for (bundle, reader) in readers {
            for (_, path, name) in segments(*bundle, reader) {
                needed = needed.saturating_add(store.segment_needs(turn, path, &name)?);
            }
        }
        let dir = store.dir();
        let found = rustix::fs::statvfs(dir).map_err(|errno| {
            crate::site::SiteError::io("ask for the free space of", dir)(errno.into())
        })?;
        fits(dir, needed, found.f_bavail.saturating_mul(found.f_frsize))
    }
}

fn fits(dir: &Path, needed: u64, free: u64) -> Result<(), ImportError> {
    if needed > free {
        return Err(ImportError::NoSpace { dir: dir.to_owned(), needed, free });
    }
    Ok(())
}

/// Index, place and name of every segment of a bundle.
fn segments(
    bundle: Sha256Digest,
    reader: &Reader,
) -> impl Iterator<Item = (u32, &Path, SegmentName)> {
    (0_u32..).zip(&reader.manifest().segments).filter_map(move |(index, segment)| {
        let name = SegmentName { bundle, file: segment.file.clone() };
        Some((index, reader.segment_path(index)?, name))
    })
}

/// The store's ids of a bundle's segments, by their index.
pub(super) type Taken = BTreeMap<u32, SegmentId>;

/// Takes a bundle's segments into a store. What had to be copied is hashed again, where it lies.
pub(super) fn adopt(
    store: &Store,
    turn: &Exclusive,
    bundle: Sha256Digest,
    reader: &Reader,
    now: Timestamp,
) -> Result<Taken, ImportError> {
    let mut taken = Taken::new();
    for (index, path, name) in segments(bundle, reader) {
        let adopted = store.adopt_segment(turn, path, &name, Adopt::LinkOrCopy, now)?;
        let id = adopted.segment;
        if !adopted.is_checked {
            let checked = check_copy(&store.segment_path(id)?, reader, index);
            if let Err(ImportError::BadCopy { .. }) = &checked {
                store.forget_segment(turn, id)?;
            }
            checked?;
            store.note_checked(turn, id)?;
        }
        taken.insert(index, id);
    }
    Ok(taken)
}

/// Says where everything in a bundle's segments lies; returns how many blobs are new and how many
/// were there.
pub(super) fn index(
    store: &Store,
    turn: &Exclusive,
    reader: &Reader,
    taken: &Taken,
    now: Timestamp,
) -> Result<(u64, u64), ImportError> {
    let mut objects: Vec<Digest> =
        reader.manifest().entries.iter().filter_map(crate::bundle::Entry::object).collect();
    objects.sort();
    objects.dedup();
    let place = |digest: Digest| -> Option<(Digest, u64, Vec<Extent>)> {
        let extents = reader.locate(&digest).into_iter().map(|at| {
            let segment = taken.get(&at.segment).copied()?;
            Some(Extent { segment, offset: at.offset, size: at.size })
        });
        Some((digest, reader.size_of(&digest)?, extents.collect::<Option<_>>()?))
    };
    let blobs: Vec<_> = objects.into_iter().filter_map(place).collect();
    let indexed = store.index_blobs(turn, &blobs, now)?;
    let (mut added, mut there) = (0_u64, 0_u64);
    for ((digest, ..), indexed) in blobs.iter().zip(indexed) {
        // Manifests are counted when they are put into a repository.
        let is_blob = reader.entries(digest).first().is_some_and(|entry| entry.blob().is_some());
        let count = match indexed {
            store::Indexed::Added => &mut added,
            store::Indexed::AlreadyThere => &mut there,
        };
        *count = count.saturating_add(u64::from(is_blob));
    }
    Ok((added, there))
}

/// Hashes every entry of a segment's copy.
fn check_copy(path: &Path, reader: &Reader, segment: u32) -> Result<(), ImportError> {
    use std::os::unix::fs::FileExt as _;
    let failed = |source| crate::site::SiteError::io("read", path)(source);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut buffer = vec![0; READ_BYTES];
    for entry in reader.manifest().entries.iter().filter(|entry| entry.segment == segment) {
        let mut hash = Hasher::new(entry.digest.algorithm());
        let mut done = 0_u64;
        while done < entry.size {
            let left = usize::try_from(entry.size.saturating_sub(done)).unwrap_or(READ_BYTES);
            let piece = buffer.get_mut(..left.min(READ_BYTES)).unwrap_or_default();
            let at = entry.offset.saturating_add(done);
            file.read_exact_at(piece, at).map_err(failed)?;
            hash.update(piece);
            done = done.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        if hash.finish() != entry.digest {
            return Err(ImportError::BadCopy {
                file: path.to_owned(),
                offset: entry.offset,
                path: entry.path.clone(),
            });
        }
    }
    Ok(())
}

/// The descriptor of a blob of which only digest and length matter.
pub(super) fn plain(digest: Digest, size: u64) -> Descriptor {
    Descriptor::new("application/octet-stream", digest, size)
}

/// Every tag of a repository, page by page; none where there is no such repository.
fn all_tags(store: &Store, repository: &Repository) -> Result<Vec<Tag>, ImportError> {
    let mut tags: Vec<Tag> = Vec::new();
    loop {
        let after = tags.last().map(|tag| tag.as_str().to_owned());
        match store.tags(repository, after.as_deref(), None) {
            Ok(page) => {
                let ends = !page.more || page.names.is_empty();
                tags.extend(page.names);
                if ends {
                    return Ok(tags);
                }
            }
            Err(error) if is_unknown(&error) => return Ok(tags),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a store does not have it, as opposed to not being readable.
fn is_unknown(error: &StoreError) -> bool {
    matches!(error, StoreError::ManifestUnknown { .. } | StoreError::NameUnknown { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_do_not_fit_are_refused_before_the_first_of_them() {
        let dir = Path::new("/srv/store");
        assert!(fits(dir, 10, 10).is_ok());
        let error = fits(dir, 11, 10).unwrap_err();
        assert!(matches!(error, ImportError::NoSpace { needed: 11, free: 10, .. }), "{error:?}");
        assert!(!error.is_refusal(), "nothing was refused: there was no room");
    }
}
