//! From a directory into a site: verify everything, then blobs, manifests, and metadata last.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use channels::names::Arch;
use channels::wire::{PublicationFile, PublicationReply, ReleaseDocument};
use jiff::Timestamp;
use serde::Serialize;
use signing::client::limits::{MAX_ROOT_BYTES, MAX_TIMESTAMP_BYTES};
use signing::metadata::SIGNED_AT;
use signing::{Attack, Client, DirSource, DirStore, FileName, MemStore, Sha256Digest};

use crate::error::Error;
use crate::export::{Tally, fetch_release, images_of, trust};
use crate::feed::{Feed, vendor_files};
use crate::image::{ImageTree, Walk};
use crate::layout::Layout;
use crate::metadata::{Recording, TUF_DIR};
use crate::record::{ExportRecord, ExportedImage};
use crate::registry::Registry;

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

/// Leave to use metadata that was good when the hub signed it and has expired since.
///
/// Only expiry is forgiven: everything is verified as of the moment the hub signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptExpired {
    /// When this leave itself ends.
    pub until: Timestamp,
    /// Why, for the site's audit log.
    pub reason: String,
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
    expired_as_of: Option<Timestamp>,
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
    let record = ExportRecord::read(&request.dir)?;
    let Believed { document, files, expired_as_of } = believe(request, &record, now).await?;
    let images = named_images(request, &record, &document)?;
    let layout = Layout::at(&request.dir);
    let (mut trees, mut verified) = (Vec::new(), BTreeMap::new());
    for image in images {
        let tree = verify_image(&layout, &image, &mut verified)?;
        trees.push((image.repository, tree));
    }
    let mut tally = Tally::default();
    verified.values().for_each(|bytes| tally.add(*bytes));
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
) -> Result<Believed, Error> {
    let error = match believe_at(request, record, now).await {
        Err(error) if error.attack() == Some(Attack::Freeze) => error,
        answer => return answer,
    };
    let leave = request.accept_expired.as_ref().filter(|leave| now < leave.until);
    let signed_at = leave.and_then(|_| signed_at(&request.dir)).filter(|at| *at < now);
    // The moment is read before it is believed, but it lies inside the signed timestamp: if it was
    // changed, the signature does not verify.
    let Some(as_of) = signed_at else { return Err(error) };
    let believed = believe_at(request, record, as_of).await?;
    Ok(Believed { expired_as_of: Some(as_of), ..believed })
}

async fn believe_at(
    request: &ImportRequest,
    record: &ExportRecord,
    now: Timestamp,
) -> Result<Believed, Error> {
    let source = DirSource::new(request.dir.join(TUF_DIR));
    let refused = "the exported repository";
    if let Some(dir) = &request.state {
        // A client of its own: the one below has to read every file that it hands on.
        let store =
            DirStore::open(dir).map_err(|source| Error::State { dir: dir.clone(), source })?;
        let mut floors = Client::open(&request.root, source.clone(), store)
            .map_err(trust("the pinned root or the trust state"))?;
        floors.refresh(now).await.map_err(trust(refused))?;
    }
    let recording = Recording::new(source);
    let mut client = Client::open(&request.root, &recording, MemStore::new())
        .map_err(trust("the pinned root"))?;
    client.refresh(now).await.map_err(trust(refused))?;
    let document = fetch_release(&mut client, &record.product, &record.version, now).await?;
    let files = vendor_files(&mut client, &recording, &record.product, now).await?;
    Ok(Believed { document, files, expired_as_of: None })
}

/// When the hub signed the timestamp, by its own word.
fn signed_at(dir: &Path) -> Option<Timestamp> {
    let path = dir.join(TUF_DIR).join(FileName::timestamp().relative_path());
    let bytes = read_bounded(&path, MAX_TIMESTAMP_BYTES).ok()?;
    let envelope: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    envelope.get("signed")?.get(SIGNED_AT)?.as_str()?.parse().ok()
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

/// Reads the root that a person named.
pub(crate) fn read_root(path: &Path) -> Result<Vec<u8>, Error> {
    read_bounded(path, MAX_ROOT_BYTES)
}

fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let file = std::fs::File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max) {
        return Ok(bytes);
    }
    let why = format!("more than {bytes_max} bytes");
    Err(Error::Document { path: path.display().to_string(), why })
}
