//! Why a cluster may not go, with the numbers a person needs, and when that may change.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::amount::Period;
use super::judge::WaitReason;
use super::policy::Name;
use super::share::Share;

/// One reason why a cluster is not granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "code")]
pub enum WhyNot {
    /// Its labels put it into no ring.
    NoRing,
    /// The rollout has not started.
    NotStarted {
        /// When it does.
        starts_at: Timestamp,
    },
    /// Somebody holds the rollout.
    Held,
    /// A gate halted it.
    Halted {
        /// Failures that wait to be acknowledged.
        failures: u32,
    },
    /// Too many clusters are of unknown health.
    HealthUnknown {
        /// How many are.
        unknown: u32,
        /// How many may be.
        allowed: u32,
    },
    /// Its ring is the first, and opens only after a person approved it.
    NeedsApproval {
        /// Its ring.
        ring: Name,
    },
    /// Its ring has not opened.
    RingClosed {
        /// Its ring.
        ring: Name,
        /// The ring that must pass first.
        behind: Name,
        /// What that one waits for; empty when it was not judged.
        waits_for: Vec<WaitReason>,
        /// When that one passes if nothing but time is missing.
        opens_at: Option<Timestamp>,
    },
    /// Its ring's curve has not come to it.
    NotYet {
        /// Its ring.
        ring: Name,
        /// Its place there.
        place: Share,
        /// The share that is open.
        open: Share,
        /// When the curve comes to it.
        eligible_at: Option<Timestamp>,
    },
    /// No maintenance window is open.
    OutsideWindows {
        /// When one opens.
        opens_at: Option<Timestamp>,
    },
    /// A freeze is on.
    Frozen {
        /// Why, in the owner's words.
        reason: String,
        /// When the calendar opens again.
        opens_at: Option<Timestamp>,
    },
    /// As many clusters as may are on their way.
    CapConcurrent {
        /// How many are.
        in_flight: u32,
        /// How many may be.
        limit: u32,
    },
    /// As many grants as may were given lately.
    CapPeriod {
        /// How many were.
        granted: u32,
        /// How many may be.
        limit: u32,
        /// Within this time.
        period: Period,
        /// When there is room for one; never with a limit of 0.
        frees_at: Option<Timestamp>,
    },
    /// As many clusters of its failure domain as may are on their way.
    CapFailureDomain {
        /// The label that names domains.
        label: String,
        /// Its domain; "" without the label.
        domain: String,
        /// How many are.
        in_flight: u32,
        /// How many may be.
        limit: u32,
    },
}

impl WhyNot {
    /// Stable code, the `code` of a directive's reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRing => "no_ring",
            Self::NotStarted { .. } => "not_started",
            Self::Held => "held",
            Self::Halted { .. } => "halted",
            Self::HealthUnknown { .. } => "health_unknown",
            Self::NeedsApproval { .. } => "needs_approval",
            Self::RingClosed { .. } => "ring_closed",
            Self::NotYet { .. } => "not_yet",
            Self::OutsideWindows { .. } => "outside_windows",
            Self::Frozen { .. } => "frozen",
            Self::CapConcurrent { .. } => "cap_concurrent",
            Self::CapPeriod { .. } => "cap_period",
            Self::CapFailureDomain { .. } => "cap_failure_domain",
        }
    }

    /// When this reason ends by itself; `None` when something else must happen first.
    pub fn earliest_at(&self) -> Option<Timestamp> {
        match self {
            Self::NotStarted { starts_at } => Some(*starts_at),
            Self::RingClosed { opens_at: at, .. }
            | Self::NotYet { eligible_at: at, .. }
            | Self::OutsideWindows { opens_at: at }
            | Self::Frozen { opens_at: at, .. }
            | Self::CapPeriod { frees_at: at, .. } => *at,
            Self::NoRing
            | Self::Held
            | Self::Halted { .. }
            | Self::HealthUnknown { .. }
            | Self::NeedsApproval { .. }
            | Self::CapConcurrent { .. }
            | Self::CapFailureDomain { .. } => None,
        }
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRing => f.write_str("its labels put it into no ring of the policy"),
            Self::NotStarted { starts_at } => write!(f, "the rollout starts at {starts_at}"),
            Self::Held => f.write_str("somebody holds the rollout"),
            Self::Halted { failures } => {
                write!(f, "the rollout halted; {failures} failures wait to be acknowledged")
            }
            Self::HealthUnknown { unknown, allowed } => {
                write!(f, "the health of {unknown} clusters is unknown, {allowed} may be")
            }
            Self::NeedsApproval { ring } => write!(f, "a person must approve ring {ring}"),
            Self::RingClosed { ring, behind, waits_for, .. } => {
                write!(f, "ring {ring} opens after ring {behind}")?;
                let mut before = ": ";
                for reason in waits_for {
                    write!(f, "{before}{reason}")?;
                    before = "; ";
                }
                Ok(())
            }
            Self::NotYet { ring, place, open, .. } => {
                write!(f, "ring {ring} is open to {open}, this cluster comes at {place}")
            }
            Self::OutsideWindows { opens_at } => match opens_at {
                Some(at) => write!(f, "no maintenance window is open until {at}"),
                None => f.write_str("no maintenance window opens within three years"),
            },
            Self::Frozen { reason, .. } => write!(f, "frozen: {reason}"),
            Self::CapConcurrent { in_flight, limit } => {
                write!(f, "{in_flight} clusters are on their way, {limit} may be")
            }
            Self::CapPeriod { granted, limit, period, .. } => {
                write!(f, "{granted} clusters were granted within {period}, {limit} may be")
            }
            Self::CapFailureDomain { label, domain, in_flight, limit } => {
                write!(
                    f,
                    "{in_flight} clusters with {label}={domain} are on their way, {limit} may be"
                )
            }
        }
    }
}

/// All reasons together: empty = the cluster may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Why not.
    pub why_not: Vec<WhyNot>,
    /// The earliest time at which none of them holds any more, if only time is missing.
    pub earliest_at: Option<Timestamp>,
}

impl Answer {
    /// From all reasons there are.
    pub fn of(why_not: Vec<WhyNot>) -> Self {
        let times: Option<Vec<Timestamp>> = why_not.iter().map(WhyNot::earliest_at).collect();
        let earliest_at = times.and_then(|times| times.into_iter().max());
        Self { why_not, earliest_at }
    }

    /// Whether the cluster may go.
    pub fn is_go(&self) -> bool {
        self.why_not.is_empty()
    }
}
