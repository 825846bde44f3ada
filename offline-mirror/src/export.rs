//! From a hub and a registry into a directory.

use std::collections::BTreeSet;
use std::path::PathBuf;

use channels::names::{Arch, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::ReleaseDocument;
use jiff::Timestamp;
use serde::Serialize;
use signing::{Client, FileName, MemStore, Recording, Sha256Digest, Source};

use crate::error::Error;
use crate::image::{Walk, Wanted};
use crate::layout::Layout;
use crate::manifest::Descriptor;
use crate::metadata;
pub(crate) use crate::metadata::{copy_targets, fetch_release, trust};
use crate::record::{ExportRecord, ExportedImage};
use crate::registry::legacy::{Registry, check_repository};
use crate::view::{self, Hub};

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
    /// The view to export under, for sites that pinned its root; none for the hub's own metadata.
    pub view: Option<PathBuf>,
}

/// How much was moved or found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Manifests and blobs.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.objects = self.objects.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The record in the directory.
    pub record: ExportRecord,
    /// Manifests and blobs fetched from the registry.
    pub fetched: Tally,
    /// Manifests and blobs that were in the directory already, and are good.
    pub kept: Tally,
}

/// Verifies the hub's repository as an agent would, then writes metadata, targets and blobs.
///
/// Idempotent: blobs already there are hashed and kept, bad ones fetched again. `export.json` is written last; without it the
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
) -> Result<Exported, Error> {
    let recording = Recording::new(source);
    let mut client = Client::open(&request.root, &recording, MemStore::new())
        .map_err(trust("the pinned root"))?;
    let pinned = client.trusted_versions().root;
    recording.add(FileName::root(pinned), request.root.clone());
    client.refresh(now).await.map_err(trust("the hub's repository"))?;
    let document = fetch_release(&mut client, &request.product, &request.version, now).await?;
    copy_targets(&mut client, &request.product.vendor, now).await?;
    let older = metadata::copy_roots_before(&recording, pinned).await;
    older.map_err(|source| Error::Trust {
        what: "the hub's older roots".to_owned(),
        source: Box::new(signing::Error::Fetch { file: FileName::root(pinned), source }),
    })?;
    let hub =
        Hub { root: &request.root, files: recording.files(), found: client.trusted_versions() };
    let arches = match request.arches.as_slice() {
        [] => document.arches.keys().cloned().collect(),
        chosen => chosen.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(),
    };
    let images = images_of(&document, &arches)?;

    let tuf = match &request.view {
        Some(dir) => {
            let releases = [(request.product.clone(), request.version.clone())];
            view::publish(dir, hub, &releases, 0, now).await?.files
        }
        None => hub.files,
    };
    let good_until = metadata::good_until(&tuf, &BTreeSet::from([request.product.vendor.clone()]))
        .map_err(trust("the metadata to be carried"))?;

    // Nothing is touched before the hub's answer is believed; from here the directory does not
    // count as an export until the record is back.
    let layout = Layout::at(&request.dir);
    layout.create()?;
    ExportRecord::remove(&request.dir)?;
    let mut files = metadata::write(&request.dir, &tuf)?;
    let mut copy = Copy::new(&layout, registry);
    let mut top = Vec::new();
    for image in &images {
        let found = copy.image(image).await?;
        tracing::info!(image.repository = %image.repository, image.digest = %image.digest, "copied image");
        top.extend(found.map(|d| (format!("{}@{}", image.repository, image.digest), d)));
    }
    files.extend(layout.write_index(&top)?);

    let record = ExportRecord {
        format: ExportRecord::FORMAT,
        exporter: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: now,
        product: request.product.clone(),
        version: request.version.clone(),
        arches,
        images: images.into_iter().collect(),
        files,
        good_until,
        is_view: request.view.is_some(),
    };
    record.write(&request.dir)?;
    Ok(Exported { record, fetched: copy.fetched, kept: copy.kept })
}

/// The images a release names for these architectures, each once. An image that is itself an index
/// over several architectures is carried whole: its digest is over all of them.
pub(crate) fn images_of(
    document: &ReleaseDocument,
    arches: &[Arch],
) -> Result<BTreeSet<ExportedImage>, Error> {
    let mut images = BTreeSet::new();
    for arch in arches {
        let Some(content) = document.arches.get(arch) else {
            let what = format!("architecture {arch} of {}", document.version);
            return Err(Error::NotListed { what });
        };
        let components = content.components.iter().map(|component| &component.image);
        for image in std::iter::once(&content.payload).chain(components) {
            check_repository(&image.repository)?;
            let repository = image.repository.clone();
            images.insert(ExportedImage { repository, digest: image.digest });
        }
    }
    Ok(images)
}

/// One run's copying, with what it has looked at already: images share layers.
struct Copy<'a> {
    layout: &'a Layout,
    registry: &'a Registry,
    done: BTreeSet<Sha256Digest>,
    fetched: Tally,
    kept: Tally,
}

impl<'a> Copy<'a> {
    fn new(layout: &'a Layout, registry: &'a Registry) -> Self {
        let (fetched, kept) = (Tally::default(), Tally::default());
        Self { layout, registry, done: BTreeSet::new(), fetched, kept }
    }

    /// Copies one image: manifests first (they are needed to know the blobs), then blobs.
    async fn image(&mut self, image: &ExportedImage) -> Result<Option<Descriptor>, Error> {
        let mut walk = Walk::from(image.digest);
        while let Some(wanted) = walk.next() {
            let bytes = self.manifest(&image.repository, wanted).await?;
            walk.visit(wanted, bytes)?;
        }
        let tree = walk.finish();
        for blob in tree.blobs() {
            self.blob(&image.repository, blob).await?;
        }
        Ok(tree.top().cloned())
    }

    async fn manifest(&mut self, repository: &str, wanted: Wanted) -> Result<Vec<u8>, Error> {
        let kept = self.layout.keep_manifest(&wanted.digest)?;
        let fetched = kept.is_none();
        let bytes = if let Some(bytes) = kept {
            bytes
        } else {
            let bytes = self.registry.pull_manifest(repository, wanted).await?;
            self.layout.put(&wanted.digest, &bytes)?;
            bytes
        };
        self.count(wanted.digest, u64::try_from(bytes.len()).unwrap_or(u64::MAX), fetched);
        Ok(bytes)
    }

    async fn blob(&mut self, repository: &str, blob: &Descriptor) -> Result<(), Error> {
        if self.done.contains(&blob.digest) {
            return Ok(());
        }
        let fetched = !self.layout.keep(blob)?;
        if fetched {
            let partial = self.layout.partial_path(&blob.digest);
            self.registry.pull_blob(repository, blob, &partial).await?;
            self.layout.adopt(&blob.digest)?;
        }
        self.count(blob.digest, blob.size, fetched);
        Ok(())
    }

    fn count(&mut self, digest: Sha256Digest, bytes: u64, fetched: bool) {
        if self.done.insert(digest) {
            if fetched { self.fetched.add(bytes) } else { self.kept.add(bytes) }
        }
    }
}
