//! Facts of the moment that other parts hand to the planner: lease, quorum changes, checks.
//!
//! Plain values. None of them is persisted: an agent that starts anew asks again.

use channels::names::{ProductRef, UnitName};
use jiff::Timestamp;
use signing::Sha256Digest;

use super::{Scene, WaitingOn};

/// How it stands with the lease that lets one agent of several act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseFact {
    /// This agent holds it.
    Held {
        /// Until when, unless it is renewed (agent's clock).
        until: Timestamp,
    },
    /// Another one holds it.
    Elsewhere {
        /// Who.
        holder: String,
        /// Since when this agent knows.
        since: Timestamp,
    },
    /// It cannot be told.
    Unknown {
        /// Why.
        why: String,
        /// Since when.
        since: Timestamp,
    },
}

/// A change of a quorum's voters under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumChange {
    /// The product whose quorum it is.
    pub product: ProductRef,
    /// What is done, for people: "replace controller 3".
    pub what: String,
    /// Since when.
    pub since: Timestamp,
}

/// Who checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckSource {
    /// The owner's commands.
    Commands,
    /// Queries of a Prometheus server.
    Prometheus,
    /// The Kubernetes API.
    Kubernetes,
    /// A native Kafka client.
    Kafka,
}

/// What one check said about one target release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// Name of the check; its gate is `check_<name>`.
    pub name: String,
    /// Digest of the release document it was made for.
    pub release: Sha256Digest,
    /// The unit it was made for; `None` = for the whole roll.
    pub unit: Option<UnitName>,
    /// What it found.
    pub outcome: CheckOutcome,
    /// When it ended, or was begun if it still runs (agent's clock).
    pub at: Timestamp,
}

impl CheckResult {
    /// Whether it has not passed, for a reason that lasts.
    pub fn says_no(&self) -> bool {
        matches!(self.outcome, CheckOutcome::Failed { .. } | CheckOutcome::Unknown { .. })
    }
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Nothing speaks against the release.
    Passed,
    /// Something does.
    Failed {
        /// What.
        why: String,
    },
    /// It cannot be told.
    Unknown {
        /// Why.
        why: String,
    },
    /// It has not ended.
    Running,
}

/// Only the holder of the lease starts anything.
pub fn lease(scene: &Scene<'_>) -> Option<WaitingOn> {
    let (why, since) = match scene.standing.lease.as_ref()? {
        LeaseFact::Held { until } if scene.now < *until => return None,
        LeaseFact::Held { until } => ("this agent's own ran out".to_owned(), Some(*until)),
        LeaseFact::Elsewhere { holder, since } => (format!("{holder} holds it"), Some(*since)),
        LeaseFact::Unknown { why, since } => (format!("it cannot be told: {why}"), Some(*since)),
    };
    Some(WaitingOn::Lease { why, since })
}

/// No unit goes while the voters of a quorum change, and no product: a node may carry a voter.
pub fn quorum_change(scene: &Scene<'_>) -> Option<WaitingOn> {
    let QuorumChange { product, what, since } = scene.standing.quorum_change.clone()?;
    Some(WaitingOn::QuorumChange { product, what, since })
}
