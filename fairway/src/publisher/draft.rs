//! Drafts a root for its holders to sign: what it should say, against what the newest one says.
//!
//! Pure. Nothing here signs, and the newest root must be verified by the caller
//! ([`super::TrustedRoots`]).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use signing::metadata::{Document, Root};
use signing::repository::request::{Change, RequestError, SigningRequest};
use signing::{PublicKey, RootSpec, TopRole};

use super::layout::{RoleKeys, Terms, expiry};
use super::root::{RootKeys, key_list};

/// A role that the hub signs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OnlineRole {
    /// Pins the versions of all targets roles.
    Snapshot,
    /// Pins the snapshot.
    Timestamp,
}

impl OnlineRole {
    /// The role as root lists it.
    pub fn top(self) -> TopRole {
        match self {
            Self::Snapshot => TopRole::Snapshot,
            Self::Timestamp => TopRole::Timestamp,
        }
    }
}

impl fmt::Display for OnlineRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.top().as_str())
    }
}

impl FromStr for OnlineRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "snapshot" => Ok(Self::Snapshot),
            "timestamp" => Ok(Self::Timestamp),
            _ => Err(format!("{text:?} is not an online role; write timestamp or snapshot")),
        }
    }
}

/// What the next root should say.
#[derive(Debug, Clone)]
pub struct NextRoot {
    /// Sign root itself.
    pub root: RoleKeys,
    /// Sign `targets`.
    pub targets: RoleKeys,
    /// Online keys that change; a role that is not named keeps the keys it has.
    pub replace_online: BTreeMap<OnlineRole, PublicKey>,
    /// How long the root is valid, in days.
    pub days: u32,
    /// Whether a root that changes nothing but its expiry is wanted.
    pub renew: bool,
}

/// A root that cannot be drafted.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The newest root says all of it.
    #[error("root {version} says so already")]
    NothingChanges {
        /// Version of the newest root.
        version: u64,
    },
    /// A date beyond what can be written.
    #[error("a root cannot be valid for {days} days")]
    Expiry {
        /// Days asked for.
        days: u32,
    },
    /// A threshold or version beyond what can be written.
    #[error("root {version} cannot be followed by another")]
    Range {
        /// Version of the newest root.
        version: u64,
    },
    /// The request would be refused.
    #[error("the root cannot be drafted")]
    Request(#[from] RequestError),
}

/// Drafts root 1 over keys whose private halves are somewhere else.
pub fn draft_first_root(
    keys: &RootKeys,
    terms: &Terms,
    now: Timestamp,
) -> Result<SigningRequest, DraftError> {
    let days = terms.root_days;
    let expires = expiry(now, days).ok_or(DraftError::Expiry { days })?;
    let spec = RootSpec { version: 1, expires, roles: keys.roles() };
    Ok(SigningRequest::for_root(None, &spec)?)
}

/// Drafts root N+1. `newest` must be the newest root of a verified chain.
pub fn draft_next_root(
    newest: &Document<Root>,
    next: &NextRoot,
    now: Timestamp,
) -> Result<SigningRequest, DraftError> {
    let version = newest.body.version;
    let days = next.days;
    let expires = expiry(now, days).ok_or(DraftError::Expiry { days })?;
    let listed = |keys: &RoleKeys| (keys.keys.clone(), keys.threshold);
    let mut roles = BTreeMap::from([
        (TopRole::Root, listed(&next.root)),
        (TopRole::Targets, listed(&next.targets)),
    ]);
    for online in [OnlineRole::Snapshot, OnlineRole::Timestamp] {
        let keys = match next.replace_online.get(&online) {
            Some(key) => (vec![key.clone()], 1),
            None => {
                key_list(newest.body.keys(online.top())).ok_or(DraftError::Range { version })?
            }
        };
        roles.insert(online.top(), keys);
    }
    let following = version.checked_add(1).ok_or(DraftError::Range { version })?;
    let spec = RootSpec { version: following, expires, roles };
    let request = SigningRequest::for_root(Some(newest.raw()), &spec)?;
    let changes = request.review(now).changes;
    let only_expiry = changes.iter().all(|change| matches!(change, Change::Expires { .. }));
    if only_expiry && !next.renew {
        return Err(DraftError::NothingChanges { version });
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use signing::repository::request::Authority;

    use super::*;
    use crate::publisher::TrustedRoots;
    use crate::publisher::testing::{World, day, secret};

    fn newest(world: &World) -> Document<Root> {
        TrustedRoots::verify(&world.published, &world.root).unwrap().newest().clone()
    }

    fn as_it_is(world: &World) -> NextRoot {
        NextRoot {
            root: world.layout.root.keys.clone(),
            targets: world.layout.targets.clone(),
            replace_online: BTreeMap::new(),
            days: 365,
            renew: false,
        }
    }

    #[test]
    fn a_root_that_changes_nothing_is_drafted_only_to_renew() {
        let world = World::new();
        let mut next = as_it_is(&world);
        let error = draft_next_root(&newest(&world), &next, day(1)).unwrap_err();
        assert!(matches!(error, DraftError::NothingChanges { version: 1 }), "{error}");
        next.renew = true;
        let request = draft_next_root(&newest(&world), &next, day(1)).unwrap();
        assert_eq!((request.version(), request.expires()), (2, day(366)));
    }

    #[test]
    fn an_online_key_is_replaced_and_the_other_stays() {
        let world = World::new();
        let mut next = as_it_is(&world);
        let key = secret(77).public().clone();
        next.replace_online.insert(OnlineRole::Timestamp, key.clone());
        let request = draft_next_root(&newest(&world), &next, day(1)).unwrap();
        let root = request.as_root().unwrap();
        let only = |role| root.keys(role).keys.values().cloned().collect::<Vec<_>>();
        assert_eq!(only(TopRole::Timestamp), [key]);
        assert_eq!(only(TopRole::Snapshot), [world.snapshot.public().clone()]);
    }

    #[test]
    fn a_root_key_that_leaves_must_still_sign_its_own_removal() {
        let world = World::new();
        let mut next = as_it_is(&world);
        next.root = RoleKeys::single(secret(50).public().clone());
        let request = draft_next_root(&newest(&world), &next, day(1)).unwrap();
        let review = request.review(day(1));
        let sets: Vec<_> = review.signers.iter().map(|set| (set.of, set.missing())).collect();
        assert_eq!(sets, [(Authority::Previous, 1), (Authority::Draft, 1)]);
    }

    #[test]
    fn a_threshold_that_no_one_reaches_is_not_drafted() {
        let world = World::new();
        let mut next = as_it_is(&world);
        next.root.threshold = 2;
        let error = draft_next_root(&newest(&world), &next, day(1)).unwrap_err();
        assert!(matches!(error, DraftError::Request(RequestError::Build(_))), "{error}");
    }
}
