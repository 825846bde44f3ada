//! A staged set of TUF metadata and targets, as a publisher hands it to the hub.

use serde::{Deserialize, Serialize};

/// Files in one publication; the whole OpenShift history needs about 4,000.
pub const MAX_PUBLICATION_FILES: usize = 20_000;

/// Largest publication body: the 2026 OpenShift graphs of all channels and architectures in base64
/// take about 150 MB.
pub const MAX_PUBLICATION_BYTES: usize = 256 * 1024 * 1024;

/// `POST /api/v1/publications` (role publisher).
///
/// The hub verifies the set as a client would, adds `snapshot` and `timestamp`, and swaps it in as a
/// whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Why, for the audit log.
    #[serde(default)]
    pub message: String,
    /// The files, in any order.
    pub files: Vec<PublicationFile>,
}

/// One file of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationFile {
    /// `metadata/<N>.<role>.json`, or `targets/<vendor>/<product>/<name>` without hash prefix.
    pub path: String,
    /// The bytes, standard base64 with padding.
    pub base64: String,
}

/// What the hub did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicationReply {
    /// Whether anything changed; publishing the same set twice changes nothing.
    pub changed: bool,
    /// Version of root after it.
    pub root_version: u64,
    /// Version of snapshot after it.
    pub snapshot_version: u64,
    /// Version of timestamp after it.
    pub timestamp_version: u64,
    /// Graphs that the hub serves now because of it, as `vendor/product channel arch`.
    pub graphs: Vec<String>,
}
