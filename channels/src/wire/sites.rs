//! Dark sites as the connected hub keeps and shows them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::people::{DriftTotals, Freshness};
use super::site::{BundleReceipt, Redaction, SiteCounts};
use crate::names::{ClusterId, SiteName};
use crate::version::ReleaseVersion;

/// `GET /api/v1/status-export/key`: who signs the status of the hub's own site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteKey {
    /// The site whose hub this is.
    pub site: SiteName,
    /// Public half, SPKI PEM.
    pub public_key: String,
    /// Its TUF key id.
    pub key_id: String,
}

/// `PUT /api/v1/sites/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRegistration {
    /// Public half of the site's key, SPKI PEM; brought by another way than the status files.
    pub public_key: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Seconds within which a status is expected; absent: what the site says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_interval_s: Option<u64>,
}

/// One site in `GET /api/v1/sites`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteRow {
    /// Its name.
    pub name: SiteName,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Id of the key that its status must be signed with.
    pub key_id: String,
    /// Seconds within which a status is expected, if an admin said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_interval_s: Option<u64>,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// By whom.
    pub registered_by: String,
    /// Age class of what is known: `never` without a status, and never `fresh`.
    pub freshness: Freshness,
    /// What is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SiteStatusHead>,
}

/// The newest status of a site, without its clusters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteStatusHead {
    /// Its sequence.
    pub sequence: u64,
    /// When it was made, by the site's clock.
    pub made_at: Timestamp,
    /// When it was imported, by this hub's.
    pub imported_at: Timestamp,
    /// By whom.
    pub imported_by: String,
    /// Version of the site's update server.
    pub hub_version: String,
    /// What the site left out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub redacted: BTreeSet<Redaction>,
    /// Sequence of the newest bundle that the site has imported, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_bundle: Option<u64>,
    /// What the receipt of that bundle says, if the site told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<BundleReceipt>,
    /// The site's own sums.
    pub counts: SiteCounts,
    /// Clusters of the file that are not shown, because they report to this hub themselves.
    #[serde(default)]
    pub live_here: u64,
}

/// Answer to `POST /api/v1/status-imports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusImportReply {
    /// Which site.
    pub site: SiteName,
    /// Sequence of its status.
    pub sequence: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Clusters shown from it.
    pub clusters: u64,
    /// Clusters not shown, because they report to this hub themselves; the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live_here: Vec<ClusterId>,
    /// Whether anything changed: the same file again changes nothing.
    pub changed: bool,
}

/// One status that was taken, in `GET /api/v1/sites/{name}/imports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteImport {
    /// Number of the import at this hub.
    pub id: u64,
    /// Sequence of the status.
    pub sequence: u64,
    /// When it was made, by the site's clock.
    pub made_at: Timestamp,
    /// When it was imported, by this hub's.
    pub imported_at: Timestamp,
    /// By whom.
    pub imported_by: String,
    /// Digest of the file.
    pub digest: Sha256Digest,
    /// Clusters in it.
    pub clusters: u64,
}

/// Drift of one dark site on one graph of this hub: what was true when its status was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteDrift {
    /// Which site.
    pub site: SiteName,
    /// When its status was made: older than this nothing is known.
    pub as_of: Timestamp,
    /// Age class of that; never `fresh`.
    pub freshness: Freshness,
    /// Head of the same channel at the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_at_site: Option<ReleaseVersion>,
    /// The site's clusters on *this* hub's graph; `active` and `silent` as they were there.
    pub totals: DriftTotals,
}
