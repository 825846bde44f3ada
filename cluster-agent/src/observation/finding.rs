//! One reason why a unit, a quorum or a gate is not healthy, with its numbers.

use channels::wire::HealthVerdict;

use super::WitnessSource;
use crate::telemetry::Signal;
use crate::telemetry::alias::names_of;

/// Which part of the PLEG lag was the largest (rolling.md §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LagSource {
    /// The 99th percentile of relist durations.
    P99,
    /// Time since the number of relists moved.
    Stall,
    /// Age of the last relist the kubelet reports.
    Age,
}

impl std::fmt::Display for LagSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::P99 => "p99 of relists",
            Self::Stall => "no relist returned",
            Self::Age => "age of the last relist",
        })
    }
}

/// The metrics that carry a signal under the exporters that are known.
pub fn read_from(signal: Signal) -> String {
    let names: Vec<&str> = names_of(signal).map(|row| row.name).collect();
    if names.is_empty() { "version_metric of its pool".to_owned() } else { names.join(", ") }
}

/// Why something is not healthy. `Display` is the sentence people read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentence above each variant says what its fields hold")]
pub enum Finding {
    #[error("the unit has not been observed")]
    NotObserved,
    #[error("the metrics page cannot be fetched: {why}")]
    Unreachable { why: String },
    #[error("the last good metrics are {age_ms} ms old, limit {limit_ms} ms")]
    Stale { age_ms: u64, limit_ms: u64 },
    #[error(
        "a stale page: the leader's log end offset {observed} is behind its limit {limit}, which a follower held a probe before"
    )]
    LeaderBehind { observed: i64, limit: i64 },
    #[error(
        "a stale page, or nothing is appended: the leader's log end offset has stood still for {observed_ms} ms, limit {limit_ms} ms"
    )]
    LeaderStandsStill { observed_ms: u64, limit_ms: u64 },
    #[error("no metric on the page carries the required signal {signal}: it is read from {}", read_from(*.signal))]
    MetricMissing { signal: Signal },
    #[error("the metric {family} cannot be read: {why}")]
    Unreadable { family: String, why: String },
    #[error("the unit reports version {observed:?}, expected {expected:?}")]
    VersionDiffers { observed: String, expected: String },
    #[error("the process has not restarted: it still started at {process_start_s}")]
    NotRestarted { process_start_s: f64 },
    #[error("quorum lag {observed_ms} ms, limit {limit_ms} ms")]
    QuorumLag { observed_ms: u64, limit_ms: u64 },
    #[error("quorum lag is unknown until the voter passes one observed leader offset")]
    QuorumLagUnknown,
    #[error("the last applied metadata record is {observed_ms} ms old, limit {limit_ms} ms")]
    AppliedLag { observed_ms: u64, limit_ms: u64 },
    #[error("the voter is {state}, neither leader nor follower")]
    NotInQuorum { state: String },
    #[error("voters are in different epochs, {lowest} to {highest}")]
    EpochMismatch { lowest: u64, highest: u64 },
    #[error("the log ends in epoch {log_end_epoch}, the quorum is in epoch {current_epoch}")]
    LogEpochBehind { log_end_epoch: u64, current_epoch: u64 },
    #[error("log end offset {observed} has not reached {limit}, the leader's at the return")]
    LogNotCaughtUp { observed: i64, limit: i64 },
    #[error("{observed} good probes in a row, {limit} needed")]
    TooFewGoodProbes { observed: u32, limit: u32 },
    #[error("the quorum has no confirmed leader{}", lasting(*for_ms, *limit_ms))]
    NoLeader { for_ms: u64, limit_ms: u64 },
    #[error("voters disagree about the leader: {leaders:?}")]
    LeadersDisagree { leaders: Vec<i64> },
    #[error("{observed} active controllers, {limit} expected")]
    ActiveControllers { observed: u64, limit: u64 },
    #[error("nothing was committed for {for_ms} ms, limit {limit_ms} ms")]
    CommitStalled { for_ms: u64, limit_ms: u64 },
    #[error("whether the quorum commits is not known yet")]
    CommitUnknown,
    #[error("a change of the voter set is not committed")]
    UncommittedVoterChange,
    #[error("the quorum has {observed} voters, {limit} are configured")]
    VotersMismatch { observed: u64, limit: u64 },
    #[error("a quorum of {observed} voters cannot lose one, {limit} needed")]
    QuorumTooSmall { observed: u64, limit: u64 },
    #[error("{observed} other voters are in sync, {limit} needed")]
    TooFewVoters { observed: u64, limit: u64 },
    #[error("{observed} voters are not healthy, limit {limit}")]
    VotersBad { observed: u64, limit: u64 },
    #[error("metrics of {observed} voters are lost, limit {limit}")]
    ScrapesLost { observed: u64, limit: u64 },
    #[error("the quorum's epoch moved from {limit} to {observed}")]
    EpochChanged { observed: u64, limit: u64 },
    #[error("{observed} metadata errors since the process started, limit {limit}")]
    MetadataErrors { observed: u64, limit: u64 },
    #[error("{observed} under-replicated partitions, limit {limit}")]
    UnderReplicated { observed: u64, limit: u64 },
    #[error("{observed} partitions below min.insync.replicas, limit {limit}")]
    UnderMinIsr { observed: u64, limit: u64 },
    #[error("{observed} partitions at min.insync.replicas, limit {limit}")]
    AtMinIsr { observed: u64, limit: u64 },
    #[error("{observed} offline partitions, limit {limit}")]
    OfflinePartitions { observed: u64, limit: u64 },
    #[error("{observed} fenced brokers, limit {limit}")]
    FencedBrokers { observed: u64, limit: u64 },
    #[error("{observed} partitions are being reassigned, limit {limit}")]
    Reassigning { observed: u64, limit: u64 },
    #[error("PLEG lag {observed_ms} ms ({source_of_lag}), limit {limit_ms} ms")]
    PlegLag { observed_ms: u64, limit_ms: u64, source_of_lag: LagSource },
    #[error("no relist returned for {observed_ms} ms, limit {limit_ms} ms")]
    PlegStall { observed_ms: u64, limit_ms: u64 },
    #[error("the PLEG dropped {observed} pod events, limit {limit}")]
    PlegDiscards { observed: u64, limit: u64 },
    #[error("{observed} relists observed, {limit} needed")]
    TooFewRelists { observed: u64, limit: u64 },
    #[error("it is not Ready")]
    NotReady,
    #[error("{observed} controllers and brokers run on the node, limit {limit}")]
    MembersShareNode { observed: u64, limit: u64 },
    #[error("it was not restarted: it is still {incarnation}")]
    SameIncarnation { incarnation: String },
    #[error("{source_of_word} says nothing about it: {why}")]
    WitnessSilent { source_of_word: WitnessSource, why: String },
    #[error("the last word of {source_of_word} is {age_ms} ms old, limit {limit_ms} ms")]
    WitnessStale { source_of_word: WitnessSource, age_ms: u64, limit_ms: u64 },
    #[error("{source_of_word} disagrees with the metrics page: {what}")]
    WitnessDisagrees { source_of_word: WitnessSource, what: String },
    #[error("the broker is not running yet: {state}")]
    BrokerState { state: String },
    #[error("the broker recovers its logs, {observed} left")]
    LogRecovery { observed: u64, limit: u64 },
    #[error("{observed} replicas are offline, limit {limit}")]
    OfflineReplicas { observed: u64, limit: u64 },
    #[error("node {node_id} is not a voter of its quorum")]
    NotAVoter { node_id: i64 },
    #[error("it has not caught up since its leader leads")]
    NotCaughtUp,
    #[error("the quorum's voters are {observed:?}, configured are {configured:?}")]
    VoterSetDiffers { observed: Vec<i64>, configured: Vec<i64> },
    #[error(
        "{observed} partitions could not be written to without it, limit {limit}; the first is {first}"
    )]
    PartitionsThin { observed: u64, limit: u64, first: String },
    #[error(
        "brokers tell of {observed} partitions{}: topics that the agent may not describe are left \
         out of their answer (ACL Describe on all topics)",
        of_partitions(*limit)
    )]
    PartitionsUntold { observed: u64, limit: Option<u64> },
    #[error("the node is cordoned by {by}, not by this agent")]
    ForeignCordon { by: String },
    #[error("{by} holds the node: {what}")]
    ForeignMaintenance { by: String, what: String },
    #[error("disruption budget {budget} never allows pod {pod} to go: {why}")]
    DisruptionBudget { budget: String, pod: String, why: String },
    #[error("pod {pod} cannot be moved: {why}")]
    PodUnmovable { pod: String, why: String },
    #[error("etcd: {why}")]
    Etcd { why: String },
    #[error("{what}: {observed} ready, {limit} needed")]
    PodsNotReady { what: String, observed: u64, limit: u64 },
    #[error("the rollout is not complete: {why}")]
    RolloutIncomplete { why: String },
    #[error("pod {pod} is not Ready: {why}")]
    PodWaiting { pod: String, why: String },
    #[error("{what} is not what its version says: {why}")]
    VersionContradicted { what: String, why: String },
    #[error("alert {alert} fires")]
    AlertFires { alert: String },
    #[error("gate {gate} does not hold: {why}")]
    QueryFails { gate: String, why: String, observed: Option<f64>, limit: Option<f64> },
    #[error("gate {gate} cannot be told: {why}")]
    QueryUnknown { gate: String, why: String },
}

/// How long something has lasted against its limit; nothing where no time of it is allowed.
fn lasting(for_ms: u64, limit_ms: u64) -> String {
    if limit_ms == 0 { String::new() } else { format!(" for {for_ms} ms, limit {limit_ms} ms") }
}

impl Finding {
    /// The stable, `snake_case` name of the gate (`wire::WaitingOn::gate`).
    pub fn gate_name(&self) -> &'static str {
        match self {
            Self::NotObserved => "not_observed",
            Self::Unreachable { .. } => "unreachable",
            Self::Stale { .. } | Self::LeaderBehind { .. } | Self::LeaderStandsStill { .. } => {
                "stale"
            }
            Self::MetricMissing { .. } => "metric_missing",
            Self::Unreadable { .. } => "unreadable",
            Self::VersionDiffers { .. } => "version_differs",
            Self::NotRestarted { .. } | Self::SameIncarnation { .. } => "not_restarted",
            Self::QuorumLag { .. } => "quorum_lag",
            Self::QuorumLagUnknown => "quorum_lag_unknown",
            Self::AppliedLag { .. } => "applied_lag",
            Self::NotInQuorum { .. } => "not_in_quorum",
            Self::EpochMismatch { .. } => "epoch_mismatch",
            Self::LogEpochBehind { .. } => "log_epoch_behind",
            Self::LogNotCaughtUp { .. } => "log_not_caught_up",
            Self::TooFewGoodProbes { .. } => "too_few_good_probes",
            Self::NoLeader { .. } => "no_leader",
            Self::LeadersDisagree { .. } => "leaders_disagree",
            Self::ActiveControllers { .. } => "active_controllers",
            Self::CommitStalled { .. } => "commit_stalled",
            Self::CommitUnknown => "commit_unknown",
            Self::UncommittedVoterChange => "uncommitted_voter_change",
            Self::VotersMismatch { .. } => "voters_mismatch",
            Self::QuorumTooSmall { .. } => "quorum_too_small",
            Self::TooFewVoters { .. } => "too_few_voters",
            Self::VotersBad { .. } => "voters_bad",
            Self::ScrapesLost { .. } => "scrapes_lost",
            Self::EpochChanged { .. } => "epoch_changed",
            Self::MetadataErrors { .. } => "metadata_errors",
            Self::UnderReplicated { .. } => "under_replicated",
            Self::UnderMinIsr { .. } => "under_min_isr",
            Self::AtMinIsr { .. } => "at_min_isr",
            Self::OfflinePartitions { .. } => "offline_partitions",
            Self::FencedBrokers { .. } => "fenced_brokers",
            Self::Reassigning { .. } => "reassigning",
            Self::PlegLag { .. } => "pleg_lag",
            Self::PlegStall { .. } => "pleg_stall",
            Self::PlegDiscards { .. } => "pleg_discards",
            Self::TooFewRelists { .. } => "too_few_relists",
            Self::NotReady => "not_ready",
            Self::MembersShareNode { .. } => "members_share_node",
            Self::WitnessSilent { .. } => "witness_silent",
            Self::WitnessStale { .. } => "witness_stale",
            Self::WitnessDisagrees { .. } => "witness_disagrees",
            Self::BrokerState { .. } => "broker_state",
            Self::LogRecovery { .. } => "log_recovery",
            Self::OfflineReplicas { .. } => "offline_replicas",
            Self::NotAVoter { .. } => "not_a_voter",
            Self::NotCaughtUp => "not_caught_up",
            Self::VoterSetDiffers { .. } => "voter_set_differs",
            Self::PartitionsThin { .. } => "partitions_thin",
            Self::PartitionsUntold { .. } => "partitions_untold",
            Self::ForeignCordon { .. } => "foreign_cordon",
            Self::ForeignMaintenance { .. } => "foreign_maintenance",
            Self::DisruptionBudget { .. } => "disruption_budget",
            Self::PodUnmovable { .. } => "pod_unmovable",
            Self::Etcd { .. } => "etcd",
            Self::PodsNotReady { .. } => "pods_not_ready",
            Self::RolloutIncomplete { .. } => "rollout_incomplete",
            Self::PodWaiting { .. } => "pod_waiting",
            Self::VersionContradicted { .. } => "version_contradicted",
            Self::AlertFires { .. } => "alert",
            Self::QueryFails { .. } => "query_gate",
            Self::QueryUnknown { .. } => "query_unknown",
        }
    }

    /// What was observed, in the gate's unit of measure.
    pub fn observed(&self) -> Option<f64> {
        self.numbers().map(|(observed, _)| observed)
    }

    /// The limit it is compared with.
    pub fn limit(&self) -> Option<f64> {
        self.numbers().map(|(_, limit)| limit)
    }

    fn numbers(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Stale { age_ms: seen, limit_ms: limit }
            | Self::LeaderStandsStill { observed_ms: seen, limit_ms: limit }
            | Self::QuorumLag { observed_ms: seen, limit_ms: limit }
            | Self::AppliedLag { observed_ms: seen, limit_ms: limit }
            | Self::PlegLag { observed_ms: seen, limit_ms: limit, .. }
            | Self::PlegStall { observed_ms: seen, limit_ms: limit }
            | Self::NoLeader { for_ms: seen, limit_ms: limit }
            | Self::CommitStalled { for_ms: seen, limit_ms: limit }
            | Self::EpochMismatch { lowest: seen, highest: limit }
            | Self::LogEpochBehind { log_end_epoch: seen, current_epoch: limit }
            | Self::ActiveControllers { observed: seen, limit }
            | Self::VotersMismatch { observed: seen, limit }
            | Self::QuorumTooSmall { observed: seen, limit }
            | Self::TooFewVoters { observed: seen, limit }
            | Self::VotersBad { observed: seen, limit }
            | Self::ScrapesLost { observed: seen, limit }
            | Self::EpochChanged { observed: seen, limit }
            | Self::MetadataErrors { observed: seen, limit }
            | Self::UnderReplicated { observed: seen, limit }
            | Self::UnderMinIsr { observed: seen, limit }
            | Self::AtMinIsr { observed: seen, limit }
            | Self::OfflinePartitions { observed: seen, limit }
            | Self::FencedBrokers { observed: seen, limit }
            | Self::Reassigning { observed: seen, limit }
            | Self::PlegDiscards { observed: seen, limit }
            | Self::TooFewRelists { observed: seen, limit }
            | Self::LogRecovery { observed: seen, limit }
            | Self::OfflineReplicas { observed: seen, limit }
            | Self::PartitionsThin { observed: seen, limit, .. }
            | Self::PodsNotReady { observed: seen, limit, .. }
            | Self::WitnessStale { age_ms: seen, limit_ms: limit, .. }
            | Self::MembersShareNode { observed: seen, limit } => Some((wide(seen), wide(limit))),
            Self::LogNotCaughtUp { observed, limit } | Self::LeaderBehind { observed, limit } => {
                Some((signed(observed), signed(limit)))
            }
            Self::TooFewGoodProbes { observed, limit } => Some((observed.into(), limit.into())),
            Self::QueryFails { observed, limit, .. } => observed.zip(limit),
            Self::PartitionsUntold { observed, limit } => Some((wide(observed), wide(limit?))),
            Self::NotObserved
            | Self::Unreachable { .. }
            | Self::MetricMissing { .. }
            | Self::Unreadable { .. }
            | Self::VersionDiffers { .. }
            | Self::NotRestarted { .. }
            | Self::QuorumLagUnknown
            | Self::NotInQuorum { .. }
            | Self::LeadersDisagree { .. }
            | Self::CommitUnknown
            | Self::UncommittedVoterChange
            | Self::NotReady
            | Self::SameIncarnation { .. }
            | Self::WitnessSilent { .. }
            | Self::WitnessDisagrees { .. }
            | Self::BrokerState { .. }
            | Self::NotAVoter { .. }
            | Self::NotCaughtUp
            | Self::VoterSetDiffers { .. }
            | Self::ForeignCordon { .. }
            | Self::ForeignMaintenance { .. }
            | Self::DisruptionBudget { .. }
            | Self::PodUnmovable { .. }
            | Self::Etcd { .. }
            | Self::RolloutIncomplete { .. }
            | Self::PodWaiting { .. }
            | Self::VersionContradicted { .. }
            | Self::AlertFires { .. }
            | Self::QueryUnknown { .. } => None,
        }
    }

    /// Whether the finding says that something is bad, or that it cannot be told.
    pub fn verdict(&self) -> HealthVerdict {
        if self.is_unknown() { HealthVerdict::Unknown } else { HealthVerdict::Unhealthy }
    }

    /// The unit does not answer or is out of service, whatever its role; what answers with a page
    /// from the past does not answer.
    pub fn is_down(&self) -> bool {
        matches!(
            self,
            Self::NotObserved
                | Self::Unreachable { .. }
                | Self::Stale { .. }
                | Self::LeaderBehind { .. }
                | Self::LeaderStandsStill { .. }
                | Self::NotReady
        )
    }

    fn is_unknown(&self) -> bool {
        matches!(
            self,
            Self::NotObserved
                | Self::Unreachable { .. }
                | Self::Stale { .. }
                | Self::LeaderBehind { .. }
                | Self::LeaderStandsStill { .. }
                | Self::MetricMissing { .. }
                | Self::Unreadable { .. }
                | Self::QuorumLagUnknown
                | Self::CommitUnknown
                | Self::TooFewRelists { .. }
                | Self::TooFewGoodProbes { .. }
                | Self::WitnessSilent { .. }
                | Self::WitnessStale { .. }
                | Self::PartitionsUntold { .. }
                | Self::QueryUnknown { .. }
        )
    }
}

fn of_partitions(limit: Option<u64>) -> String {
    limit.map_or_else(
        || ", and no page says how many there are".to_owned(),
        |limit| format!(", the active controller counts {limit}"),
    )
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "for display only; counts and milliseconds stay far below 2^53"
)]
fn wide(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "for display only; offsets stay far below 2^53"
)]
fn signed(value: i64) -> f64 {
    value as f64
}
