//! What a cluster agent tells the hub.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use signing::Sha256Digest;

use super::measures::Measured;
use super::release::Role;
use crate::names::{Arch, ChannelName, ClusterId, PoolName, ProductRef, UnitName};
use crate::version::ReleaseVersion;

/// `POST /api/v1/reports`, signed by the cluster's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// One header per cluster.
    pub cluster: ClusterHeader,
    /// Whether `products` is the whole state; otherwise products not listed are unchanged.
    #[serde(default = "yes")]
    pub full: bool,
    /// One state per product, at most [`Report::MAX_PRODUCTS`].
    pub products: Vec<ProductState>,
}

fn yes() -> bool {
    true
}

impl Report {
    /// A cluster that runs more products than this reports them in several clusters' names; the
    /// bound keeps a report under the hub's body limit.
    pub const MAX_PRODUCTS: usize = 8;
    /// Largest body the hub reads: 8 products with 64 units each fit with room.
    pub const MAX_BYTES: usize = 64 * 1024;
    /// Units listed per product; the rest is only counted (worst ones are listed first).
    pub const MAX_UNITS: usize = 64;
    /// Reasons listed per product.
    pub const MAX_REASONS: usize = 16;
    /// Accepted risks listed per product, those in force first: owners accept one or two at a time.
    pub const MAX_ACCEPTED_RISKS: usize = 8;
    /// How far `seq` may be above the hub's clock in milliseconds: numbers begin at an agent's
    /// clock, and clocks have been set a year ahead by mistake.
    pub const SEQ_AHEAD_MAX_MS: u64 = 366 * 24 * 3600 * 1000;
}

/// Who reports, and which report it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterHeader {
    /// Issued by the hub at enrolment.
    pub id: ClusterId,
    /// Grows with every report of this cluster; a report that does not grow is a replay.
    pub seq: u64,
    /// Agent's clock, kept only as skew.
    pub sent_at: Timestamp,
    /// Version of the agent.
    pub agent_version: String,
    /// Names the running process, so that two machines with one key are told apart. Absent in
    /// reports of older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<AgentInstance>,
    /// The highest [`last_seq`](super::Problem::last_seq) this process was told in a refusal: a
    /// process that knows it was alive when it was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_seq: Option<u64>,
}

/// One run of an agent: drawn by chance at every start and never written down, so that neither a
/// copied disk nor a restored one has it. On the wire 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgentInstance(pub u64);

/// Not an instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not an instance: 16 hexadecimal digits in lower case")]
pub struct NotAnInstance {
    /// What was read, cut to 40 characters.
    pub found: String,
}

impl std::str::FromStr for AgentInstance {
    type Err = NotAnInstance;

    fn from_str(text: &str) -> Result<Self, NotAnInstance> {
        let refuse = || NotAnInstance { found: text.chars().take(40).collect() };
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 16 || !text.bytes().all(hex) {
            return Err(refuse());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| refuse())
    }
}

impl TryFrom<String> for AgentInstance {
    type Error = NotAnInstance;

    fn try_from(text: String) -> Result<Self, NotAnInstance> {
        text.parse()
    }
}

impl From<AgentInstance> for String {
    fn from(instance: AgentInstance) -> Self {
        instance.to_string()
    }
}

impl std::fmt::Display for AgentInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One product on the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProductState {
    /// Which product.
    pub product: ProductRef,
    /// The channel it follows.
    pub channel: ChannelName,
    /// Its architecture.
    pub arch: Arch,
    /// The release that every unit runs, or the one it is moving away from.
    pub version: ReleaseVersion,
    /// The release it wants to run or is moving to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ReleaseVersion>,
    /// What it is doing.
    pub phase: Phase,
    /// Since when, by the agent's clock.
    pub since: Timestamp,
    /// The unit that is out, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// How far a roll has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Health, always present, also outside rolls.
    pub health: HealthSummary,
    /// Why nothing moves; empty while something does or nothing needs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_on: Vec<WaitingOn>,
    /// Last failure that still matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Risks that its owner takes, expired ones too; absent in reports of older agents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted_risks: Vec<AcceptedRisk>,
    /// The agent asks to start or go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wants: Option<GrantRequest>,
    /// Units, those that need attention first. A unit of a role this reader does not know is left
    /// out and the rest of the report counts: figures for the product as a whole (phase, health,
    /// progress) are the agent's own and include it. (In a release document an unknown role is
    /// refused, because its units could not be rolled.)
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "known_units")]
    pub units: Vec<UnitState>,
}

/// A risk that the owner of a cluster takes there, for a reason and a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedRisk {
    /// The risk's name, as graphs have it.
    pub name: String,
    /// Why it is acceptable there.
    pub reason: String,
    /// Until when; absent = until the entry is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl AcceptedRisk {
    /// Whether it counts at `now`.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// A unit as it is read: its role may be one of a later release.
#[derive(Deserialize)]
struct AnyUnit {
    name: UnitName,
    role: AnyRole,
    pool: PoolName,
    #[serde(default)]
    version: Option<String>,
    health: HealthVerdict,
    #[serde(default)]
    why: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AnyRole {
    Controller,
    Broker,
    Node,
    Workload,
    #[serde(other)]
    Unknown,
}

impl AnyRole {
    fn known(self) -> Option<Role> {
        match self {
            Self::Controller => Some(Role::Controller),
            Self::Broker => Some(Role::Broker),
            Self::Node => Some(Role::Node),
            Self::Workload => Some(Role::Workload),
            Self::Unknown => None,
        }
    }
}

pub(super) fn known_units<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<UnitState>, D::Error> {
    let units = Vec::<AnyUnit>::deserialize(deserializer)?;
    let known = units.into_iter().filter_map(|unit| {
        let AnyUnit { name, role, pool, version, health, why } = unit;
        Some(UnitState { name, role: role.known()?, pool, version, health, why })
    });
    Ok(known.collect())
}

/// Where a product's roll stands; the phase of its unit while one is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Runs what it should run; nothing to do.
    Idle,
    /// Would move, but waits (see `waiting_on`).
    Waiting,
    /// Checks of one unit before anything changes.
    Preflight,
    /// Cordon and drain, or the operator's own quiesce command.
    Quiesce,
    /// The unit is being changed.
    Mutate,
    /// Waiting for the unit to answer with the new version.
    AwaitReturn,
    /// The unit answers; waiting for its health.
    AwaitHealth,
    /// Healthy again; watching before the next unit.
    Soak,
    /// Stopped by a gate; needs `resume` or a person.
    Paused,
    /// A phase this reader does not know.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// The name used on the wire, in tables and as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Waiting => "waiting",
            Self::Preflight => "preflight",
            Self::Quiesce => "quiesce",
            Self::Mutate => "mutate",
            Self::AwaitReturn => "await_return",
            Self::AwaitHealth => "await_health",
            Self::Soak => "soak",
            Self::Paused => "paused",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a unit is out in this phase (rolling.md §9, invariant I1).
    pub fn is_rolling(self) -> bool {
        match self {
            Self::Preflight
            | Self::Quiesce
            | Self::Mutate
            | Self::AwaitReturn
            | Self::AwaitHealth
            | Self::Soak => true,
            Self::Idle | Self::Waiting | Self::Paused | Self::Unknown => false,
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Units done of units in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Units that run the target and have soaked.
    pub done: u32,
    /// Units in all.
    pub total: u32,
}

/// Three-valued: unknown is never healthy.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum HealthVerdict {
    /// Every required signal is present, fresh and inside its limit.
    Healthy,
    /// At least one signal is outside its limit.
    Unhealthy,
    /// A required signal is missing, stale or unreadable (or a verdict this reader does not know).
    #[default]
    #[serde(other)]
    Unknown,
}

impl HealthVerdict {
    /// The name used on the wire, in tables and as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unknown => "unknown",
        }
    }

    /// The worse of two: unhealthy, then unknown, then healthy.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unhealthy, _) | (_, Self::Unhealthy) => Self::Unhealthy,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Healthy, Self::Healthy) => Self::Healthy,
        }
    }
}

impl std::fmt::Display for HealthVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A product's health with the two lags fleet admins ask for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HealthSummary {
    /// Worst over all units.
    pub verdict: HealthVerdict,
    /// When the verdict last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Worst KRaft quorum lag over the voters, milliseconds (rolling.md §1.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_lag_ms: Option<u64>,
    /// The voter with that lag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_lag_unit: Option<UnitName>,
    /// Worst PLEG lag over the nodes, milliseconds (rolling.md §4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pleg_lag_ms: Option<u64>,
    /// The node with that lag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pleg_lag_unit: Option<UnitName>,
    /// Answers to what the hub's rollout policy wants measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<Measured>,
}

/// One reason why nothing moves, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingOn {
    /// Stable, `snake_case` name of the gate (`quorum_lag`, `metric_missing`, `hold`, …).
    pub gate: String,
    /// The unit it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// The sentence shown in UI, command line and logs.
    pub message: String,
    /// What was observed, in the gate's unit of measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<f64>,
    /// The limit it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Since when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// Something went wrong that a person should see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, `snake_case` kind; an attack's name where one was met (`rollback`, `freeze`, …).
    pub kind: String,
    /// One line for people.
    pub message: String,
    /// When it was first seen.
    pub at: Timestamp,
}

/// The agent asks for a grant, or for its renewal before the next unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRequest {
    /// The release it wants to move to.
    pub to: ReleaseVersion,
    /// Digest of that release's document, as verified by the agent.
    pub release_digest: Sha256Digest,
    /// Generation of the grant it holds, if it holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<u64>,
}

/// One unit of a product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitState {
    /// Its name.
    pub name: UnitName,
    /// Its role.
    pub role: Role,
    /// Its pool.
    pub pool: PoolName,
    /// The component version it reports, if it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its health.
    pub health: HealthVerdict,
    /// One line why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::AgentInstance;

    #[test]
    fn an_instance_is_sixteen_digits_and_comes_back_as_it_went() {
        for number in [0, 1, 0x00c0_ffee_00c0_ffee, u64::MAX] {
            let instance = AgentInstance(number);
            assert_eq!(instance.to_string().parse(), Ok(instance));
        }
        for bad in ["", "1", "+0c0ffee00c0ffee", "00C0FFEE00C0FFEE", "00c0ffee00c0ffee0", "é"] {
            assert!(bad.parse::<AgentInstance>().is_err(), "{bad}");
        }
    }
}
