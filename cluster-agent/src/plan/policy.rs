//! What the cluster's owner allows, as the planner needs it: local configuration, never a document.

use std::collections::{BTreeMap, BTreeSet};

use channels::names::{Arch, ChannelName, ClusterId, PoolName, ProductRef};
use channels::version::ReleaseVersion;
use channels::wire::{AcceptedRisk, Role};
use jiff::Timestamp;

use super::ProductRules;
use super::hub_wishes::HubWishes;
use super::target_risks::{Exposure, RiskAnswers};
use crate::gate::GatePolicy;
use crate::observation::UnitKey;
use crate::phase::StepTimings;

/// The usual limit of the time between two probes of one series of a gate, milliseconds.
pub const GATE_GAP_MS: u64 = 10_000;

/// The owner's policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Limits of the health gates.
    pub gate: GatePolicy,
    /// Waits and windows.
    pub timings: Timings,
    /// Whether a hub grants starts.
    pub grants: Grants,
    /// Per product.
    pub products: BTreeMap<ProductRef, ProductPolicy>,
    /// Units this agent itself runs on; they go last of their role (I11).
    pub hosts: BTreeSet<UnitKey>,
}

/// Whether a start needs the hub's grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grants {
    /// Every unit needs a fresh grant for this cluster.
    From(ClusterId),
    /// There is no hub to ask: reports are switched off, only metadata is fetched.
    None,
}

/// Waits and windows, milliseconds.
#[derive(Debug, Clone)]
pub struct Timings {
    /// How long the gates must have held before the first unit of a roll, or after `resume`.
    pub baseline_ms: u64,
    /// Distance of the two probes at which a gate must hold (I2).
    pub gate_apart_ms: u64,
    /// Two probes further apart than this prove nothing about the time between them.
    pub gate_gap_max_ms: u64,
    /// Age beyond which an observation is no ground to act on (I2).
    pub observation_max_ms: u64,
    /// The same for nodes, which are probed less often.
    pub node_observation_max_ms: u64,
    /// Age beyond which a directive is no ground to act on.
    pub grant_max_age_ms: u64,
    /// A controller's log end offset must move within this, or its page is from the past.
    pub page_still_ms: u64,
    /// Wait before a refused step is tried again.
    pub refused_retry_ms: u64,
    /// Deadlines and soak by role.
    pub steps: BTreeMap<Role, StepTimings>,
    /// How long a step of a role is expected to take while none has been seen, where its owner
    /// says so.
    pub expected_ms: BTreeMap<Role, u64>,
}

/// One product's policy.
#[derive(Debug, Clone)]
pub struct ProductPolicy {
    /// The channel it follows.
    pub channel: ChannelName,
    /// Its architecture.
    pub arch: Arch,
    /// Who decides about moves.
    pub mode: Mode,
    /// The release it must not go beyond.
    pub pin: Option<ReleaseVersion>,
    /// What the hub may want of it, and wants.
    pub hub: HubWishes,
    /// Risks its owner accepts.
    pub accepted_risks: Vec<AcceptedRisk>,
    /// The release it runs at the very first start.
    pub initial_version: ReleaseVersion,
    /// Pools in the order they are rolled (within a role).
    pub pools: Vec<PoolName>,
    /// Windows, zones, checks and the like.
    pub rules: ProductRules,
}

/// Who decides that a product moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A person on the cluster approves each release.
    Manual,
    /// Patch releases go by themselves, others need approval.
    Patch,
    /// Every release goes by itself.
    Auto,
    /// The hub decides: as `auto`, but meaningless without one.
    Hub,
}

impl Mode {
    /// The name in configuration and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Patch => "patch",
            Self::Auto => "auto",
            Self::Hub => "hub",
        }
    }
}

impl ProductPolicy {
    /// How risks stand at `now`, by what is accepted and what was answered.
    pub fn exposure<'a>(&self, answers: &'a RiskAnswers, now: Timestamp) -> Exposure<'a> {
        Exposure { accepted: self.accepted(now), answers, now }
    }

    /// Names of the risks that are accepted at `now`.
    pub fn accepted(&self, now: Timestamp) -> BTreeSet<String> {
        self.accepted_risks
            .iter()
            .filter(|risk| risk.is_in_force(now))
            .map(|risk| risk.name.clone())
            .collect()
    }
}

impl Default for Timings {
    /// The figures of rolling.md §9.
    fn default() -> Self {
        let step = |await_return_ms, soak_ms| StepTimings {
            await_return_ms,
            await_health_ms: 300_000,
            soak_ms,
            green_probes: 3,
        };
        Self {
            baseline_ms: 120_000,
            gate_apart_ms: 500,
            gate_gap_max_ms: GATE_GAP_MS,
            observation_max_ms: 2_000,
            node_observation_max_ms: 4_000,
            grant_max_age_ms: 15_000,
            page_still_ms: 5_000,
            refused_retry_ms: 60_000,
            steps: BTreeMap::from([
                (Role::Controller, step(420_000, 60_000)),
                (Role::Broker, step(420_000, 60_000)),
                (Role::Node, step(900_000, 120_000)),
                (Role::Workload, step(300_000, 60_000)),
            ]),
            expected_ms: BTreeMap::new(),
        }
    }
}

impl Timings {
    /// Deadlines of one role; the longest ones if a role has none, so that nothing is rushed.
    pub fn step(&self, role: Role) -> StepTimings {
        self.steps.get(&role).copied().unwrap_or(StepTimings {
            await_return_ms: 900_000,
            await_health_ms: 300_000,
            soak_ms: 120_000,
            green_probes: 3,
        })
    }

    /// How long a step is expected to take while none has been seen: as configured, or all of its
    /// deadlines, because a first unit that hits the end of its window is worse than one that waits
    /// for the next.
    pub fn expected(&self, role: Role) -> u64 {
        let step = self.step(role);
        let deadlines = step.await_return_ms.saturating_add(step.await_health_ms);
        let longest = deadlines.saturating_add(step.soak_ms);
        self.expected_ms.get(&role).copied().unwrap_or(longest)
    }
}
