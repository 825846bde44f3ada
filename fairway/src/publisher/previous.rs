//! What was published last, believed as far as its signatures carry.
//!
//! The files come out of a repository that people send changes to. What is taken from them is
//! signed on, so none is used unless its own signatures lead back to the root that agents pin.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use channels::names::VendorName;
use signing::metadata::{Document, KeySet, Root, Targets};
use signing::{FileName, RoleName, StagedRepository, TopRole, repository};

use super::assemble::named;
use super::error::{self, PublisherError};
use super::layout::{Layout, RootTrust, channels_role, releases_role, targets_role, vendor_role};

/// The newest published metadata of every role that a publisher signs.
pub(super) struct Previous {
    /// The newest root.
    pub(super) root: Document<Root>,
    roles: BTreeMap<RoleName, Document<Targets>>,
}

impl Previous {
    /// Verifies what `staged` has of the roles of `layout`, delegators before their delegates.
    pub(super) fn verify(
        staged: &StagedRepository,
        layout: &Layout,
    ) -> Result<Self, PublisherError> {
        let roots = roots(staged)?;
        let root = newest_root(&roots, &layout.root)?;
        let mut previous = Self { root, roles: BTreeMap::new() };
        previous.targets(staged, &roots)?;
        for vendor in layout.vendors.keys() {
            previous.vendor(staged, vendor)?;
        }
        Ok(previous)
    }

    /// The newest published metadata of a role.
    pub(super) fn role(&self, role: &RoleName) -> Option<&Document<Targets>> {
        self.roles.get(role)
    }

    /// The last targets may have been signed before the newest root was made, and by keys that it
    /// no longer lists: any root of the verified chain will do.
    fn targets(
        &mut self,
        staged: &StagedRepository,
        roots: &[Document<Root>],
    ) -> Result<(), PublisherError> {
        let role = targets_role();
        let Some((_, bytes)) = staged.newest(&role) else { return Ok(()) };
        let document = Document::<Targets>::parse(&role, bytes).map_err(error::previous(&role))?;
        let verify = |root: &Document<Root>| document.verify(root.body.keys(TopRole::Targets));
        if !roots.iter().any(|root| verify(root).is_ok()) {
            let delegator = RoleName::from(TopRole::Root);
            verify(&self.root).map_err(error::unverified(&role, &delegator))?;
        }
        self.roles.insert(role, document);
        Ok(())
    }

    fn vendor(
        &mut self,
        staged: &StagedRepository,
        vendor: &VendorName,
    ) -> Result<(), PublisherError> {
        let top = targets_role();
        let own = named(&top, vendor_role(vendor))?;
        self.delegated(staged, &top, &own)?;
        for role in [releases_role(vendor), channels_role(vendor)] {
            self.delegated(staged, &own, &named(&top, role)?)?;
        }
        Ok(())
    }

    fn delegated(
        &mut self,
        staged: &StagedRepository,
        delegator: &RoleName,
        role: &RoleName,
    ) -> Result<(), PublisherError> {
        let Some((_, bytes)) = staged.newest(role) else { return Ok(()) };
        let document = Document::<Targets>::parse(role, bytes).map_err(error::previous(role))?;
        let keys: &KeySet = self
            .role(delegator)
            .and_then(|document| document.body.delegations.iter().find(|d| d.name == *role))
            .map(|delegation| &delegation.keys)
            .ok_or_else(|| PublisherError::Undelegated {
                role: role.clone(),
                delegator: delegator.clone(),
            })?;
        document.verify(keys).map_err(error::unverified(role, delegator))?;
        self.roles.insert(role.clone(), document);
        Ok(())
    }
}

/// Every published root, oldest first.
fn roots(staged: &StagedRepository) -> Result<Vec<Document<Root>>, PublisherError> {
    let root = RoleName::from(TopRole::Root);
    let of_root =
        |name: &FileName| matches!(name, FileName::Metadata { role, .. } if *role == root);
    let mut roots = Vec::new();
    for (_, bytes) in staged.files().filter(|(name, _)| of_root(name)) {
        roots.push(Document::<Root>::parse(&root, bytes).map_err(error::previous(&root))?);
    }
    roots.sort_by_key(|root| root.body.version);
    Ok(roots)
}

/// The newest root, if the chain to it passes through the pinned root and ends in the configured
/// root keys.
fn newest_root(
    roots: &[Document<Root>],
    trust: &RootTrust,
) -> Result<Document<Root>, PublisherError> {
    let role = RoleName::from(TopRole::Root);
    let (Some((first, following)), Some(newest)) = (roots.split_first(), roots.last()) else {
        return Err(PublisherError::NoRoot);
    };
    repository::check_root_chain(first.raw(), following.iter().map(Document::raw))
        .map_err(|source| PublisherError::RootChain { source: Box::new(source) })?;
    let pinned = Document::<Root>::parse(&role, &trust.pinned)
        .map_err(|source| PublisherError::PinnedRoot { source: Box::new(source) })?;
    if !roots.iter().any(|root| root.canonical() == pinned.canonical()) {
        return Err(PublisherError::OtherRoot { version: pinned.body.version });
    }
    match trust.keys.difference(newest.body.keys(TopRole::Root)) {
        Some(difference) => {
            Err(PublisherError::RootKeys { version: newest.body.version, difference })
        }
        None => Ok(newest.clone()),
    }
}
