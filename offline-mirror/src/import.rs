//! From a directory into a site: verify everything, then blobs, manifests, and metadata last.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use signing::{Client, DirSource, MemStore};

use crate::error::Error;
use crate::export::{check_bounds, fetch_release, images_of, trust};
use crate::feed::{Feed, vendor_files};
use crate::layout::Layout;
use crate::manifest::{Descriptor, Manifest, ParsedManifest, parse};
use crate::metadata::{Recording, TUF_DIR};
use crate::record::{ExportRecord, ExportedImage};
use crate::registry::Registry;

/// What to import, and into what.
#[derive(Debug)]
pub struct ImportRequest {
    /// The export directory.
    pub dir: PathBuf,
    /// The root of the hub it came from, pinned beforehand by a way of its own.
    pub root: Vec<u8>,
}

/// What an import found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The record it followed.
    pub record: ExportRecord,
    /// Manifests and blobs that were verified.
    pub verified: usize,
    /// Blobs and manifests pushed to the site's registry; what was there already is not counted.
    pub pushed: usize,
    /// What the site's update server answered, if one was fed.
    pub publication: Option<channels::wire::PublicationReply>,
}

/// One image with everything below it, children before parents.
struct VerifiedImage {
    repository: String,
    blobs: Vec<Descriptor>,
    manifests: Vec<(Descriptor, Vec<u8>)>,
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
    let recording = Recording::new(DirSource::new(request.dir.join(TUF_DIR)));
    let mut client = Client::open(&request.root, &recording, MemStore::new())
        .map_err(trust("the pinned root"))?;
    client.refresh(now).await.map_err(trust("the exported repository"))?;
    let document = fetch_release(&mut client, &record.product, &record.version, now).await?;

    let named = images_of(&document, &[])?;
    let layout = Layout::at(&request.dir);
    let mut images = Vec::new();
    for image in &record.images {
        if !named.contains(image) {
            let why = format!("{}@{} is not in the release", image.repository, image.digest);
            return Err(Error::NotAnExport { dir: request.dir.clone(), why });
        }
        images.push(verify_image(&layout, image)?);
    }
    let files = vendor_files(&mut client, &recording, &record.product, now).await?;
    let verified = images.iter().map(|i| i.blobs.len() + i.manifests.len()).sum();
    tracing::info!(objects = verified, files = files.len(), "export verified");

    let mut pushed = 0;
    if let Some(registry) = registry {
        for image in &images {
            pushed += push_image(&layout, registry, image).await?;
        }
    }
    let publication = match server {
        Some(server) => Some(server.publish(&record, files).await?),
        None => None,
    };
    Ok(Imported { record, verified, pushed, publication })
}

/// Checks every manifest and blob of an image where it lies.
fn verify_image(layout: &Layout, image: &ExportedImage) -> Result<VerifiedImage, Error> {
    let mut found =
        VerifiedImage { repository: image.repository.clone(), blobs: vec![], manifests: vec![] };
    let mut seen = BTreeSet::new();
    let mut queue = vec![(image.digest, 0_usize)];
    while let Some((digest, depth)) = queue.pop() {
        if !seen.insert(digest) {
            continue;
        }
        let bytes = layout.manifest(&digest)?;
        let ParsedManifest { media_type, manifest } = parse(&digest, &bytes)?;
        match manifest {
            Manifest::Image { blobs } => {
                for blob in blobs {
                    layout.verify(&blob)?;
                    found.blobs.push(blob);
                }
            }
            Manifest::Index { manifests } => {
                check_bounds(&digest, depth, seen.len() + manifests.len())?;
                queue.extend(manifests.into_iter().map(|m| (m.digest, depth + 1)));
            }
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        found.manifests.push((Descriptor { media_type, digest, size }, bytes));
    }
    // Parents were met before their children; a registry wants children first.
    found.manifests.reverse();
    Ok(found)
}

async fn push_image(
    layout: &Layout,
    registry: &Registry,
    image: &VerifiedImage,
) -> Result<usize, Error> {
    let mut pushed = 0;
    for blob in &image.blobs {
        if !registry.has_blob(&image.repository, &blob.digest).await? {
            let path = layout.blob_path(&blob.digest);
            registry.push_blob(&image.repository, blob, &path).await?;
            pushed += 1;
        }
    }
    for (manifest, bytes) in &image.manifests {
        let media_type = &manifest.media_type;
        registry
            .push_manifest(&image.repository, &manifest.digest, media_type, bytes.clone())
            .await?;
        pushed += 1;
    }
    Ok(pushed)
}

/// Reads a file that a person named, with a bound that says why.
pub(crate) fn read_root(path: &Path) -> Result<Vec<u8>, Error> {
    /// The TUF client refuses roots over 512 kB; nothing larger needs to be read.
    const ROOT_BYTES_MAX: u64 = 512 * 1024;
    let length = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
    if length > ROOT_BYTES_MAX {
        return Err(Error::Document {
            path: path.display().to_string(),
            why: format!("{length} bytes are too many for a root, at most {ROOT_BYTES_MAX}"),
        });
    }
    std::fs::read(path).map_err(Error::io("read", path))
}
