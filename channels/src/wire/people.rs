//! Answers for fleet admins: clusters, drift, health, audit.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::directive::Reason;
use super::report::{AcceptedRisk, Failure, HealthSummary, Phase, Progress, UnitState, WaitingOn};
use super::settings::ProductSettings;
use super::sites::SiteDrift;
use super::telemetry::{DriftSpread, LagTotals, RiskExposure, StuckRow};
use crate::eol::EndOfLife;
use crate::names::{Arch, ChannelName, ClusterId, ProductRef, SiteName, UnitName};
use crate::rollout::Labels;
use crate::version::ReleaseVersion;

/// One page of a keyset-paged list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Pass as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One cluster as `GET /api/v1/clusters` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// Its id.
    pub id: ClusterId,
    /// Its name.
    pub name: String,
    /// The dark site it belongs to; absent for clusters that report to this hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// Of a dark site: when the site's status was made. Nothing younger is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
    /// What the fleet's owner set at the hub; a cluster cannot set them.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What the fleet's owner wants of its products, where anything is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<ProductSettings>,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// Last report by the server's clock, absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// How fresh that is.
    pub freshness: Freshness,
    /// Version of its agent.
    pub agent_version: String,
    /// Last committed `seq`.
    pub seq: u64,
    /// Since when more than one agent is known to use its key; it gets no grants meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_conflict_since: Option<Timestamp>,
    /// Its key was revoked; nothing it reports is taken until it enrols again with another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_revoked: Option<KeyRevocation>,
    /// Its products.
    pub products: Vec<ProductRow>,
}

/// A person took a cluster's key out of force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevocation {
    /// When, by the server's clock.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// One product on one cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductRow {
    /// Which product.
    pub product: ProductRef,
    /// The channel it follows.
    pub channel: ChannelName,
    /// Its architecture.
    pub arch: Arch,
    /// What it runs.
    pub version: ReleaseVersion,
    /// What it is moving to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ReleaseVersion>,
    /// What it is doing.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// The unit that is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// How far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Health.
    pub health: HealthSummary,
    /// Distance to the channel's head.
    pub drift: Drift,
    /// Of a dark site: the distance to the head of the site's own channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_at_site: Option<Drift>,
    /// Why it is not moving: the agent's reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_on: Vec<WaitingOn>,
    /// Why it may not move: the hub's reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why_not: Vec<Reason>,
    /// When those reasons end, if only time is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_at: Option<Timestamp>,
    /// Last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Risks that its owner accepts on the cluster, with those whose time is over; none of a dark
    /// site's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_risks: Vec<AcceptedRisk>,
    /// Units as last reported; only in the answer about one cluster.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::report::known_units"
    )]
    pub units: Vec<UnitState>,
}

/// Age class of a cluster's last report, by the server's clock (reference/telemetry.md §1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// At most 2 report intervals old.
    Fresh,
    /// At most 5 intervals (or 30 minutes, if that is longer).
    Late,
    /// Older than that.
    Silent,
    /// Older than 24 hours; leaves the drift figures.
    Gone,
    /// Enrolled, but has not reported.
    Never,
    /// Not reported here but carried in the status file of a dark site, which is no older than
    /// expected. Older ones are `late` or `silent`.
    Carried,
    /// A class this reader does not know; never taken for fresh.
    #[serde(other)]
    Unknown,
}

impl Freshness {
    /// The name used on the wire, in tables and as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Late => "late",
            Self::Silent => "silent",
            Self::Gone => "gone",
            Self::Never => "never",
            Self::Carried => "carried",
            Self::Unknown => "unknown",
        }
    }
}

/// Distance of one cluster's product from the head of its channel, on its own graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Class.
    pub state: DriftState,
    /// Edges to the channel's head; absent when it cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hops: Option<u32>,
    /// Minor releases behind the head (majors count as their distance in minors is unknown: see
    /// `head`).
    pub behind_minor: u64,
    /// Patch releases behind, when major and minor are the head's.
    pub behind_patch: u64,
    /// Days since the newest reachable release came out, 0 on the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_days: Option<u64>,
    /// The head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<ReleaseVersion>,
    /// The last day that the running release's line is or was supported, UTC; absent where the
    /// vendor names none, and in answers of older hubs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eol: Option<EndOfLife>,
}

impl Drift {
    /// Whether the running release is past its end of life.
    pub fn is_past_eol(&self, now: Timestamp) -> bool {
        self.eol.is_some_and(|day| day.is_past(now))
    }

    /// Of a product on a channel that the hub has no graph of.
    pub fn no_graph() -> Self {
        Self {
            state: DriftState::NoGraph,
            hops: None,
            behind_minor: 0,
            behind_patch: 0,
            age_days: None,
            head: None,
            eol: None,
        }
    }
}

/// Class of a drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftState {
    /// Runs the head of its channel.
    Current,
    /// The head is reachable.
    Behind,
    /// Its version is in the graph, but no way leads to the head.
    Stranded,
    /// Its version is not in the graph.
    OffGraph,
    /// The hub has no such graph.
    NoGraph,
    /// A class this reader does not know; never taken for current.
    #[serde(other)]
    Unknown,
}

impl DriftState {
    /// The name used on the wire, in tables and as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Behind => "behind",
            Self::Stranded => "stranded",
            Self::OffGraph => "off_graph",
            Self::NoGraph => "no_graph",
            Self::Unknown => "unknown",
        }
    }
}

/// `GET /api/v1/drift`: one entry per (product, channel, arch).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftAnswer {
    /// Server's clock.
    pub at: Timestamp,
    /// Totals per graph.
    pub items: Vec<DriftTotals>,
    /// Totals per dark site and graph; not part of `items`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteDrift>,
    /// Registered sites of which no status was ever imported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites_never_reported: Vec<SiteName>,
}

/// Drift of a fleet on one graph. Active clusters only; silent ones are counted apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftTotals {
    /// Which product.
    pub product: ProductRef,
    /// Which channel.
    pub channel: ChannelName,
    /// Which architecture.
    pub arch: Arch,
    /// The head of the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<ReleaseVersion>,
    /// Clusters counted below.
    pub active: u64,
    /// Clusters left out because they are silent, gone or never reported.
    pub silent: u64,
    /// On the head.
    pub current: u64,
    /// On the way.
    pub behind: u64,
    /// In the graph with no way to the head.
    pub stranded: u64,
    /// Not in the graph.
    pub off_graph: u64,
    /// Past the end of life of what they run, whatever else they are; 0 in answers of older hubs.
    #[serde(default)]
    pub eol: u64,
    /// Clusters whose unit is out right now.
    pub rolling: u64,
    /// Clusters that wait, are paused or failed.
    pub stopped: u64,
    /// Most hops any active cluster needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hops_max: Option<u32>,
    /// Shares and percentiles of the active ones.
    #[serde(default)]
    pub spread: DriftSpread,
    /// Clusters by version, newest first.
    pub versions: Vec<VersionCount>,
}

/// How many clusters run a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionCount {
    /// The version.
    pub version: ReleaseVersion,
    /// Active clusters on it.
    pub clusters: u64,
    /// The last day it is or was supported, UTC, if the vendor names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eol: Option<EndOfLife>,
}

/// `GET /api/v1/health`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// Server's clock.
    pub at: Timestamp,
    /// Active clusters by verdict: healthy.
    pub healthy: u64,
    /// Unhealthy.
    pub unhealthy: u64,
    /// Unknown.
    pub unknown: u64,
    /// Products of clusters that are not healthy, worst first; bounded.
    pub worst: Vec<HealthRow>,
    /// Clusters that are in no figure above: silent or gone.
    #[serde(default)]
    pub silent: u64,
    /// Clusters that enrolled and have never reported.
    #[serde(default)]
    pub never: u64,
    /// The worst lags per product and channel.
    #[serde(default)]
    pub lags: Vec<LagTotals>,
    /// Products that want to move and stand still, longest first; bounded.
    #[serde(default)]
    pub stuck: Vec<StuckRow>,
    /// How many of them there are.
    #[serde(default)]
    pub stuck_total: u64,
    /// Whether there are more that nobody looked at.
    #[serde(default)]
    pub stuck_more: bool,
    /// Standing still for longer than this counts, seconds.
    #[serde(default)]
    pub stuck_after_s: u64,
    /// Clusters that stand before an edge with a risk.
    #[serde(default)]
    pub risks: Vec<RiskExposure>,
}

/// One product of one cluster that is not healthy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthRow {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// The product.
    pub product: ProductRef,
    /// The channel it follows; absent in answers of older hubs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
    /// Its health.
    pub health: HealthSummary,
    /// The first reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One row of the append-only, hash-chained audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Position, from 1.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a token's name, a cluster or `hub`.
    pub actor: String,
    /// What, `snake_case`.
    pub action: String,
    /// On what.
    pub object: String,
    /// Details as JSON text.
    pub detail: String,
    /// SHA-256 of the row before, hex.
    pub previous: String,
    /// SHA-256 of this row with `previous`, hex.
    pub hash: String,
}
