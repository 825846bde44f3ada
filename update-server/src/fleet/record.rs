//! One cluster as the store reads and writes it.

use std::sync::Arc;

use channels::names::{Arch, ChannelName, ClusterId, ProductRef, UnitName};
use channels::rollout::Labels;
use channels::version::ReleaseVersion;
use channels::wire::{
    AcceptedRisk, AgentInstance, Failure, HealthSummary, KeyRevocation, Phase, ProductSettings,
    ProductState, Progress, Reason, UnitState, WaitingOn,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use crate::directive::Ledger;

/// A cluster's row number, from 0 in the order of enrolment; its rowid in the database is one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// The rowid in the `cluster` table.
    pub fn rowid(self) -> i64 {
        i64::from(self.0) + 1
    }

    /// The slot of a rowid; `None` for a rowid the hub never gives.
    pub fn from_rowid(rowid: i64) -> Option<Self> {
        rowid.checked_sub(1).and_then(|n| u32::try_from(n).ok()).map(Self)
    }

    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The graph a cluster's product follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GraphKey {
    /// Which product.
    pub product: ProductRef,
    /// Which channel.
    pub channel: ChannelName,
    /// Which architecture.
    pub arch: Arch,
}

/// A cluster's ed25519 key: its 32 bytes, and the key id that names it in signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterKey {
    /// The public key.
    pub bytes: [u8; 32],
    /// SHA-256 over its canonical TUF form (the key id, without the hex).
    pub id: Sha256Digest,
}

/// Why a cluster's key is no longer in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEnd {
    /// The cluster asked for another one.
    Rotated,
    /// The cluster enrolled again, because a person said that the key is lost or in wrong hands.
    Reenrolled,
}

impl KeyEnd {
    /// The name in the database and in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Reenrolled => "reenrolled",
        }
    }

    /// The end of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Rotated, Self::Reenrolled].into_iter().find(|end| end.as_str() == name)
    }
}

/// A key that was in force before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormerKey {
    /// The key.
    pub key: ClusterKey,
    /// Why it ended.
    pub end: KeyEnd,
    /// When, by the hub's clock; the epoch if that was before the hub kept it.
    pub at: Timestamp,
}

/// Everything the hub knows of a cluster except its units.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterRecord {
    /// Issued at enrolment.
    pub id: ClusterId,
    /// For people; unique among clusters in force.
    pub name: String,
    /// What it signs with.
    pub key: ClusterKey,
    /// What it signed with before.
    pub former: Option<FormerKey>,
    /// The oldest of the keys that were rotated shortly before that. All others are forgotten, and
    /// refused as unknown.
    pub elder: Option<FormerKey>,
    /// What the fleet's owner set; shared by every cluster with the same ones.
    pub labels: Arc<Labels>,
    /// What the fleet's owner wants of its products, in the order of their names; shared likewise.
    pub settings: Arc<Vec<ProductSettings>>,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
    /// When a person retired it; it may not report from then on.
    pub retired_at: Option<Timestamp>,
    /// Version of its agent.
    pub agent_version: String,
    /// Last report, by the hub's clock.
    pub last_seen: Option<Timestamp>,
    /// Last committed `seq`; 0 before the first report.
    pub seq: u64,
    /// The process of its agent that sent it, if it said so.
    pub instance: Option<AgentInstance>,
    /// Since when two agents are known to use its key.
    pub conflict_since: Option<Timestamp>,
    /// A person took its key out of force.
    pub revoked: Option<Arc<KeyRevocation>>,
    /// Its grants.
    pub ledger: Ledger,
    /// Its products, in the order of the last full report.
    pub products: Vec<ProductRecord>,
}

impl ClusterRecord {
    /// What is set for a product.
    pub fn settings_of(&self, product: &ProductRef) -> Option<&ProductSettings> {
        self.settings.iter().find(|settings| settings.product == *product)
    }

    /// The key of this id, if it was in force before and is remembered.
    pub fn ended(&self, key_id: &Sha256Digest) -> Option<FormerKey> {
        [self.former, self.elder].into_iter().flatten().find(|ended| ended.key.id == *key_id)
    }
}

/// One product of a cluster: what it reported, and why the hub does not let it move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductRecord {
    /// Product, channel, architecture.
    pub graph: GraphKey,
    /// What it runs.
    pub version: ReleaseVersion,
    /// What it moves to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ReleaseVersion>,
    /// What it is doing.
    pub phase: Phase,
    /// Since when, by the agent's clock.
    pub since: Timestamp,
    /// The unit that is out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// How far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Health.
    pub health: HealthSummary,
    /// The agent's reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_on: Vec<WaitingOn>,
    /// The hub's reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why_not: Vec<Reason>,
    /// Last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Risks that its owner accepts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_risks: Vec<AcceptedRisk>,
}

impl ProductRecord {
    /// The record of a reported state, and its units apart: they are kept on disk only.
    pub fn of(state: ProductState) -> (Self, Vec<UnitState>) {
        let record = Self {
            graph: GraphKey { product: state.product, channel: state.channel, arch: state.arch },
            version: state.version,
            target: state.target,
            phase: state.phase,
            since: state.since,
            unit: state.unit,
            progress: state.progress,
            health: state.health,
            waiting_on: state.waiting_on,
            why_not: Vec::new(),
            failure: state.failure,
            accepted_risks: state.accepted_risks,
        };
        (record, state.units)
    }

    /// Whether it says that it began a unit on the way to a release: before, it has no progress to
    /// tell.
    pub fn has_begun(&self, to: &ReleaseVersion) -> bool {
        self.progress.is_some() && self.target.as_ref() == Some(to)
    }

    /// Whether it waits, is paused or failed.
    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Paused) || self.failure.is_some()
    }
}
