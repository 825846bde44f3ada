//! Who may sign what: the roles of a hub's repository and their public keys (design §4).

use std::collections::BTreeMap;

use channels::names::VendorName;
use jiff::{SignedDuration, Timestamp};
use signing::metadata::KeySet;
use signing::{Delegation, NameError, PublicKey, RoleName, TopRole};

use super::error::PublisherError;

/// Public keys of one role and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// The keys; order has no meaning.
    pub keys: Vec<PublicKey>,
    /// Distinct keys that must sign, at least 1.
    pub threshold: u32,
}

impl RoleKeys {
    /// One key that signs alone.
    pub fn single(key: PublicKey) -> Self {
        Self { keys: vec![key], threshold: 1 }
    }

    /// The same as the metadata of a delegator holds it.
    pub fn key_set(&self) -> KeySet {
        let keys = self.keys.iter().map(|key| (key.key_id(), key.clone())).collect();
        KeySet { keys, threshold: u64::from(self.threshold) }
    }

    /// Whether both accept the same signatures.
    pub(super) fn accepts_like(&self, other: &KeySet) -> bool {
        let own: std::collections::BTreeSet<_> = self.keys.iter().map(PublicKey::value).collect();
        let others = other.keys.values().map(PublicKey::value).collect();
        own == others && u64::from(self.threshold) == other.threshold
    }

    /// Whether whatever these keys sign, enough of them, is accepted by `other` as well.
    pub fn suffices_for(&self, other: &KeySet) -> bool {
        let is_theirs = |key: &PublicKey| other.keys.values().any(|o| o.value() == key.value());
        self.keys.iter().all(is_theirs) && u64::from(self.threshold) >= other.threshold
    }

    /// What only one of both has, for people; nothing when both accept the same signatures.
    pub fn difference(&self, other: &KeySet) -> Option<String> {
        if self.accepts_like(other) {
            return None;
        }
        let is_ours = |key: &PublicKey| self.keys.iter().any(|own| own.value() == key.value());
        let is_theirs = |key: &PublicKey| other.keys.values().any(|o| o.value() == key.value());
        let strange = other.keys.values().filter(|key| !is_ours(key));
        let strange = strange.map(|key| format!("it lists the strange key {}", key.key_id()));
        let absent = self.keys.iter().filter(|key| !is_theirs(key));
        let absent = absent.map(|key| format!("it does not list the key {}", key.key_id()));
        let mut parts: Vec<String> = strange.chain(absent).collect();
        if u64::from(self.threshold) != other.threshold {
            let (theirs, own) = (other.threshold, self.threshold);
            parts.push(format!("it asks for {theirs} signatures instead of {own}"));
        }
        Some(parts.join(", "))
    }
}

/// Keys of one vendor's three roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorKeys {
    /// Signs the delegations below.
    pub vendor: RoleKeys,
    /// Signs release documents; offline.
    pub releases: RoleKeys,
    /// Signs graphs; may be online.
    pub channels: RoleKeys,
}

/// A vendor that publishes from a directory of its own: no root and no targets keys are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorLayout {
    /// The vendor.
    pub vendor: VendorName,
    /// Sign its roles.
    pub keys: VendorKeys,
}

/// Versions that signed metadata must exceed, by role: what a hub's snapshot pins.
pub type Floors = BTreeMap<RoleName, u64>;

/// A vendor whose files are signed elsewhere: imported, or published by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedVendor {
    /// Sign the vendor's own role, somewhere else.
    pub keys: RoleKeys,
    /// What the vendor may list.
    pub paths: Vec<String>,
    /// Whether a path of the vendor is looked for nowhere else.
    pub terminating: bool,
}

/// What a publisher knows of root from elsewhere than the published metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootTrust {
    /// The root that agents pin: the published roots must lead on from it.
    pub pinned: Vec<u8>,
    /// Sign root. A root that lists others is never signed on.
    pub keys: RoleKeys,
}

/// Keys of all roles a publisher signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Signs the keys of the top-level roles.
    pub root: RootTrust,
    /// Signs the delegations to vendors, nothing else.
    pub targets: RoleKeys,
    /// The vendors that publish from here.
    pub vendors: BTreeMap<VendorName, VendorKeys>,
    /// The vendors that are delegated to and nothing more.
    pub imported: BTreeMap<VendorName, ImportedVendor>,
}

/// How long signatures are valid, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Life of root.
    pub root_days: u32,
    /// Life of the top-level targets role.
    pub targets_days: u32,
    /// Life of a vendor's role.
    pub vendor_days: u32,
    /// Life of a vendor's list of releases.
    pub releases_days: u32,
    /// Life of a vendor's list of graphs.
    pub channels_days: u32,
}

impl Default for Terms {
    /// A year for every role: short enough to be practised, long enough for offline keys.
    fn default() -> Self {
        let year = 365;
        Self {
            root_days: year,
            targets_days: year,
            vendor_days: year,
            releases_days: year,
            channels_days: year,
        }
    }
}

/// Versions that a role may skip at once, to get above what a hub has pinned. Every publication
/// counts one, so honest gaps are small; a thief of the hub's online keys can pin any version, and a
/// role that followed to the last one there is could never be signed again.
pub(super) const MAX_VERSION_JUMP: u64 = 1_000_000;

/// Highest version that is followed by another: room for thousands of jumps, and as far from the
/// last version there is as one can tell.
pub(super) const MAX_VERSION: u64 = 1 << 32;

/// The version after `newest`, which is believed, and above `floor`, which is only said.
pub(super) fn next_version(
    role: &RoleName,
    newest: u64,
    floor: u64,
) -> Result<u64, PublisherError> {
    if floor.saturating_sub(newest) > MAX_VERSION_JUMP {
        return Err(PublisherError::VersionJump { role: role.clone(), newest, found: floor });
    }
    let version = newest.max(floor);
    let next = version.checked_add(1).filter(|next| *next <= MAX_VERSION);
    next.ok_or_else(|| PublisherError::VersionLimit { role: role.clone(), version })
}

/// `now` plus whole days; `None` beyond the calendar.
pub(super) fn expiry(now: Timestamp, days: u32) -> Option<Timestamp> {
    now.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).ok()
}

/// Whether less than a third of a life of `days` is left.
pub(super) fn is_due(expires: Timestamp, days: u32, now: Timestamp) -> bool {
    let third = SignedDuration::from_hours(i64::from(days) * 24 / 3);
    expires.duration_since(now) < third
}

/// The top-level targets role.
pub fn targets_role() -> RoleName {
    TopRole::Targets.into()
}

/// `<vendor>`.
pub fn vendor_role(vendor: &VendorName) -> Result<RoleName, NameError> {
    RoleName::new(vendor.as_str())
}

/// `<vendor>.releases`.
pub fn releases_role(vendor: &VendorName) -> Result<RoleName, NameError> {
    RoleName::new(format!("{vendor}.releases"))
}

/// `<vendor>.channels`.
pub fn channels_role(vendor: &VendorName) -> Result<RoleName, NameError> {
    RoleName::new(format!("{vendor}.channels"))
}

/// What `targets` delegates: everything of a vendor to the vendor, and to nobody after it.
pub(super) fn top_delegations(layout: &Layout) -> Result<Vec<Delegation>, NameError> {
    let mut by_name = BTreeMap::new();
    for (vendor, keys) in &layout.vendors {
        let own = delegation(vendor_role(vendor)?, &keys.vendor, format!("{vendor}/*/*"));
        by_name.insert(vendor, own);
    }
    for (vendor, imported) in &layout.imported {
        let ImportedVendor { keys, paths, terminating } = imported;
        let delegation = Delegation {
            role: vendor_role(vendor)?,
            keys: keys.keys.clone(),
            threshold: keys.threshold,
            paths: paths.clone(),
            terminating: *terminating,
        };
        by_name.insert(vendor, delegation);
    }
    Ok(by_name.into_values().collect())
}

/// What a vendor delegates: release documents to one role, graphs to another.
pub(super) fn vendor_delegations(
    vendor: &VendorName,
    keys: &VendorKeys,
) -> Result<Vec<Delegation>, NameError> {
    let releases = format!("{vendor}/*/*.release.json");
    let channels = format!("{vendor}/*/*.graph.json");
    Ok(vec![
        delegation(releases_role(vendor)?, &keys.releases, releases),
        delegation(channels_role(vendor)?, &keys.channels, channels),
    ])
}

fn delegation(role: RoleName, keys: &RoleKeys, pattern: String) -> Delegation {
    Delegation {
        role,
        keys: keys.keys.clone(),
        threshold: keys.threshold,
        paths: vec![pattern],
        terminating: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_far_above_what_was_signed_is_not_followed() {
        let role = targets_role();
        assert_eq!(next_version(&role, 7, 0).unwrap(), 8);
        assert_eq!(next_version(&role, 7, 7 + MAX_VERSION_JUMP).unwrap(), 8 + MAX_VERSION_JUMP);
        let error = next_version(&role, 7, 8 + MAX_VERSION_JUMP).unwrap_err();
        assert!(matches!(error, PublisherError::VersionJump { newest: 7, .. }), "{error}");
        assert_eq!(next_version(&role, MAX_VERSION - 1, 0).unwrap(), MAX_VERSION);
        for version in [MAX_VERSION, u64::MAX - 1, u64::MAX] {
            let error = next_version(&role, version, 0).unwrap_err();
            assert!(matches!(error, PublisherError::VersionLimit { .. }), "{error}");
        }
    }

    #[test]
    fn a_signature_is_renewed_in_the_last_third_of_its_life() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let expires = expiry(now, 90).unwrap();
        assert_eq!(expires.to_string(), "2026-04-01T00:00:00Z");
        assert!(!is_due(expires, 90, "2026-03-01T23:59:59Z".parse().unwrap()));
        assert!(is_due(expires, 90, "2026-03-02T00:00:01Z".parse().unwrap()));
    }
}
