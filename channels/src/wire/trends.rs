//! How the fleet was: figures the hub notes every five minutes, by product and channel.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::Phase;
use crate::names::{ChannelName, ProductRef};
use crate::version::ReleaseVersion;

/// Answer of `GET /api/v1/trends`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendsAnswer {
    /// When the hub answered.
    pub at: Timestamp,
    /// Begin of the first step.
    pub from: Timestamp,
    /// End of the last step.
    pub to: Timestamp,
    /// Seconds of one step.
    pub step_s: u64,
    /// One per product and channel, in the order of their names; what the hub sums up comes first.
    pub series: Vec<TrendSeries>,
}

/// One product and channel over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendSeries {
    /// Which product; absent where the hub sums up the many small ones that it does not tell apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductRef>,
    /// Which channel; absent with the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// Oldest first. A step in which the hub noted nothing has no point: it was down, or had just
    /// come up and had not heard of everybody again.
    pub points: Vec<TrendPoint>,
}

/// One step of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendPoint {
    /// Begin of the step.
    pub at: Timestamp,
    /// How many five-minute notes are in it.
    pub notes: u64,
    /// The newest of them; only the worst lags are those of the whole step.
    pub figures: TrendFigures,
}

/// How the clusters of one product and channel were at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendFigures {
    /// Clusters by age of their last report: on time.
    pub fresh: u64,
    /// Late.
    pub late: u64,
    /// Silent: not counted in anything below.
    pub silent: u64,
    /// Gone: likewise.
    pub gone: u64,
    /// Fresh and late ones by verdict: healthy.
    pub healthy: u64,
    /// Unhealthy.
    pub unhealthy: u64,
    /// Unknown.
    pub unknown: u64,
    /// What they run, most clusters first.
    #[serde(default)]
    pub versions: Vec<TrendVersion>,
    /// What they do; phases in which none is are left out.
    #[serde(default)]
    pub phases: Vec<TrendPhase>,
    /// `KRaft` quorum lag.
    #[serde(default)]
    pub quorum_lag: TrendLag,
    /// PLEG lag.
    #[serde(default)]
    pub pleg_lag: TrendLag,
}

/// Clusters that run one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendVersion {
    /// Which; absent for all that are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ReleaseVersion>,
    /// How many.
    pub clusters: u64,
    /// Of those, healthy ones.
    pub healthy: u64,
    /// Unhealthy ones.
    pub unhealthy: u64,
}

/// Clusters in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendPhase {
    /// Which.
    pub phase: Phase,
    /// How many.
    pub clusters: u64,
}

/// A lag over the clusters that report it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendLag {
    /// Clusters that report one.
    pub known: u64,
    /// Half of them have at most this lag, milliseconds, rounded up by at most 7 percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u64>,
    /// 95 percent of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<u64>,
    /// The worst, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_ms: Option<u64>,
}
