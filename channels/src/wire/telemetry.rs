//! What fleet admins ask beside rows: the worst lags, who is stuck, who is exposed to which risk, and
//! what a cluster went through.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::report::{HealthVerdict, Phase, Progress, WaitingOn};
use crate::names::{Arch, ChannelName, ClusterId, ProductRef, UnitName};
use crate::version::ReleaseVersion;

/// How far the active clusters of one graph are spread behind its head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftSpread {
    /// Clusters on the head, percent of the active ones, rounded down: 100 means all of them.
    pub on_head_percent: u64,
    /// Days since the newest reachable release came out: half of the clusters whose days are known
    /// have at most so many. Absent while none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_days_p50: Option<u64>,
    /// 95 percent of them have at most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_days_p95: Option<u64>,
    /// Most minor releases any of them is behind.
    pub behind_minor_max: u64,
}

/// Quorum and PLEG lag of the active clusters that follow one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagTotals {
    /// Which product.
    pub product: ProductRef,
    /// Which channel.
    pub channel: ChannelName,
    /// Active clusters counted below.
    pub active: u64,
    /// Clusters left out because they are silent or gone: nobody knows how they are.
    pub silent: u64,
    /// Of the active ones by verdict on this product: healthy.
    pub healthy: u64,
    /// Unhealthy.
    pub unhealthy: u64,
    /// Unknown.
    pub unknown: u64,
    /// Active clusters that report a quorum lag at all.
    pub quorum_lag_known: u64,
    /// The worst `KRaft` quorum lags, worst first.
    #[serde(default)]
    pub quorum_lag: Vec<LagRow>,
    /// Active clusters that report a PLEG lag at all.
    pub pleg_lag_known: u64,
    /// The worst PLEG lags, worst first.
    #[serde(default)]
    pub pleg_lag: Vec<LagRow>,
}

/// A lag of one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LagRow {
    /// The lag, milliseconds.
    pub lag_ms: u64,
    /// The unit that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// Its cluster.
    pub cluster: ClusterId,
    /// The cluster's name.
    pub name: String,
    /// What the cluster makes of it.
    pub verdict: HealthVerdict,
    /// Since when it is over its limit, if the cluster says so; else since when the verdict is what
    /// it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// A product of an active cluster that wants to move and has not for longer than asked. One that
/// waits because a person, a window or the hub said so is not stuck, and one that is silent is
/// counted as that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StuckRow {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// The product.
    pub product: ProductRef,
    /// The channel it follows.
    pub channel: ChannelName,
    /// What it runs.
    pub version: ReleaseVersion,
    /// What it moves to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ReleaseVersion>,
    /// Where it stands.
    pub phase: Phase,
    /// Since when, by the agent's clock.
    pub since: Timestamp,
    /// The unit that is out or that is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// How far it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The gate that it waits for, or the kind of its failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Who a risk of one graph concerns: active clusters on a version with an edge that carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskExposure {
    /// Which product.
    pub product: ProductRef,
    /// Which channel.
    pub channel: ChannelName,
    /// Which architecture.
    pub arch: Arch,
    /// Name of the risk.
    pub risk: String,
    /// What happens to an exposed cluster.
    pub message: String,
    /// Page for people.
    pub url: String,
    /// Whether every cluster is exposed (`Always`); otherwise each finds out by its own metrics.
    pub always: bool,
    /// Clusters that have an edge with this risk before them.
    pub clusters: u64,
    /// Of those, clusters that have no edge upwards without any risk: they stay until someone
    /// accepts it or their metrics clear it.
    pub blocked: u64,
    /// The versions that the edges lead to, oldest first.
    pub to: Vec<ReleaseVersion>,
}

/// A risk on an edge before one cluster: `GET /api/v1/clusters/{id}/risks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterRisk {
    /// Which product.
    pub product: ProductRef,
    /// The channel it follows.
    pub channel: ChannelName,
    /// What it runs.
    pub version: ReleaseVersion,
    /// Name of the risk.
    pub risk: String,
    /// What happens to an exposed cluster.
    pub message: String,
    /// Page for people.
    pub url: String,
    /// Whether every cluster is exposed (`Always`); otherwise it finds out by its own metrics.
    pub always: bool,
    /// Whether the cluster has no edge upwards without any risk.
    pub blocked: bool,
    /// The releases behind the edges with this risk, oldest first.
    pub to: Vec<ReleaseVersion>,
    /// What the cluster itself last said of risks that keep it: that they apply (`risk`), or that it
    /// cannot tell (`risk_unknown`). Absent where none keeps it, or it does not want to go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<WaitingOn>,
}

/// One entry of a cluster's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TimelineEntry {
    /// Its report said something new.
    Change {
        /// When the hub learned of it.
        at: Timestamp,
        /// Which product.
        product: ProductRef,
        /// What it runs from here on.
        version: ReleaseVersion,
        /// What it moves to from here on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<ReleaseVersion>,
        /// What it does from here on.
        phase: Phase,
        /// The unit that is out from here on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<UnitName>,
        /// Its health from here on.
        health: HealthVerdict,
        /// `seq` of the report that said so.
        seq: u64,
    },
    /// Somebody, or the hub itself, did something to it.
    Action {
        /// When.
        at: Timestamp,
        /// Number of the audit row.
        audit: u64,
        /// What, `snake_case`.
        action: String,
        /// Who.
        actor: String,
        /// Details as JSON text.
        detail: String,
    },
    /// An entry of a kind this reader does not know.
    #[serde(other)]
    Unknown,
}

impl TimelineEntry {
    /// When it happened; `None` for kinds this reader does not know.
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Change { at, .. } | Self::Action { at, .. } => Some(*at),
            Self::Unknown => None,
        }
    }
}
