//! What was published last, believed as far as its signatures carry.
//!
//! The files come out of a repository that people send changes to. What is taken from them is
//! signed on, so none is used unless its own signatures lead back to the root that agents pin.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use channels::names::VendorName;
use signing::metadata::{Document, KeySet, Root, Targets};
use signing::{FileName, RoleName, StagedRepository, TopRole, repository};

use super::assemble::named;
use super::error::{self, PublisherError};
use super::layout::{Layout, RoleKeys, channels_role, releases_role, targets_role, vendor_role};

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
        let roots = TrustedRoots::verify(staged, &layout.root.pinned)?;
        roots.check_keys(&layout.root.keys)?;
        let mut previous = Self { root: roots.newest().clone(), roles: BTreeMap::new() };
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

    fn targets(
        &mut self,
        staged: &StagedRepository,
        roots: &TrustedRoots,
    ) -> Result<(), PublisherError> {
        let role = targets_role();
        let Some((_, bytes)) = staged.newest(&role) else { return Ok(()) };
        let document = Document::<Targets>::parse(&role, bytes).map_err(error::previous(&role))?;
        roots.check_targets(&document)?;
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

/// Requires that published metadata is what the keys of `layout` signed, down from the pinned root.
pub fn check_published(staged: &StagedRepository, layout: &Layout) -> Result<(), PublisherError> {
    Previous::verify(staged, layout).map(|_verified| ())
}

/// The published roots, verified from the first to the newest and through the pinned one.
#[derive(Debug, Clone)]
pub struct TrustedRoots {
    roots: Vec<Document<Root>>,
    newest: Document<Root>,
}

impl TrustedRoots {
    /// Walks the roots of `staged` as a client would; `pinned` must be one of them.
    pub fn verify(staged: &StagedRepository, pinned: &[u8]) -> Result<Self, PublisherError> {
        let role = RoleName::from(TopRole::Root);
        let mut roots = Vec::new();
        for (_, bytes) in Self::files(staged) {
            roots.push(Document::<Root>::parse(&role, bytes).map_err(error::previous(&role))?);
        }
        roots.sort_by_key(|root| root.body.version);
        let (Some((first, following)), Some(newest)) = (roots.split_first(), roots.last()) else {
            return Err(PublisherError::NoRoot);
        };
        repository::check_root_chain(first.raw(), following.iter().map(Document::raw))
            .map_err(|source| PublisherError::RootChain { source: Box::new(source) })?;
        let pinned = Document::<Root>::parse(&role, pinned)
            .map_err(|source| PublisherError::PinnedRoot { source: Box::new(source) })?;
        if !roots.iter().any(|root| root.canonical() == pinned.canonical()) {
            return Err(PublisherError::OtherRoot { version: pinned.body.version });
        }
        let newest = newest.clone();
        Ok(Self { roots, newest })
    }

    /// The root files of `staged`, unverified.
    pub(super) fn files(
        staged: &StagedRepository,
    ) -> impl Iterator<Item = (&FileName, &Arc<[u8]>)> {
        let root = RoleName::from(TopRole::Root);
        staged.files().filter(
            move |(name, _)| matches!(name, FileName::Metadata { role, .. } if *role == root),
        )
    }

    /// The newest root.
    pub fn newest(&self) -> &Document<Root> {
        &self.newest
    }

    /// Whether the newest root lists other targets keys than the one before.
    pub(super) fn changed_targets_keys(&self) -> bool {
        let keys = |root: &Document<Root>| root.body.keys(TopRole::Targets).clone();
        let before = self.before_newest();
        before.is_some_and(|before| keys(before) != keys(&self.newest))
    }

    /// The root before the newest.
    fn before_newest(&self) -> Option<&Document<Root>> {
        self.roots.len().checked_sub(2).and_then(|index| self.roots.get(index))
    }

    /// What `layout` says otherwise than the newest root, for people.
    pub fn difference(&self, layout: &Layout) -> Option<String> {
        let root = layout.root.keys.difference(self.newest.body.keys(TopRole::Root));
        let root = root.map(|difference| format!("of root, {difference}"));
        let targets = layout.targets.difference(self.newest.body.keys(TopRole::Targets));
        let targets = targets.map(|difference| format!("of targets, {difference}"));
        let both: Vec<String> = root.into_iter().chain(targets).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }

    /// Requires that the newest root lists exactly the configured root keys.
    pub(super) fn check_keys(&self, keys: &RoleKeys) -> Result<(), PublisherError> {
        let version = self.newest.body.version;
        match keys.difference(self.newest.body.keys(TopRole::Root)) {
            Some(difference) => Err(PublisherError::RootKeys { version, difference }),
            None => Ok(()),
        }
    }

    /// The last targets may have been signed before the newest root was made, and by keys that it
    /// no longer lists: any root of the chain will do.
    pub(super) fn check_targets(&self, targets: &Document<Targets>) -> Result<(), PublisherError> {
        let verify = |root: &Document<Root>| targets.verify(root.body.keys(TopRole::Targets));
        if self.roots.iter().any(|root| verify(root).is_ok()) {
            return Ok(());
        }
        let delegator = RoleName::from(TopRole::Root);
        verify(&self.newest).map_err(error::unverified(&targets_role(), &delegator))
    }
}
