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
use crate::oci::{Digest, Repository};
use crate::site::{Ledger, MissingList, SiteDir, write_file};

/// What was found of the required digests.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Blobs that a repository needs and another one has: digest, length, where to, where from.
    pub(super) moves: Vec<(Digest, u64, Repository, Repository)>,
    /// What is known to be there.
    pub(super) there: BTreeSet<(Repository, Digest)>,
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
