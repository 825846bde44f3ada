//! The second phase: removes what the reviewed plan names and a new look still finds unneeded.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::decide::Place;
use super::document::{Kept, PrunePlan, Removable};
use super::error::PruneError;
use super::releases::{Asked, plan};
use crate::import::{Target, take_inventory};
use crate::registry::{Reference, Registry, RegistryError};
use crate::store::{self, Gc, GcReport, Store, StoreError};

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Manifests that were removed.
    pub removed: Vec<Removable>,
    /// What the plan names and is needed since, with reasons.
    pub needed_since: Vec<Kept>,
    /// What the plan names and was gone already.
    pub already_gone: usize,
    /// What the store's own collection freed: of earlier removals, since the grace of what was
    /// removed begins with the removal. None for a registry, which has to collect by itself.
    pub freed: Option<GcReport>,
    /// What is left to do, for people.
    pub next: Option<String>,
}

/// What became of manifests, also when something failed after them.
#[derive(Debug, Default)]
struct Went {
    removed: Vec<Removable>,
    /// They were not there.
    gone: Vec<Place>,
}

impl Went {
    fn note(&mut self, removable: &Removable, was_there: bool) {
        if was_there {
            self.removed.push(removable.clone());
        } else {
            self.gone.push((removable.repository.clone(), removable.digest));
        }
    }
}

/// Asks hub and target again, then removes what both the reviewed plan and the new look name.
///
/// Idempotent; killed at any point, it can be run again.
///
/// # Errors
/// When something cannot be asked, nothing is removed; when a removal fails, what was removed until
/// then stays removed, and ledger and inventory say so.
pub async fn apply(
    asked: &Asked<'_>,
    reviewed: &PrunePlan,
    clock: &(dyn Fn() -> Timestamp + Sync),
) -> Result<Pruned, PruneError> {
    let fresh = plan(asked, clock()).await?;
    let place = |r: &Removable| (r.repository.clone(), r.digest);
    let still: BTreeSet<Place> = fresh.remove.iter().map(place).collect();
    let (remove, stays): (Vec<_>, Vec<_>) =
        reviewed.remove.iter().cloned().partition(|r| still.contains(&place(r)));
    let mut went = Went::default();
    let mut needed_since = Vec::new();
    for removable in stays {
        if !asked.target.has_manifest(&removable.repository, &removable.digest).await? {
            went.note(&removable, false);
            continue;
        }
        let (repository, digest) = place(&removable);
        let kept = fresh.keep.iter().find(|k| k.repository == repository && k.digest == digest);
        let below = || vec!["it is part of an image that stays".to_owned()];
        let because = kept.map_or_else(below, |kept| kept.because.clone());
        needed_since.push(Kept { repository, digest, because });
    }
    let ended = match asked.target {
        Target::Registry(registry) => {
            from_registry(asked.target, registry, &remove, &mut went).await.map(|()| None)
        }
        Target::Store(store) => from_store(store, &remove, &mut went, clock).map(Some),
    };
    let noted = note(asked, &went, clock()).await;
    let freed = ended?;
    noted?;
    let next = next(asked.target, &went);
    let (removed, already_gone) = (went.removed, went.gone.len());
    Ok(Pruned { removed, needed_since, already_gone, freed, next })
}

/// Ledger and inventory no longer name what is gone: otherwise the next increment would leave it out.
async fn note(asked: &Asked<'_>, went: &Went, now: Timestamp) -> Result<(), PruneError> {
    let mut ledger = asked.site.ledger()?;
    let removed = went.removed.iter().map(|r| (r.repository.clone(), r.digest));
    ledger.forget(&removed.chain(went.gone.iter().cloned()).collect());
    asked.site.save_ledger(&ledger)?;
    take_inventory(asked.site, asked.target, &mut ledger, &BTreeSet::new(), now).await?;
    Ok(())
}

fn next(target: &Target, went: &Went) -> Option<String> {
    if went.removed.is_empty() {
        return None;
    }
    Some(match target {
        Target::Registry(_) => {
            "manifests are gone; the registry frees their blobs at its own collection \
             (docker-registry: registry garbage-collect CONFIG)"
                .to_owned()
        }
        Target::Store(store) => format!(
            "manifests are gone; their blobs are freed once they have been unwanted for {} minutes: \
             run offline-mirror store gc {} then (what it calls bytes_shared is free once the \
             bundles' own files are deleted too)",
            Gc::GRACE.as_mins(),
            store.dir().display(),
        ),
    })
}

async fn from_registry(
    target: &Target,
    registry: &Registry,
    remove: &[Removable],
    went: &mut Went,
) -> Result<(), PruneError> {
    for (at, removable) in remove.iter().enumerate() {
        let reference = Reference::Digest(removable.digest);
        match registry.delete_manifest(&removable.repository, &reference).await {
            Ok(was_there) => went.note(removable, was_there),
            Err(RegistryError::Unsupported { .. }) => {
                let (target, first) = (target.told(), removable.digest);
                return Err(PruneError::NoDelete { target, left: remove.len() - at, first });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn from_store(
    store: &Store,
    remove: &[Removable],
    went: &mut Went,
    clock: &(dyn Fn() -> Timestamp + Sync),
) -> Result<GcReport, PruneError> {
    let turn = store.exclusive()?;
    for removable in remove {
        let reference = store::Reference::Digest(removable.digest);
        match store.delete_manifest(&removable.repository, &reference, clock()) {
            Ok(()) => went.note(removable, true),
            Err(StoreError::ManifestUnknown { .. } | StoreError::NameUnknown { .. }) => {
                went.note(removable, false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(store.gc(&turn, Gc { grace: Gc::GRACE }, clock())?)
}
