//! One cluster in a rollout: what is remembered of it from its grant until it has soaked.

use channels::names::ClusterId;
use channels::rollout::{Attempt, ClusterState, Deadlines, End, HealthGate, Interruptions, Name};
use channels::version::ReleaseVersion;
use channels::wire::HealthSummary;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::health::Seen;
use super::measures::Worse;

/// After a grant expired, how long its place under the caps is kept: the report of a unit that
/// began in its last moment is on its way.
pub const LAPSE_GRACE: SignedDuration = SignedDuration::from_secs(60);

/// Most stretches of time kept in which somebody held the cluster; more are told as one.
const HELD_MAX: usize = 16;

/// An attempt with what it is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tracked {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Generation of the first grant; 0 if the hub did not grant it.
    pub generation: u64,
    /// Its ring when it was granted: it is judged there, whatever its labels become.
    pub ring: Name,
    /// What it came from.
    pub from: ReleaseVersion,
    /// Its failure domain under the caps, if they have any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What it has come to.
    pub attempt: Attempt,
    /// Whether it counts against the caps.
    pub in_flight: bool,
    /// When its newest grant expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Time of the failure it reported along with its question: that one is not this attempt's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_failure: Option<Timestamp>,
    /// Its health when it was granted; `None` if the hub did not grant it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<HealthSummary>,
    /// Its health since.
    pub seen: Seen,
    /// The baseline by which it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse: Option<Box<Worse>>,
    /// When somebody held this cluster, its channel or its ring, so that no grant was renewed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<(Timestamp, Timestamp)>,
}

impl Tracked {
    /// Where it is at `now`.
    pub fn state(
        &self,
        deadlines: &Deadlines,
        rollout: &Interruptions,
        now: Timestamp,
    ) -> ClusterState {
        if self.held.is_empty() {
            return self.attempt.state(deadlines, rollout, now);
        }
        let stopped = rollout.stopped.iter().chain(&self.held).copied().collect();
        let both = Interruptions { hub_down: rollout.hub_down.clone(), stopped };
        self.attempt.state(deadlines, &both, now)
    }

    /// Whether it says it runs the release.
    pub(super) fn has_succeeded(&self) -> bool {
        matches!(self.attempt.end, Some(End::Succeeded { .. }))
    }

    /// The health gate's word.
    pub fn health(&self) -> HealthGate {
        self.seen.gate
    }

    /// Notes whether somebody holds it just now; answers whether that changed.
    pub(super) fn note_held(&mut self, held: bool, now: Timestamp) -> bool {
        let open = self.held.last().is_some_and(|(_, until)| *until == Timestamp::MAX);
        match (open, held) {
            (false, true) => {
                if self.held.len() >= HELD_MAX {
                    let first = self.held.remove(0);
                    if let Some(second) = self.held.first_mut() {
                        second.0 = first.0;
                    }
                }
                self.held.push((now, Timestamp::MAX));
                true
            }
            (true, false) => {
                if let Some(last) = self.held.last_mut() {
                    last.1 = now;
                }
                true
            }
            (true, true) | (false, false) => false,
        }
    }
}
