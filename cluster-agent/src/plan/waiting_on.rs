//! Why nothing moves: one variant per gate, with its numbers.
//!
//! `Display` is the sentence that log, report, `status` and dashboard show alike.

use channels::names::{Arch, ChannelName, PoolName, ProductRef, UnitName};
use channels::version::{ReleaseVersion, Requirement};
use channels::wire::{self, Role};
use jiff::Timestamp;

use crate::observation::Finding;
use crate::phase::number;
use crate::telemetry::Signal;

/// Gate of a product that has arrived and only waits for a person's word about its finalize step:
/// it does not keep others from moving.
const FINALIZE_APPROVAL: &str = "finalize_approval";

/// Gates of a product that is at rest all the same: it has arrived, or what the hub wants of it is
/// not followed here.
pub const AT_REST: [&str; 3] = [FINALIZE_APPROVAL, HUB_CHANNEL, HUB_PIN];

const HUB_CHANNEL: &str = "hub_channel";
const HUB_PIN: &str = "hub_pin";

/// One reason why a product does not move.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentence above each variant says what its fields hold")]
pub enum WaitingOn {
    #[error("paused, needs `resume`: {}", why.message)]
    Paused { why: wire::WaitingOn, since: Timestamp },
    #[error("held on this cluster: {reason}")]
    LocalHold { reason: String, since: Timestamp },
    #[error("{product} is moving{}; one product at a time", its(unit.as_ref()))]
    OtherProduct { product: ProductRef, unit: Option<UnitName> },
    #[error("no verified metadata yet: {why}")]
    NoMetadata { why: String },
    #[error("{message}")]
    Unverified { kind: String, message: String, since: Timestamp },
    #[error("release {version} has no verified release document: {why}")]
    ReleaseMissing { version: ReleaseVersion, why: String },
    #[error(
        "release {to} does not list {from} in {}; the graph alone cannot allow it",
        list_of(from, to)
    )]
    EdgeNotAllowed { from: ReleaseVersion, to: ReleaseVersion },
    #[error("the graph no longer offers {to} from {from}, and units already run it")]
    EdgeWithdrawn { from: ReleaseVersion, to: ReleaseVersion },
    #[error("{from} has no way forward: {why}")]
    NoWay { from: ReleaseVersion, why: String },
    #[error("the graph offers no way back to {to} from {from}, which units run")]
    NoWayBack { from: ReleaseVersion, to: ReleaseVersion },
    #[error("{to} carries risks that are not accepted: {}", risks.join(", "))]
    Risks { to: ReleaseVersion, risks: Vec<String> },
    #[error("{to} carries risks of which it cannot be told whether they apply: {}", risks.join(", "))]
    RiskUnknown { to: ReleaseVersion, risks: Vec<String> },
    #[error("pinned to {pin}, which {to} does not lead to")]
    Pinned { pin: ReleaseVersion, to: ReleaseVersion },
    #[error("the hub lets it go no further than {max}, which is before {to}")]
    AboveMax { max: ReleaseVersion, to: ReleaseVersion },
    #[error(
        "the hub wants channel {wanted}, the policy here follows {followed} \
         (products.hub_may_set_channel)"
    )]
    HubChannel { wanted: ChannelName, followed: ChannelName },
    #[error("the hub pins to {wanted}, the policy here to {pin}")]
    HubPin { wanted: ReleaseVersion, pin: ReleaseVersion },
    #[error("{to} is available; policy manual moves only to an approved release")]
    NeedsApproval { to: ReleaseVersion },
    #[error("{to} is available; policy patch does not leave {from}'s minor release")]
    NotAPatch { from: ReleaseVersion, to: ReleaseVersion },
    #[error("release {to} has no content for {arch}")]
    ArchMissing { to: ReleaseVersion, arch: Arch },
    #[error("release {to} has nothing for any unit of this cluster")]
    NoComponent { to: ReleaseVersion },
    #[error("{unit} leads the quorum since it was picked; others go first")]
    LeaderNow { unit: UnitName },
    #[error("release {to} needs {product} {requirement}, this cluster runs {}", running.as_deref().unwrap_or("none"))]
    Dependency {
        to: ReleaseVersion,
        product: ProductRef,
        requirement: Requirement,
        running: Option<String>,
    },
    #[error("release {to} would break {product} {version}, which needs {requirement}")]
    Dependant {
        to: ReleaseVersion,
        product: ProductRef,
        version: ReleaseVersion,
        requirement: Requirement,
    },
    #[error("{unit} reports version {version:?}, which is neither the old release nor the new one")]
    VersionUnknown { unit: UnitName, version: String },
    #[error("{unit} does not say which version it runs")]
    VersionMissing { unit: UnitName },
    #[error("the cluster was last observed {age_ms} ms ago, limit {limit_ms} ms")]
    ObservationOld { age_ms: u64, limit_ms: u64 },
    #[error(
        "{unit} serves a stale page: its log end offset has stood still for {observed_ms} ms, limit {limit_ms} ms"
    )]
    PageStill { unit: UnitName, observed_ms: u64, limit_ms: u64 },
    #[error("the log end offset of {unit} has not been seen to move yet")]
    PageUnproved { unit: UnitName },
    #[error("{unit} may not go: {}{finding}", about(about_unit.as_ref(), unit))]
    Unsafe { unit: UnitName, about_unit: Option<UnitName>, finding: Finding },
    #[error("{unit} was refused{} and is tried again {}: {}", so_often(*times, since), soon(*left_ms), why.message)]
    StepRefused { unit: UnitName, why: wire::WaitingOn, left_ms: u64, times: u32, since: Timestamp },
    #[error("gates of {unit} have held for {observed_ms} ms of {limit_ms} ms")]
    Baseline { unit: UnitName, observed_ms: u64, limit_ms: u64 },
    #[error("gates of {unit} have held at {observed} probes of {limit}")]
    GateOnce { unit: UnitName, observed: u32, limit: u32 },
    #[error("no report has been answered yet, so there is no grant")]
    NotAsked,
    #[error("the hub does not answer, so there is no grant: {why}")]
    HubUnreachable { why: String, since: Timestamp },
    #[error("the hub no longer takes this cluster's key ({code}): {why}")]
    Disowned { code: String, why: String, since: Timestamp },
    #[error("held by the hub: {message}")]
    HubHold { code: String, message: String },
    #[error("waiting for the hub: {message}")]
    HubWait { code: String, message: String, earliest_at: Option<Timestamp> },
    #[error("the grant must be renewed before the next unit")]
    GrantNotRenewed,
    #[error("the grant does not fit: {why}")]
    GrantUnfit { why: String },
    #[error("the grant expired at {at}")]
    GrantExpired { at: Timestamp },
    #[error("this agent does not hold the lease: {why}")]
    Lease { why: String, since: Option<Timestamp> },
    #[error("the quorum of {product} is being changed: {what}")]
    QuorumChange { product: ProductRef, what: String, since: Timestamp },
    #[error(
        "no metric on the page of {unit} carries the required signal {signal}: it is read from {names}"
    )]
    MetricNames { unit: UnitName, signal: Signal, names: String },
    #[error("outside the windows{}; {}", of_pool(pool.as_ref()), opens(opens_at.as_ref()))]
    Window { pool: Option<PoolName>, opens_at: Option<Timestamp> },
    #[error("frozen{}: {reason}; {}", of_pool(pool.as_ref()), opens(opens_at.as_ref()))]
    Freeze { pool: Option<PoolName>, reason: String, opens_at: Option<Timestamp> },
    #[error(
        "{unit} needs {needs_ms} ms, the window closes in {left_ms} ms, at {closes_at:.0}; {}",
        opens(opens_at.as_ref())
    )]
    WindowTooShort {
        unit: UnitName,
        needs_ms: u64,
        left_ms: u64,
        closes_at: Timestamp,
        opens_at: Option<Timestamp>,
    },
    #[error("pool {pool} is paused in the configuration")]
    PoolPaused { pool: PoolName },
    #[error("check {name}{}: {why}", of_unit(unit.as_ref()))]
    Check { name: String, unit: Option<UnitName>, why: String },
    #[error("{release} runs everywhere and needs finalize approval ({summary}): {how}")]
    FinalizeApproval { release: ReleaseVersion, summary: String, how: String },
    #[error("{release} of {product} is being finalized, level {level}")]
    Finalizing { product: ProductRef, release: ReleaseVersion, level: String, since: Timestamp },
    #[error("{release} was finalized, there is no way back to {to}")]
    Finalized { to: ReleaseVersion, release: ReleaseVersion },
    #[error(
        "the finalize step of {release} was begun and may have taken effect: no way back to {to} \
         until it has ended well, or somebody has looked and says `cluster-agent finalize \
         {product} --unchanged`"
    )]
    FinalizeDoubtful { to: ReleaseVersion, release: ReleaseVersion, product: ProductRef },
    #[error(
        "no report of the last {limit_ms} ms has been answered, and the hub may hold the cluster; \
         {release} is finalized once it has said that it does not"
    )]
    HubWord { release: ReleaseVersion, limit_ms: u64 },
    #[error("{to} waits until {release} is finalized (finalize.required_before_next)")]
    FinalizePending { to: ReleaseVersion, release: ReleaseVersion },
    #[error("{release} is not finalized yet: {}{finding}", said_of(about_unit.as_ref()))]
    FinalizeUnsafe { release: ReleaseVersion, about_unit: Option<UnitName>, finding: Finding },
    #[error("{release} is not finalized yet: healthy for {observed_ms} ms of {limit_ms} ms")]
    FinalizeBaseline { release: ReleaseVersion, observed_ms: u64, limit_ms: u64 },
}

/// " of pool workers" when a pool has a calendar of its own.
fn of_pool(pool: Option<&PoolName>) -> String {
    pool.map_or_else(String::new, |pool| format!(" of pool {pool}"))
}

/// " of c1" when a check is about one unit.
fn of_unit(unit: Option<&UnitName>) -> String {
    unit.map_or_else(String::new, |unit| format!(" of {unit}"))
}

/// "c1: " when a finding is about one unit.
fn said_of(unit: Option<&UnitName>) -> String {
    unit.map_or_else(String::new, |unit| format!("{unit}: "))
}

fn opens(at: Option<&Timestamp>) -> String {
    at.map_or_else(|| "it does not open again".to_owned(), |at| format!("it opens at {at:.0}"))
}

/// Which list of the release document would have to name `from`.
fn list_of(from: &ReleaseVersion, to: &ReleaseVersion) -> &'static str {
    if from > to { "downgrade_from" } else { "upgrade_from" }
}

/// "c2: " when a finding is about another unit than the one that wants to go.
fn about(about_unit: Option<&UnitName>, unit: &UnitName) -> String {
    match about_unit {
        Some(other) if other != unit => format!("{other}: "),
        Some(_) | None => String::new(),
    }
}

/// " and its c2 is out" when a unit of the product that moves is out.
fn its(unit: Option<&UnitName>) -> String {
    unit.map_or_else(String::new, |unit| format!(" and its {unit} is out"))
}

/// " 7 times since 2026-05-01T10:00:00Z" when it was more than once.
fn so_often(times: u32, since: &Timestamp) -> String {
    if times > 1 { format!(" {times} times since {since:.0}") } else { String::new() }
}

/// "in 60 s", or "now" while the step runs again.
fn soon(left_ms: u64) -> String {
    if left_ms == 0 { "now".to_owned() } else { format!("in {} s", left_ms.div_ceil(1000)) }
}

impl WaitingOn {
    /// Stable, `snake_case` name of the gate.
    pub fn gate(&self) -> String {
        match self {
            Self::Paused { .. } => "paused",
            Self::LocalHold { .. } => "hold",
            Self::OtherProduct { .. } => "other_product",
            Self::NoMetadata { .. } => "no_metadata",
            Self::Unverified { kind, .. } => kind,
            Self::ReleaseMissing { .. } => "release_missing",
            Self::EdgeNotAllowed { .. } => "edge_not_allowed",
            Self::EdgeWithdrawn { .. } => "edge_withdrawn",
            Self::NoWay { .. } | Self::NoWayBack { .. } => "no_way",
            Self::Risks { .. } => "risk",
            Self::RiskUnknown { .. } => "risk_unknown",
            Self::Pinned { .. } => "pin",
            Self::AboveMax { .. } => "max_version",
            Self::HubChannel { .. } => HUB_CHANNEL,
            Self::HubPin { .. } => HUB_PIN,
            Self::NeedsApproval { .. } => "approval",
            Self::NotAPatch { .. } => "policy_patch",
            Self::ArchMissing { .. } => "arch_missing",
            Self::NoComponent { .. } => "no_component",
            Self::LeaderNow { .. } => "leader_last",
            Self::Dependency { .. } | Self::Dependant { .. } => "dependency",
            Self::VersionUnknown { .. } => "version_unknown",
            Self::VersionMissing { .. } => "version_missing",
            Self::ObservationOld { .. } => "observation_old",
            Self::PageStill { .. } => "stale",
            Self::PageUnproved { .. } => "page_unproved",
            Self::Unsafe { finding, .. } | Self::FinalizeUnsafe { finding, .. } => {
                finding.gate_name()
            }
            Self::StepRefused { why, .. } => &why.gate,
            Self::Baseline { .. } | Self::FinalizeBaseline { .. } => "baseline",
            Self::GateOnce { .. } => "gate_once",
            Self::NotAsked => "grant",
            Self::HubUnreachable { .. } => "hub_unreachable",
            Self::Disowned { .. } => "hub_disowned",
            Self::HubHold { .. } => "hub_hold",
            Self::HubWait { .. } => "hub_wait",
            Self::GrantNotRenewed => "grant_renewal",
            Self::GrantUnfit { .. } => "grant_unfit",
            Self::GrantExpired { .. } => "grant_expired",
            Self::Lease { .. } => "lease",
            Self::QuorumChange { .. } => "quorum_change",
            Self::MetricNames { .. } => "metric_names",
            Self::Window { .. } => "window",
            Self::Freeze { .. } => "freeze",
            Self::WindowTooShort { .. } => "window_too_short",
            Self::PoolPaused { .. } => "pool_paused",
            Self::Check { name, .. } => return format!("check_{name}"),
            Self::FinalizeApproval { .. } => FINALIZE_APPROVAL,
            Self::Finalizing { .. } => "finalizing",
            Self::Finalized { .. } => "finalized",
            Self::FinalizeDoubtful { .. } => "finalize_doubtful",
            Self::HubWord { .. } => "hub_word",
            Self::FinalizePending { .. } => "finalize_pending",
        }
        .to_owned()
    }

    /// The unit it is about.
    pub fn unit(&self) -> Option<&UnitName> {
        match self {
            Self::Paused { why, .. } => why.unit.as_ref(),
            Self::OtherProduct { unit, .. } | Self::Check { unit, .. } => unit.as_ref(),
            Self::FinalizeUnsafe { about_unit, .. } => about_unit.as_ref(),
            Self::Unsafe { unit, about_unit, .. } => Some(about_unit.as_ref().unwrap_or(unit)),
            Self::VersionUnknown { unit, .. }
            | Self::VersionMissing { unit }
            | Self::LeaderNow { unit }
            | Self::StepRefused { unit, .. }
            | Self::Baseline { unit, .. }
            | Self::PageStill { unit, .. }
            | Self::PageUnproved { unit }
            | Self::MetricNames { unit, .. }
            | Self::WindowTooShort { unit, .. }
            | Self::GateOnce { unit, .. } => Some(unit),
            Self::LocalHold { .. }
            | Self::NoMetadata { .. }
            | Self::Unverified { .. }
            | Self::ReleaseMissing { .. }
            | Self::EdgeNotAllowed { .. }
            | Self::EdgeWithdrawn { .. }
            | Self::NoWay { .. }
            | Self::NoWayBack { .. }
            | Self::Risks { .. }
            | Self::RiskUnknown { .. }
            | Self::Pinned { .. }
            | Self::AboveMax { .. }
            | Self::HubChannel { .. }
            | Self::HubPin { .. }
            | Self::NeedsApproval { .. }
            | Self::NotAPatch { .. }
            | Self::ArchMissing { .. }
            | Self::NoComponent { .. }
            | Self::Dependency { .. }
            | Self::Dependant { .. }
            | Self::ObservationOld { .. }
            | Self::NotAsked
            | Self::HubUnreachable { .. }
            | Self::Disowned { .. }
            | Self::HubHold { .. }
            | Self::HubWait { .. }
            | Self::GrantNotRenewed
            | Self::GrantUnfit { .. }
            | Self::GrantExpired { .. }
            | Self::Lease { .. }
            | Self::QuorumChange { .. }
            | Self::Window { .. }
            | Self::Freeze { .. }
            | Self::PoolPaused { .. }
            | Self::FinalizeApproval { .. }
            | Self::Finalizing { .. }
            | Self::Finalized { .. }
            | Self::FinalizeDoubtful { .. }
            | Self::HubWord { .. }
            | Self::FinalizePending { .. }
            | Self::FinalizeBaseline { .. } => None,
        }
    }

    /// Observed value and limit, where the gate has numbers.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most gates have none; it is for display")]
    fn numbers(&self) -> (Option<f64>, Option<f64>) {
        match self {
            Self::Paused { why, .. } | Self::StepRefused { why, .. } => (why.observed, why.limit),
            Self::Unsafe { finding, .. } | Self::FinalizeUnsafe { finding, .. } => {
                (finding.observed(), finding.limit())
            }
            Self::ObservationOld { age_ms: seen, limit_ms: limit }
            | Self::PageStill { observed_ms: seen, limit_ms: limit, .. }
            | Self::WindowTooShort { left_ms: seen, needs_ms: limit, .. }
            | Self::FinalizeBaseline { observed_ms: seen, limit_ms: limit, .. }
            | Self::Baseline { observed_ms: seen, limit_ms: limit, .. } => {
                (Some(number(*seen)), Some(number(*limit)))
            }
            Self::GateOnce { observed, limit, .. } => {
                (Some(f64::from(*observed)), Some(f64::from(*limit)))
            }
            _ => (None, None),
        }
    }

    /// Since when it holds, where the gate knows it itself.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the ledger knows it for all others")]
    fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Paused { since, .. }
            | Self::LocalHold { since, .. }
            | Self::Unverified { since, .. }
            | Self::HubUnreachable { since, .. }
            | Self::Disowned { since, .. }
            | Self::QuorumChange { since, .. }
            | Self::Finalizing { since, .. }
            | Self::StepRefused { since, .. } => Some(*since),
            Self::Lease { since, .. } => *since,
            _ => None,
        }
    }

    /// The form that goes into reports and persisted records.
    pub fn to_wire(&self) -> wire::WaitingOn {
        let (observed, limit) = self.numbers();
        wire::WaitingOn {
            gate: self.gate(),
            unit: self.unit().cloned(),
            message: self.to_string(),
            observed,
            limit,
            since: self.since(),
        }
    }
}

/// A blocker of a gate as a reason why `unit` may not go.
pub(super) fn unsafe_to_take_out(
    unit: &UnitName,
    (about_unit, finding): (Option<UnitName>, Finding),
) -> WaitingOn {
    WaitingOn::Unsafe { unit: unit.clone(), about_unit, finding }
}

/// The bare finding about a unit that is out, for phases and pauses.
pub fn finding_to_wire(
    (about_unit, finding): &(Option<UnitName>, Finding),
    role: Option<Role>,
) -> wire::WaitingOn {
    let subject = match (about_unit, role) {
        (Some(unit), Some(role)) => format!("{role} {unit}: "),
        (Some(unit), None) => format!("{unit}: "),
        (None, _) => String::new(),
    };
    wire::WaitingOn {
        gate: finding.gate_name().to_owned(),
        unit: about_unit.clone(),
        message: format!("{subject}{finding}"),
        observed: finding.observed(),
        limit: finding.limit(),
        since: None,
    }
}
