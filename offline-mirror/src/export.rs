//! From a hub and a registry into a directory.

use std::collections::BTreeSet;
use std::path::PathBuf;

use channels::names::{Arch, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{Critical, ReleaseDocument};
use jiff::Timestamp;
use signing::{Client, MemStore, RoleName, Sha256Digest, Source, Target, TargetPath, Verified};

use crate::error::Error;
use crate::layout::Layout;
use crate::manifest::{Descriptor, INDEX_DEPTH_MAX, Manifest, parse};
use crate::metadata::{self, Recording};
use crate::record::{ExportRecord, ExportedImage};
use crate::registry::Registry;

/// Manifests one release may reach; a release has a handful of images with a few architectures.
const MANIFESTS_MAX: usize = 4096;

/// What to carry.
#[derive(Debug)]
pub struct ExportRequest {
    /// The product.
    pub product: ProductRef,
    /// The release.
    pub version: ReleaseVersion,
    /// Architectures; empty = all the release has.
    pub arches: Vec<Arch>,
    /// The pinned root, as agents of the hub have it.
    pub root: Vec<u8>,
    /// Where to write.
    pub dir: PathBuf,
}

/// Verifies the hub's repository as an agent would, then writes metadata, targets and blobs.
///
/// Idempotent: blobs already there are kept. `export.json` is written last; without it the
/// directory does not count as an export.
///
/// # Errors
/// Anything that does not verify stops the export; what is already in the directory stays and is
/// reused by the next run.
pub async fn export<S: Source>(
    request: &ExportRequest,
    source: S,
    registry: &Registry,
    now: Timestamp,
) -> Result<ExportRecord, Error> {
    let layout = Layout::at(&request.dir);
    layout.create()?;
    ExportRecord::remove(&request.dir)?;

    let recording = Recording::new(source);
    let mut client = Client::open(&request.root, &recording, MemStore::new())
        .map_err(trust("the pinned root"))?;
    recording.add_root(client.trusted_versions().root, &request.root);
    client.refresh(now).await.map_err(trust("the hub's repository"))?;

    let document = fetch_release(&mut client, &request.product, &request.version, now).await?;
    copy_targets(&mut client, &request.product, now).await?;
    metadata::write(&request.dir, &recording.files())?;

    let images = images_of(&document, &request.arches)?;
    let mut top = Vec::new();
    for image in &images {
        let found = copy_image(&layout, registry, image).await?;
        tracing::info!(image.repository = %image.repository, image.digest = %image.digest, "copied image");
        top.push((format!("{}@{}", image.repository, image.digest), found));
    }
    layout.write_index(&top)?;

    let record = ExportRecord {
        format: ExportRecord::FORMAT,
        exporter: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: now,
        product: request.product.clone(),
        version: request.version.clone(),
        images: images.into_iter().collect(),
    };
    record.write(&request.dir)?;
    Ok(record)
}

/// Names the step a TUF error belongs to.
pub(crate) fn trust(what: impl Into<String>) -> impl FnOnce(signing::Error) -> Error {
    let what = what.into();
    move |source| Error::Trust { what, source: Box::new(source) }
}

/// Fetches and checks the release document: signed, and saying what its path says.
pub(crate) async fn fetch_release<S: Source>(
    client: &mut Client<S, MemStore>,
    product: &ProductRef,
    version: &ReleaseVersion,
    now: Timestamp,
) -> Result<ReleaseDocument, Error> {
    let path = ReleaseDocument::target_path(product, version);
    let bytes = fetch(client, &path, now).await?;
    let refuse = |why: String| Error::Document { path: path.clone(), why };
    let document: ReleaseDocument =
        serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
    document.check_critical().map_err(|e| refuse(e.to_string()))?;
    if document.product_ref() != *product || document.version != *version {
        return Err(refuse(format!(
            "wrong_software: the document is about {} {}",
            document.product_ref(),
            document.version
        )));
    }
    Ok(document)
}

async fn fetch<S: Source>(
    client: &mut Client<S, MemStore>,
    path: &str,
    now: Timestamp,
) -> Result<Vec<u8>, Error> {
    let refuse = |why: String| Error::Document { path: path.to_owned(), why };
    let target_path: TargetPath = path.parse().map_err(|e| refuse(format!("{e}")))?;
    let target = client
        .target(&target_path, now)
        .await
        .map_err(trust(path))?
        .ok_or_else(|| Error::NotListed { what: path.to_owned() })?;
    Ok(client.fetch_target(&target).await.map_err(trust(path))?.into_inner())
}

/// Reads every release and graph of the product, so that the copy serves whole channels.
pub(crate) async fn copy_targets<S: Source>(
    client: &mut Client<S, MemStore>,
    product: &ProductRef,
    now: Timestamp,
) -> Result<Vec<(TargetPath, Vec<u8>)>, Error> {
    let mut found = Vec::new();
    let prefix = format!("{product}/");
    for kind in ["releases", "channels"] {
        let role: RoleName = format!("{}.{kind}", product.vendor).parse().map_err(|e| {
            Error::Document { path: format!("{}.{kind}", product.vendor), why: format!("{e}") }
        })?;
        let targets: Vec<Verified<Target>> =
            client.listed_targets(&role, now).await.map_err(trust(role.to_string()))?;
        for target in targets.iter().filter(|t| t.path.as_str().starts_with(&prefix)) {
            let bytes =
                client.fetch_target(target).await.map_err(trust(target.path.to_string()))?;
            found.push((target.path.clone(), bytes.into_inner()));
        }
    }
    Ok(found)
}

/// The images a release names for the chosen architectures, each once.
pub(crate) fn images_of(
    document: &ReleaseDocument,
    arches: &[Arch],
) -> Result<BTreeSet<ExportedImage>, Error> {
    if let Some(missing) = arches.iter().find(|a| !document.arches.contains_key(*a)) {
        let what = format!("architecture {missing} of {}", document.version);
        return Err(Error::NotListed { what });
    }
    let wanted = |arch: &Arch| arches.is_empty() || arches.contains(arch);
    Ok(document
        .arches
        .iter()
        .filter(|(arch, _)| wanted(arch))
        .flat_map(|(_, content)| {
            std::iter::once(&content.payload).chain(content.components.iter().map(|c| &c.image))
        })
        .map(|image| ExportedImage { repository: image.repository.clone(), digest: image.digest })
        .collect())
}

/// Copies one image: manifests first (they are needed to know the blobs), then blobs.
async fn copy_image(
    layout: &Layout,
    registry: &Registry,
    image: &ExportedImage,
) -> Result<Descriptor, Error> {
    let mut top = None;
    let mut seen = BTreeSet::new();
    let mut queue = vec![(image.digest, 0_usize)];
    while let Some((digest, depth)) = queue.pop() {
        if !seen.insert(digest) {
            continue;
        }
        let bytes = manifest_bytes(layout, registry, &image.repository, &digest).await?;
        let parsed = parse(&digest, &bytes)?;
        if digest == image.digest {
            top = Some(Descriptor {
                media_type: parsed.media_type,
                digest,
                size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            });
        }
        match parsed.manifest {
            Manifest::Image { blobs } => {
                for blob in blobs {
                    copy_blob(layout, registry, &image.repository, &blob).await?;
                }
            }
            Manifest::Index { manifests } => {
                check_bounds(&digest, depth, seen.len() + manifests.len())?;
                queue.extend(manifests.into_iter().map(|m| (m.digest, depth + 1)));
            }
        }
    }
    top.ok_or_else(|| Error::NotListed { what: format!("image {}", image.digest) })
}

/// Bounds on what a chain of indexes may reach.
pub(crate) fn check_bounds(
    digest: &Sha256Digest,
    depth: usize,
    manifests: usize,
) -> Result<(), Error> {
    if depth >= INDEX_DEPTH_MAX || manifests > MANIFESTS_MAX {
        let why = format!(
            "more than {INDEX_DEPTH_MAX} indexes inside each other or {MANIFESTS_MAX} manifests"
        );
        return Err(Error::Manifest { digest: digest.to_string(), why });
    }
    Ok(())
}

async fn manifest_bytes(
    layout: &Layout,
    registry: &Registry,
    repository: &str,
    digest: &Sha256Digest,
) -> Result<Vec<u8>, Error> {
    if layout.has(digest) {
        return layout.manifest(digest);
    }
    let bytes = registry.pull_manifest(repository, digest).await?;
    layout.put(digest, &bytes)?;
    Ok(bytes)
}

async fn copy_blob(
    layout: &Layout,
    registry: &Registry,
    repository: &str,
    blob: &Descriptor,
) -> Result<(), Error> {
    if layout.has(&blob.digest) {
        return Ok(());
    }
    registry.pull_blob(repository, blob, &layout.partial_path(&blob.digest)).await?;
    layout.adopt(blob)
}
