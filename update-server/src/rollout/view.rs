//! What people see of a rollout.

use channels::names::{ClusterId, ProductRef};
use channels::rollout::{Caps, ClusterState, Counts, Failure, HealthGate, Name, Share, WaitReason};
use channels::version::ReleaseVersion;
use jiff::Timestamp;
use signing::Sha256Digest;

use super::rollouts::Rollouts;
use super::state::{RolloutId, Said};
use crate::fleet::Slot;
use crate::served::Served;

/// How a rollout stands, the gravest word first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RolloutStatus {
    /// Failures stopped it.
    Halted,
    /// Somebody stopped it.
    Held,
    /// The health of too many clusters is unknown.
    Blind,
    /// Its policy was deleted.
    Closed,
    /// A newer release took its place.
    Superseded,
    /// Every member runs the release.
    Converged,
    /// It has not started.
    Scheduled,
    /// It runs.
    Running,
}

impl RolloutStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Halted => "halted",
            Self::Held => "held",
            Self::Blind => "blind",
            Self::Closed => "closed",
            Self::Superseded => "superseded",
            Self::Converged => "converged",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
        }
    }
}

/// One ring.
#[derive(Debug, Clone, PartialEq)]
pub struct RingView {
    /// Its name.
    pub name: Name,
    /// As of the last tick.
    pub counts: Counts,
    /// How much of it is open; `None` while it is closed.
    pub open: Option<Share>,
    /// What keeps the next ring closed, or this one while it is closed itself.
    pub waits_for: Vec<WaitReason>,
    /// When it opens, if only time is missing.
    pub opens_at: Option<Timestamp>,
    /// Somebody holds it.
    pub held: Option<Said>,
    /// Whether it waits for a person's approval.
    pub needs_approval: bool,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutView {
    /// Its number.
    pub id: RolloutId,
    /// Its policy.
    pub policy: Name,
    /// The version of the policy that applies.
    pub policy_version: u64,
    /// Its product.
    pub product: ProductRef,
    /// Its release.
    pub version: ReleaseVersion,
    /// Digest of the release's document.
    pub digest: Sha256Digest,
    /// When the hub first saw it.
    pub opened_at: Timestamp,
    /// When it starts, or started.
    pub starts_at: Timestamp,
    /// How it stands.
    pub status: RolloutStatus,
    /// Its rings, in order.
    pub rings: Vec<RingView>,
    /// Failures, acknowledged or not, in order of time.
    pub failures: Vec<(Failure, bool)>,
    /// Its caps.
    pub caps: Caps,
    /// Clusters that count against them.
    pub in_flight: u32,
    /// Somebody holds it.
    pub held: Option<Said>,
    /// Somebody made it an emergency.
    pub emergency: Option<Said>,
    /// The newest one that took its place.
    pub superseded_by: Option<RolloutId>,
    /// When every member ran the release for the first time.
    pub converged_at: Option<Timestamp>,
}

/// One cluster in a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptView {
    /// Its row.
    pub slot: Slot,
    /// Who.
    pub cluster: ClusterId,
    /// Its ring.
    pub ring: Name,
    /// Where it is.
    pub state: ClusterState,
    /// How it does.
    pub health: HealthGate,
    /// Whether its failure was acknowledged.
    pub acknowledged: bool,
}

/// A cluster may be led back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackOffer {
    /// Its row.
    pub slot: Slot,
    /// Who.
    pub cluster: ClusterId,
    /// Where it came from.
    pub to: ReleaseVersion,
}

impl Rollouts {
    /// Every rollout, newest first.
    pub fn views(&self, now: Timestamp) -> Vec<RolloutView> {
        self.heads.keys().rev().filter_map(|id| self.view(*id, now)).collect()
    }

    /// One rollout.
    pub fn view(&self, id: RolloutId, now: Timestamp) -> Option<RolloutView> {
        let _ = (id, now);
        None
    }

    /// The live attempts of a rollout, by row: on their way, soaking, or failed.
    pub fn attempts(&self, id: RolloutId, now: Timestamp) -> Vec<AttemptView> {
        let _ = (id, now);
        Vec::new()
    }

    /// Whether a cluster succeeded in this rollout and has soaked.
    pub fn has_settled(&self, id: RolloutId, slot: Slot) -> bool {
        self.attempts.get(&id).is_some_and(|all| all.settled.contains(slot))
    }

    /// Clusters that failed and may go back where they came from: the graph has that edge and the
    /// older release's document allows it.
    pub fn rollback_offers(&self, id: RolloutId, served: &dyn Served) -> Vec<RollbackOffer> {
        let _ = (id, served);
        Vec::new()
    }

    /// The curves as they are planned: open share of the whole fleet's rings at each time.
    pub fn planned(&self, id: RolloutId, now: Timestamp) -> Vec<(Timestamp, Name, Share)> {
        let _ = (id, now);
        Vec::new()
    }
}
