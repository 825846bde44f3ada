//! Root metadata: the first one, and its renewal under the same keys.
//!
//! Changing keys is a ceremony (`draft`, `succession`) and never happens here.

use std::collections::BTreeMap;

use channels::wire::HubKeys;
use jiff::Timestamp;
use signing::metadata::{Document, KeySet, Root};
use signing::{PublicKey, RootSpec, Signer, TopRole, repository};

use super::error::{self, PublisherError};
use super::keyring::Keyring;
use super::layout::{RoleKeys, Terms, expiry, is_due};

/// Keys that root 1 names.
#[derive(Debug, Clone)]
pub struct RootKeys {
    /// Offline keys that sign root itself.
    pub root: RoleKeys,
    /// Offline keys that sign `targets`.
    pub targets: RoleKeys,
    /// The hub's online key for `snapshot`.
    pub snapshot: PublicKey,
    /// The hub's online key for `timestamp`.
    pub timestamp: PublicKey,
}

impl RootKeys {
    /// Joins the publisher's keys with what a hub says its own are.
    pub fn with_hub(
        root: RoleKeys,
        targets: RoleKeys,
        hub: &HubKeys,
    ) -> Result<Self, signing::KeyError> {
        Ok(Self {
            root,
            targets,
            snapshot: PublicKey::from_spki_pem(&hub.snapshot)?,
            timestamp: PublicKey::from_spki_pem(&hub.timestamp)?,
        })
    }

    /// The same as a root lists it.
    pub(super) fn roles(&self) -> BTreeMap<TopRole, (Vec<PublicKey>, u32)> {
        let listed = |role: &RoleKeys| (role.keys.clone(), role.threshold);
        BTreeMap::from([
            (TopRole::Root, listed(&self.root)),
            (TopRole::Targets, listed(&self.targets)),
            (TopRole::Snapshot, (vec![self.snapshot.clone()], 1)),
            (TopRole::Timestamp, (vec![self.timestamp.clone()], 1)),
        ])
    }
}

/// Keys and threshold as builders take them; `None` for a threshold beyond 32 bits.
pub(super) fn key_list(set: &KeySet) -> Option<(Vec<PublicKey>, u32)> {
    Some((set.keys.values().cloned().collect(), u32::try_from(set.threshold).ok()?))
}

/// Root 1 over `keys`, signed by the root keys of `keyring`: what agents pin.
pub fn first_root(
    keys: &RootKeys,
    keyring: &mut dyn Keyring,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<u8>, PublisherError> {
    sign(1, keys.roles(), &keys.root, keyring, terms, now, None)
}

/// Whether the newest root should be renewed.
pub(super) fn is_root_due(root: &Document<Root>, terms: &Terms, now: Timestamp) -> bool {
    is_due(root.body.expires, terms.root_days, now)
}

/// Root N+1: the same keys and thresholds as root N, a new expiry. Root N must be verified: what
/// it lists is signed with the genuine root keys here.
pub(super) fn renew(
    root: &Document<Root>,
    keyring: &mut dyn Keyring,
    terms: &Terms,
    now: Timestamp,
) -> Result<Vec<u8>, PublisherError> {
    let out_of_range = || PublisherError::Expiry { role: TopRole::Root.into() };
    let mut roles = BTreeMap::new();
    for top in TopRole::ALL {
        roles.insert(top, key_list(root.body.keys(top)).ok_or_else(out_of_range)?);
    }
    let (keys, threshold) = key_list(root.body.keys(TopRole::Root)).ok_or_else(out_of_range)?;
    let root_keys = RoleKeys { keys, threshold };
    let version = root.body.version.checked_add(1).ok_or_else(out_of_range)?;
    sign(version, roles, &root_keys, keyring, terms, now, Some(root.raw()))
}

fn sign(
    version: u64,
    roles: BTreeMap<TopRole, (Vec<PublicKey>, u32)>,
    root_keys: &RoleKeys,
    keyring: &mut dyn Keyring,
    terms: &Terms,
    now: Timestamp,
    previous: Option<&[u8]>,
) -> Result<Vec<u8>, PublisherError> {
    let role = signing::RoleName::from(TopRole::Root);
    let expires = expiry(now, terms.root_days)
        .ok_or_else(|| PublisherError::Expiry { role: role.clone() })?;
    let signers = keyring
        .open(&role, root_keys)
        .map_err(|source| PublisherError::Keys { role: role.clone(), source })?;
    let signers: Vec<&dyn Signer> = signers.iter().map(AsRef::as_ref).collect();
    let spec = RootSpec { version, expires, roles };
    let bytes = repository::build_root(&spec, &signers, previous).map_err(error::build(&role))?;
    let document = Document::<Root>::parse(&role, &bytes).map_err(error::previous(&role))?;
    super::assemble::check_threshold(&document, &root_keys.key_set())?;
    Ok(bytes)
}
