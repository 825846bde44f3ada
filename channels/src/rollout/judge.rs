//! Judging a ring: may the next one open, what is missing, or must everything stop?
//!
//! Unknown never passes. Failures stay until a person acknowledges them, and then only new ones
//! count.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::amount::{Amount, Percent};
use super::attempt::{ClusterState, FailureKind};
use super::gates::Gates;
use crate::names::ClusterId;

/// What the health gate says of one cluster against its own past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "health")]
pub enum HealthGate {
    /// As good as before.
    Pass,
    /// Worse than before.
    Fail {
        /// Since when.
        since: Timestamp,
    },
    /// It cannot be told.
    Unknown,
}

/// One cluster of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which.
    pub cluster: ClusterId,
    /// Where it is.
    pub state: ClusterState,
    /// How it does. Looked at once it has begun.
    pub health: HealthGate,
}

impl Member {
    /// The state with the health gate's word in it: a cluster that began and is worse than before
    /// has failed.
    pub fn judged_state(&self) -> ClusterState {
        match (self.state, self.health) {
            (
                ClusterState::Rolling { .. } | ClusterState::Succeeded { .. },
                HealthGate::Fail { since },
            ) => ClusterState::Failed { why: FailureKind::HealthRegression, at: since },
            (state, HealthGate::Pass | HealthGate::Unknown | HealthGate::Fail { .. }) => state,
        }
    }
}

/// The clusters of a ring that are told apart by nothing but what they count as: at a million
/// clusters a list of those that have not begun would be all there is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rest {
    /// They have not begun.
    pub not_started: u32,
    /// They succeeded, soaked, and were well to the end of it.
    pub settled: u32,
    /// They run the release already, and this rollout did not bring them there. They count for the
    /// sample and for nothing else: nobody saw them change, so they must not water down the share
    /// of failures.
    pub there: u32,
    /// They went beyond the release. They are no members, and a ring is not empty with them.
    pub beyond: u32,
}

/// A ring's clusters: those that are looked at one by one, and the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Muster {
    /// One by one.
    pub members: Vec<Member>,
    /// The others.
    pub rest: Rest,
}

/// A failure somebody may acknowledge. A cluster that fails again fails anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// Which cluster.
    pub cluster: ClusterId,
    /// How.
    pub why: FailureKind,
    /// When.
    pub at: Timestamp,
}

/// The failures a person has seen and accepted.
pub type Acknowledged = BTreeSet<Failure>;

/// A ring in numbers. Acknowledged failures count under `acknowledged` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Clusters in the ring.
    pub members: u32,
    /// Not granted.
    pub not_started: u32,
    /// Granted, not begun.
    pub granted: u32,
    /// Begun, not ended.
    pub rolling: u32,
    /// Succeeded.
    pub succeeded: u32,
    /// Failed and not acknowledged.
    pub failed: u32,
    /// Failed and acknowledged.
    pub acknowledged: u32,
    /// Rolling or succeeded, and of unknown health.
    pub unknown: u32,
    /// Running the release already without this rollout's doing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub there: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Counts {
    /// Clusters that began, without acknowledged failures: what shares are of.
    pub fn attempted(&self) -> u32 {
        self.rolling.saturating_add(self.succeeded).saturating_add(self.failed)
    }
}

/// Something a ring waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum WaitReason {
    /// Nobody is in the ring.
    RingEmpty,
    /// Too few began.
    SampleTooSmall {
        /// How many did.
        attempted: u32,
        /// How many must.
        needed: u32,
        /// Out of so many.
        members: u32,
    },
    /// Too few of those that began have succeeded.
    TooFewSucceeded {
        /// How many did.
        succeeded: u32,
        /// How many began.
        attempted: u32,
        /// What share must.
        needed: Percent,
    },
    /// Too many are of unknown health.
    HealthUnknown {
        /// How many are.
        unknown: u32,
        /// How many may be.
        allowed: u32,
        /// How many began.
        attempted: u32,
    },
    /// The last success is too fresh.
    Soaking {
        /// Until then.
        until: Timestamp,
    },
    /// Nobody approved it.
    Approval,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RingEmpty => f.write_str("no cluster is in the ring"),
            Self::SampleTooSmall { attempted, needed, members } => {
                write!(f, "{attempted} of {members} clusters have begun, {needed} must")
            }
            Self::TooFewSucceeded { succeeded, attempted, needed } => {
                write!(f, "{succeeded} of {attempted} clusters that began succeeded, {needed} must")
            }
            Self::HealthUnknown { unknown, allowed, attempted } => {
                write!(
                    f,
                    "the health of {unknown} of {attempted} clusters is unknown, {allowed} may be"
                )
            }
            Self::Soaking { until } => write!(f, "the last success soaks until {until}"),
            Self::Approval => f.write_str("a person must approve it"),
        }
    }
}

/// What tripped a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// Unacknowledged failures.
    pub failed: u32,
    /// How many there may be.
    pub allowed: u32,
    /// How many clusters began.
    pub attempted: u32,
    /// The gate, as the policy has it.
    pub max_failures: Amount,
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failed, allowed, attempted, max_failures } = self;
        write!(f, "{failed} of {attempted} clusters failed, {allowed} may ({max_failures})")
    }
}

/// What follows for a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "decision")]
pub enum Decision {
    /// The next ring may open.
    Advance,
    /// Not yet.
    Wait {
        /// Everything that is missing.
        reasons: Vec<WaitReason>,
        /// When the answer changes if nothing happens; `None` when something must.
        earliest_at: Option<Timestamp>,
    },
    /// Stop the rollout.
    Halt {
        /// The failures to acknowledge, in order of time.
        failures: Vec<Failure>,
        /// What tripped it.
        trip: Trip,
    },
}

/// A ring, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The ring in numbers.
    pub counts: Counts,
    /// What follows.
    pub decision: Decision,
}

impl Judgement {
    /// The unknown budget it exceeds, if it does: nothing more may start then.
    pub fn blind(&self) -> Option<WaitReason> {
        match &self.decision {
            Decision::Wait { reasons, .. } => reasons
                .iter()
                .find(|reason| matches!(reason, WaitReason::HealthUnknown { .. }))
                .copied(),
            Decision::Advance | Decision::Halt { .. } => None,
        }
    }
}

/// Judges a ring by its gates.
///
/// Every ring that opened stays under judgement, also after the next one opened: a release that
/// goes bad late halts too.
pub fn judge(
    gates: &Gates,
    members: &[Member],
    acknowledged: &Acknowledged,
    now: Timestamp,
) -> Judgement {
    judge_muster(gates, &Rest::default(), members, acknowledged, now)
}

/// Judges a ring of which only some clusters are listed.
pub fn judge_muster(
    gates: &Gates,
    rest: &Rest,
    members: &[Member],
    acknowledged: &Acknowledged,
    now: Timestamp,
) -> Judgement {
    let mut counts = Counts {
        members: rest.not_started.saturating_add(rest.settled).saturating_add(rest.there),
        not_started: rest.not_started,
        succeeded: rest.settled,
        there: rest.there,
        ..Counts::default()
    };
    let mut failures = Vec::new();
    let mut last_success: Option<Timestamp> = None;
    for member in members {
        let state = member.judged_state();
        counts.members += 1;
        let is_unknown = member.health == HealthGate::Unknown;
        match state {
            ClusterState::NotStarted => counts.not_started += 1,
            ClusterState::Granted { .. } => counts.granted += 1,
            ClusterState::Rolling { .. } => {
                counts.rolling += 1;
                counts.unknown += u32::from(is_unknown);
            }
            ClusterState::Succeeded { at } => {
                counts.succeeded += 1;
                counts.unknown += u32::from(is_unknown);
                last_success = last_success.max(Some(at));
            }
            ClusterState::Failed { why, at } => {
                let failure = Failure { cluster: member.cluster, why, at };
                if acknowledged.contains(&failure) {
                    counts.acknowledged += 1;
                } else {
                    counts.failed += 1;
                    failures.push(failure);
                }
            }
        }
    }
    failures.sort_by_key(|failure| (failure.at, *failure));
    let decision = decide(gates, &counts, rest, failures, last_success, now);
    Judgement { counts, decision }
}

fn decide(
    gates: &Gates,
    counts: &Counts,
    rest: &Rest,
    failures: Vec<Failure>,
    last_success: Option<Timestamp>,
    now: Timestamp,
) -> Decision {
    let attempted = counts.attempted();
    let allowed = gates.max_failures.at_most(attempted);
    if counts.failed > allowed {
        let max_failures = gates.max_failures;
        let trip = Trip { failed: counts.failed, allowed, attempted, max_failures };
        return Decision::Halt { failures, trip };
    }
    let mut reasons = Vec::new();
    if counts.members == 0 && rest.beyond == 0 {
        reasons.push(WaitReason::RingEmpty);
    }
    let allowed = gates.max_unknown.at_most(attempted);
    if counts.unknown > allowed {
        reasons.push(WaitReason::HealthUnknown { unknown: counts.unknown, allowed, attempted });
    }
    let (members, succeeded) = (counts.members, counts.succeeded);
    let needed = gates.min_sample.at_least(members);
    if members > 0 && attempted.saturating_add(counts.there) < needed {
        reasons.push(WaitReason::SampleTooSmall { attempted, needed, members });
    }
    if !gates.success.is_met_by(succeeded, attempted) {
        let needed = gates.success;
        reasons.push(WaitReason::TooFewSucceeded { succeeded, attempted, needed });
    }
    let soaked_at = last_success
        .map(|at| at.saturating_add(gates.soak.duration()).unwrap_or(Timestamp::MAX))
        .filter(|until| *until > now);
    if let Some(until) = soaked_at {
        reasons.push(WaitReason::Soaking { until });
    }
    if reasons.is_empty() {
        return Decision::Advance;
    }
    let earliest_at = soaked_at.filter(|_| reasons.len() == 1);
    Decision::Wait { reasons, earliest_at }
}
