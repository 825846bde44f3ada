//! What a view says, decided from what the hub says. No files, no clock, no keys.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use signing::metadata::{KeySet, Root, Snapshot};
use signing::{BuildError, MetaPin, PublicKey, RoleName, RootSpec, TopRole};

use super::error::ViewError;

/// Life of a view's snapshot and timestamp, in days: three months cover a supply run by ship.
pub const DEFAULT_LIFE_DAYS: u16 = 90;
/// Longest life. It is how long a thief of the view's keys can show a site an old set, so half a
/// year is the end of it whatever the road is like.
pub const MAX_LIFE_DAYS: u16 = 180;
/// Life of a view's root, in days.
pub const DEFAULT_ROOT_DAYS: u16 = 365;
/// Longest life of a view's root: holders who have not met for two years may not find together.
pub const MAX_ROOT_DAYS: u16 = 730;
/// Room between the first root versions of two views that were made a second apart.
const ROOT_VERSIONS_PER_SECOND: u64 = 1000;

/// Who signs the view's roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holders {
    /// The holders of the hub's root keys, as the hub's newest root names them.
    Hub,
    /// Holders of keys of their own.
    Own {
        /// Their public keys.
        keys: Vec<PublicKey>,
        /// How many must sign.
        threshold: u32,
    },
}

/// The same, remembered: whether a renewal follows the hub's holders or keeps those of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HolderKind {
    Hub,
    Own,
}

impl Holders {
    pub(super) fn kind(&self) -> HolderKind {
        match self {
            Self::Hub => HolderKind::Hub,
            Self::Own { .. } => HolderKind::Own,
        }
    }
}

/// The version of a view's first root: a thousand times the unix time.
///
/// Holders may use the same keys for the hub's roots, so signatures alone do not tell the two chains
/// apart: a client follows root N only to N+1, and the hub's chain, which began at 1, never comes
/// near. So no connected agent ever takes a view's root for the hub's next one, and no site the
/// other way round.
pub(super) fn first_root_version(now: Timestamp) -> u64 {
    unix_seconds(now).max(1).saturating_mul(ROOT_VERSIONS_PER_SECOND)
}

/// The next version of snapshot or timestamp: it grows whatever the clock says, and whatever
/// backup the view was restored from.
pub(super) fn next_version(role: TopRole, previous: u64, now: Timestamp) -> Result<u64, ViewError> {
    let next = previous
        .checked_add(1)
        .ok_or_else(|| ViewError::build(role)(BuildError::Range { role: role.into() }))?;
    Ok(next.max(unix_seconds(now)))
}

/// Before 1970 there is no unix time to go by.
fn unix_seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or(0)
}

/// When something signed now ends.
pub(super) fn expiry(role: TopRole, now: Timestamp, days: u16) -> Result<Timestamp, ViewError> {
    now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))
        .map_err(|_| ViewError::build(role)(BuildError::Range { role: role.into() }))
}

/// Refuses a life that a view must not have.
pub(super) fn check_days(what: &'static str, days: u16, most: u16) -> Result<u16, ViewError> {
    if (1..=most).contains(&days) { Ok(days) } else { Err(ViewError::Days { what, days, most }) }
}

/// Whether two roots ask for the same keys and as many of them.
pub(super) fn same_keys(a: &KeySet, b: &KeySet) -> bool {
    let values = |set: &KeySet| -> BTreeSet<_> {
        set.keys.values().map(|key| (key.scheme().as_str(), key.value().1.to_vec())).collect()
    };
    a.threshold == b.threshold && values(a) == values(b)
}

/// What a root of the view says: the hub's targets keys, the view's own for snapshot and timestamp,
/// and its holders for root.
pub(super) fn root_spec(
    version: u64,
    expires: Timestamp,
    hub: &Root,
    holders: (Vec<PublicKey>, u32),
    online: [PublicKey; 2],
) -> Result<RootSpec, ViewError> {
    let targets = repeated(TopRole::Targets, hub.keys(TopRole::Targets))?;
    let [snapshot, timestamp] = online;
    let roles = BTreeMap::from([
        (TopRole::Root, holders),
        (TopRole::Targets, targets),
        (TopRole::Snapshot, (vec![snapshot], 1)),
        (TopRole::Timestamp, (vec![timestamp], 1)),
    ]);
    Ok(RootSpec { version, expires, roles })
}

/// A key set as another root can name it again, meaning the same.
pub(super) fn repeated(role: TopRole, set: &KeySet) -> Result<(Vec<PublicKey>, u32), ViewError> {
    let refuse = |why| ViewError::HubRoot { role, why };
    // Signatures name keys by the ids their root gave them, and a view's root writes its own.
    if set.keys.iter().any(|(id, key)| *id != key.key_id()) {
        return Err(refuse("a key has an id of another kind than this version writes"));
    }
    let threshold = u32::try_from(set.threshold).ok();
    let reachable = threshold.filter(|t| usize::try_from(*t).is_ok_and(|t| t <= set.keys.len()));
    let threshold =
        reachable.ok_or_else(|| refuse("fewer usable keys than signatures that it asks for"))?;
    Ok((set.keys.values().cloned().collect(), threshold))
}

/// The pins of the hub's snapshot, all of them: a later export of another vendor must not seem to
/// have lost this one's roles.
pub(super) fn pins(hub: &Snapshot) -> Result<BTreeMap<RoleName, MetaPin>, ViewError> {
    let mut pins = BTreeMap::new();
    for (file, pin) in &hub.meta {
        let loose = || ViewError::LoosePin { file: file.clone() };
        let role = file.strip_suffix(".json").and_then(|name| RoleName::new(name).ok());
        let digest = pin.hashes.as_ref().and_then(signing::metadata::Hashes::as_sha256);
        let (Some(role), Some(length), Some(digest)) = (role, pin.length, digest) else {
            return Err(loose());
        };
        pins.insert(role, MetaPin { version: pin.version, length, digest });
    }
    Ok(pins)
}
