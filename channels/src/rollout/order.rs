//! Who goes when: a cluster's place in its ring, drawn anew for every release.
//!
//! The draw is a hash the hub computes, so no cluster can move itself to the end, the same
//! clusters are not always first, and anybody with the salt can check it afterwards.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use signing::{Sha256Digest, Sha256Hasher};

use super::share::Share;
use crate::names::{ClusterId, NameError};

/// 32 random bytes of the fleet owner's that make places unpredictable to outsiders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FleetSalt([u8; 32]);

impl FleetSalt {
    /// Takes 32 bytes from a good random source.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to store them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for FleetSalt {
    /// Whoever knows the salt can tell which clusters go first, so logs do not get it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetSalt(..)")
    }
}

impl FromStr for FleetSalt {
    type Err = NameError;

    /// Reads 64 lower-case hex digits.
    fn from_str(text: &str) -> Result<Self, NameError> {
        Sha256Digest::from_hex(text)
            .map(|bytes| Self(*bytes.as_bytes()))
            .map_err(|_| NameError::new("fleet salt", "", "it must be 64 lower-case hex digits"))
    }
}

/// A cluster's place in its ring for one release, 0 to just below 1: the top 53 bits of
/// SHA-256 over the raw bytes of the release document's SHA-256, the fleet's salt and the
/// cluster's UUID, as a fraction of 2^53 (design: "Rollouts").
pub fn place(release: &Sha256Digest, salt: &FleetSalt, cluster: ClusterId) -> Share {
    let mut hasher = Sha256Hasher::new();
    hasher.update(release.as_bytes());
    hasher.update(&salt.0);
    hasher.update(cluster.0.as_bytes());
    let digest = hasher.finish();
    let top =
        digest.as_bytes().iter().take(8).fold(0_u64, |top, byte| (top << 8) | u64::from(*byte));
    Share::from_steps(top >> 11)
}

/// Where a cluster stands in a rollout. Ordered as clusters go: by ring, then by place, then by
/// identity, so that even equal places have one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// Index of its ring in the policy, from 0.
    pub ring: usize,
    /// Its place there.
    pub place: Share,
    /// The cluster.
    pub cluster: ClusterId,
}

impl Position {
    /// The position of a cluster that belongs to ring `ring`.
    pub fn new(ring: usize, release: &Sha256Digest, salt: &FleetSalt, cluster: ClusterId) -> Self {
        Self { ring, place: place(release, salt, cluster), cluster }
    }

    /// Whether this cluster goes before another.
    pub fn is_before(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Less
    }
}
