//! Rollouts and the policies that govern them, as people see and steer them.
//!
//! Everything a person needs to answer "why is this cluster not moving, and when will it" is in
//! here; the arithmetic behind it is [`crate::rollout`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use signing::Sha256Digest;

use super::directive::Reason;
use crate::names::{ClusterId, ProductRef};
use crate::rollout::Name;
use crate::version::ReleaseVersion;

/// Failures shown with a rollout, those that nobody acknowledged first; more are only counted. A
/// person who lets a rollout go on names those seen, so there is room for 2 % of a million.
pub const MAX_LISTED_FAILURES: usize = 20_000;

/// Largest body of `PUT /api/v1/rollout-policies/{name}`: a policy of 1 MiB, every byte escaped.
pub const MAX_POLICY_BODY_BYTES: usize = 2 * crate::rollout::policy::POLICY_MAX_BYTES;

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Its start is still to come.
    Scheduled,
    /// It goes on.
    Running,
    /// Somebody holds it.
    Held,
    /// Its gates halted it, until a person acknowledges why.
    Halted,
    /// The health of too many clusters is unknown.
    Blind,
    /// A newer release has its own rollout; this one starts only what cannot go there directly.
    Superseded,
    /// Its policy was taken out of force: nobody starts any more.
    Closed,
    /// Every cluster that it is for runs the release.
    Converged,
    /// A state this reader does not know; never taken for running.
    #[serde(other)]
    Unknown,
}

impl RolloutState {
    /// The name used on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Held => "held",
            Self::Halted => "halted",
            Self::Blind => "blind",
            Self::Superseded => "superseded",
            Self::Closed => "closed",
            Self::Converged => "converged",
            Self::Unknown => "unknown",
        }
    }
}

/// One rollout in `GET /api/v1/rollouts`, and as `GET /api/v1/rollouts/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutRow {
    /// Its number at the hub.
    pub id: u64,
    /// The policy that governs it.
    pub policy: Name,
    /// The policy's version in force.
    pub policy_version: u64,
    /// Which product.
    pub product: ProductRef,
    /// Which release.
    pub release: ReleaseVersion,
    /// SHA-256 of the release document.
    pub digest: Sha256Digest,
    /// When the hub first saw the release in a channel that the policy governs.
    pub opened_at: Timestamp,
    /// When it starts, or did.
    pub starts_at: Timestamp,
    /// Where it stands.
    pub state: RolloutState,
    /// Whether somebody made it an emergency: the steep curve, no windows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
    /// Its rings, in the order in which they open.
    pub rings: Vec<RolloutRing>,
    /// Its failures, those that nobody acknowledged first; at most [`MAX_LISTED_FAILURES`]. Only in
    /// the answer about one rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<RolloutFailure>,
    /// How many at a time, and how many are.
    pub caps: RolloutCaps,
    /// The rollout of the newer release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<u64>,
    /// Who holds it, or one of its rings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<RolloutHold>,
    /// Of a halted one: releases that clusters may go back to by the graph and the release's own
    /// document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollback_offers: Vec<ReleaseVersion>,
    /// How the open share of the fleet would grow if nothing stopped it, in order of time. Only in
    /// the answer about one rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<PlannedShare>,
}

/// Somebody holds a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutHold {
    /// The ring, if only one is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Name>,
    /// Why, in the holder's words.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// One ring of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutRing {
    /// Its name.
    pub name: Name,
    /// Clusters in it.
    pub members: u32,
    /// Not granted.
    pub not_started: u32,
    /// Granted, not begun.
    pub granted: u32,
    /// Begun, not ended.
    pub rolling: u32,
    /// They run the release.
    pub succeeded: u32,
    /// Failed and not acknowledged.
    pub failed: u32,
    /// Failed and acknowledged.
    pub acknowledged: u32,
    /// Rolling or succeeded, and of unknown health.
    pub unknown: u32,
    /// They ran the release already, without this rollout's doing.
    #[serde(default)]
    pub there: u32,
    /// How much of it the curve has opened, per cent with two decimals at most.
    pub open_share_percent: f64,
    /// Where it stands.
    pub state: RingState,
    /// What the next ring waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<Reason>,
    /// When it opens, as far as only time is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
}

/// Where a ring stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RingState {
    /// Behind another ring.
    Closed,
    /// Only a person's approval is missing.
    AwaitsApproval,
    /// Its clusters may go as the curve comes to them.
    Open,
    /// Somebody holds it.
    Held,
    /// Its gates halted the rollout.
    Halted,
    /// Its gates passed.
    Passed,
    /// A state this reader does not know; never taken for open.
    #[serde(other)]
    Unknown,
}

impl RingState {
    /// The name used on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::AwaitsApproval => "awaits_approval",
            Self::Open => "open",
            Self::Held => "held",
            Self::Halted => "halted",
            Self::Passed => "passed",
            Self::Unknown => "unknown",
        }
    }
}

/// A cluster that failed in a rollout. It stays for as long as the rollout does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutFailure {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// How: `error`, `rolled_back`, `deadline_passed`, `silent`, `health_regression`, or a kind that
    /// a later release added.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// Whether a person has seen and accepted it.
    #[serde(default)]
    pub acknowledged: bool,
}

/// What limits how many clusters go at a time. A missing limit does not bind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutCaps {
    /// Clusters between grant and end.
    pub in_flight: u32,
    /// Most of them in the whole rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// Most grants within a sliding period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_period: Option<CapPerPeriod>,
    /// Most of them in one failure domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_failure_domain: Option<CapPerDomain>,
}

/// Most grants within a sliding period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapPerPeriod {
    /// How many.
    pub grants: u32,
    /// In how many seconds.
    pub period_s: u64,
}

/// Most clusters at a time that fail together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapPerDomain {
    /// The label whose value names the domain.
    pub label: String,
    /// How many.
    pub concurrent: u32,
}

/// A point of the curve that a rollout would follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedShare {
    /// When.
    pub at: Timestamp,
    /// Which ring.
    pub ring: Name,
    /// How much of the ring is open from then on, per cent.
    pub share_percent: f64,
}

/// One cluster in `GET /api/v1/rollouts/{id}/clusters`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutCluster {
    /// Its id.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// Its ring; absent when its labels put it into none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Name>,
    /// Its place in the ring: it may go when the open share is above it, per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place_percent: Option<f64>,
    /// What it runs.
    pub version: ReleaseVersion,
    /// Where it is.
    pub state: AttemptState,
    /// Since when, once it was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Why it may not go; of one that failed, what its health gate saw, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why_not: Vec<Reason>,
    /// When that ends, if only time is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_at: Option<Timestamp>,
}

/// Where a cluster is in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Not granted, or the grant expired unused.
    NotStarted,
    /// Granted, not begun.
    Granted,
    /// Begun, not ended.
    Rolling,
    /// It runs the release.
    Succeeded,
    /// It failed, and nobody has acknowledged it.
    Failed,
    /// It failed, and a person has acknowledged it.
    Acknowledged,
    /// A state this reader does not know.
    #[serde(other)]
    Unknown,
}

impl AttemptState {
    /// Every state that this reader knows.
    pub const KNOWN: [Self; 6] = [
        Self::NotStarted,
        Self::Granted,
        Self::Rolling,
        Self::Succeeded,
        Self::Failed,
        Self::Acknowledged,
    ];

    /// The name used on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Granted => "granted",
            Self::Rolling => "rolling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Acknowledged => "acknowledged",
            Self::Unknown => "unknown",
        }
    }
}

/// `POST /api/v1/rollouts/{id}/hold`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutHoldRequest {
    /// Why; must not be empty.
    pub reason: String,
    /// Only this ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Name>,
}

/// `POST /api/v1/rollouts/{id}/resume`: acknowledges failures, and lifts the holds of the rollout
/// (or, with `ring`, of that ring).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutResumeRequest {
    /// What the person has seen and accepts; must not be empty, kept in the audit log.
    pub acknowledge: String,
    /// Lift only the holds of this ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Name>,
    /// The failures that the person has seen. Others stay, and halt it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<SeenFailure>,
}

/// A failure as a person has seen it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenFailure {
    /// Which cluster.
    pub cluster: ClusterId,
    /// How: `error`, `rolled_back`, `deadline_passed`, `silent`, `health_regression`, or a kind that
    /// a later release added.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// `POST /api/v1/rollouts/{id}/approve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutApproveRequest {
    /// The ring that may open once its gates pass.
    pub ring: Name,
    /// Why; must not be empty, kept in the audit log.
    pub reason: String,
}

/// `POST /api/v1/rollouts/{id}/emergency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutEmergencyRequest {
    /// Why; must not be empty, kept in the audit log.
    pub reason: String,
}

/// `PUT /api/v1/rollout-policies/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRequest {
    /// The policy file as it is: YAML.
    pub text: String,
}

/// The answer to [`PolicyRequest`]: what was applied, or with `?dry_run=true` what would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReply {
    /// The policy's name.
    pub name: Name,
    /// Its version then.
    pub version: u64,
    /// Whether that differs from the version before.
    pub changed: bool,
    /// What lint says. Errors are not applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<PolicyFinding>,
    /// Which rings the fleet's clusters fall into.
    pub rings: Vec<RingSize>,
    /// Clusters that the policy governs and that are in no ring: they never go.
    pub in_no_ring: u64,
}

/// One finding of a policy's lint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFinding {
    /// `error`, `warning` or `info`.
    pub severity: String,
    /// Its stable code.
    pub code: String,
    /// The sentence shown to people.
    pub message: String,
}

/// How many clusters are in a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingSize {
    /// The ring.
    pub name: Name,
    /// Clusters in it.
    pub clusters: u64,
}

/// One policy in `GET /api/v1/rollout-policies`, and with its text as
/// `GET /api/v1/rollout-policies/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRow {
    /// Its name.
    pub name: Name,
    /// Its version, from 1.
    pub version: u64,
    /// When that version was applied.
    pub applied_at: Timestamp,
    /// By whom.
    pub applied_by: String,
    /// What it is for, one line each; empty = everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applies_to: Vec<String>,
    /// Its rings, in order.
    pub rings: Vec<Name>,
    /// The file as it was applied; only in the answer about one policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
