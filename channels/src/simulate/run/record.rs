//! What is kept of a run, for the report.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::rollout::WhyNot;
use crate::simulate::report::Ending;

/// The fleet at one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::simulate) struct Sample {
    /// Since the start of the rollout.
    pub(in crate::simulate) after: SignedDuration,
    /// Clusters the curves have come to.
    pub(in crate::simulate) eligible: u32,
    /// Clusters that began.
    pub(in crate::simulate) begun: u32,
    /// Clusters that succeeded and are well.
    pub(in crate::simulate) succeeded: u32,
    /// Clusters that failed.
    pub(in crate::simulate) failed: u32,
    /// Clusters that began and that the release harms.
    pub(in crate::simulate) hit: u32,
    /// Whether somebody or a gate stops the rollout, or the hub is down.
    pub(in crate::simulate) stopped: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulate) struct Happening {
    /// When.
    pub(in crate::simulate) at: Timestamp,
    /// Stable code.
    pub(in crate::simulate) code: &'static str,
    /// The ring it happened to, by index.
    pub(in crate::simulate) ring: Option<usize>,
    /// In words, where there is more to say.
    pub(in crate::simulate) detail: Option<String>,
}

/// One ring's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::simulate) struct RingTale {
    pub(in crate::simulate) opened_at: Option<Timestamp>,
    pub(in crate::simulate) first_grant_at: Option<Timestamp>,
    /// When its gates let the next ring open.
    pub(in crate::simulate) passed_at: Option<Timestamp>,
    /// When its last cluster succeeded or failed.
    pub(in crate::simulate) converged_at: Option<Timestamp>,
    pub(in crate::simulate) clusters: u32,
    pub(in crate::simulate) begun: u32,
    pub(in crate::simulate) succeeded: u32,
    pub(in crate::simulate) failed: u32,
    pub(in crate::simulate) hit: u32,
    /// Clusters that ended, whichever way.
    pub(in crate::simulate) done: u32,
}

/// How long clusters waited for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulate) struct Wait {
    pub(in crate::simulate) cluster_secs: u64,
    /// Most clusters at one step.
    pub(in crate::simulate) most: u32,
    pub(in crate::simulate) first_at: Timestamp,
    /// The first such answer.
    pub(in crate::simulate) example: String,
}

/// Everything that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulate) struct Tale {
    pub(in crate::simulate) starts_at: Timestamp,
    pub(in crate::simulate) samples: Vec<Sample>,
    pub(in crate::simulate) happenings: Vec<Happening>,
    pub(in crate::simulate) rings: Vec<RingTale>,
    pub(in crate::simulate) waits: BTreeMap<&'static str, Wait>,
    /// When the first cluster began that the release harms.
    pub(in crate::simulate) first_hit_at: Option<Timestamp>,
    pub(in crate::simulate) first_halt_at: Option<Timestamp>,
    /// The rings as they were at the first halt.
    pub(in crate::simulate) at_halt: Option<Vec<RingTale>>,
    /// Grants in all: a cluster is granted once.
    pub(in crate::simulate) granted: u32,
    /// Most clusters between grant and end.
    pub(in crate::simulate) in_flight_most: u32,
    pub(in crate::simulate) ending: Ending,
}

impl Tale {
    pub(super) fn new(starts_at: Timestamp) -> Self {
        Self {
            starts_at,
            samples: Vec::new(),
            happenings: Vec::new(),
            rings: Vec::new(),
            waits: BTreeMap::new(),
            first_hit_at: None,
            first_halt_at: None,
            at_halt: None,
            granted: 0,
            in_flight_most: 0,
            ending: Ending::OutOfSteps,
        }
    }

    pub(super) fn happen(&mut self, at: Timestamp, code: &'static str, ring: Option<usize>) {
        self.happenings.push(Happening { at, code, ring, detail: None });
    }

    /// `clusters` wait one step for this reason.
    pub(super) fn wait(
        &mut self,
        code: &'static str,
        clusters: u32,
        step_secs: u32,
        at: Timestamp,
        example: &dyn Fn() -> String,
    ) {
        if clusters == 0 {
            return;
        }
        let wait = self.waits.entry(code).or_insert_with(|| Wait {
            cluster_secs: 0,
            most: 0,
            first_at: at,
            example: example(),
        });
        wait.cluster_secs += u64::from(clusters) * u64::from(step_secs);
        wait.most = wait.most.max(clusters);
    }

    /// `clusters` wait one step for each of these reasons of the hub's.
    pub(super) fn wait_for(
        &mut self,
        why: &[WhyNot],
        clusters: u32,
        step_secs: u32,
        at: Timestamp,
    ) {
        for reason in why {
            self.wait(reason.code(), clusters, step_secs, at, &|| reason.to_string());
        }
    }
}
