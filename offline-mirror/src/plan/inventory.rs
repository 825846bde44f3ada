//! What sites say they have: read, believed or refused, and turned into what may be left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use channels::names::SiteName;
use signing::{PublicKey, Sha256Digest, Statement};

use super::error::PlanError;
use super::held::{Holding, SiteHas};

use super::request::{Presumed, SignedInventory};
use crate::belief::read_bounded;
use crate::bundle::{Base, Required};
use crate::registry::ImageName;
use crate::site::{INVENTORY_BYTES_MAX, Inventory, MissingList, SiteError};
use crate::view::{self, BundleRecord, SeenInventory};

/// What is left out and why, with what is to be remembered once the bundle is made.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By site, or by assumption.
    pub(super) sites: Vec<SiteHas>,
    /// Inventories to remember.
    pub(super) seen: Vec<(SiteName, SeenInventory)>,
    /// Newest sequence that a site says it has.
    pub(super) at_sites: u64,
    /// What a person should know before they rely on it.
    pub(super) warnings: Vec<String>,
}

/// Reads a file with an inventory, and finds the key of the site it says it is of.
///
/// # Errors
/// When it cannot be read, or no site of that name is known.
pub fn read_inventory(
    file: &Path,
    keys: &BTreeMap<SiteName, PublicKey>,
) -> Result<SignedInventory, PlanError> {
    let bytes = read_bounded(file, INVENTORY_BYTES_MAX)?;
    let failed = |source| PlanError::Site {
        file: file.to_owned(),
        source: SiteError::Statement { what: "inventory", source },
    };
    let statement = Statement::parse(Inventory::KIND, &bytes).map_err(failed)?;
    // Only to find the key by; nothing else is looked at before the signature.
    let said: serde_json::Value = statement.unverified().map_err(failed)?;
    let site = said.get("site").and_then(serde_json::Value::as_str).unwrap_or_default();
    let key = site.parse::<SiteName>().ok().and_then(|site| keys.get(&site));
    // A name is at most 63 characters; what is longer is cut.
    let unknown =
        || PlanError::UnknownSite { file: file.to_owned(), site: site.chars().take(63).collect() };
    let key = key.ok_or_else(unknown)?.clone();
    Ok(SignedInventory { file: file.to_owned(), bytes, key })
}

/// Reads the list that a refused import wrote.
///
/// # Errors
/// When it cannot be read.
pub fn read_missing(file: &Path) -> Result<MissingList, PlanError> {
    let bytes = read_bounded(file, INVENTORY_BYTES_MAX)?;
    let refuse = |why: String| PlanError::Config { path: file.to_owned(), why };
    let list: MissingList = serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
    if list.format != MissingList::FORMAT {
        return Err(refuse(format!("format {}, not {}", list.format, MissingList::FORMAT)));
    }
    if list.missing.is_empty() {
        return Err(refuse("nothing is missing".to_owned()));
    }
    Ok(list)
}

/// Works out what the addressed `sites` have.
pub(super) fn known(
    base: &Presumed,
    view: Option<&Path>,
    sites: &[SiteName],
    images: &[ImageName],
) -> Result<Known, PlanError> {
    match base {
        Presumed::Nothing | Presumed::Repair(_) => Ok(Known::default()),
        Presumed::Inventories(inventories) => {
            let mut known = Known::default();
            for signed in inventories {
                add_inventory(&mut known, signed, view, images)?;
            }
            let has = |site: &&SiteName| known.seen.iter().any(|(known, _)| known == *site);
            match sites.iter().find(|site| !has(site)) {
                Some(site) => Err(PlanError::NoInventory { site: site.clone() }),
                None => Ok(known),
            }
        }
        Presumed::Assumed { sequence } => assumed(*sequence, view, sites),
    }
}

fn add_inventory(
    known: &mut Known,
    signed: &SignedInventory,
    view: Option<&Path>,
    images: &[ImageName],
) -> Result<(), PlanError> {
    let file = &signed.file;
    let (inventory, digest) = Inventory::read(&signed.bytes, &signed.key)
        .map_err(|source| PlanError::Site { file: file.clone(), source })?;
    let Inventory { site, counter, sequence, taken_at, .. } = &inventory;
    if known.seen.iter().any(|(known, _)| known == site) {
        let why = format!("{}: a second inventory of site {site}", file.display());
        return Err(PlanError::Usage { why });
    }
    if let Some(view) = view {
        let roots = view::accepted_roots(view)?;
        if !roots.iter().any(|(_, root)| Sha256Digest::of(root) == inventory.view.pinned) {
            return Err(PlanError::OtherView { file: file.clone(), site: site.clone() });
        }
        let seen = view::seen_inventory(view, site)?;
        if let Some(seen) = seen.filter(|seen| seen.counter > *counter) {
            let (file, site, counter) = (file.clone(), site.clone(), *counter);
            return Err(PlanError::OlderInventory { file, site, counter, seen: seen.counter });
        }
    }
    for image in images {
        if !inventory.images.iter().any(|known| known.allows(&image.host, &image.repository)) {
            known.warnings.push(format!(
                "site {site} does not take {image}: it is not on its list of extra images, and an \
                 import there will refuse the bundle"
            ));
        }
    }
    known.at_sites = known.at_sites.max(*sequence);
    known.seen.push((
        site.clone(),
        SeenInventory {
            format: SeenInventory::FORMAT,
            counter: *counter,
            taken_at: *taken_at,
            sequence: *sequence,
            inventory: digest,
        },
    ));
    let base = Base { site: Some(site.clone()), inventory: Some(digest), sequence: *sequence };
    let holding = |held: &crate::site::Held| {
        let repositories = held.repositories.iter().cloned().collect();
        (held.digest, Holding { repositories, is_manifest: held.is_manifest })
    };
    let holds = inventory.contents.iter().map(holding).collect();
    known.sites.push(SiteHas { base, holds });
    Ok(())
}

/// What sites have if every bundle up to `sequence` that was for them arrived.
fn assumed(sequence: u64, view: Option<&Path>, sites: &[SiteName]) -> Result<Known, PlanError> {
    let Some(view) = view else {
        let why = "to assume what arrived, the view that it was made under is needed".to_owned();
        return Err(PlanError::Usage { why });
    };
    let records = view::bundle_records(view, sequence)?;
    let records: Vec<_> = records.into_iter().filter(|record| record.is_for(sites)).collect();
    if !records.iter().any(|record| record.sequence == sequence) {
        return Err(PlanError::NoRecord { sequence });
    }
    let mut holds = BTreeMap::new();
    for held in records.iter().flat_map(|BundleRecord { holds, .. }| holds) {
        let Required { digest, repositories, is_manifest, .. } = held;
        let holding = holds.entry(*digest).or_insert_with(|| Holding {
            repositories: BTreeSet::new(),
            is_manifest: *is_manifest,
        });
        holding.repositories.extend(repositories.iter().cloned());
    }
    let warning = format!(
        "nobody confirmed that the bundles up to {sequence} arrived and are still in place; where \
         one did not, the import of this bundle is refused. A site's inventory would be certain"
    );
    let base = Base { site: None, inventory: None, sequence };
    Ok(Known { sites: vec![SiteHas { base, holds }], warnings: vec![warning], ..Known::default() })
}

#[cfg(test)]
mod tests;
