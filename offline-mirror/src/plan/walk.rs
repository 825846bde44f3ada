//! Walks images at their registries: every manifest below them, and everything that is about any of
//! those. Blobs are not fetched here.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _};

use super::contents::Gathered;
use super::error::PlanError;
use crate::bundle::{CarriedImage, ImageRole, Missing};
use crate::oci::{Digest, Host, Repository, Tag, Tree, Walk};
use crate::registry::{Reference, Registry, RegistryError};

/// Referrers of referrers: a signature of an attestation of an image is the deepest anybody makes.
const REFERRER_DEPTH_MAX: usize = 3;
/// Referrers of all images of one bundle.
const REFERRERS_MAX: usize = 20_000;
/// Bytes of all manifests of one bundle, which are held in memory: twenty thousand usual ones.
const MANIFEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An image to be walked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WantedImage {
    /// Which of the registries has it.
    pub(super) registry: usize,
    /// Its host, for the manifest of the bundle.
    pub(super) source: Host,
    /// Its repository.
    pub(super) repository: Repository,
    /// What to ask for.
    pub(super) reference: Reference,
    /// Tags it gets at the site.
    pub(super) tags: Vec<Tag>,
    /// Why it is carried.
    pub(super) role: ImageRole,
}

impl WantedImage {
    fn told(&self) -> String {
        format!("{}/{}@{}", self.source, self.repository, self.reference)
    }
}

/// What the walk brought.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Images, each before what is about it.
    pub(super) images: Vec<Gathered>,
    /// Images that could not be read, where going on was asked for.
    pub(super) missing: Vec<Missing>,
    /// Layers that their registry need not hold and does not.
    pub(super) absent: BTreeSet<Digest>,
}

/// How a walk is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Images at once.
    pub(super) concurrency: usize,
    /// Whether an image that cannot be read ends the walk.
    pub(super) keep_going: bool,
}

/// Walks all images, and then everything about them, level by level.
pub(super) async fn walk(
    registries: &[Registry],
    images: Vec<WantedImage>,
    manner: Manner,
) -> Result<Walked, PlanError> {
    let mut walked = Walked::default();
    let mut known: BTreeMap<(Repository, Digest), usize> = BTreeMap::new();
    let (mut level, mut referrers, mut bytes) = (images, 0_usize, 0_usize);
    for depth in 0.. {
        if level.is_empty() {
            break;
        }
        if depth > 0 {
            referrers = referrers.saturating_add(level.len());
        }
        if depth > REFERRER_DEPTH_MAX {
            let image = level.first().map(WantedImage::told).unwrap_or_default();
            return Err(PlanError::Referrers { image, limit: REFERRER_DEPTH_MAX });
        }
        let mut next = Vec::new();
        let one = |wanted: WantedImage| async move {
            let found = visit(registries, &wanted).await;
            (wanted, found)
        };
        let mut found = stream::iter(level.drain(..).map(one)).buffered(manner.concurrency);
        while let Some((wanted, visited)) = found.next().await {
            let visited = match visited {
                Ok(visited) => visited,
                Err(error) if manner.keep_going && is_answer(&error) => {
                    walked.missing.push(missing(&wanted, &error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let key = (wanted.repository.clone(), visited.digest);
            if let Some(at) = known.get(&key) {
                if let Some(known) = walked.images.get_mut(*at) {
                    known.image.tags.extend(wanted.tags);
                    known.image.tags.sort();
                    known.image.tags.dedup();
                }
                continue;
            }
            known.insert(key, walked.images.len());
            let manifests = visited.tree.manifests().iter();
            bytes = manifests.fold(bytes, |sum, node| sum.saturating_add(node.bytes.len()));
            if bytes > MANIFEST_BYTES_MAX {
                return Err(PlanError::Manifests { limit: MANIFEST_BYTES_MAX });
            }
            walked.absent.extend(visited.absent);
            next.extend(visited.referrers);
            // Before they are all here: a registry may name as many as it likes.
            if referrers.saturating_add(next.len()) > REFERRERS_MAX {
                let image = format!("{}@{}", wanted.repository, visited.digest);
                return Err(PlanError::Referrers { image, limit: REFERRERS_MAX });
            }
            let image = CarriedImage {
                repository: wanted.repository,
                digest: visited.digest,
                tags: wanted.tags,
                source: wanted.source,
                role: wanted.role,
            };
            walked.images.push(Gathered { image, tree: visited.tree, registry: wanted.registry });
        }
        drop(found);
        level = next;
    }
    Ok(walked)
}

/// Whether it is known that an image cannot be had; nothing is left out because nobody could be asked.
fn is_answer(error: &PlanError) -> bool {
    matches!(error, PlanError::Tree { .. })
        || matches!(error, PlanError::Registry(source) if source.is_answer())
}

/// An image that is left out, with the whole chain of reasons.
fn missing(wanted: &WantedImage, error: &PlanError) -> Missing {
    Missing { what: wanted.told(), why: causes(error) }
}

/// An error and its causes in one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        text = format!("{text}: {cause}");
        at = cause.source();
    }
    text
}

/// One image with what is about it.
struct Visited {
    digest: Digest,
    tree: Tree,
    referrers: Vec<WantedImage>,
    absent: BTreeSet<Digest>,
}

async fn visit(registries: &[Registry], wanted: &WantedImage) -> Result<Visited, PlanError> {
    let registry = registries.get(wanted.registry).ok_or_else(|| PlanError::Usage {
        why: format!("{}: there is no such registry", wanted.told()),
    })?;
    let repository = &wanted.repository;
    let top = registry.manifest(repository, &wanted.reference).await?;
    let digest = top.digest;
    let broken = |source| PlanError::Tree { image: wanted.told(), source };
    let (mut walk, mut top) = (Walk::from(digest), Some(top.bytes));
    while let Some(next) = walk.next() {
        let bytes = match top.take() {
            Some(bytes) => bytes,
            None => registry.manifest(repository, &next.digest.into()).await?.bytes,
        };
        walk.visit(next, bytes).map_err(broken)?;
    }
    let tree = walk.finish();
    let mut referrers = Vec::new();
    for node in tree.manifests() {
        referrers.extend(about(registry, wanted, node.digest).await?);
        if referrers.len() > REFERRERS_MAX {
            return Err(PlanError::Referrers { image: wanted.told(), limit: REFERRERS_MAX });
        }
    }
    let mut absent = BTreeSet::new();
    for blob in tree.blobs().filter(|blob| blob.may_be_elsewhere()) {
        if !registry.has_blob(repository, &blob.digest).await? {
            absent.insert(blob.digest);
        }
    }
    Ok(Visited { digest, tree, referrers, absent })
}

/// What is about one manifest: by the referrers API or its fallback tag, and by cosign's tags.
async fn about(
    registry: &Registry,
    wanted: &WantedImage,
    subject: Digest,
) -> Result<Vec<WantedImage>, RegistryError> {
    let repository = &wanted.repository;
    let as_wanted = |reference: Reference, tags: Vec<Tag>| WantedImage {
        registry: wanted.registry,
        source: wanted.source.clone(),
        repository: repository.clone(),
        reference,
        tags,
        role: ImageRole::Referrer { subject },
    };
    let mut found = Vec::new();
    for referrer in registry.referrers(repository, &subject).await? {
        found.push(as_wanted(referrer.digest.into(), Vec::new()));
    }
    for tag in registry.cosign_tags(repository, &subject).await? {
        found.push(as_wanted(tag.clone().into(), vec![tag]));
    }
    found.sort();
    Ok(found)
}
