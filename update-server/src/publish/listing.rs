//! What a client could use of a set, and what the hub asks of it: a publication must be usable
//! itself, and whatever is wrong with other vendors' metadata is theirs alone.

use std::collections::BTreeSet;

use signing::repository::StagedTarget;
use signing::{Attack, RoleName, VerifiedRepository};

use super::error::PublishError;
use super::offline::{Merged, vendor_of};

/// The targets of a set, and whose roles are missing among them.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Every target of every usable role.
    pub(super) targets: Vec<StagedTarget>,
    /// Vendors with a role that clients refuse: signed by keys that `targets` no longer names,
    /// most often, until the vendor has signed anew.
    pub(super) broken: BTreeSet<String>,
}

impl Listing {
    /// Takes what the client found.
    pub(super) fn of(verified: VerifiedRepository) -> Self {
        let mut broken = BTreeSet::new();
        for (role, error) in &verified.broken {
            tracing::warn!(%role, %error, "clients refuse the role; its vendor must sign anew");
            broken.insert(vendor_of(role).to_owned());
        }
        Self { targets: verified.targets, broken }
    }
}

/// Requires every role that a publication brings to be usable, and that it breaks no other role of
/// the same vendor. Other vendors' faults are not its business: only `targets` can have caused
/// them, and it may.
pub(super) fn require(
    merged: &Merged,
    verified: &mut VerifiedRepository,
) -> Result<(), PublishError> {
    // The delegator's fault says more than that nobody leads to its delegate.
    let leads_to = |above: &RoleName, role: &RoleName| {
        let rest = role.as_str().strip_prefix(above.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for role in &merged.changed_roles {
        if verified.roles.contains_key(role) {
            continue;
        }
        let fault = verified.broken.keys().find(|above| leads_to(above, role)).unwrap_or(role);
        let fault = fault.clone();
        verified.require(&fault).map_err(|source| PublishError::role(fault, source))?;
    }
    let faulty = verified.broken.iter().find(|(role, error)| {
        // One of an earlier publication may have expired; the others stay served.
        merged.vendors.contains(vendor_of(role)) && error.attack() != Some(Attack::Freeze)
    });
    match faulty.map(|(role, _)| role.clone()) {
        Some(role) => {
            verified.require(&role).map(drop).map_err(|source| PublishError::role(role, source))
        }
        None => Ok(()),
    }
}
