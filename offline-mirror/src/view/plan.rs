//! What a view says, decided from what the hub says. No files, no clock, no keys.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use signing::metadata::{KeySet, Root, Snapshot};
use signing::{BuildError, MetaPin, PublicKey, RoleName, RootSpec, TopRole};

use super::error::ViewError;

/// Life of a view's snapshot and timestamp, in days: three months cover a supply run by ship.
pub const DEFAULT_LIFE_DAYS: u16 = 90;
/// Longest life. It is how long whoever holds back newer parcels can pass an old one for the newest,
/// so half a year is the end of it whatever the road is like.
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

/// The version of a view's first root: after a thousand times the unix time.
///
/// Holders may use the same keys for the hub's roots, so signatures alone do not tell the two chains
/// apart: a client follows root N only to N+1, and the hub's chain, which began at 1, never comes
/// near. So no connected agent ever takes a view's root for the hub's next one, and no site the
/// other way round.
pub(super) fn first_root_version(now: Timestamp) -> u64 {
    unix_seconds(now).max(1).saturating_mul(ROOT_VERSIONS_PER_SECOND).saturating_add(1)
}

/// The next version of snapshot or timestamp: it grows whatever the clock says, and whatever
/// backup the view was restored from.
pub(super) fn next_version(role: TopRole, previous: u64, now: Timestamp) -> Result<u64, ViewError> {
    let next = previous
        .checked_add(1)
        .ok_or_else(|| ViewError::build(role)(BuildError::Range { role: role.into() }))?;
    Ok(next.max(unix_seconds(now)))
}

/// The sequence of the next bundle: beyond everything this view remembers and everything a site says
/// it has, and the unix time at least, so that a view brought back from a backup does not give a
/// number out twice though no site says anything.
pub(super) fn next_sequence(
    previous: u64,
    at_sites: u64,
    now: Timestamp,
) -> Result<u64, ViewError> {
    let next = previous.max(at_sites).checked_add(1).map(|next| next.max(unix_seconds(now)));
    // Canonical JSON of other implementations holds integers up to 2^53.
    next.filter(|next| *next < 1 << 53).ok_or(ViewError::Sequence { previous, at_sites })
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

#[cfg(test)]
mod tests {
    use signing::metadata::Document;
    use signing::{SecretKey, build_root, build_snapshot};

    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn hub(from: &str, to: &str) -> Root {
        let role = |seed: u8| (vec![key(seed).public().clone()], 1);
        let roles = [
            (TopRole::Root, role(1)),
            (TopRole::Targets, role(2)),
            (TopRole::Snapshot, role(3)),
            (TopRole::Timestamp, role(4)),
        ];
        let spec = RootSpec { version: 1, expires: at(1000), roles: roles.into() };
        let text = String::from_utf8(build_root(&spec, &[], None).unwrap()).unwrap();
        let text = text.replace(from, to);
        Document::parse(&TopRole::Root.into(), text.as_bytes()).unwrap().body
    }

    #[test]
    fn versions_grow_with_the_clock_and_without_it() {
        let next = |previous, second| next_version(TopRole::Timestamp, previous, at(second));
        assert_eq!(next(0, 1_800_000_000).unwrap(), 1_800_000_000);
        assert_eq!(next(1_800_000_000, 1_800_000_000).unwrap(), 1_800_000_001);
        assert_eq!(next(1_800_000_001, 1_000_000_000).unwrap(), 1_800_000_002, "clock set back");
        assert_eq!(next(5, -10).unwrap(), 6, "before 1970");
        assert!(matches!(next(u64::MAX, 0), Err(ViewError::Build { .. })));
    }

    #[test]
    fn a_sequence_is_beyond_what_the_view_and_its_sites_have_seen() {
        let next = |previous, at_sites, second| next_sequence(previous, at_sites, at(second));
        for (previous, at_sites, expected) in [(0, 0, 5), (7, 3, 8), (2, 9, 10), (3, 3, 5)] {
            assert_eq!(next(previous, at_sites, 5).unwrap(), expected);
        }
        assert_eq!(next(7, 0, 1_800_000_000).unwrap(), 1_800_000_000, "after any backup");
        assert_eq!(next(1_800_000_000, 0, 9).unwrap(), 1_800_000_001, "clock set back");
        for end in [u64::MAX, (1 << 53) - 1] {
            let refused = next(end, 0, 0);
            assert!(matches!(refused, Err(ViewError::Sequence { .. })), "{end}");
        }
    }

    #[test]
    fn the_chains_of_hub_and_views_never_meet() {
        let [first, second] = [1_800_000_000, 1_800_000_001].map(|s| first_root_version(at(s)));
        assert_eq!((first, second - first), (1_800_000_000_001, 1000));
        assert_eq!(first_root_version(at(-1)), 1001, "even without a clock");
        // Canonical JSON of other implementations holds integers up to 2^53.
        assert!(first_root_version(at(253_402_300_799 / 100)) < 1 << 53);
    }

    #[test]
    fn a_life_beyond_the_bound_is_refused() {
        for (days, good) in [(0, false), (1, true), (180, true), (181, false)] {
            let found = check_days("a view", days, MAX_LIFE_DAYS);
            assert_eq!(matches!(found, Err(ViewError::Days { most: 180, .. })), !good, "{days}");
        }
    }

    #[test]
    fn a_hub_root_that_cannot_be_repeated_is_refused() {
        let id = key(2).public().key_id().to_string();
        for (from, to, why) in [
            (id.as_str(), "k", "a key has an id of another kind than this version writes"),
            ("\"threshold\":1", "\"threshold\":2", "fewer usable keys than signatures"),
        ] {
            let hub = hub(from, to);
            let online = [key(3), key(4)].map(|key| key.public().clone());
            let holders = (vec![key(1).public().clone()], 1);
            let refused = root_spec(1, at(1000), &hub, holders, online);
            let Err(ViewError::HubRoot { role: TopRole::Targets, why: found }) = refused else {
                panic!("{refused:?}");
            };
            assert!(found.starts_with(why), "{found}");
        }
    }

    #[test]
    fn keys_are_the_same_by_value_and_threshold() {
        let (plain, renamed) = (hub("", ""), hub(key(2).public().key_id().as_str(), "k"));
        let targets = |root: &Root| root.keys(TopRole::Targets).clone();
        assert!(same_keys(&targets(&plain), &targets(&renamed)));
        assert!(!same_keys(&targets(&plain), plain.keys(TopRole::Root)));
        let two = hub("\"threshold\":1", "\"threshold\":2");
        assert!(!same_keys(&targets(&plain), &targets(&two)));
    }

    #[test]
    fn a_snapshot_that_leaves_bytes_open_is_refused() {
        let pin = MetaPin { version: 3, length: 5, digest: signing::Sha256Digest::of(b"x") };
        let meta = BTreeMap::from([(TopRole::Targets.into(), pin)]);
        let bytes = build_snapshot(1, at(1000), &meta, &[&key(3)]).unwrap();
        let parse = |text: &str| {
            let role = TopRole::Snapshot.into();
            Document::<Snapshot>::parse(&role, text.as_bytes()).unwrap().body
        };
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(pins(&parse(&text)).unwrap(), meta);
        for missing in ["\"length\"", "\"hashes\"", "\"sha256\""] {
            let loose = parse(&text.replace(missing, "\"other\""));
            assert!(matches!(pins(&loose), Err(ViewError::LoosePin { .. })), "{missing}");
        }
    }
}
