//! Is at the target what the bundles presume to be there?

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::ImportRequest;
use super::error::ImportError;
use super::evidence::Log;
use super::target::{AT_ONCE, Target};
use super::verify::Checked;
use crate::bundle::Required;
use crate::oci::{Digest, Manifest, Node, Repository};
use crate::site::{Ledger, MissingList, SiteDir, write_file};

/// Manifests at the target that are read to find out what belongs below them; more than any site has.
const FOLLOWED_MAX: usize = 100_000;

/// What was found of the required digests.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Blobs that a repository needs and another one has: digest, length, where to, where from.
    pub(super) moves: Vec<(Digest, u64, Repository, Repository)>,
    /// What is known to be there.
    pub(super) there: BTreeSet<(Repository, Digest)>,
    /// Repaired manifests that something at the target really points at.
    pub(super) lost: BTreeSet<(Repository, Digest)>,
}

/// Finds out which repaired manifests belong below what the target has. A list of what is presumed
/// is its bundle's word: without this, it could put any image into any repository.
async fn find_lost(
    checked: &Checked,
    target: &Target,
) -> Result<BTreeSet<(Repository, Digest)>, ImportError> {
    let contents = &checked.contents;
    let brought: BTreeMap<Digest, &Node> =
        contents.repaired_manifests().map(|(node, _)| (node.digest, node)).collect();
    let (mut lost, mut seen) = (BTreeSet::new(), BTreeSet::new());
    if brought.is_empty() {
        return Ok(lost);
    }
    for placed in &contents.images {
        let repository = &placed.image.repository;
        lost.extend(placed.tree.manifests().iter().map(|node| (repository.clone(), node.digest)));
        let mut queue: Vec<Digest> = placed.at_site.iter().copied().collect();
        while let Some(digest) = queue.pop() {
            if !seen.insert((repository.clone(), digest)) || seen.len() > FOLLOWED_MAX {
                continue;
            }
            let children: Vec<Digest> = if let Some(node) = brought.get(&digest) {
                node.manifest.children().iter().map(|child| child.digest).collect()
            } else {
                let found = target.manifest(repository, &digest).await?;
                let manifest = found.and_then(|(bytes, _)| Manifest::parse(&bytes).ok());
                manifest.iter().flat_map(Manifest::children).map(|child| child.digest).collect()
            };
            lost.extend(children.iter().map(|child| (repository.clone(), *child)));
            queue.extend(children);
        }
    }
    let belongs = |digest: Digest, places: &[Repository]| {
        places.iter().all(|place| lost.contains(&(place.clone(), digest)))
    };
    let stray = contents.repaired_manifests().find(|(node, at)| !belongs(node.digest, at));
    // What an incomplete bundle leaves out needs nothing, and nothing is repaired for it.
    match stray.filter(|_| contents.left_out.is_empty()).zip(checked.bundles.last()) {
        Some(((node, places), (bundle, _))) => {
            let place = places.first().map(Repository::as_str).unwrap_or_default();
            let image = format!("{place}@{}", node.digest);
            Err(ImportError::Stray { name: bundle.manifest.name.clone(), image })
        }
        None => Ok(lost),
    }
}

/// Asks the target for every required digest.
pub(super) async fn check(
    site: &SiteDir,
    request: &ImportRequest,
    checked: &Checked,
    target: &Target,
    ledger: &Ledger,
    log: &mut Log<'_>,
) -> Result<Presence, ImportError> {
    let mut elsewhere: BTreeSet<Repository> =
        ledger.images().into_iter().map(|image| image.repository).collect();
    elsewhere.extend(checked.contents.images.iter().map(|placed| placed.image.repository.clone()));
    let elsewhere = &elsewhere;
    let found: Vec<Found> = stream::iter(checked.contents.required.values().cloned())
        .map(|required| look(target, required, elsewhere))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let (mut presence, mut missing) = (Presence::default(), BTreeMap::new());
    for found in found {
        let Required { digest, size, .. } = found.required;
        presence.there.extend(found.has.iter().map(|repository| (repository.clone(), digest)));
        match (found.lacks.is_empty(), found.from) {
            (true, _) => {}
            (false, Some(from)) => {
                let moved = |to| (digest, size, to, from.clone());
                presence.moves.extend(found.lacks.into_iter().map(moved));
            }
            (false, None) => {
                missing.insert(digest, found.required);
            }
        }
    }
    presence.moves.sort();
    if missing.is_empty() {
        presence.lost = find_lost(checked, target).await?;
        let count = checked.contents.required.len();
        log.done("required", format!("{count} digests presumed, all at {}", target.told()));
        return Ok(presence);
    }
    Err(refuse(site, request.missing_out.as_deref(), checked, target, missing)?)
}

struct Found {
    required: Required,
    has: Vec<Repository>,
    lacks: Vec<Repository>,
    /// Another repository that has the blob.
    from: Option<Repository>,
}

async fn look(
    target: &Target,
    required: Required,
    elsewhere: &BTreeSet<Repository>,
) -> Result<Found, ImportError> {
    let (mut has, mut lacks) = (Vec::new(), Vec::new());
    for repository in &required.repositories {
        let is_there = if required.is_manifest {
            target.has_manifest(repository, &required.digest).await?
        } else {
            target.has_blob(repository, &required.digest).await?
        };
        let list = if is_there { &mut has } else { &mut lacks };
        list.push(repository.clone());
    }
    let mut from = has.first().cloned().filter(|_| !required.is_manifest);
    // Blobs can be taken over from any repository, manifests from none.
    if !lacks.is_empty() && from.is_none() && !required.is_manifest {
        for repository in elsewhere.iter().filter(|name| !required.repositories.contains(name)) {
            if target.has_blob(repository, &required.digest).await? {
                from = Some(repository.clone());
                break;
            }
        }
    }
    Ok(Found { required, has, lacks, from })
}

fn refuse(
    site: &SiteDir,
    list: Option<&Path>,
    checked: &Checked,
    target: &Target,
    missing: BTreeMap<Digest, Required>,
) -> Result<ImportError, ImportError> {
    // The newest bundle that presumes one of them; a repair is made for all together.
    let presumes = |bundle: &crate::bundle::BundleManifest| {
        bundle.required.iter().any(|required| missing.contains_key(&required.digest))
    };
    let newest = checked.bundles.iter().rev().map(|(b, _)| &b.manifest).find(|b| presumes(b));
    let Some(bundle) = newest.or_else(|| checked.bundles.last().map(|(b, _)| &b.manifest)) else {
        return Err(ImportError::NoTarget);
    };
    let all: Vec<Required> = missing.into_values().collect();
    let count = all.len();
    let bytes = all.iter().fold(0_u64, |sum, required| sum.saturating_add(required.size));
    let first = all.first().map_or_else(|| Digest::of(b""), |required| required.digest);
    if let Some(path) = list {
        let document = MissingList {
            format: MissingList::FORMAT,
            site: site.config().name.clone(),
            bundle: bundle.name.clone(),
            sequence: bundle.sequence,
            missing: all,
        };
        let malformed = |why: String| crate::site::SiteError::Malformed { path: path.into(), why };
        let bytes = serde_json::to_vec_pretty(&document).map_err(|e| malformed(e.to_string()))?;
        write_file(path, &bytes)?;
    }
    Ok(ImportError::MissingBase {
        name: bundle.name.clone(),
        count,
        bytes,
        first,
        target: target.told(),
        list: list.map(Path::to_owned),
    })
}
