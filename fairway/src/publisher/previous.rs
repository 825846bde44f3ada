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
use super::layout::{
    Layout, RootTrust, VendorLayout, channels_role, releases_role, targets_role, vendor_role,
};

/// The newest published metadata of a hub's directory.
pub(super) struct Previous {
    /// The newest root.
    pub(super) root: Document<Root>,
    /// The newest of every other role.
    pub(super) roles: Roles,
}

/// The newest published metadata of every targets role that a publisher signs.
#[derive(Default)]
pub(super) struct Roles(BTreeMap<RoleName, Document<Targets>>);

impl Roles {
    /// The newest published metadata of a role.
    pub(super) fn get(&self, role: &RoleName) -> Option<&Document<Targets>> {
        self.0.get(role)
    }

    /// Believes the newest of what `found` has of a vendor's three roles, as far as it is signed
    /// by the vendor's keys of now, or by those that its own believed role names. The vendor's old
    /// own role proves nothing by itself: anybody may have made the keys it names.
    pub(super) fn of_vendor(
        found: &[&StagedRepository],
        layout: &VendorLayout,
    ) -> Result<Self, PublisherError> {
        let mut roles = Self::default();
        let (top, keys) = (targets_role(), &layout.keys);
        let own = named(&top, vendor_role(&layout.vendor))?;
        roles.believe(found, &own, &[keys.vendor.key_set()]);
        let below = [
            (releases_role(&layout.vendor), &keys.releases),
            (channels_role(&layout.vendor), &keys.channels),
        ];
        for (role, keys) in below {
            let role = named(&top, role)?;
            let mut accepted = vec![keys.key_set()];
            let delegations = roles.get(&own).map(|own| own.body.delegations.as_slice());
            let named_before = delegations.unwrap_or_default().iter().find(|d| d.name == role);
            accepted.extend(named_before.map(|delegation| delegation.keys.clone()));
            roles.believe(found, &role, &accepted);
        }
        Ok(roles)
    }

    /// Takes the newest document that any of `accepted` signed; of one version the first found.
    fn believe(&mut self, found: &[&StagedRepository], role: &RoleName, accepted: &[KeySet]) {
        let candidates = found.iter().filter_map(|staged| staged.newest(role));
        let parsed = candidates.filter_map(|(_, bytes)| Document::parse(role, bytes).ok());
        let believed = parsed.filter(|document: &Document<Targets>| {
            accepted.iter().any(|keys| document.verify(keys).is_ok())
        });
        let newest =
            believed.reduce(
                |newest, other| {
                    if other.body.version > newest.body.version { other } else { newest }
                },
            );
        if let Some(document) = newest {
            self.0.insert(role.clone(), document);
        }
    }
}

impl Previous {
    /// Verifies what `staged` has of the roles of `layout`, delegators before their delegates.
    pub(super) fn verify(
        staged: &StagedRepository,
        layout: &Layout,
    ) -> Result<Self, PublisherError> {
        let roots = roots(staged)?;
        let root = newest_root(&roots, &layout.root)?;
        let mut previous = Self { root, roles: Roles::default() };
        previous.targets(staged, &roots)?;
        for vendor in layout.vendors.keys() {
            previous.vendor(staged, vendor)?;
        }
        Ok(previous)
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
        self.roles.0.insert(role, document);
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
            .roles
            .get(delegator)
            .and_then(|document| document.body.delegations.iter().find(|d| d.name == *role))
            .map(|delegation| &delegation.keys)
            .ok_or_else(|| PublisherError::Undelegated {
                role: role.clone(),
                delegator: delegator.clone(),
            })?;
        document.verify(keys).map_err(error::unverified(role, delegator))?;
        self.roles.0.insert(role.clone(), document);
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
