//! What the hub answers to a report, and the holds people place.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::measures::Measure;
use super::settings::ProductSettings;
use crate::names::{ChannelName, ClusterId, ProductRef};
use crate::version::ReleaseVersion;

/// Reply to `POST /api/v1/reports`, sent after the report's commit is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportReply {
    /// The `seq` that was committed.
    pub seq: u64,
    /// Server's clock when it answered.
    pub at: Timestamp,
    /// `ETag` of `timestamp.json`: equal to what the agent holds = no need to ask again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_etag: Option<String>,
    /// One directive per reported product.
    pub directives: Vec<Directive>,
    /// The cluster's next report slot: seconds from `at`.
    pub next_report_in_s: u64,
    /// The hub lacks this cluster's full state (first report, restored from backup, …).
    #[serde(default)]
    pub full_state_wanted: bool,
    /// What the fleet's owner wants of the cluster's products; a product that is not listed has
    /// nothing set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<ProductSettings>,
    /// What the cluster is to measure and report; what is not listed is not asked for any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<Measure>,
}

/// What one product may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directive {
    /// Which product.
    pub product: ProductRef,
    /// Go, wait or stop.
    pub action: Action,
    /// Present with `proceed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// Why not; empty with `proceed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Earliest time at which the answer may change by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_at: Option<Timestamp>,
}

/// The verb of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The grant beside it allows the next unit.
    Proceed,
    /// Nothing was asked, or it is not this cluster's turn.
    Wait,
    /// Someone or something stopped it; also what an unknown verb is read as.
    #[serde(other)]
    Hold,
}

/// Leave for one cluster to move one product to one release, until it expires.
///
/// One per cluster across all products; renewed before every unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The cluster it names.
    pub cluster: ClusterId,
    /// The product it is for.
    pub product: ProductRef,
    /// The release it allows.
    pub to: ReleaseVersion,
    /// Digest of the release document it allows.
    pub release_digest: Sha256Digest,
    /// Grows with every grant of this cluster; an older generation is worthless.
    pub generation: u64,
    /// No unit may start at or after this time.
    pub expires_at: Timestamp,
}

/// One reason in a directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable, `snake_case` code (`held`, `grant_elsewhere`, `not_asked`, `release_unknown`, …).
    pub code: String,
    /// The sentence shown to people.
    pub message: String,
}

/// Someone stopped something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its number at the hub.
    pub id: u64,
    /// What it covers.
    pub scope: HoldScope,
    /// Why, in the holder's words.
    pub reason: String,
    /// Who placed it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// When it was lifted, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<Timestamp>,
    /// Who lifted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_by: Option<String>,
}

/// What a hold covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HoldScope {
    /// Every cluster.
    Fleet,
    /// Every cluster that runs the product.
    Product {
        /// The product.
        product: ProductRef,
    },
    /// Every cluster that follows the product's channel.
    Channel {
        /// The product.
        product: ProductRef,
        /// The channel.
        channel: ChannelName,
    },
    /// Every move to one release.
    Release {
        /// The product.
        product: ProductRef,
        /// The release.
        version: ReleaseVersion,
    },
    /// One cluster.
    Cluster {
        /// The cluster.
        cluster: ClusterId,
    },
}

/// `POST /api/v1/holds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// What to stop.
    pub scope: HoldScope,
    /// Why; must not be empty.
    pub reason: String,
}

/// `POST /api/v1/holds/{id}/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeRequest {
    /// What the person has seen and accepts; must not be empty, kept in the audit log.
    pub acknowledge: String,
}
