//! The file between the two phases: what would go, what stays, and why. Written for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use channels::names::SiteName;

use crate::oci::{Digest, Repository, Tag};

/// Longest plan read, in bytes: it lists what an inventory lists, with reasons.
pub const PRUNE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A reviewed or still to be reviewed plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunePlan {
    /// Form of this file.
    pub format: u32,
    /// Whose.
    pub site: SiteName,
    /// When it was made.
    pub planned_at: Timestamp,
    /// The registry or store, for people; `apply` uses the one it is given.
    pub target: String,
    /// How many of the newest versions of each channel stay whoever runs them.
    pub keep_graph: usize,
    /// Clusters that were looked at.
    pub clusters: usize,
    /// Bytes of blobs that nothing needs any more afterwards.
    pub bytes: u64,
    /// What may go: delete lines to keep something. An index stands before its children.
    pub remove: Vec<Removable>,
    /// What stays.
    pub keep: Vec<Kept>,
}

impl PrunePlan {
    /// The form written by this version.
    pub const FORMAT: u32 = 1;
}

/// A manifest that may go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removable {
    /// Repository.
    pub repository: Repository,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Tags that go with it.
    pub tags: Vec<Tag>,
    /// Why nobody needs it.
    pub why: String,
}

/// An image that stays.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Repository.
    pub repository: Repository,
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// What protects it.
    pub because: Vec<String>,
}
