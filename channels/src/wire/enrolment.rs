//! How a cluster becomes known to a hub.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::ClusterId;

/// `POST /api/v1/enrolments`, signed with the key it registers (proof of possession).
///
/// Idempotent by key: the same key with a valid token gets the same cluster id again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentRequest {
    /// The join token a person minted with `fairway clusters invite`.
    pub join_token: String,
    /// The cluster's public key, SPKI PEM, ed25519.
    pub public_key: String,
    /// A name for people; the hub may refuse one that is taken.
    pub name: String,
    /// Version of the agent.
    pub agent_version: String,
}

/// What the hub issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentReply {
    /// The cluster's identity from now on.
    pub cluster_id: ClusterId,
    /// Seconds until the first report is due.
    pub next_report_in_s: u64,
}

/// `POST /api/v1/join-tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenRequest {
    /// How many clusters may enrol with it, 1 to 100,000.
    pub uses: u32,
    /// Seconds it stays valid, at most 30 days.
    pub expires_in_s: u64,
    /// What it is for, kept in the audit log.
    #[serde(default)]
    pub note: String,
}

/// The minted token; the hub keeps only its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// The secret, shown once.
    pub token: String,
    /// How many clusters may enrol with it.
    pub uses: u32,
    /// When it stops working.
    pub expires_at: Timestamp,
}
