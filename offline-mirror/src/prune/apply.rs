//! The second phase: removes what the reviewed plan names and a new look still finds unneeded.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::document::{Kept, PrunePlan, Removable};
use super::error::PruneError;
use super::releases::{Asked, plan};
use crate::import::{Target, take_inventory};
use crate::oci::{Digest, Repository};
use crate::registry::{Reference, Registry, RegistryError};
use crate::store::{self, Gc, GcReport, Store, StoreError};

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Manifests that are gone.
    pub removed: Vec<Removable>,
    /// What the plan names and is needed since, with reasons.
    pub needed_since: Vec<Kept>,
    /// What the plan names and was gone already.
    pub already_gone: usize,
    /// What the store's own collection freed; none for a registry, which has to collect by itself.
    pub freed: Option<GcReport>,
    /// What is left to do, for people.
    pub next: Option<String>,
}

/// Asks hub and target again, then removes what both the reviewed plan and the new look name.
///
/// Idempotent; killed at any point, it can be run again.
///
/// # Errors
/// When something cannot be asked, nothing is removed; when a removal fails, what was removed until
/// then stays removed.
pub async fn apply(
    asked: &Asked<'_>,
    reviewed: &PrunePlan,
    clock: &(dyn Fn() -> Timestamp + Sync),
) -> Result<Pruned, PruneError> {
    let fresh = plan(asked, clock()).await?;
    let still: BTreeSet<(Repository, Digest)> =
        fresh.remove.iter().map(|r| (r.repository.clone(), r.digest)).collect();
    let wanted = |r: &&Removable| still.contains(&(r.repository.clone(), r.digest));
    let remove: Vec<Removable> = reviewed.remove.iter().filter(wanted).cloned().collect();
    let named: BTreeSet<(Repository, Digest)> =
        reviewed.remove.iter().map(|r| (r.repository.clone(), r.digest)).collect();
    let needed_since =
        fresh.keep.into_iter().filter(|k| named.contains(&(k.repository.clone(), k.digest)));
    let needed_since: Vec<Kept> = needed_since.collect();

    let mut freed = None;
    let gone = match asked.target {
        Target::Registry(registry) => from_registry(asked.target, registry, &remove).await?,
        Target::Store(store) => {
            let turn = store.exclusive()?;
            let gone = from_store(store, &remove, clock())?;
            freed = Some(store.gc(&turn, Gc { grace: Gc::GRACE }, clock())?);
            gone
        }
    };
    let mut ledger = asked.site.ledger()?;
    ledger.forget(&remove.iter().map(|r| (r.repository.clone(), r.digest)).collect());
    asked.site.save_ledger(&ledger)?;
    // Otherwise the next increment would leave out what is not there any more.
    let none = BTreeSet::new();
    take_inventory(asked.site, asked.target, &mut ledger, &none, clock()).await?;
    let next = match asked.target {
        Target::Registry(_) if !remove.is_empty() => Some(
            "manifests are gone; the registry frees their blobs at its own collection \
             (docker-registry: registry garbage-collect CONFIG)"
                .to_owned(),
        ),
        Target::Registry(_) | Target::Store(_) => None,
    };
    let already_gone = remove.len().saturating_sub(gone);
    Ok(Pruned { removed: remove, needed_since, already_gone, freed, next })
}

async fn from_registry(
    target: &Target,
    registry: &Registry,
    remove: &[Removable],
) -> Result<usize, PruneError> {
    let mut gone = 0_usize;
    for (at, removable) in remove.iter().enumerate() {
        let reference = Reference::Digest(removable.digest);
        match registry.delete_manifest(&removable.repository, &reference).await {
            Ok(was_there) => gone = gone.saturating_add(usize::from(was_there)),
            Err(RegistryError::Unsupported { .. }) => {
                let (target, first) = (target.told(), removable.digest);
                return Err(PruneError::NoDelete { target, left: remove.len() - at, first });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(gone)
}

fn from_store(store: &Store, remove: &[Removable], now: Timestamp) -> Result<usize, PruneError> {
    let mut gone = 0_usize;
    for removable in remove {
        let reference = store::Reference::Digest(removable.digest);
        match store.delete_manifest(&removable.repository, &reference, now) {
            Ok(()) => gone = gone.saturating_add(1),
            Err(StoreError::ManifestUnknown { .. } | StoreError::NameUnknown { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(gone)
}
