//! Errors of `/api/v1` (RFC 9457).

use serde::{Deserialize, Serialize};

/// `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable, relative URI `/problems/<slug>`; the slug is also the metric label.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What, where, and what to do.
    pub detail: String,
    /// A TUF attack's name, where one was met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<String>,
    /// With `replayed_report`: the highest `seq` committed, so that an agent that lost count can go
    /// on above it. Told only to a request that the cluster's key has freshly signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
}
