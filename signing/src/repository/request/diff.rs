//! What a draft changes, old to new, in words a key holder can check.

use crate::Sha256Digest;
use crate::key::PublicKey;
use crate::metadata::{DelegatedRole, KeySet, Root, TargetInfo, Targets};
use crate::names::{RoleName, TopRole};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// One difference between the file that is followed and the draft.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// End of validity; always listed, since every version has its own.
    Expires {
        /// Of the file that is followed.
        old: Option<Timestamp>,
        /// Of the draft.
        new: Timestamp,
    },
    /// A key may sign for a role that could not before.
    KeyAdded {
        /// The role.
        role: RoleName,
        /// The key.
        key: PublicKey,
    },
    /// A key may no longer sign for a role.
    KeyRemoved {
        /// The role.
        role: RoleName,
        /// The key.
        key: PublicKey,
    },
    /// Another number of keys must sign for a role.
    Threshold {
        /// The role.
        role: RoleName,
        /// Before; nothing for a role that is new.
        old: Option<u64>,
        /// From the draft on.
        new: u64,
    },
    /// A delegation that was not there.
    DelegationAdded {
        /// To whom.
        role: RoleName,
        /// For which paths.
        paths: Vec<String>,
        /// Whether a path of theirs is searched no further.
        terminating: bool,
    },
    /// A delegation that is gone.
    DelegationRemoved {
        /// To whom it was.
        role: RoleName,
    },
    /// A delegate may list other paths, or ends the search otherwise.
    DelegationScope {
        /// The delegate.
        role: RoleName,
        /// Its paths from the draft on.
        paths: Vec<String>,
        /// Whether a path of theirs is searched no further.
        terminating: bool,
    },
    /// Delegations are searched in another order.
    DelegationOrder,
    /// A file that was not listed.
    TargetAdded {
        /// Its path.
        path: String,
        /// Its content.
        digest: Option<Sha256Digest>,
    },
    /// A file with other content.
    TargetChanged {
        /// Its path.
        path: String,
        /// Its content from the draft on.
        digest: Option<Sha256Digest>,
    },
    /// A file that is no longer listed.
    TargetRemoved {
        /// Its path.
        path: String,
    },
}

/// What changes in whom a role delegates to: delegates, their keys, thresholds, paths and order.
pub fn delegation_changes(old: &[DelegatedRole], new: &[DelegatedRole]) -> Vec<Change> {
    let mut changes = Vec::new();
    delegations(old, new, &mut changes);
    changes
}

/// What a root changes.
pub(super) fn of_root(old: Option<&Root>, new: &Root) -> Vec<Change> {
    let mut changes = vec![Change::Expires { old: old.map(|root| root.expires), new: new.expires }];
    for top in TopRole::ALL {
        keys(&top.into(), old.map(|root| root.keys(top)), new.keys(top), &mut changes);
    }
    changes
}

/// What a targets role changes.
pub(super) fn of_targets(old: Option<&Targets>, new: &Targets) -> Vec<Change> {
    let mut changes = vec![Change::Expires { old: old.map(|role| role.expires), new: new.expires }];
    let before = old.map(|old| old.delegations.as_slice()).unwrap_or_default();
    delegations(before, &new.delegations, &mut changes);
    let none = BTreeMap::new();
    targets(old.map_or(&none, |old| &old.targets), &new.targets, &mut changes);
    changes
}

fn keys(role: &RoleName, old: Option<&KeySet>, new: &KeySet, changes: &mut Vec<Change>) {
    let has = |set: &KeySet, key: &PublicKey| set.keys.values().any(|listed| listed == key);
    for key in new.keys.values().filter(|key| !old.is_some_and(|old| has(old, key))) {
        changes.push(Change::KeyAdded { role: role.clone(), key: key.clone() });
    }
    let before = old.into_iter().flat_map(|old| old.keys.values());
    for key in before.filter(|key| !has(new, key)) {
        changes.push(Change::KeyRemoved { role: role.clone(), key: key.clone() });
    }
    let threshold = old.map(|old| old.threshold);
    if threshold != Some(new.threshold) {
        changes.push(Change::Threshold { role: role.clone(), old: threshold, new: new.threshold });
    }
}

fn delegations(old: &[DelegatedRole], new: &[DelegatedRole], changes: &mut Vec<Change>) {
    for delegate in new {
        let before = old.iter().find(|before| before.name == delegate.name);
        let (role, paths) = (delegate.name.clone(), delegate.patterns().to_vec());
        let terminating = delegate.terminating;
        match before {
            None => changes.push(Change::DelegationAdded { role, paths, terminating }),
            Some(before)
                if before.patterns() != delegate.patterns()
                    || before.terminating != delegate.terminating =>
            {
                changes.push(Change::DelegationScope { role, paths, terminating });
            }
            Some(_) => {}
        }
        keys(&delegate.name, before.map(|before| &before.keys), &delegate.keys, changes);
    }
    let gone = |before: &&DelegatedRole| !new.iter().any(|now| now.name == before.name);
    for before in old.iter().filter(gone) {
        changes.push(Change::DelegationRemoved { role: before.name.clone() });
    }
    let kept = |in_list: &[DelegatedRole], other: &[DelegatedRole]| -> Vec<RoleName> {
        let both = in_list.iter().filter(|role| other.iter().any(|o| o.name == role.name));
        both.map(|role| role.name.clone()).collect()
    };
    if kept(old, new) != kept(new, old) {
        changes.push(Change::DelegationOrder);
    }
}

fn targets(
    old: &BTreeMap<String, TargetInfo>,
    new: &BTreeMap<String, TargetInfo>,
    changes: &mut Vec<Change>,
) {
    for (path, info) in new {
        let (path, digest) = (path.clone(), info.hashes.as_sha256());
        match old.get(&path) {
            None => changes.push(Change::TargetAdded { path, digest }),
            Some(before) if before != info => changes.push(Change::TargetChanged { path, digest }),
            Some(_) => {}
        }
    }
    for path in old.keys().filter(|path| !new.contains_key(*path)) {
        changes.push(Change::TargetRemoved { path: path.clone() });
    }
}
