//! One change to many clusters: first shown, then done.

use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::enrolment::JoinToken;
use super::settings::SettingsPatch;
use crate::names::{ChannelName, ClusterId, ProductRef};
use crate::rollout::LabelPatch;
use crate::version::ReleaseVersion;

/// `POST /api/v1/bulk`. Without `expect` nothing is done: the reply says what would be. With the
/// `expect` of that reply it is done, unless the clusters or what would change have changed since: a
/// piece at a time, with `next` of every reply as `expect` of the next request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkRequest {
    /// Which clusters.
    pub filter: BulkFilter,
    /// What is done to each.
    pub action: BulkAction,
    /// What a preview showed; absent asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<BulkExpect>,
}

/// Which clusters: those of the hub itself, in force, that match everything given. At least one
/// thing must be given; whoever means the whole fleet says `all`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkFilter {
    /// Labels, as text: `ring=canary,!frozen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Runs this product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductRef>,
    /// Follows this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// Runs this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ReleaseVersion>,
    /// Is in this phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Has this verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// Reported this long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<String>,
    /// Has a name that starts so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Every cluster.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// What is done to each cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BulkAction {
    /// Sets labels and takes them away.
    Label {
        /// The change.
        labels: LabelPatch,
    },
    /// Sets what is wanted of a product: channel, pin, highest version.
    Set {
        /// Which product.
        product: ProductRef,
        /// The change.
        change: SettingsPatch,
    },
    /// Takes them out of the fleet for good; their keys work no more.
    Retire,
    /// Takes their keys out of force; they stay in the fleet.
    Revoke {
        /// Why; must not be empty. Their agents are told.
        reason: String,
    },
    /// Mints a token for each, with which it enrols again with a new key.
    Reinvite {
        /// Seconds the tokens stay valid, at most one day.
        expires_in_s: u64,
        /// Why, kept in the audit log.
        #[serde(default)]
        note: String,
    },
}

/// What somebody agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkExpect {
    /// How many clusters change.
    pub clusters: u64,
    /// Digest over which they are and what changes.
    pub digest: Sha256Digest,
}

/// What would be done, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkReply {
    /// What to send back so that it is done; of what was done, what was agreed to.
    pub expect: BulkExpect,
    /// Clusters that match and are so already.
    pub unchanged: u64,
    /// Clusters that were changed, all of them in one transaction; 0 in a preview.
    pub done: u64,
    /// What is left of what was agreed to: the same request with this as `expect` goes on. Absent once
    /// nothing is left, and in a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<BulkExpect>,
    /// The first clusters that change, in the order of their enrolment; after it is done, also
    /// every one that was refused, and of new invitations each one.
    pub items: Vec<BulkItem>,
}

/// One cluster of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkItem {
    /// Which.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// What changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<BulkChange>,
    /// Why nothing was done to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Its join token, shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<JoinToken>,
}

/// One thing that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkChange {
    /// What: `label ring`, `acme/kafka pin`.
    pub what: String,
    /// As it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// As it will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
