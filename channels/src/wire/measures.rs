//! What a rollout policy wants to know of each cluster beside its health: PromQL that the cluster's own
//! Prometheus answers, so that a cluster is judged against its own past.

use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::names::ProductRef;

/// Names a query and the time its baseline is taken over: 16 hexadecimal digits. A policy that changes
/// either asks for something else, which no earlier answer is an answer to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeasureId(String);

impl MeasureId {
    /// The id of a query over so many seconds.
    pub fn of(query: &str, over_s: u64) -> Self {
        let digest = Sha256Digest::of(format!("{over_s} {query}").as_bytes()).hex();
        Self(digest.chars().take(16).collect())
    }
}

impl std::fmt::Display for MeasureId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// The hub wants a cluster to measure this, for as long as its replies say so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Measure {
    /// The product whose rollout depends on it.
    pub product: ProductRef,
    /// Names it in reports.
    pub id: MeasureId,
    /// What people call it.
    pub name: String,
    /// `PromQL` that answers one number.
    pub query: String,
    /// The baseline is its mean over so many seconds.
    pub over_s: u64,
}

impl Measure {
    /// Most measures of one cluster, over all its products: two rings with all that a ring may have.
    pub const MAX: usize = 64;
    /// Longest queries of one cluster together, bytes: one ring with all that a ring may have.
    pub const MAX_QUERY_BYTES: usize = 128 * 1024;
}

/// What a cluster measured. A number that is absent is unknown: never good, and never bad.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Of what.
    pub id: MeasureId,
    /// The query's value within the last minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Its mean over the time asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Why a number is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
