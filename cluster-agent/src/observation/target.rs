//! The units to observe, as local configuration names them.

use std::collections::BTreeSet;

use channels::names::{PoolName, UnitName};
use channels::wire::Role;

use super::{UnitKey, WitnessSource};
use crate::telemetry::Signal;

/// One unit to probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Which unit.
    pub key: UnitKey,
    /// Its role.
    pub role: Role,
    /// A controller whose process is a broker, too: it is read for both.
    pub also_broker: bool,
    /// Its pool.
    pub pool: PoolName,
    /// Kafka node id; needed for controllers, whose leader is named by id.
    pub node_id: Option<i64>,
    /// Where it runs.
    pub placement: Placement,
    /// Address of its metrics page; `None` for a unit that only witnesses know of (a workload).
    pub metrics_url: Option<String>,
    /// Sources beside the page that must have spoken of it, and lately, or it is unknown.
    pub witnesses: BTreeSet<WitnessSource>,
    /// Whose word says which version it runs, and that it restarted.
    pub evidence_from: EvidenceFrom,
    /// Where its version shows.
    pub version_evidence: VersionEvidence,
    /// Signals without which it is unknown; [`Signal::required_of`] is the default.
    pub required: BTreeSet<Signal>,
    /// Age at which its last good page is stale, milliseconds.
    pub stale_after_ms: u64,
}

impl Target {
    /// Whether its process serves partitions.
    pub fn is_broker(&self) -> bool {
        self.role == Role::Broker || self.also_broker
    }

    /// Every signal its page may carry.
    pub fn signals(&self) -> BTreeSet<Signal> {
        let own = Signal::of_role(self.role).iter();
        let both: &[Signal] = if self.also_broker { Signal::of_role(Role::Broker) } else { &[] };
        own.chain(both).copied().collect()
    }
}

/// Whose word counts for the version of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvidenceFrom {
    /// Its metrics page: version family and process start.
    #[default]
    Page,
    /// A witness: its version and its incarnation.
    Witness(WitnessSource),
}

/// Where a controller, broker or workload runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Placement {
    /// Not known: it may be on any node, so every node's gate asks for it.
    #[default]
    Unknown,
    /// On none of this cluster's nodes.
    Elsewhere,
    /// On the node of that unit name, in whichever product the node belongs to.
    OnNode(UnitName),
}

/// The metric family and label that carry a unit's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionEvidence {
    /// Metric name.
    pub family: String,
    /// Label whose value is the version.
    pub label: String,
}

impl VersionEvidence {
    /// The usual place for units of `role`; workloads name their own (`<name>_build_info`).
    pub fn default_of(role: Role) -> Self {
        let (family, label) = match role {
            Role::Controller | Role::Broker => ("kafka_server_app_info", "version"),
            Role::Node => ("kubernetes_build_info", "git_version"),
            Role::Workload => ("workload_build_info", "version"),
        };
        Self { family: family.to_owned(), label: label.to_owned() }
    }
}
