//! What became of one cluster in a rollout, from what the hub heard of it.
//!
//! A cluster that never began has not failed. One that began and is not heard of has: silence is
//! the most common way to fail. The first failure stays, whatever the cluster says afterwards.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::policy::Deadlines;

/// How a cluster failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// It reported an error.
    Error,
    /// It went back to the release it came from.
    RolledBack,
    /// It began and did not finish in time.
    DeadlinePassed,
    /// It began and was not heard of for too long.
    Silent,
    /// It is worse than its own past.
    HealthRegression,
}

impl FailureKind {
    /// The words shown to people, after a cluster's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "reported an error",
            Self::RolledBack => "rolled back",
            Self::DeadlinePassed => "did not finish in time",
            Self::Silent => "fell silent",
            Self::HealthRegression => "is less healthy than before",
        }
    }
}

/// Where a cluster is in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ClusterState {
    /// It was not granted, or let its grant expire.
    NotStarted,
    /// It may go and has not begun.
    Granted {
        /// Since when.
        at: Timestamp,
    },
    /// It has begun and not ended.
    Rolling {
        /// Since when.
        began_at: Timestamp,
    },
    /// It runs the release, soaked on its own terms.
    Succeeded {
        /// Since when.
        at: Timestamp,
    },
    /// It failed; this never ages out.
    Failed {
        /// How.
        why: FailureKind,
        /// When.
        at: Timestamp,
    },
}

impl ClusterState {
    /// Whether it has begun: only such clusters prove anything about the release.
    pub fn is_attempted(self) -> bool {
        match self {
            Self::NotStarted | Self::Granted { .. } => false,
            Self::Rolling { .. } | Self::Succeeded { .. } | Self::Failed { .. } => true,
        }
    }

    /// Whether it counts against the caps: from its grant to its end.
    pub fn is_in_flight(self) -> bool {
        match self {
            Self::Granted { .. } | Self::Rolling { .. } => true,
            Self::NotStarted | Self::Succeeded { .. } | Self::Failed { .. } => false,
        }
    }
}

/// How an attempt ended, in the cluster's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum End {
    /// It runs the release.
    Succeeded {
        /// Since when.
        at: Timestamp,
    },
    /// It reported an error.
    Error {
        /// When.
        at: Timestamp,
    },
    /// It is back where it came from.
    RolledBack {
        /// When.
        at: Timestamp,
    },
}

/// What the hub knows of one cluster's attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempt {
    /// When a grant that is still good was given.
    pub granted_at: Option<Timestamp>,
    /// When its first unit was taken out.
    pub began_at: Option<Timestamp>,
    /// When it was last heard of.
    pub heard_at: Option<Timestamp>,
    /// How it says it ended.
    pub end: Option<End>,
    /// When its health was first found worse than its own past.
    pub regressed_at: Option<Timestamp>,
    /// The failure this function found earlier, if any; the caller keeps it.
    pub recorded: Option<(FailureKind, Timestamp)>,
}

/// Times that do not count against a cluster: first instant, and first instant after.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Interruptions {
    /// The hub was down: nobody could be heard, and no grant renewed.
    pub hub_down: Vec<(Timestamp, Timestamp)>,
    /// The rollout was stopped, so grants were not renewed.
    pub stopped: Vec<(Timestamp, Timestamp)>,
}

impl Attempt {
    /// The cluster's state at `now`.
    ///
    /// The silence clock stops while the hub was down. The progress clock stops then too, and while
    /// the rollout was stopped, because a cluster cannot go on without a renewed grant.
    pub fn state(
        &self,
        deadlines: &Deadlines,
        interruptions: &Interruptions,
        now: Timestamp,
    ) -> ClusterState {
        if let Some((why, at)) = self.recorded {
            return ClusterState::Failed { why, at };
        }
        let Some(began_at) = self.began_at else {
            return match (self.end, self.granted_at) {
                // An end without a beginning: the report of the beginning was lost.
                (Some(End::Succeeded { at }), _) => ClusterState::Succeeded { at },
                (Some(End::Error { at }), _) => failed(FailureKind::Error, at),
                (Some(End::RolledBack { at }), _) => failed(FailureKind::RolledBack, at),
                (None, Some(at)) => ClusterState::Granted { at },
                (None, None) => ClusterState::NotStarted,
            };
        };
        match self.first_failure(began_at, deadlines, interruptions, now) {
            Some((at, why)) => failed(why, at),
            None => match self.end {
                Some(End::Succeeded { at }) => ClusterState::Succeeded { at },
                Some(End::Error { .. } | End::RolledBack { .. }) | None => {
                    ClusterState::Rolling { began_at }
                }
            },
        }
    }

    fn first_failure(
        &self,
        began_at: Timestamp,
        deadlines: &Deadlines,
        interruptions: &Interruptions,
        now: Timestamp,
    ) -> Option<(Timestamp, FailureKind)> {
        let Interruptions { hub_down, stopped } = interruptions;
        let (ended_at, own) = match self.end {
            Some(End::Succeeded { at }) => (Some(at), None),
            Some(End::Error { at }) => (Some(at), Some((at, FailureKind::Error))),
            Some(End::RolledBack { at }) => (Some(at), Some((at, FailureKind::RolledBack))),
            None => (None, None),
        };
        let gaps: Vec<_> = hub_down.iter().chain(stopped).copied().collect();
        let due = after_gaps(began_at, deadlines.progress.duration(), gaps);
        let late = (ended_at.unwrap_or(now) > due).then_some((due, FailureKind::DeadlinePassed));
        let heard = self.heard_at.unwrap_or(began_at).max(began_at);
        let heard_until = after_gaps(heard, deadlines.silence.duration(), hub_down.clone());
        let silent = ended_at.is_none() && now > heard_until;
        let silent = silent.then_some((heard_until, FailureKind::Silent));
        let regressed = self.regressed_at.map(|at| (at, FailureKind::HealthRegression));
        [own, late, silent, regressed].into_iter().flatten().min()
    }
}

fn failed(why: FailureKind, at: Timestamp) -> ClusterState {
    ClusterState::Failed { why, at }
}

/// The moment by which `length` has passed since `from`, not counting the gaps.
fn after_gaps(
    from: Timestamp,
    length: SignedDuration,
    mut gaps: Vec<(Timestamp, Timestamp)>,
) -> Timestamp {
    gaps.sort_unstable();
    let mut counted_to = from;
    let mut rest = length;
    for (begin, end) in gaps {
        if end <= counted_to {
            continue;
        }
        let before = begin.max(counted_to).duration_since(counted_to);
        if before >= rest {
            break;
        }
        rest -= before;
        counted_to = end;
    }
    counted_to.saturating_add(rest).unwrap_or(Timestamp::MAX)
}
