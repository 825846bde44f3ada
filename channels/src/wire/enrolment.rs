//! How a cluster becomes known to a hub.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::ClusterId;
use crate::rollout::Labels;

/// `POST /api/v1/enrolments`, signed with the key it registers (proof of possession).
///
/// Idempotent by key: the same key with a valid token gets the same cluster id again. A token that
/// was minted for one cluster (`fairway clusters reinvite`) registers a new key for that cluster,
/// under its name; the key it had is refused from then on.
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
    /// Labels that every cluster which enrols with it gets.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
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

/// A join token that clusters may still enrol with, as `GET /api/v1/join-tokens` shows it. The
/// secret is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenJoinToken {
    /// Its number.
    pub id: u64,
    /// How many clusters may enrol with it.
    pub uses: u32,
    /// How many did.
    pub used: u32,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// The one cluster it was minted for; absent if it admits new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// What it is for.
    pub note: String,
    /// Labels that every cluster which enrols with it gets.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// When it was minted.
    pub created_at: Timestamp,
    /// By whose token.
    pub created_by: String,
}

/// `POST /api/v1/clusters/{id or name}/join-tokens`: one use, for one cluster that lost its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReinviteRequest {
    /// Seconds it stays valid, at most one day.
    pub expires_in_s: u64,
    /// Why, kept in the audit log.
    #[serde(default)]
    pub note: String,
}

/// `POST /api/v1/clusters/{id or name}/revoke`: the cluster's key is refused from then on. The cluster
/// stays in the fleet, and enrols again with another key once it is invited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeRequest {
    /// Why; must not be empty. The cluster's agent is told.
    pub reason: String,
}

/// `POST /api/v1/clusters/{id or name}/trust`: a person has looked at an identity conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustRequest {
    /// What the person has seen and done; must not be empty, kept in the audit log.
    pub acknowledge: String,
}

/// `POST /api/v1/clusters/self/key`, signed by the cluster's key in force (the old one).
///
/// Idempotent: repeated after a lost answer, it is answered as the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotationRequest {
    /// Whose key it is.
    pub cluster_id: ClusterId,
    /// The new public key, SPKI PEM, ed25519.
    pub public_key: String,
    /// Above every report the cluster has sent, so that an old request does nothing.
    pub seq: u64,
    /// The new key's signature over [`KeyRotationRequest::statement`], in hexadecimal digits: whoever
    /// asks has that key.
    pub proof: String,
}

impl KeyRotationRequest {
    /// What the new key signs. Key ids are SHA-256 in hexadecimal digits. The first line keeps it
    /// apart from everything else that is signed with these keys.
    pub fn statement(cluster: ClusterId, old_key: &str, new_key: &str, seq: u64) -> Vec<u8> {
        format!("fairway-key-rotation-v1\n{cluster}\n{old_key}\n{new_key}\n{seq}\n").into_bytes()
    }
}

/// The key in force from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotationReply {
    /// Whose key it is.
    pub cluster_id: ClusterId,
    /// Its key id, hexadecimal digits.
    pub key_id: String,
}
