//! Findings about a policy that reads well and still may hurt the fleet.
//!
//! Rules are pure and never change anything. Codes are stable: people suppress and search for
//! them. They are shaped like those of [`crate::lint`], so one printer shows both.

mod curves;
mod rings;
#[cfg(test)]
mod tests;
mod times;

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

pub use curves::{lint_curve, lint_fcos};

use super::amount::{Percent, Period};
use super::labels::Labels;
use super::policy::Policy;
use crate::lint::Severity;

/// How often a hub looks at a rollout: what opens within one look opens at once.
pub const EVALUATION_TICK: Period = Period::from_mins(5);
/// The share that must not open at once. Bottlerocket's default waves open 40 % at once in the
/// end; the steepest template here, `emergency`, opens 7 % within a tick.
pub const AT_ONCE_LIMIT: Percent = Percent::from_hundredths(1000);
/// So few clusters may open at once whatever share they are: a canary ring is that small.
pub const AT_ONCE_CLUSTERS: u32 = 5;
/// The share that may open in the first hour, unless the policy says `emergency: true`: within an
/// hour hardly anybody can have seen a fault and stopped it.
pub const FIRST_HOUR_LIMIT: Percent = Percent::from_hundredths(1000);
/// How soon a window must open: a maintenance plan that is empty for a year is a mistake.
pub const OPENS_WITHIN: Period = Period::from_hours(366 * 24);

/// One finding about a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The policy's file.
    pub file: PathBuf,
    /// Which rule.
    pub code: Rule,
    /// What is the matter and what to do.
    pub message: String,
    /// A ring's name or a key the finding is about, to find its line; "" = the whole file.
    #[serde(skip)]
    pub near: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (severity, code) = (self.severity.as_str(), self.code.as_str());
        write!(f, "{}: {severity}: {} [{code}]", self.file.display(), self.message)
    }
}

/// The rules about rollout policies, by their stable codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A large share becomes eligible at one moment.
    ShareAtOnce,
    /// A large share becomes eligible in the first hour.
    FirstHourSteep,
    /// No window opens within a year.
    WindowsNeverOpen,
    /// A window is shorter than a unit may take, so nothing can start in it.
    WindowTooShort,
    /// An earlier ring takes every cluster of this one.
    RingShadowed,
    /// A gate asks for more clusters than the ring has.
    GateNeverPasses,
    /// A cap of 0 lets nobody start.
    CapZero,
    /// Failures that do not halt and yet keep the ring from passing.
    FailuresStall,
    /// The start lies in the past.
    StartInPast,
    /// A freeze covers the whole time of the curve.
    FreezeCoversCurve,
    /// The windows are too few for the curve to end.
    NeverEnds,
    /// No cluster of the fleet is in a ring.
    RingEmpty,
    /// Clusters of the fleet are in no ring.
    ClustersInNoRing,
}

impl Rule {
    /// Every rule, in the order of the manual's table.
    pub const ALL: [Self; 13] = [
        Self::ShareAtOnce,
        Self::FirstHourSteep,
        Self::WindowsNeverOpen,
        Self::WindowTooShort,
        Self::RingShadowed,
        Self::GateNeverPasses,
        Self::CapZero,
        Self::FailuresStall,
        Self::StartInPast,
        Self::FreezeCoversCurve,
        Self::NeverEnds,
        Self::RingEmpty,
        Self::ClustersInNoRing,
    ];

    /// The code as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ShareAtOnce => "share_at_once",
            Self::FirstHourSteep => "first_hour_steep",
            Self::WindowsNeverOpen => "windows_never_open",
            Self::WindowTooShort => "window_too_short",
            Self::RingShadowed => "ring_shadowed",
            Self::GateNeverPasses => "gate_never_passes",
            Self::CapZero => "cap_zero",
            Self::FailuresStall => "failures_stall",
            Self::StartInPast => "start_in_past",
            Self::FreezeCoversCurve => "freeze_covers_curve",
            Self::NeverEnds => "never_ends",
            Self::RingEmpty => "ring_empty",
            Self::ClustersInNoRing => "clusters_in_no_ring",
        }
    }

    /// How bad a finding of this rule is, where the finding does not say otherwise.
    pub fn severity(self) -> Severity {
        match self {
            Self::ShareAtOnce
            | Self::FirstHourSteep
            | Self::WindowsNeverOpen
            | Self::WindowTooShort
            | Self::RingShadowed
            | Self::GateNeverPasses
            | Self::CapZero => Severity::Error,
            Self::FailuresStall
            | Self::StartInPast
            | Self::FreezeCoversCurve
            | Self::NeverEnds
            | Self::RingEmpty
            | Self::ClustersInNoRing => Severity::Warning,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is known of the fleet a policy is for.
#[derive(Debug, Clone, Copy, Default)]
pub enum Fleet<'a> {
    /// Nothing.
    #[default]
    Unknown,
    /// How many clusters it has.
    Size(u32),
    /// The labels of each cluster, as the hub holds them.
    Labels(&'a [Labels]),
}

impl Fleet<'_> {
    /// Clusters in the fleet.
    fn size(&self) -> Option<u32> {
        match self {
            Self::Unknown => None,
            Self::Size(size) => Some(*size),
            Self::Labels(clusters) => u32::try_from(clusters.len()).ok(),
        }
    }

    /// Clusters in each ring of a policy, where that can be told.
    fn ring_sizes(&self, policy: &Policy) -> Option<Vec<u32>> {
        match (self, policy.rings.as_slice()) {
            (Self::Labels(clusters), rings) => {
                let mut sizes = vec![0_u32; rings.len()];
                for labels in *clusters {
                    let ring = policy.ring_of(labels).and_then(|ring| sizes.get_mut(ring));
                    if let Some(size) = ring {
                        *size = size.saturating_add(1);
                    }
                }
                Some(sizes)
            }
            (Self::Size(size), [only]) if only.select.is_none() => Some(vec![*size]),
            (Self::Size(_) | Self::Unknown, _) => None,
        }
    }
}

/// Applies every rule to a policy at `now`, for a release published now; the worst findings first.
pub fn lint_policy(
    file: &Path,
    policy: &Policy,
    fleet: &Fleet<'_>,
    now: Timestamp,
) -> Vec<Finding> {
    let sizes = fleet.ring_sizes(policy);
    let size = |ring: usize| sizes.as_ref().and_then(|sizes| sizes.get(ring).copied());
    let mut found = Found { file, findings: Vec::new() };
    curves::check(policy, fleet.size(), &size, &mut found);
    times::check(policy, now, &mut found);
    rings::check(policy, fleet, &size, &mut found);
    let mut findings = found.findings;
    findings.sort();
    findings.dedup();
    findings
}

/// Findings about one file.
struct Found<'a> {
    file: &'a Path,
    findings: Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, code: Rule, near: &str, message: String) {
        self.add_as(code.severity(), code, near, message);
    }

    fn add_as(&mut self, severity: Severity, code: Rule, near: &str, message: String) {
        let (file, near) = (self.file.to_owned(), near.to_owned());
        self.findings.push(Finding { severity, file, code, message, near });
    }
}
