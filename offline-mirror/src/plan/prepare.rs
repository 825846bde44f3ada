//! Everything that is known once hub and registries were read.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::SiteName;
use jiff::Timestamp;
use signing::{FileName, Source};

use super::contents::{Contents, Gathered, sort};
use super::error::PlanError;
use super::hub::{self, AtHub};
use super::inventory::{Known, known};
use super::repair;
use super::request::{Presumed, Request};
use super::walk::{Manner, Walked, WantedImage, walk};
use crate::bundle::{Base, ImageRole, Missing, Planned, PlannedEntry, Required, oci_layout_files};
use crate::metadata::TUF_DIR;
use crate::oci::{Digest, Repository, Tag};
use crate::registry::{Reference, Registry};
use crate::view::{Files, SeenInventory};

/// A bundle as it is planned.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The hub's part.
    pub(crate) hub: AtHub,
    /// Images and what is about them.
    pub(crate) images: Vec<Gathered>,
    /// What is carried of them.
    pub(crate) contents: Contents,
    /// What a site has afterwards.
    pub(crate) afterwards: Vec<Required>,
    /// What sites have, by what they said or by assumption.
    pub(crate) bases: Vec<Base>,
    /// Inventories to remember once the bundle is begun.
    pub(crate) seen: Vec<(SiteName, SeenInventory)>,
    /// Newest sequence that a site says it has.
    pub(crate) at_sites: u64,
    /// Images that cannot be carried.
    pub(crate) missing: Vec<Missing>,
    /// What a person should know.
    pub(crate) warnings: Vec<String>,
    /// Sites that the bundle is for; empty = any.
    pub(crate) sites: Vec<SiteName>,
}

/// Reads the hub and walks the images.
///
/// # Errors
/// As [`super::plan`].
pub(crate) async fn prepare<S: Source>(
    request: &Request,
    source: S,
    registries: &[Registry],
    now: Timestamp,
) -> Result<Prepared, PlanError> {
    let sites = addressed(request);
    let Known { sites: has, seen, at_sites, warnings } =
        known(&request.base, request.view.as_deref(), &request.sites, &request.images)?;
    let sites =
        if sites.is_empty() { seen.iter().map(|(site, _)| site.clone()).collect() } else { sites };
    if let Presumed::Repair(list) = &request.base {
        let hub = hub::read(&request.root, source, &[], now).await?;
        let contents = repair::contents(list, &request.routes, registries).await?;
        return Ok(Prepared {
            hub,
            images: Vec::new(),
            contents,
            afterwards: list.missing.clone(),
            bases: Vec::new(),
            seen,
            at_sites: list.sequence,
            missing: Vec::new(),
            warnings,
            sites,
        });
    }
    let hub = hub::read(&request.root, source, &request.products, now).await?;
    let manner =
        Manner { concurrency: usize::from(request.concurrency), keep_going: request.keep_going };
    let wanted = wanted(request, &hub.images)?;
    let Walked { images, missing, absent } = walk(registries, wanted, manner).await?;
    check_tags(&images)?;
    let contents = sort(&images, &has, &absent)?;
    let afterwards = contents.afterwards(&images);
    let bases = has.into_iter().map(|site| site.base).collect();
    Ok(Prepared {
        hub,
        images,
        contents,
        afterwards,
        bases,
        seen,
        at_sites,
        missing,
        warnings,
        sites,
    })
}

/// The sites that a person named, or that a list of missing digests is from.
fn addressed(request: &Request) -> Vec<SiteName> {
    match &request.base {
        Presumed::Repair(list) if request.sites.is_empty() => vec![list.site.clone()],
        Presumed::Repair(_)
        | Presumed::Nothing
        | Presumed::Inventories(_)
        | Presumed::Assumed { .. } => request.sites.clone(),
    }
}

/// The images to walk: those of releases first, then the extra ones.
fn wanted(
    request: &Request,
    of_releases: &BTreeSet<(Repository, Digest)>,
) -> Result<Vec<WantedImage>, PlanError> {
    let routes = &request.routes;
    let host = |registry: usize| {
        // Routes only ever answer with a registry that they have.
        let why = || PlanError::Usage { why: "there is no such registry".to_owned() };
        routes.host(registry).cloned().ok_or_else(why)
    };
    let mut all = Vec::new();
    for (repository, digest) in of_releases {
        let registry = routes.of_repository(repository)?;
        all.push(WantedImage {
            registry,
            source: host(registry)?,
            repository: repository.clone(),
            reference: (*digest).into(),
            tags: Vec::new(),
            role: ImageRole::Release,
        });
    }
    for image in &request.images {
        let (registry, repository) = routes.of_image(image)?;
        let reference: Option<Reference> = image.reference();
        let reference = reference.ok_or_else(|| PlanError::Usage {
            why: format!("{image}: it has neither tag nor digest"),
        })?;
        all.push(WantedImage {
            registry,
            source: host(registry)?,
            repository,
            reference,
            tags: image.tag.iter().cloned().collect(),
            role: ImageRole::Extra,
        });
    }
    Ok(all)
}

/// A tag means one image at the site.
fn check_tags(images: &[Gathered]) -> Result<(), PlanError> {
    let mut owners: BTreeMap<(&Repository, &Tag), Digest> = BTreeMap::new();
    for Gathered { image, .. } in images {
        for tag in &image.tags {
            let owner = *owners.entry((&image.repository, tag)).or_insert(image.digest);
            if owner != image.digest {
                let (repository, tag) = (image.repository.clone(), tag.clone());
                return Err(PlanError::SameTag { repository, tag });
            }
        }
    }
    Ok(())
}

impl Prepared {
    /// Everything that the bundle is to hold, with these TUF files.
    pub(crate) fn entries(&self, tuf: &Files) -> Vec<PlannedEntry> {
        let layout = oci_layout_files(&self.contents.listed(&self.images));
        let mut entries: Vec<_> = layout.into_iter().map(|(entry, _)| entry).collect();
        entries.extend(tuf.iter().map(|(name, bytes)| PlannedEntry::file(&tuf_path(name), bytes)));
        for (digest, manifest) in &self.contents.manifests {
            let size = u64::try_from(manifest.bytes.len()).unwrap_or(u64::MAX);
            let what = Planned::Manifest { media_type: manifest.media_type.clone() };
            entries.push(PlannedEntry { digest: *digest, size, what });
        }
        for (digest, blob) in &self.contents.blobs {
            entries.push(PlannedEntry { digest: *digest, size: blob.size, what: Planned::Blob });
        }
        entries
    }
}

/// Path of a file of the TUF repository in a bundle.
pub(crate) fn tuf_path(name: &FileName) -> String {
    format!("{TUF_DIR}/{}", name.relative_path())
}
