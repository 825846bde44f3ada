//! A vendor's own publication to a hub of somebody else: three roles and their targets, nothing of
//! root or targets.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use signing::StagedRepository;
use signing::metadata::KeySet;

use super::assemble::{Known, Work, check_vendors, named};
use super::assembly::{Assembly, Change};
use super::content::Content;
use super::error::PublisherError;
use super::keyring::Keyring;
use super::layout::{Floors, Terms, VendorLayout, targets_role, vendor_role};
use super::previous::{Roles, newest_signed};

/// What a vendor publishes, on top of what.
#[derive(Debug, Clone, Copy)]
pub struct VendorSet<'a> {
    /// Its releases and graphs.
    pub content: &'a Content,
    /// Its keys.
    pub layout: &'a VendorLayout,
    /// Where its published metadata is: as the hub serves it first, then as it lies here. Only
    /// what the vendor's own keys signed is taken from it.
    pub found: &'a [&'a StagedRepository],
    /// Versions that the hub has published, by role, whoever signed them.
    pub floors: &'a Floors,
    /// Who may sign the vendor's own role, as the hub's targets says: what they signed last is what
    /// agents believe, and what changes of keys are measured against.
    pub delegated: Option<&'a KeySet>,
}

/// Signs what changed of the vendor's three roles, above every version the hub has.
pub fn assemble_vendor(
    set: VendorSet<'_>,
    keyring: &mut dyn Keyring,
    terms: &Terms,
    now: Timestamp,
) -> Result<Assembly, PublisherError> {
    let mut work = set.work(Some(keyring), now)?;
    work.vendor(&set.layout.vendor, &set.layout.keys, set.content, terms)?;
    Ok(work.finish(set.content, None, Vec::new()))
}

/// What [`assemble_vendor`] would sign, without any key.
pub fn plan_vendor(
    set: VendorSet<'_>,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<Change>, PublisherError> {
    let mut work = set.work(None, now)?;
    work.vendor(&set.layout.vendor, &set.layout.keys, set.content, terms)?;
    Ok(work.changes)
}

impl<'a> VendorSet<'a> {
    fn work(
        &self,
        keyring: Option<&'a mut dyn Keyring>,
        now: Timestamp,
    ) -> Result<Work<'a>, PublisherError> {
        check_vendors(self.content, |vendor| vendor == self.layout.vendor.as_str())?;
        let roles = Roles::of_vendor(self.found, self.layout)?;
        let own = named(&targets_role(), vendor_role(&self.layout.vendor))?;
        let is_first = !self.floors.contains_key(&own) && roles.get(&own).is_none();
        let accepted: Vec<KeySet> = self.delegated.into_iter().cloned().collect();
        let known = Known { own: newest_signed(self.found, &own, &accepted), is_first };
        Ok(Work::new(roles, known, self.floors, keyring, StagedRepository::new(), now))
    }
}
