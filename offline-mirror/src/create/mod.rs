//! Makes bundles: plans, signs the view, streams blobs into segments, seals.
//!
//! ```text
//! plan ─► view: sequence, snapshot, timestamp ─► plan.json ─► fetch (any number of runs) ─► seal
//! ```
//! From the moment `plan.json` is written every run ends in the same bytes, or in none. Nothing here
//! talks to a site, and no document chooses where anything is read.

mod error;
mod fetch;
mod finish;
mod pinned;
mod progress;
mod work;

use std::path::PathBuf;

use channels::version::ReleaseVersion;
use jiff::Timestamp;
use serde::Serialize;
use signing::{Sha256Digest, Source};

pub use error::CreateError;
pub use progress::Progress;

use crate::bundle::{
    BundleManifest, BundleName, CarriedRelease, Missing, Planned, Segment, Writer,
};
use crate::metadata;
use crate::oci::Digest;
use crate::plan::{Prepared, Request, prepare, tuf_path};
use crate::registry::Registry;
use crate::view::{self, Hub, Published};
use fetch::{Brought, Manner};
use pinned::{Kept, KeptManifest, Pinned, PinnedBlob, PinnedImage};

/// A bundle to be made.
#[derive(Debug)]
pub struct CreateRequest {
    /// What it is to hold.
    pub plan: Request,
    /// Directory for its files.
    pub dir: PathBuf,
    /// Whether earlier work under this name is given up: what is unfinished, or finished and not
    /// complete.
    pub restart: bool,
}

/// A bundle that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[must_use = "it says whether the bundle is complete"]
pub struct Created {
    /// Name.
    pub name: BundleName,
    /// Sequence under its view.
    pub sequence: u64,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When the first metadata in it expires.
    pub good_until: Option<Timestamp>,
    /// Whether it holds everything that was asked for.
    pub complete: bool,
    /// What it does not.
    pub missing: Vec<Missing>,
    /// Its signed manifest.
    pub manifest: PathBuf,
    /// Digest of that file.
    pub manifest_digest: Sha256Digest,
    /// Its segment files.
    pub segments: Vec<Segment>,
    /// Releases.
    pub releases: Vec<CarriedRelease>,
    /// Images, and what is about them.
    pub images: u64,
    /// Files, manifests and blobs in it.
    pub entries: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// What it presumes to be at its sites.
    pub required: u64,
    /// Blobs that this run fetched.
    pub fetched_blobs: u64,
    /// Bytes that this run fetched.
    pub fetched_bytes: u64,
    /// Whether an earlier run had begun it.
    pub went_on: bool,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Makes a bundle, or goes on with one.
///
/// # Errors
/// When what is asked for cannot be planned, fetched or written. What is down stays, and the same
/// request goes on with it.
pub async fn create<S: Source>(
    request: &CreateRequest,
    source: S,
    registries: &[Registry],
    progress: &Progress,
    now: Timestamp,
) -> Result<Created, CreateError> {
    let (dir, name) = (&request.dir, &request.plan.name);
    let view_dir = request.plan.view.clone().ok_or(CreateError::NoView)?;
    if let Some(created) = finish::already(request, &view_dir, now)? {
        return Ok(created);
    }
    let mut lock = work::lock(dir, name)?;
    if request.restart {
        lock = work::give_up(dir, name, &view_dir)?.unwrap_or(lock);
    }
    let asked = request.plan.asked();
    let (mut pinned, went_on) = match Pinned::read(dir, name)? {
        Some(pinned) => {
            pinned.check_asked(dir, &asked, request.plan.keep_going)?;
            (pinned, true)
        }
        None => (begin(request, &view_dir, source, registries, now).await?, false),
    };
    let manner = Manner {
        concurrency: usize::from(request.plan.concurrency),
        keep_going: request.plan.keep_going,
    };
    let mut total = Brought::default();
    let writer = loop {
        let writer = work::open(&pinned, dir, request.plan.segment_size)?;
        put_small(&pinned, dir, &writer)?;
        let blobs = u64::try_from(pinned.blobs.len()).unwrap_or(u64::MAX);
        let bytes = pinned.blobs.values().map(|blob| blob.size).sum();
        progress.planned(name.as_str(), pinned.manifest.sequence, blobs, bytes, went_on);
        let brought = fetch::fetch(&pinned, &writer, registries, manner, progress).await;
        progress.ended();
        let Brought { blobs, bytes, failed } = brought?;
        total.blobs = total.blobs.saturating_add(blobs);
        total.bytes = total.bytes.saturating_add(bytes);
        if failed.is_empty() {
            break writer;
        }
        drop(writer);
        pinned = work::without(&pinned, dir, &failed)?;
    };
    let created = finish::seal(pinned, dir, &view_dir, writer, &total, went_on)?;
    drop(lock);
    Ok(created)
}

/// Decides everything that a bundle will be, and writes it down.
async fn begin<S: Source>(
    request: &CreateRequest,
    view_dir: &std::path::Path,
    source: S,
    registries: &[Registry],
    now: Timestamp,
) -> Result<Pinned, CreateError> {
    let (dir, name) = (&request.dir, &request.plan.name);
    let prepared = prepare(&request.plan, source, registries, now).await?;
    let hub = Hub {
        root: &request.plan.root,
        files: prepared.hub.files.clone(),
        found: prepared.hub.found,
    };
    let releases: Vec<(channels::names::ProductRef, ReleaseVersion)> = prepared
        .hub
        .releases
        .iter()
        .map(|release| (release.product.clone(), release.version.clone()))
        .collect();
    let published = view::publish(view_dir, hub, &releases, prepared.at_sites, now).await?;
    let pinned = decide(request, &prepared, &published, now)?;
    let manifests = prepared.contents.manifests.values().map(|m| m.bytes.as_slice());
    let files = published.files.values().map(Vec::as_slice);
    Pinned::keep(dir, name, files.chain(manifests))?;
    for (site, seen) in &prepared.seen {
        view::remember_inventory(view_dir, site, seen)?;
    }
    pinned.write(dir)?;
    Ok(pinned)
}

fn decide(
    request: &CreateRequest,
    prepared: &Prepared,
    published: &Published,
    now: Timestamp,
) -> Result<Pinned, CreateError> {
    let good_until = metadata::good_until(&published.files, &prepared.hub.vendors)
        .map_err(metadata::trust("the metadata to be carried"))?;
    let contents = &prepared.contents;
    let manifest = BundleManifest {
        format: BundleManifest::FORMAT,
        name: request.plan.name.clone(),
        sequence: published.sequence,
        created_at: now,
        created_by: concat!("offline-mirror ", env!("CARGO_PKG_VERSION")).to_owned(),
        good_until,
        sites: prepared.sites.clone(),
        bases: prepared.bases.clone(),
        required: contents.required.values().cloned().collect(),
        complete: prepared.missing.is_empty(),
        missing: prepared.missing.clone(),
        releases: prepared.hub.releases.clone(),
        images: prepared.images.iter().map(|gathered| gathered.image.clone()).collect(),
        segments: Vec::new(),
        entries: Vec::new(),
    };
    let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let files = published.files.iter().map(|(name, bytes)| {
        (tuf_path(name), Kept { digest: Digest::of(bytes), size: length(bytes) })
    });
    let manifests = contents.manifests.iter().map(|(digest, manifest)| {
        let (media_type, size) = (manifest.media_type.clone(), length(&manifest.bytes));
        (*digest, KeptManifest { media_type, size })
    });
    let root = published.files.iter().find(|(_, bytes)| **bytes == published.root);
    Ok(Pinned {
        format: Pinned::FORMAT,
        asked: pinned::as_value(&request.plan.asked()),
        manifest,
        root: root.map(|(name, _)| tuf_path(name)).unwrap_or_default(),
        files: files.collect(),
        images: prepared.images.iter().map(PinnedImage::from).collect(),
        manifests: manifests.collect(),
        blobs: contents.blobs.iter().map(|(d, blob)| (*d, PinnedBlob::from(blob))).collect(),
        afterwards: prepared.afterwards.clone(),
        warnings: prepared.warnings.clone(),
    })
}

/// Writes everything that is not fetched.
fn put_small(pinned: &Pinned, dir: &std::path::Path, writer: &Writer) -> Result<(), CreateError> {
    let layout = pinned.layout();
    for number in writer.left() {
        let Some(item) = writer.laid().items().get(number) else { continue };
        if item.planned.what == Planned::Blob {
            continue;
        }
        match layout.iter().find(|(entry, _)| *entry == item.planned) {
            Some((_, bytes)) => writer.put(number, bytes)?,
            None => writer.put(number, &pinned.kept(dir, &item.planned.digest)?)?,
        }
    }
    Ok(())
}
