//! May this bundle be taken in here? Pure: what the manifest says against what the site knows.
//!
//! The manifest's signature is checked before; the key behind it is online at the exporter, so what
//! a manifest says is still held against what the vendors and the site itself said.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::Arch;
use channels::wire::ReleaseDocument;
use signing::Sha256Digest;

use super::contents::Contents;
use super::error::ImportError;
use crate::bundle::{BundleManifest, CarriedImage, CarriedRelease, ImageRole};
use crate::oci::{Digest, Node, Repository, Tag};
use crate::site::{Ledger, SiteConfig};

/// Images shown in an error before it says how many more there are.
const SHOWN_MAX: usize = 5;

/// What cosign appends to `sha256-<hex>`, and nothing else does.
const COSIGN_SUFFIXES: [&str; 3] = ["sig", "att", "sbom"];

/// Whether a bundle was taken in before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Novelty {
    /// Not yet.
    New,
    /// The same bundle was; doing it again changes nothing that is in place.
    Again,
}

/// Whether a bundle was taken in before the newest one, and is given again together with that one.
///
/// Only then may it be older than what was seen: an import of several bundles has to be run again
/// with all of them, and the digest says that it is the very bundle that was verified before.
pub(super) fn is_older_and_known(
    sequence: u64,
    digest: Sha256Digest,
    ledger: &Ledger,
    together: &[(u64, Sha256Digest)],
) -> bool {
    let newest = ledger.newest();
    let knows = |sequence, digest| ledger.bundle(sequence).map(|b| b.manifest) == Some(digest);
    sequence < newest
        && knows(sequence, digest)
        && together.iter().any(|(other, digest)| *other == newest && knows(newest, *digest))
}

/// Refuses to go back behind the newest bundle, and a second bundle of a known number. `together`
/// are sequence and digest of all bundles of the import.
pub(super) fn check_sequence(
    manifest: &BundleManifest,
    digest: Sha256Digest,
    ledger: &Ledger,
    together: &[(u64, Sha256Digest)],
) -> Result<Novelty, ImportError> {
    let (name, sequence) = (manifest.name.clone(), manifest.sequence);
    if let Some(known) = ledger.bundle(sequence) {
        let (known, newest) = (known.manifest, ledger.newest());
        if known != digest {
            return Err(ImportError::OtherBundle { name, sequence, known, found: digest });
        }
        if sequence == newest || is_older_and_known(sequence, digest, ledger, together) {
            return Ok(Novelty::Again);
        }
    }
    let newest = ledger.newest();
    if sequence < newest {
        return Err(ImportError::Rollback { name, sequence, newest });
    }
    Ok(Novelty::New)
}

/// Refuses what is meant for other sites.
pub(super) fn check_addressed(
    manifest: &BundleManifest,
    config: &SiteConfig,
) -> Result<(), ImportError> {
    if manifest.sites.is_empty() || manifest.sites.contains(&config.name) {
        return Ok(());
    }
    let (sites, site) = (manifest.sites.clone(), config.name.clone());
    Err(ImportError::ForeignSite { name: manifest.name.clone(), sites, site })
}

/// Refuses what says of itself that it is not all, unless a person chose to take it.
pub(super) fn check_complete(
    manifest: &BundleManifest,
    accept_incomplete: bool,
) -> Result<(), ImportError> {
    if (manifest.complete && manifest.missing.is_empty()) || accept_incomplete {
        return Ok(());
    }
    let name = manifest.name.clone();
    Err(ImportError::Incomplete { name, missing: manifest.missing.clone() })
}

/// Refuses images that neither a release nor the site itself asked for.
pub(super) fn check_extras(
    manifest: &BundleManifest,
    config: &SiteConfig,
) -> Result<(), ImportError> {
    let refused: Vec<String> = manifest
        .images
        .iter()
        .filter(|image| image.role == ImageRole::Extra && !config.allows(image))
        .map(|image| format!("{}/{}", image.source, image.repository))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let more = refused.len().saturating_sub(SHOWN_MAX);
    let images = refused.into_iter().take(SHOWN_MAX).collect();
    Err(ImportError::NotAllowed { name: manifest.name.clone(), images, more })
}

/// Refuses a tag that two images claim, and tags that a referrer could take from an image.
pub(super) fn check_tags(manifest: &BundleManifest) -> Result<(), ImportError> {
    let mut owners: BTreeMap<(&Repository, &Tag), Digest> = BTreeMap::new();
    for image in &manifest.images {
        for tag in &image.tags {
            let refuse = |why: &str| ImportError::Tag {
                name: manifest.name.clone(),
                tag: format!("{}:{tag}", image.repository),
                why: why.to_owned(),
            };
            let owner = owners.entry((&image.repository, tag)).or_insert(image.digest);
            if *owner != image.digest {
                return Err(refuse("two images claim it"));
            }
            if let ImageRole::Referrer { subject } = &image.role
                && !is_cosign_tag(tag, subject)
            {
                return Err(refuse("what is about an image may only have cosign's tags of it"));
            }
        }
    }
    Ok(())
}

/// Whether a tag is one of those by which cosign finds what is about `subject`.
fn is_cosign_tag(tag: &Tag, subject: &Digest) -> bool {
    let stem = format!("{}-{}", subject.algorithm().as_str(), subject.hex());
    let suffix = tag.as_str().strip_prefix(&stem).and_then(|rest| rest.strip_prefix('.'));
    suffix.is_some_and(|suffix| COSIGN_SUFFIXES.contains(&suffix))
}

/// The images that the carried releases name, each with the release that does.
pub(super) fn named_by(
    releases: &[(CarriedRelease, ReleaseDocument)],
) -> Result<BTreeMap<(Repository, Digest), String>, ImportError> {
    let mut named = BTreeMap::new();
    for (release, document) in releases {
        for arch in &release.arches {
            for (repository, digest) in images_of(release, document, arch)? {
                let told = format!("{} {} ({arch})", release.product, release.version);
                named.insert((repository, digest), told);
            }
        }
    }
    Ok(named)
}

fn images_of(
    release: &CarriedRelease,
    document: &ReleaseDocument,
    arch: &Arch,
) -> Result<Vec<(Repository, Digest)>, ImportError> {
    let refuse = |why: String| ImportError::Release {
        release: format!("{} {}", release.product, release.version),
        why,
    };
    let content = document
        .arches
        .get(arch)
        .ok_or_else(|| refuse(format!("it is not released for {arch}")))?;
    let components = content.components.iter().map(|component| &component.image);
    std::iter::once(&content.payload)
        .chain(components)
        .map(|image| {
            let repository = image.repository.parse().map_err(|e| refuse(format!("{e}")))?;
            Ok((repository, Digest::from(image.digest)))
        })
        .collect()
}

/// Holds the list of images against what the signed release documents name: everything named is
/// there, and nothing passes for a release's that is not.
pub(super) fn check_releases(
    manifest: &BundleManifest,
    named: &BTreeMap<(Repository, Digest), String>,
) -> Result<(), ImportError> {
    let key = |image: &CarriedImage| (image.repository.clone(), image.digest);
    let listed: BTreeSet<_> = manifest.images.iter().map(key).collect();
    let is_missing = |(repository, digest): &&(Repository, Digest)| {
        // What could not be had is named as missing, and the bundle is not complete then.
        manifest.complete && !listed.contains(&((*repository).clone(), *digest))
    };
    if let Some((missing, release)) = named.iter().find(|(image, _)| is_missing(image)) {
        let why = format!("its image {}@{} is not carried", missing.0, missing.1);
        return Err(ImportError::Release { release: release.clone(), why });
    }
    let foreign = manifest
        .images
        .iter()
        .find(|image| image.role == ImageRole::Release && !named.contains_key(&key(image)));
    match foreign {
        Some(image) => Err(ImportError::NotReleased {
            name: manifest.name.clone(),
            image: format!("{}@{}", image.repository, image.digest),
        }),
        None => Ok(()),
    }
}

/// Refuses what is about nothing that is carried or at the site, and what only the manifest calls
/// being about something: both would come in unasked. An image says itself what it is about, or
/// cosign's tag does.
pub(super) fn check_referrers(
    manifest: &BundleManifest,
    contents: &Contents,
) -> Result<(), ImportError> {
    let known = contents.known();
    let tops: BTreeMap<(Repository, Digest), &Node> = contents
        .images
        .iter()
        .filter_map(|placed| {
            let key = (placed.image.repository.clone(), placed.image.digest);
            placed.tree.top().map(|top| (key, top))
        })
        .collect();
    let refers = |image: &CarriedImage, subject: &Digest| {
        // Without bytes it is at the site already, or left out: nothing of it comes in.
        tops.get(&(image.repository.clone(), image.digest)).is_none_or(|top| {
            let own = top.manifest.subject.as_ref().map(|own| own.digest);
            own == Some(*subject) || image.tags.iter().any(|tag| is_cosign_tag(tag, subject))
        })
    };
    let stray = manifest.images.iter().find(|image| match &image.role {
        ImageRole::Referrer { subject } => {
            !known.contains(&(image.repository.clone(), *subject)) || !refers(image, subject)
        }
        ImageRole::Release | ImageRole::Extra => false,
    });
    match stray {
        Some(image) => Err(ImportError::Stray {
            name: manifest.name.clone(),
            image: format!("{}@{}", image.repository, image.digest),
        }),
        None => Ok(()),
    }
}
