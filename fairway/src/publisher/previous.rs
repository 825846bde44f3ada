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
use super::layout::{
    Layout, RoleKeys, VendorLayout, channels_role, releases_role, targets_role, vendor_role,
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

    /// Who may sign a delegated role, as its delegator was published last.
    pub(super) fn keys_of(&self, role: &RoleName) -> Option<&KeySet> {
        let delegations = self.0.values().flat_map(|delegator| &delegator.body.delegations);
        delegations.filter(|delegation| delegation.name == *role).map(|d| &d.keys).next()
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

    fn believe(&mut self, found: &[&StagedRepository], role: &RoleName, accepted: &[KeySet]) {
        if let Some(document) = newest_signed(found, role, accepted) {
            self.0.insert(role.clone(), document);
        }
    }
}

/// The newest document that any of `accepted` signed; of one version the first found.
pub(super) fn newest_signed(
    found: &[&StagedRepository],
    role: &RoleName,
    accepted: &[KeySet],
) -> Option<Document<Targets>> {
    let candidates = found.iter().filter_map(|staged| staged.newest(role));
    let parsed = candidates.filter_map(|(_, bytes)| Document::parse(role, bytes).ok());
    let believed = parsed.filter(|document: &Document<Targets>| {
        accepted.iter().any(|keys| document.verify(keys).is_ok())
    });
    believed.reduce(
        |newest, other| {
            if other.body.version > newest.body.version { other } else { newest }
        },
    )
}

impl Previous {
    /// Verifies what `staged` has of the roles of `layout`, delegators before their delegates.
    pub(super) fn verify(
        staged: &StagedRepository,
        layout: &Layout,
    ) -> Result<Self, PublisherError> {
        let roots = TrustedRoots::verify(staged, &layout.root.pinned)?;
        roots.check_keys(&layout.root.keys)?;
        let mut previous = Self { root: roots.newest().clone(), roles: Roles::default() };
        previous.targets(staged, &roots)?;
        for vendor in layout.vendors.keys() {
            previous.vendor(staged, vendor)?;
        }
        Ok(previous)
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

    /// The targets keys of the root before the newest, which must have signed `targets`: good only
    /// to see what the keys of the newest root have to sign again.
    pub(super) fn former_targets_keys(
        &self,
        targets: &Document<Targets>,
    ) -> Result<&KeySet, PublisherError> {
        let former = self.before_newest().map(|root| root.body.keys(TopRole::Targets));
        match former.filter(|keys| targets.verify(keys).is_ok()) {
            Some(keys) => Ok(keys),
            None => self.check_targets(targets).map(|()| self.newest.body.keys(TopRole::Targets)),
        }
    }

    /// The root before the newest.
    fn before_newest(&self) -> Option<&Document<Root>> {
        self.roots.len().checked_sub(2).and_then(|index| self.roots.get(index))
    }

    /// What `layout` says otherwise than the newest root, for people.
    pub fn difference(&self, layout: &Layout) -> Option<String> {
        let root = layout.root.keys.difference(self.newest.body.keys(TopRole::Root));
        let root = root.map(|difference| format!("for root, {difference}"));
        let targets = layout.targets.difference(self.newest.body.keys(TopRole::Targets));
        let targets = targets.map(|difference| format!("for targets, {difference}"));
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

    /// Requires that the newest root's keys signed `targets`. Keys that it no longer lists were
    /// replaced for a reason: nothing they sign is counted on.
    pub(super) fn check_targets(&self, targets: &Document<Targets>) -> Result<(), PublisherError> {
        let delegator = RoleName::from(TopRole::Root);
        let newest = self.newest.body.keys(TopRole::Targets);
        targets.verify(newest).map_err(error::unverified(&targets_role(), &delegator))
    }
}
