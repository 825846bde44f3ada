//! A bundle with just what a site was missing of another one.

use std::collections::BTreeSet;

use super::contents::{BlobToCarry, Contents, ManifestToCarry, Place};
use super::error::PlanError;
use super::routes::Routes;
use crate::bundle::Required;
use crate::registry::{Registry, RegistryError};
use crate::site::MissingList;

/// Media type of a blob of which only the digest is known.
const ANY: &str = "application/octet-stream";

/// Finds what is missing at the registries. A site that takes the refused bundle in together with
/// this one has all of it.
///
/// # Errors
/// When no configured registry has one of the manifests.
pub(super) async fn contents(
    list: &MissingList,
    routes: &Routes,
    registries: &[Registry],
) -> Result<Contents, PlanError> {
    let mut contents = Contents::default();
    for required in &list.missing {
        let Required { digest, size, is_manifest, .. } = required;
        let places = places(required, routes);
        if !is_manifest {
            let (size, media_type) = (*size, ANY.to_owned());
            contents.blobs.insert(*digest, BlobToCarry { size, media_type, places });
            continue;
        }
        let mut failed = None;
        for Place { registry, repository } in &places {
            let Some(registry) = registries.get(*registry) else { continue };
            match registry.manifest(repository, &(*digest).into()).await {
                Ok(found) => {
                    let (media_type, bytes) = (found.media_type, found.bytes);
                    contents.manifests.insert(*digest, ManifestToCarry { media_type, bytes });
                    failed = None;
                    break;
                }
                // What went wrong where it should be says more than where it is not.
                Err(error @ RegistryError::NotFound { .. }) => failed = failed.or(Some(error)),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        if !contents.manifests.contains_key(digest) {
            let why = format!("{digest}: no registry is configured, or no repository is named");
            return Err(PlanError::Usage { why });
        }
    }
    Ok(contents)
}

/// Where it may be: the repositories that need it, at every registry. A list does not say which
/// registry an extra image came from.
fn places(required: &Required, routes: &Routes) -> BTreeSet<Place> {
    let place = |registry: usize, repository: &crate::oci::Repository| Place {
        registry,
        repository: repository.clone(),
    };
    let all = 0..routes.accesses().len();
    required
        .repositories
        .iter()
        .flat_map(|repository| all.clone().map(move |registry| place(registry, repository)))
        .collect()
}
