//! What happened to a rollout, for the audit log, webhooks and the event stream.

use channels::names::ClusterId;
use channels::rollout::{Failure, Name};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::state::RolloutId;

/// Something that happened. It is told after the commit that holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutEvent {
    /// When, by the hub's clock.
    pub at: Timestamp,
    /// To which rollout.
    pub rollout: RolloutId,
    /// The person, where one did it.
    pub by: Option<String>,
    /// What.
    pub kind: RolloutEventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum RolloutEventKind {
    /// The hub saw a governed release for the first time.
    Opened {
        /// Policy, product and version, for people.
        what: String,
        /// When it starts.
        starts_at: Timestamp,
    },
    /// A ring opened.
    RingOpened {
        /// Which.
        ring: Name,
    },
    /// A cluster failed.
    ClusterFailed {
        /// How.
        failure: Failure,
    },
    /// Failures halted it, or joined those that did.
    Halted {
        /// The new ones, at most [`FAILURES_TOLD`].
        failures: Vec<Failure>,
        /// All that wait to be acknowledged.
        waiting: usize,
    },
    /// Somebody acknowledged failures.
    Resumed {
        /// Which, at most [`FAILURES_TOLD`].
        seen: Vec<Failure>,
        /// How many still wait.
        waiting: usize,
        /// In the person's words.
        reason: String,
    },
    /// Somebody holds it, or one ring of it.
    Held {
        /// The ring, if only one.
        ring: Option<Name>,
        /// In the person's words.
        reason: String,
    },
    /// Somebody lifted that hold.
    Released {
        /// The ring, if only one.
        ring: Option<Name>,
        /// In the person's words.
        reason: String,
    },
    /// Somebody approved a ring.
    Approved {
        /// Which.
        ring: Name,
        /// In the person's words.
        reason: String,
    },
    /// Somebody made it an emergency.
    Emergency {
        /// In the person's words.
        reason: String,
    },
    /// The health of too many clusters is unknown.
    Blind,
    /// It is known again.
    Seeing,
    /// A newer release took its place.
    Superseded {
        /// The rollout of that one.
        by: RolloutId,
    },
    /// Every member runs the release.
    Converged,
    /// A new version of its policy applies.
    PolicyChanged {
        /// The version.
        version: u64,
    },
    /// Its policy was deleted: nobody starts any more.
    Closed,
    /// A cluster left in mid-attempt: it was retired, or moved on to another release.
    ClusterLeft {
        /// Which.
        cluster: ClusterId,
    },
}

/// Most failures named in one event; all of them are in the rollout.
pub const FAILURES_TOLD: usize = 20;

impl RolloutEventKind {
    /// Stable name: `rollout.` and this is the audit action and the webhook's kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "rollout.opened",
            Self::RingOpened { .. } => "rollout.ring_opened",
            Self::ClusterFailed { .. } => "rollout.cluster_failed",
            Self::Halted { .. } => "rollout.halted",
            Self::Resumed { .. } => "rollout.resumed",
            Self::Held { .. } => "rollout.held",
            Self::Released { .. } => "rollout.released",
            Self::Approved { .. } => "rollout.approved",
            Self::Emergency { .. } => "rollout.emergency",
            Self::Blind => "rollout.health_unknown",
            Self::Seeing => "rollout.health_known",
            Self::Superseded { .. } => "rollout.superseded",
            Self::Converged => "rollout.converged",
            Self::PolicyChanged { .. } => "rollout.policy_changed",
            Self::Closed => "rollout.closed",
            Self::ClusterLeft { .. } => "rollout.cluster_left",
        }
    }

    /// The rest, as JSON.
    pub fn detail(&self) -> Value {
        match self {
            Self::Opened { what, starts_at } => json!({"what": what, "starts_at": starts_at}),
            Self::RingOpened { ring } => json!({"ring": ring}),
            Self::ClusterFailed { failure } => json!({"failure": failure}),
            Self::Halted { failures, waiting } => {
                json!({"failures": failures, "waiting": waiting})
            }
            Self::Resumed { seen, waiting, reason } => {
                json!({"seen": seen, "waiting": waiting, "reason": reason})
            }
            Self::Held { ring, reason } | Self::Released { ring, reason } => {
                json!({"ring": ring, "reason": reason})
            }
            Self::Approved { ring, reason } => json!({"ring": ring, "reason": reason}),
            Self::Emergency { reason } => json!({"reason": reason}),
            Self::Superseded { by } => json!({"by": by}),
            Self::PolicyChanged { version } => json!({"version": version}),
            Self::ClusterLeft { cluster } => json!({"cluster": cluster}),
            Self::Blind | Self::Seeing | Self::Converged | Self::Closed => json!({}),
        }
    }
}
