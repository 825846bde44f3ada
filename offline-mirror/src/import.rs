//! From a directory into a site: verify everything, then blobs, manifests, and metadata last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use channels::names::Arch;
use channels::wire::{PublicationFile, PublicationReply, ReleaseDocument};
use jiff::Timestamp;
use serde::Serialize;
use signing::Sha256Digest;

use crate::belief::{AcceptExpired, at_a_good_moment, recording, refreshed};
use crate::error::Error;
use crate::export::{Tally, fetch_release, images_of};
use crate::feed::{Feed, vendor_files};
use crate::image::{ImageTree, Walk};
use crate::layout::Layout;
use crate::record::{ExportRecord, ExportedImage};
use crate::registry::legacy::Registry;

/// What to import, and what to ask of it.
#[derive(Debug)]
pub struct ImportRequest {
    /// The export directory.
    pub dir: PathBuf,
    /// The root of the hub it came from, pinned beforehand by a way of its own.
    pub root: Vec<u8>,
    /// Architectures that the site needs; empty = whatever was exported.
    pub arches: Vec<Arch>,
    /// Where the site remembers which versions of the hub's metadata it has seen; without it an
    /// older export cannot be told from a newer one.
    pub state: Option<PathBuf>,
    /// A person's leave to use metadata that expired on its way.
    pub accept_expired: Option<AcceptExpired>,
}

/// What an import found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The record it followed.
    pub record: ExportRecord,
    /// Manifests and blobs that were verified.
    pub verified: Tally,
    /// Blobs pushed to the site's registry.
    pub pushed: Tally,
    /// Blobs that the site's registry had already.
    pub present: Tally,
    /// The moment the metadata was verified as of, if it has expired since and that was accepted.
    pub expired_as_of: Option<Timestamp>,
    /// What the site's update server answered, if one was fed.
    pub publication: Option<PublicationReply>,
}

/// What the metadata says, believed.
struct Believed {
    document: ReleaseDocument,
    files: Vec<PublicationFile>,
}

/// Verifies the whole directory without a network, then feeds registry and update server.
///
/// Idempotent; killed at any point, it can be run again. The update server is fed last, so that no
/// agent learns of a release whose images are not there.
///
/// # Errors
/// Whatever does not verify is refused before anything leaves the directory.
pub async fn import(
    request: &ImportRequest,
    registry: Option<&Registry>,
    server: Option<&Feed>,
    now: Timestamp,
) -> Result<Imported, Error> {
    if let Some(leave) = &request.accept_expired {
        leave.check(request.state.as_deref())?;
    }
    let record = ExportRecord::read(&request.dir)?;
    let (Believed { document, files }, expired_as_of) = believe(request, &record, now).await?;
    let images = named_images(request, &record, &document)?;
    let layout = Layout::at(&request.dir);
    let (mut trees, mut verified) = (Vec::new(), BTreeMap::new());
    for image in images {
        let tree = verify_image(&layout, &image, &mut verified)?;
        trees.push((image.repository, tree));
    }
    // After what is signed, which says more about what is wrong.
    record.check_files(&request.dir)?;
    let mut tally = Tally::default();
    for bytes in verified.values() {
        tally.add(*bytes);
    }
    tracing::info!(objects = tally.objects, files = files.len(), "export verified");

    let (mut pushed, mut present) = (Tally::default(), Tally::default());
    if let Some(registry) = registry {
        for (repository, tree) in &trees {
            push_blobs(&layout, registry, repository, tree, &mut pushed, &mut present).await?;
        }
        for (repository, tree) in &trees {
            for node in tree.children_first() {
                let bytes = node.bytes.clone();
                registry.push_manifest(repository, &node.descriptor, bytes).await?;
            }
        }
    }
    let publication = match server {
        Some(server) => {
            Some(server.publish(message(request, &record, expired_as_of), files).await?)
        }
        None => None,
    };
    Ok(Imported { record, verified: tally, pushed, present, expired_as_of, publication })
}

/// For the site's audit log.
fn message(request: &ImportRequest, record: &ExportRecord, as_of: Option<Timestamp>) -> String {
    let message = format!("import of {} {}", record.product, record.version);
    match (&request.accept_expired, as_of) {
        (Some(leave), Some(as_of)) => {
            format!("{message}; metadata of {as_of} accepted although expired: {}", leave.reason)
        }
        _ => message,
    }
}

/// Verifies the metadata, as of now or, with leave, as of when the hub signed it.
async fn believe(
    request: &ImportRequest,
    record: &ExportRecord,
    now: Timestamp,
) -> Result<(Believed, Option<Timestamp>), Error> {
    let verify = async |now: Timestamp| {
        let recording = recording(&request.dir);
        let state = request.state.as_ref();
        let mut client = refreshed(&recording, &request.dir, &request.root, state, now).await?;
        let document = fetch_release(&mut client, &record.product, &record.version, now).await?;
        let files = vendor_files(&mut client, &recording, &record.product.vendor, now).await?;
        Ok(Believed { document, files })
    };
    at_a_good_moment(&request.dir, request.accept_expired.as_ref(), now, verify).await
}

/// The images of the carried architectures, by the signed document. The record is not signed: it
/// may only choose among what the release has.
fn named_images(
    request: &ImportRequest,
    record: &ExportRecord,
    document: &ReleaseDocument,
) -> Result<BTreeSet<ExportedImage>, Error> {
    let refuse = |why: String| Error::NotAnExport { dir: request.dir.clone(), why };
    if record.arches.is_empty() && !document.arches.is_empty() {
        return Err(refuse("export.json names no architecture".to_owned()));
    }
    if let Some(missing) = request.arches.iter().find(|arch| !record.arches.contains(arch)) {
        return Err(refuse(format!("it does not carry the architecture {missing}")));
    }
    let images = images_of(document, &record.arches)?;
    if !images.iter().eq(&record.images) {
        return Err(refuse("export.json names other images than the release".to_owned()));
    }
    Ok(images)
}

/// Checks every manifest and blob of an image where it lies; `verified` holds what was checked
/// with another image, and is added to.
fn verify_image(
    layout: &Layout,
    image: &ExportedImage,
    verified: &mut BTreeMap<Sha256Digest, u64>,
) -> Result<ImageTree, Error> {
    let mut walk = Walk::from(image.digest);
    while let Some(wanted) = walk.next() {
        let bytes = layout.manifest(&wanted.digest)?;
        verified.insert(wanted.digest, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        walk.visit(wanted, bytes)?;
    }
    let tree = walk.finish();
    for blob in tree.blobs() {
        if verified.get(&blob.digest) != Some(&blob.size) {
            layout.verify(blob)?;
            verified.insert(blob.digest, blob.size);
        }
    }
    Ok(tree)
}

async fn push_blobs(
    layout: &Layout,
    registry: &Registry,
    repository: &str,
    tree: &ImageTree,
    pushed: &mut Tally,
    present: &mut Tally,
) -> Result<(), Error> {
    for blob in tree.blobs() {
        if registry.has_blob(repository, &blob.digest).await? {
            present.add(blob.size);
        } else {
            let path = layout.blob_path(&blob.digest);
            registry.push_blob(repository, blob, &path).await?;
            pushed.add(blob.size);
        }
    }
    Ok(())
}
