//! What a simulation tells: the document behind `--output json`, and what charts are drawn from.
//!
//! Times are UTC. `…_s` are seconds after the start of the rollout or lengths in seconds. Fields
//! are only ever added within a [`FORMAT`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rollout::{Name, Percent, Period};
use crate::version::ReleaseVersion;

/// Version of the document.
pub const FORMAT: u32 = 1;
/// Most evenly spaced points of the curve, one for each few pixels of a chart, and most points
/// besides at which the rollout stops or goes on.
pub const CURVE_POINTS_MAX: usize = 240;

/// How a simulation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Every cluster of every ring succeeded or failed.
    Converged,
    /// A gate halted it, and nobody resumes it.
    Halted,
    /// Somebody holds it to the end.
    Held,
    /// Nothing moves any more, though nobody stopped it.
    Stuck,
    /// It needs more steps than are simulated; take a longer step.
    OutOfSteps,
}

/// A simulation's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// The policy's name.
    pub policy: Name,
    /// The fleet's name.
    pub fleet: String,
    /// The release.
    pub release: ReleaseVersion,
    /// The seed.
    pub seed: u64,
    /// The step; times are no more exact.
    pub step: Period,
    /// When the rollout starts.
    pub starts_at: Timestamp,
    /// The faults, as written.
    pub faults: Vec<String>,
    /// Clusters in rings; shares are of these.
    pub clusters: u32,
    /// Clusters no ring selects: they never get the release.
    pub in_no_ring: u32,
    /// Clusters that run it already.
    pub already_there: u32,
    /// How it ended.
    pub ended: Ending,
    /// When.
    pub ended_after_s: u64,
    /// The fleet at the end.
    pub totals: Totals,
    /// Most clusters the curves came to within one step, and the step.
    pub largest_step: LargestStep,
    /// Most clusters between grant and end.
    pub in_flight_most: u32,
    /// The rings in order.
    pub rings: Vec<RingReport>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What the release did to clusters; absent unless a fault is the release's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<Harm>,
    /// Why clusters waited, longest first.
    pub waits: Vec<WaitReport>,
    /// The fleet over time: evenly spaced steps, the last one, and those at which the rollout stops
    /// or goes on.
    pub curve: Vec<CurvePoint>,
}

/// The fleet at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Clusters that began.
    pub begun: u32,
    /// Those that succeeded and are well.
    pub succeeded: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that stand somewhere in the middle.
    pub in_flight: u32,
    /// Clusters that never began.
    pub not_started: u32,
}

/// The steepest step of the curves as they ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargestStep {
    /// Clusters that became eligible in it.
    pub clusters: u32,
    /// Their share of all.
    pub share: Percent,
    /// When.
    pub after_s: u64,
}

/// One ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingReport {
    /// Its name.
    pub name: Name,
    /// Its clusters.
    pub clusters: u32,
    /// When it would open if nothing went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_s: Option<u64>,
    /// When it opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_s: Option<u64>,
    /// When its first cluster was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_grant_s: Option<u64>,
    /// When its gates let the next ring open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_s: Option<u64>,
    /// When its last cluster succeeded or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converged_s: Option<u64>,
    /// Clusters that began.
    pub begun: u32,
    /// Clusters that succeeded and are well.
    pub succeeded: u32,
    /// Clusters that failed.
    pub failed: u32,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub after_s: u64,
    /// The same as a time.
    pub at: Timestamp,
    /// `ring_opened`, `ring_passed`, `ring_converged`, `halted`, `resumed`, `held`, `released`,
    /// `health_unknown`, `health_known`, `hub_down` or `hub_back`.
    pub what: String,
    /// The ring it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Name>,
    /// In words, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a bad release did. A cluster is *hit* when it began and the release harms it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Harm {
    /// Clusters the release would harm if all of them took it.
    pub harmed: u32,
    /// When the first of them began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_hit_s: Option<u64>,
    /// When the rollout first halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted_s: Option<u64>,
    /// From the first to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_halt_s: Option<u64>,
    /// Exposure up to the first halt, or to the end without one.
    pub before_halt: Exposure,
    /// Exposure at the end, resumed or not.
    pub at_end: Exposure,
    /// By ring, up to the first halt or the end.
    pub by_ring: Vec<RingExposure>,
    /// The same release when the health of no cluster can be read.
    pub if_unreadable: Shadow,
    /// The same release when clusters it harms look healthy: what the pace alone saves.
    pub if_unseen: Shadow,
}

/// How far a bad release came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// Clusters that began.
    pub begun: u32,
    /// Those it harms.
    pub hit: u32,
    /// Their share of all clusters in rings.
    pub hit_share: Percent,
}

/// Exposure of one ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingExposure {
    /// The ring.
    pub ring: Name,
    /// Clusters that began.
    pub begun: u32,
    /// Those it harms.
    pub hit: u32,
}

/// The same release under a worse gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// How that ended.
    pub ended: Ending,
    /// Exposure at its end.
    pub at_end: Exposure,
    /// Clusters hit after an hour, six hours, a day, three, six and thirteen days.
    pub hit_after: Vec<HitAfter>,
}

/// Clusters hit by a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitAfter {
    /// The time.
    pub after_s: u64,
    /// How many.
    pub hit: u32,
}

/// How long clusters waited for one reason. One that waits for two counts under both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitReport {
    /// Code of the hub's reason, or `offline`, `hub_down`.
    pub reason: String,
    /// Waiting time of all clusters together, in hours, rounded.
    pub cluster_hours: u64,
    /// Most clusters at one step.
    pub most: u32,
    /// When the first one waited for it.
    pub first_s: u64,
    /// What that one was told.
    pub example: String,
}

/// The fleet at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// When.
    pub after_s: u64,
    /// Clusters that would be eligible if nothing went wrong.
    pub planned: u32,
    /// Clusters the curves have come to.
    pub eligible: u32,
    /// Clusters that began.
    pub begun: u32,
    /// Clusters that succeeded and are well.
    pub succeeded: u32,
    /// Clusters that failed.
    pub failed: u32,
    /// Whether somebody or a gate stops the rollout, or the hub is down.
    pub stopped: bool,
}

impl Report {
    /// The document, indented, with a line break at its end.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The share of all clusters in rings that `clusters` are.
    pub fn share(&self, clusters: u32) -> Percent {
        share(clusters, self.clusters)
    }
}

pub(super) fn share(part: u32, whole: u32) -> Percent {
    if part == 0 {
        return Percent::ZERO;
    }
    crate::rollout::Share::of_ratio(u64::from(part), u64::from(whole)).percent()
}
