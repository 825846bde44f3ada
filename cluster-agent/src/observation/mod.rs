//! What the agent knows of its cluster at one moment.
//!
//! Plain values: made by the observer from probe results, read by gates, planner and reports.
//! Nothing in here does I/O or reads a clock.

pub(crate) mod agreement;
mod baseline;
mod broker;
mod disagreement;
mod finding;
mod memory;
mod observer;
mod partition_count;
mod quorum;
mod reading;
mod summary;
mod target;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests")]
mod tests;
mod witness;

use std::collections::BTreeMap;

use channels::names::{PoolName, ProductRef, UnitName};
use channels::wire::{HealthVerdict, Role};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use disagreement::QuorumWord;
pub use finding::{Finding, LagSource, read_from};
pub use observer::{Observer, ObserverError, ObserverSettings};
pub use target::{EvidenceFrom, Placement, Target, VersionEvidence};
pub use witness::{Heard, Witness, WitnessSource};

/// One unit of the cluster; unique across products.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitKey {
    /// The product whose component the unit runs.
    pub product: ProductRef,
    /// The unit's name within the product.
    pub unit: UnitName,
}

impl std::fmt::Display for UnitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}/{}", self.product, self.unit))
    }
}

/// The whole cluster at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When it was put together (agent's clock).
    pub at: Timestamp,
    /// Every configured unit, whether it answers or not.
    pub units: BTreeMap<UnitKey, UnitObservation>,
    /// One entry per product that has controllers.
    pub quorums: BTreeMap<ProductRef, QuorumObservation>,
    /// Partitions at exactly `min.insync.replicas` while nothing was under-replicated, by product;
    /// absent until brokers were seen that way once.
    pub at_min_isr_baseline: BTreeMap<ProductRef, u64>,
    /// What stands against any unit's going, beside the units themselves: alerts, queries, etcd.
    pub gates: Vec<ClusterGate>,
}

/// A finding about the cluster as a whole, from outside the units' pages.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterGate {
    /// Whom it concerns.
    pub scope: GateScope,
    /// What was found; what cannot be told is a finding too.
    pub finding: Finding,
    /// Whether it also pauses a roll under way, or only keeps the next unit from going.
    pub stops: bool,
}

/// Which units a [`ClusterGate`] keeps from going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateScope {
    /// Every unit of the cluster.
    All,
    /// Units of one role.
    Role(Role),
    /// Units of one product.
    Product(ProductRef),
    /// Units of one pool of a product.
    Pool(ProductRef, PoolName),
    /// One unit.
    Unit(UnitKey),
}

impl GateScope {
    /// Whether the unit is one of those it concerns.
    pub fn covers(&self, key: &UnitKey, unit: &UnitObservation) -> bool {
        match self {
            Self::All => true,
            Self::Role(role) => unit.role == *role,
            Self::Product(product) => key.product == *product,
            Self::Pool(product, pool) => key.product == *product && unit.pool == *pool,
            Self::Unit(own) => key == own,
        }
    }
}

impl Observation {
    /// The controllers of a product.
    pub(crate) fn voters(&self, product: &ProductRef) -> Vec<(&UnitName, &UnitObservation)> {
        self.of_role(product, Role::Controller)
    }

    /// Brokers of a product, combined nodes among them.
    pub(crate) fn brokers(&self, product: &ProductRef) -> Vec<(&UnitName, &UnitObservation)> {
        self.units
            .iter()
            .filter(|(key, unit)| key.product == *product && unit.is_broker())
            .map(|(key, unit)| (&key.unit, unit))
            .collect()
    }

    /// Units of one role of a product.
    pub(crate) fn of_role(
        &self,
        product: &ProductRef,
        role: Role,
    ) -> Vec<(&UnitName, &UnitObservation)> {
        self.units
            .iter()
            .filter(|(key, unit)| key.product == *product && unit.role == role)
            .map(|(key, unit)| (&key.unit, unit))
            .collect()
    }
}

/// One unit.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitObservation {
    /// Its role.
    pub role: Role,
    /// Its pool.
    pub pool: PoolName,
    /// Kafka node id of a controller or broker.
    pub node_id: Option<i64>,
    /// Where it runs.
    pub placement: Placement,
    /// When it last answered with a page that could be read (agent's clock).
    pub last_good: Option<Timestamp>,
    /// The version it reports, without a leading `v`.
    pub version: Option<String>,
    /// Unix start time of its process, seconds.
    pub process_start: Option<f64>,
    /// Names this life of it, where a witness is the evidence: boot id, pod uid.
    pub incarnation: Option<String>,
    /// Whose word counts for its version and its restart.
    pub evidence_from: EvidenceFrom,
    /// Healthy only if every required signal is present, fresh and inside its limit.
    pub verdict: HealthVerdict,
    /// Since when the verdict is not healthy.
    pub bad_since: Option<Timestamp>,
    /// Why it is not healthy; empty exactly when the verdict is healthy.
    pub findings: Vec<Finding>,
    /// Controllers: quorum lag, milliseconds (rolling.md §1.4); `None` = unknown.
    pub quorum_lag_ms: Option<u64>,
    /// Nodes: PLEG lag, milliseconds (rolling.md §4.2); `None` = unknown.
    pub pleg_lag_ms: Option<u64>,
    /// Controllers: the confirmed leader of its quorum.
    pub is_leader: bool,
    /// Nodes: readiness, where a metric says so.
    pub node_ready: Option<bool>,
    /// Age at which its last good page is stale, milliseconds.
    pub stale_after_ms: u64,
    /// Controllers: what the last good probe read; `None` if the last probe failed.
    pub voter: Option<VoterView>,
    /// Brokers and combined nodes: what the last good probe read; `None` if the last probe failed.
    pub broker: Option<BrokerView>,
    /// Controllers: its process is a broker, too (a combined node), so both gates count.
    pub also_broker: bool,
    /// Brokers and combined nodes: logs and segments still to be recovered after an unclean stop;
    /// 0 = it recovers and does not say how much is left, `None` = it does not recover. It may rise
    /// when the next log is begun: any change of it is progress.
    pub recovering: Option<u64>,
    /// Nodes: what the PLEG tracker makes of the last good probe; `None` if the last probe failed.
    pub pleg: Option<channels::health::PlegReading>,
}

impl UnitObservation {
    /// Whether its process serves partitions.
    pub fn is_broker(&self) -> bool {
        self.role == Role::Broker || self.also_broker
    }
}

/// A controller's own words about its quorum, as read by the last probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VoterView {
    /// Where it stands in the quorum; `None` if it cannot be told.
    pub state: Option<VoterState>,
    /// Node id of the leader it knows; `None` if it knows none.
    pub current_leader: Option<i64>,
    /// Its epoch.
    pub epoch: Option<u64>,
    /// Its log end offset.
    pub log_end_offset: Option<i64>,
    /// Epoch of the last record in its log.
    pub log_end_epoch: Option<u64>,
    /// Its high watermark; `None` also just after an election.
    pub high_watermark: Option<i64>,
    /// Whether it is the active controller.
    pub active: Option<bool>,
    /// Voters in the quorum, where exported.
    pub number_of_voters: Option<u64>,
    /// A voter change is under way.
    pub uncommitted_change: bool,
    /// Metadata errors since its process started.
    pub metadata_errors: Option<u64>,
    /// Fenced brokers (meaningful on the active controller).
    pub fenced_brokers: Option<u64>,
    /// Partitions without a leader (meaningful on the active controller).
    pub offline_partitions: Option<u64>,
    /// Partitions of all topics, where exported (meaningful on the active controller).
    pub global_partitions: Option<u64>,
    /// Probes in a row, since its process started, with a lag inside the limit.
    pub good_probes: u32,
}

/// A voter's state; only leader and follower take part in commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VoterState {
    /// The quorum's leader.
    Leader,
    /// A follower that fetches.
    Follower,
    /// Candidate, voted, unattached, prospective, observer, resigned or a state yet unheard of.
    Other(String),
}

/// A broker's replication gauges, as read by the last probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerView {
    /// Partitions led here with fewer in-sync replicas than replicas.
    pub under_replicated: Option<u64>,
    /// Partitions led here below `min.insync.replicas`.
    pub under_min_isr: Option<u64>,
    /// Partitions led here at exactly `min.insync.replicas`.
    pub at_min_isr: Option<u64>,
    /// Partitions led here under reassignment.
    pub reassigning: Option<u64>,
    /// `BrokerState`, where exported: 3 is RUNNING.
    pub state: Option<u64>,
    /// Replicas here whose log directory is offline, where exported.
    pub offline_replicas: Option<u64>,
    /// Logs still to be recovered, over all directories, where exported.
    pub logs_to_recover: Option<u64>,
    /// Segments still to be recovered of the logs that are begun, where exported.
    pub segments_to_recover: Option<u64>,
}

/// The metadata quorum of one product.
#[derive(Debug, Clone, PartialEq)]
pub struct QuorumObservation {
    /// The leader that every reachable voter agrees on and that confirms it.
    pub leader: Option<UnitName>,
    /// The epoch every reachable voter is in.
    pub epoch: Option<u64>,
    /// Voters configured.
    pub voters_expected: u32,
    /// Highest high watermark seen.
    pub high_watermark: Option<i64>,
    /// Highest log end offset of the confirmed leader in this epoch.
    pub leader_log_end_offset: Option<i64>,
    /// Since when there is no confirmed leader.
    pub leaderless_since: Option<Timestamp>,
    /// Whether the quorum commits.
    pub commits: channels::health::CommitProgress,
    /// Time within which it must; `None` = it need not (`metadata.max.idle.interval.ms=0`).
    pub commit_window_ms: Option<u64>,
    /// What is wrong with the quorum as a whole.
    pub findings: Vec<Finding>,
}
