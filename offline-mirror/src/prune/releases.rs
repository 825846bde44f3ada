//! Gathers what the decision looks at, and writes the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use channels::names::{ProductRef, VendorName};
use channels::version::ReleaseVersion;
use channels::wire::{Critical as _, PublicationFile, ReleaseDocument};
use jiff::Timestamp;
use serde::Deserialize;
use signing::{FileName, MemStore};

use super::decide::{Decision, Input, KnownRelease, Stored, decide, uses};
use super::document::PrunePlan;
use super::error::PruneError;
use super::fleet::SiteHub;
use crate::belief::TufFiles;
use crate::bundle::{CarriedImage, CarriedRelease, ImageRole};
use crate::import::{ImportError, Target, believe_files};
use crate::oci::{Digest, Repository, Tag};
use crate::registry::referrers_tag;
use crate::site::{Ledger, SiteDir, SiteError, read_file};

/// Longest TUF file read back, in bytes; the client has closer bounds of its own.
const TUF_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Files of the kept metadata: no more than a publication may have.
const TUF_FILES_MAX: usize = 100_000;

/// What to plan.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The site.
    pub site: &'a SiteDir,
    /// Its registry or store.
    pub target: &'a Target,
    /// Its hub.
    pub hub: &'a SiteHub,
    /// How many of the newest versions of each channel stay whoever runs them.
    pub keep_graph: usize,
}

/// Works out what may go. Nothing is changed anywhere.
///
/// # Errors
/// When the site, its hub, its target or the newest bundle's metadata cannot be read: what is not
/// known is never taken for not needed.
pub async fn plan(asked: &Asked<'_>, now: Timestamp) -> Result<PrunePlan, PruneError> {
    let Asked { site, target, hub, keep_graph } = *asked;
    let ledger = site.ledger()?;
    let rows = hub.clusters().await?;
    let known = known(site, &ledger, keep_graph).await?;
    let stored = stored(target, &ledger).await?;
    let allows = |image: &CarriedImage| site.config().allows(image);
    let uses = uses(&rows);
    let Decision { keep, remove, bytes } = decide(&Input {
        stored: &stored,
        releases: &known.releases,
        uses: &uses,
        newest: &known.newest,
        allows: &allows,
    });
    Ok(PrunePlan {
        format: PrunePlan::FORMAT,
        site: site.config().name.clone(),
        planned_at: now,
        target: target.told(),
        keep_graph,
        clusters: rows.len(),
        bytes,
        remove,
        keep,
    })
}

/// What the kept metadata says.
#[derive(Debug, Default)]
struct Known {
    releases: Vec<KnownRelease>,
    newest: BTreeMap<ProductRef, BTreeSet<ReleaseVersion>>,
}

/// As much of a graph as is read here.
#[derive(Deserialize)]
struct Graph {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    version: ReleaseVersion,
}

async fn known(site: &SiteDir, ledger: &Ledger, keep_graph: usize) -> Result<Known, PruneError> {
    let (Some(bundle), Some(believed_at)) = (ledger.bundles.last(), ledger.believed_at) else {
        return Err(PruneError::Nothing { site: site.config().name.clone() });
    };
    let mut said = vendors_say(site, &site.metadata(), &bundle.releases, believed_at).await?;
    said.extend(others_say(site, ledger, &bundle.releases).await);
    let mut known = Known::default();
    let mut documents = Vec::new();
    for (vendor, files) in &said {
        for file in files {
            read_target(vendor, file, keep_graph, &mut documents, &mut known)?;
        }
    }
    let versions: Vec<(ProductRef, ReleaseVersion)> =
        documents.iter().map(|d| (d.product_ref(), d.version.clone())).collect();
    known.releases = documents.iter().map(|document| release(document, &versions)).collect();
    Ok(known)
}

/// Files of vendors, as they would go to the update server.
type Said = Vec<(VendorName, Vec<PublicationFile>)>;

/// What the vendors of these releases say by the TUF files in `dir`. As of when they were believed:
/// they may have expired since, and say no less about what they name.
async fn vendors_say(
    site: &SiteDir,
    dir: &Path,
    releases: &[CarriedRelease],
    believed_at: Timestamp,
) -> Result<Said, PruneError> {
    let (files, seen) = (kept_metadata(dir)?, MemStore::new());
    let believed = believe_files(&files, site.root(), &seen, releases, None, believed_at).await;
    Ok(believed.map_err(ImportError::from)?.0.vendors)
}

/// What vendors say of whom the newest bundle carries nothing. Of one whose files cannot be believed
/// any more nothing is known, which keeps all that clusters may run of it.
async fn others_say(site: &SiteDir, ledger: &Ledger, newest: &[CarriedRelease]) -> Said {
    let mut read: BTreeSet<&VendorName> = newest.iter().map(|r| &r.product.vendor).collect();
    let mut said = Said::new();
    for bundle in ledger.bundles.iter().rev() {
        let vendors: BTreeSet<_> = bundle.releases.iter().map(|r| &r.product.vendor).collect();
        for vendor in vendors {
            let dir = site.metadata_of(vendor);
            if !read.insert(vendor) || !dir.is_dir() {
                continue;
            }
            let releases = bundle.releases.iter().filter(|r| r.product.vendor == *vendor);
            let releases: Vec<CarriedRelease> = releases.cloned().collect();
            match vendors_say(site, &dir, &releases, bundle.imported_at).await {
                Ok(found) => said.extend(found),
                Err(error) => tracing::warn!(%vendor, %error, "its releases are not known"),
            }
        }
    }
    said
}

fn read_target(
    vendor: &VendorName,
    file: &PublicationFile,
    keep_graph: usize,
    documents: &mut Vec<ReleaseDocument>,
    known: &mut Known,
) -> Result<(), PruneError> {
    let malformed = |why: String| {
        let path = file.path.clone().into();
        PruneError::Site(SiteError::Malformed { path, why })
    };
    let Some(path) = file.path.strip_prefix("targets/") else { return Ok(()) };
    let bytes = STANDARD.decode(&file.base64).map_err(|e| malformed(e.to_string()))?;
    if path.ends_with(".release.json") {
        let document: ReleaseDocument =
            serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        document.check_critical().map_err(|e| malformed(e.to_string()))?;
        documents.push(document);
    } else if path.ends_with(".graph.json") {
        let graph: Graph = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        let product = path.split('/').nth(1).unwrap_or_default();
        let product: ProductRef =
            format!("{vendor}/{product}").parse().map_err(|e| malformed(format!("{e}")))?;
        let mut versions: Vec<ReleaseVersion> =
            graph.nodes.into_iter().map(|node| node.version).collect();
        versions.sort_by(|a, b| b.semver().cmp(a.semver()));
        known.newest.entry(product).or_default().extend(versions.into_iter().take(keep_graph));
    }
    Ok(())
}

fn release(document: &ReleaseDocument, versions: &[(ProductRef, ReleaseVersion)]) -> KnownRelease {
    let product = document.product_ref();
    let contents = || document.arches.values();
    let images = contents()
        .flat_map(|content| {
            let components = content.components.iter().map(|component| &component.image);
            std::iter::once(&content.payload).chain(components)
        })
        .filter_map(|image| Some((image.repository.parse().ok()?, Digest::from(image.digest))))
        .collect();
    let components = contents()
        .flat_map(|content| content.components.iter().map(|component| component.version.clone()))
        .collect();
    let goes_back = |version: &&ReleaseVersion| {
        document.downgrade_from.iter().any(|requirement| requirement.matches(version))
    };
    let others = versions.iter().filter(|(other, _)| *other == product).map(|(_, version)| version);
    let back_from = others.filter(goes_back).cloned().collect();
    KnownRelease { id: (product, document.version.clone()), images, components, back_from }
}

fn kept_metadata(root: &Path) -> Result<TufFiles, PruneError> {
    let mut files = TufFiles::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(SiteError::io("read", &folder))?;
        for entry in entries.take(TUF_FILES_MAX) {
            let path = entry.map_err(SiteError::io("read", &folder))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let Ok(name) = FileName::from_relative_path(&relative) else { continue };
            files.insert(name, read_file(&path, TUF_BYTES_MAX)?);
        }
    }
    Ok(files)
}

/// What bundles brought and is still at the target, and what somebody else gave a tag there.
async fn stored(target: &Target, ledger: &Ledger) -> Result<Vec<Stored>, PruneError> {
    let mut stored: Vec<Stored> = Vec::new();
    let carried = ledger.bundles.iter().flat_map(|bundle| &bundle.images);
    let released: BTreeSet<(Repository, Digest)> = carried
        .filter(|image| image.role == ImageRole::Release)
        .map(|image| (image.repository.clone(), image.digest))
        .collect();
    for image in ledger.images() {
        let tree = target.tree(&image.repository, image.digest).await?;
        if tree.manifests.is_empty() {
            continue;
        }
        let manifests = tree.manifests.into_keys().collect();
        let place = (image.repository.clone(), image.digest);
        let was_release = released.contains(&place);
        let blobs = tree.blobs;
        let (image, tagged_here) = (Some(image), BTreeSet::new());
        stored.push(Stored { image, was_release, tagged_here, place, manifests, blobs });
    }
    let repositories: BTreeSet<Repository> = stored.iter().map(|s| s.place.0.clone()).collect();
    for repository in repositories {
        let named = target.named(&repository).await?;
        note_tags(&mut stored, &repository, &named.0);
        let others = foreign(target, &repository, &stored, named).await?;
        stored.extend(others);
    }
    Ok(stored)
}

/// Tags on images of ours that no bundle brought: removing by digest would remove them too.
fn note_tags(stored: &mut [Stored], repository: &Repository, tagged: &[(Tag, Digest)]) {
    let here = |one: &&mut Stored| one.place.0 == *repository;
    for one in stored.iter_mut().filter(here) {
        let digest = one.place.1;
        let Some(image) = &one.image else { continue };
        // A list of referrers that is itself carried has the tag made of what it is about.
        let list = match &image.role {
            ImageRole::Referrer { subject } => referrers_tag(subject),
            ImageRole::Release | ImageRole::Extra => None,
        };
        let is_ours = |tag: &Tag| image.tags.contains(tag) || list.as_ref() == Some(tag);
        let others = tagged.iter().filter(|(tag, at)| *at == digest && !is_ours(tag));
        one.tagged_here = others.map(|(tag, _)| tag.clone()).collect();
    }
}

/// Manifests of a repository that are nobody's below what bundles brought, as far as they can be
/// found: by tag, and in a store all of them.
async fn foreign(
    target: &Target,
    repository: &Repository,
    ours: &[Stored],
    (tagged, untagged): (Vec<(Tag, Digest)>, Vec<Digest>),
) -> Result<Vec<Stored>, PruneError> {
    let here = |stored: &&Stored| stored.place.0 == *repository;
    let tops: BTreeSet<Digest> = ours.iter().filter(here).map(|stored| stored.place.1).collect();
    let below: BTreeSet<Digest> =
        ours.iter().filter(here).flat_map(|stored| stored.manifests.iter().copied()).collect();
    let mut found = Vec::new();
    let mut lists = BTreeSet::new();
    let Some(own) = ours.iter().find_map(|s| s.image.as_ref()).map(|i| i.source.clone()) else {
        return Ok(found);
    };
    for (tag, digest) in tagged {
        if tops.contains(&digest) {
            continue;
        }
        // The list of referrers that some registries need is about one of ours, and goes with it.
        if let Some(subject) = below.iter().find(|d| referrers_tag(d).as_ref() == Some(&tag)) {
            let image = CarriedImage {
                repository: repository.clone(),
                digest,
                tags: vec![tag],
                source: own.clone(),
                role: ImageRole::Referrer { subject: *subject },
            };
            lists.insert(digest);
            let (place, manifests) = ((repository.clone(), digest), BTreeSet::from([digest]));
            found.push(Stored {
                image: Some(image),
                was_release: false,
                tagged_here: BTreeSet::new(),
                place,
                manifests,
                blobs: BTreeMap::new(),
            });
            continue;
        }
        found.push(of_others(target, repository, digest).await?);
    }
    let known: BTreeSet<Digest> = found.iter().flat_map(|s| s.manifests.clone()).collect();
    for digest in untagged {
        if !below.contains(&digest) && !known.contains(&digest) && !lists.contains(&digest) {
            found.push(of_others(target, repository, digest).await?);
        }
    }
    Ok(found)
}

async fn of_others(
    target: &Target,
    repository: &Repository,
    digest: Digest,
) -> Result<Stored, PruneError> {
    let tree = target.tree(repository, digest).await?;
    let place = (repository.clone(), digest);
    let manifests = tree.manifests.into_keys().chain([digest]).collect();
    Ok(Stored {
        image: None,
        was_release: false,
        tagged_here: BTreeSet::new(),
        place,
        manifests,
        blobs: tree.blobs,
    })
}
