//! The health gate of one cluster: better, worse or unknown against its own past.
//!
//! Pure. The past is what it reported when it was granted. Rolling makes a cluster look bad for a
//! while, so while it rolls only a verdict that stays unhealthy for longer than a unit may take is
//! worse; afterwards everything counts at once, baselines of the policy too. Unknown is never a pass.

use channels::rollout::{Baseline, Deadlines, HealthGate};
use channels::wire::{HealthSummary, HealthVerdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::measures;

/// A quorum lag is worse than before when it is more than so many times as long ...
pub const LAG_FACTOR: u64 = 2;
/// ... and longer by more than this: below it the difference is noise of scrapes, milliseconds.
pub const QUORUM_LAG_TOLERANCE_MS: u64 = 1_000;
/// The same of a PLEG lag. The kubelet relists every second, so one more second says nothing.
pub const PLEG_LAG_TOLERANCE_MS: u64 = 2_000;

/// What was seen of a cluster's health since its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The gate's word at the last look.
    pub gate: HealthGate,
    /// Since which report it has been unhealthy without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy_since: Option<Timestamp>,
    /// When the verdict last changed, in the agent's words: another time is a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict_since: Option<Timestamp>,
}

impl Default for Seen {
    /// Nothing was seen.
    fn default() -> Self {
        Self { gate: HealthGate::Unknown, unhealthy_since: None, verdict_since: None }
    }
}

/// Where a cluster is, as far as the gate asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has not ended.
    Rolling,
    /// It runs the release.
    Succeeded,
}

/// What a policy says about health.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// How long a unit may take.
    pub deadlines: &'a Deadlines,
    /// What is compared besides verdict and lags.
    pub baselines: &'a [Baseline],
}

impl Seen {
    /// After a report at `now`.
    #[must_use]
    pub fn after(
        self,
        baseline: Option<&HealthSummary>,
        reported: &HealthSummary,
        stage: Stage,
        rules: Rules<'_>,
        now: Timestamp,
    ) -> Self {
        let unhealthy = reported.verdict == HealthVerdict::Unhealthy;
        let unbroken = self.verdict_since == reported.since;
        let unhealthy_since =
            unhealthy.then(|| self.unhealthy_since.filter(|_| unbroken).unwrap_or(now));
        let gate = gate(baseline, reported, stage, unhealthy_since, rules.deadlines, now);
        let gate = match stage {
            // A roll shows in every figure of a cluster; what counts is how it is afterwards.
            Stage::Rolling => gate,
            Stage::Succeeded => {
                worst(gate, measures::gate(rules.baselines, baseline, reported, now))
            }
        };
        Self { gate, unhealthy_since, verdict_since: reported.since }
    }

    /// When nothing was heard for too long.
    #[must_use]
    pub fn unheard(self) -> Self {
        match self.gate {
            HealthGate::Fail { .. } => self,
            HealthGate::Pass | HealthGate::Unknown => Self { gate: HealthGate::Unknown, ..self },
        }
    }
}

fn gate(
    baseline: Option<&HealthSummary>,
    reported: &HealthSummary,
    stage: Stage,
    unhealthy_since: Option<Timestamp>,
    deadlines: &Deadlines,
    now: Timestamp,
) -> HealthGate {
    let Some(baseline) = baseline else {
        // Nothing to compare with: good is good, and bad may always have been bad.
        return match reported.verdict {
            HealthVerdict::Healthy => HealthGate::Pass,
            HealthVerdict::Unhealthy | HealthVerdict::Unknown => HealthGate::Unknown,
        };
    };
    let lags = match stage {
        Stage::Rolling => HealthGate::Pass,
        Stage::Succeeded => lags(baseline, reported, now),
    };
    let verdict = match (baseline.verdict, reported.verdict) {
        (_, HealthVerdict::Unknown) | (HealthVerdict::Unknown, HealthVerdict::Unhealthy) => {
            HealthGate::Unknown
        }
        (_, HealthVerdict::Healthy) | (HealthVerdict::Unhealthy, HealthVerdict::Unhealthy) => {
            HealthGate::Pass
        }
        (HealthVerdict::Healthy, HealthVerdict::Unhealthy) => {
            let since = unhealthy_since.unwrap_or(now);
            let patient =
                stage == Stage::Rolling && now.duration_since(since) <= deadlines.unit.duration();
            if patient { HealthGate::Pass } else { HealthGate::Fail { since } }
        }
    };
    worst(verdict, lags)
}

fn lags(baseline: &HealthSummary, reported: &HealthSummary, now: Timestamp) -> HealthGate {
    let quorum = lag(baseline.quorum_lag_ms, reported.quorum_lag_ms, QUORUM_LAG_TOLERANCE_MS, now);
    let pleg = lag(baseline.pleg_lag_ms, reported.pleg_lag_ms, PLEG_LAG_TOLERANCE_MS, now);
    worst(quorum, pleg)
}

fn lag(before: Option<u64>, after: Option<u64>, tolerance_ms: u64, now: Timestamp) -> HealthGate {
    match (before, after) {
        // What was not measured before cannot be worse; the agent's verdict has its limit.
        (None, _) => HealthGate::Pass,
        (Some(_), None) => HealthGate::Unknown,
        (Some(before), Some(after)) => {
            let allowed =
                before.saturating_mul(LAG_FACTOR).max(before.saturating_add(tolerance_ms));
            if after > allowed { HealthGate::Fail { since: now } } else { HealthGate::Pass }
        }
    }
}

pub(super) fn worst(one: HealthGate, other: HealthGate) -> HealthGate {
    match (one, other) {
        (HealthGate::Fail { since }, HealthGate::Fail { since: also }) => {
            HealthGate::Fail { since: since.min(also) }
        }
        (fail @ HealthGate::Fail { .. }, _) | (_, fail @ HealthGate::Fail { .. }) => fail,
        (HealthGate::Unknown, _) | (_, HealthGate::Unknown) => HealthGate::Unknown,
        (HealthGate::Pass, HealthGate::Pass) => HealthGate::Pass,
    }
}
