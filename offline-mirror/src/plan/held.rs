//! What the addressed sites have already, and what may therefore be left out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::bundle::Base;
use crate::oci::{Digest, Repository};

/// One manifest or blob at a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Repositories that have it.
    pub repositories: BTreeSet<Repository>,
    /// Whether it is a manifest.
    pub is_manifest: bool,
}

/// What one site has, or is presumed to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteHas {
    /// Where this is known from.
    pub base: Base,
    /// By digest.
    pub holds: BTreeMap<Digest, Holding>,
}

/// Whether all of `sites` have a blob. In which repository does not matter: an import has the
/// registry link it from another one, or copies it there.
pub(crate) fn all_have_blob(sites: &[SiteHas], digest: &Digest) -> bool {
    !sites.is_empty() && sites.iter().all(|site| site.holds.contains_key(digest))
}

/// Whether all of `sites` have a manifest, in each of `repositories`: no registry links manifests
/// from one repository to another.
pub(crate) fn all_have_manifest(
    sites: &[SiteHas],
    digest: &Digest,
    repositories: &BTreeSet<Repository>,
) -> bool {
    let has = |site: &SiteHas| {
        site.holds
            .get(digest)
            .is_some_and(|held| held.is_manifest && held.repositories.is_superset(repositories))
    };
    !sites.is_empty() && sites.iter().all(has)
}
