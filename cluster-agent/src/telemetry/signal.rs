//! The signals the agent understands, by their own names.
//!
//! A signal is what is meant (`log_end_offset`); which metric carries it on a given target is the
//! alias table's business.

use std::collections::BTreeSet;
use std::fmt;

use channels::wire::Role;

/// One thing a unit may tell about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Unix start time of the process, seconds: evidence of a restart.
    ProcessStart,
    /// The version the unit reports of itself (family and label are the target's own).
    Version,
    /// Raft log end offset of the metadata log.
    LogEndOffset,
    /// Epoch of the last record in that log.
    LogEndEpoch,
    /// High watermark of the metadata log; -1 just after an election.
    HighWatermark,
    /// Node id of the leader this voter knows; -1 for none.
    CurrentLeader,
    /// Epoch this voter is in.
    CurrentEpoch,
    /// `leader`, `follower` or something that is neither.
    CurrentState,
    /// 1 on the active controller.
    ActiveController,
    /// Voters in the quorum, where exported (Kafka 4.x).
    NumberOfVoters,
    /// A voter change that is not committed, on the leader where exported.
    UncommittedVoterChange,
    /// Age of the last applied metadata record by the controller's own clock, milliseconds.
    AppliedLag,
    /// Metadata errors since the process started.
    MetadataErrors,
    /// Brokers fenced by the active controller.
    FencedBrokers,
    /// Partitions without a leader, by the active controller.
    OfflinePartitions,
    /// Partitions of all topics, by the active controller.
    GlobalPartitions,
    /// Partitions led here with fewer in-sync replicas than replicas.
    UnderReplicated,
    /// Partitions led here with fewer in-sync replicas than `min.insync.replicas`.
    UnderMinIsr,
    /// Partitions led here with exactly `min.insync.replicas` in sync.
    AtMinIsr,
    /// Partitions led here that are being reassigned.
    Reassigning,
    /// Where a broker stands in its life; 3 is RUNNING, 2 recovers logs.
    BrokerState,
    /// Replicas here whose log directory is offline.
    OfflineReplicas,
    /// Logs still to be recovered after an unclean stop, one sample per directory.
    LogsToRecover,
    /// Segments still to be recovered of the logs that are begun, one sample per thread.
    SegmentsToRecover,
    /// Kubelet's relist durations, a histogram in seconds (since 1.14).
    RelistDuration,
    /// Kubelet's relist durations, a summary in microseconds (up to 1.16).
    RelistLatencyMicroseconds,
    /// Unix time of the last relist start the kubelet saw, seconds.
    PlegLastSeen,
    /// Pod events the PLEG had to drop.
    PlegDiscards,
    /// Connections of the evented PLEG; above zero = relists come every 300 s only.
    EventedPleg,
    /// Readiness of the node, where something exports it.
    NodeReady,
}

impl Signal {
    /// The stable, `snake_case` name used in findings, configuration and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProcessStart => "process_start",
            Self::Version => "version",
            Self::LogEndOffset => "log_end_offset",
            Self::LogEndEpoch => "log_end_epoch",
            Self::HighWatermark => "high_watermark",
            Self::CurrentLeader => "current_leader",
            Self::CurrentEpoch => "current_epoch",
            Self::CurrentState => "current_state",
            Self::ActiveController => "active_controller",
            Self::NumberOfVoters => "number_of_voters",
            Self::UncommittedVoterChange => "uncommitted_voter_change",
            Self::AppliedLag => "applied_lag",
            Self::MetadataErrors => "metadata_errors",
            Self::FencedBrokers => "fenced_brokers",
            Self::OfflinePartitions => "offline_partitions",
            Self::GlobalPartitions => "global_partitions",
            Self::UnderReplicated => "under_replicated",
            Self::UnderMinIsr => "under_min_isr",
            Self::AtMinIsr => "at_min_isr",
            Self::Reassigning => "reassigning",
            Self::BrokerState => "broker_state",
            Self::OfflineReplicas => "offline_replicas",
            Self::LogsToRecover => "logs_to_recover",
            Self::SegmentsToRecover => "segments_to_recover",
            Self::RelistDuration => "relist_duration",
            Self::RelistLatencyMicroseconds => "relist_latency_microseconds",
            Self::PlegLastSeen => "pleg_last_seen",
            Self::PlegDiscards => "pleg_discards",
            Self::EventedPleg => "evented_pleg",
            Self::NodeReady => "node_ready",
        }
    }

    /// Every signal a unit of `role` may carry.
    pub fn of_role(role: Role) -> &'static [Self] {
        match role {
            Role::Controller => &[
                Self::ProcessStart,
                Self::LogEndOffset,
                Self::LogEndEpoch,
                Self::HighWatermark,
                Self::CurrentLeader,
                Self::CurrentEpoch,
                Self::CurrentState,
                Self::ActiveController,
                Self::NumberOfVoters,
                Self::UncommittedVoterChange,
                Self::AppliedLag,
                Self::MetadataErrors,
                Self::FencedBrokers,
                Self::OfflinePartitions,
                Self::GlobalPartitions,
            ],
            Role::Broker => &[
                Self::ProcessStart,
                Self::UnderReplicated,
                Self::UnderMinIsr,
                Self::AtMinIsr,
                Self::Reassigning,
                Self::BrokerState,
                Self::OfflineReplicas,
                Self::LogsToRecover,
                Self::SegmentsToRecover,
            ],
            Role::Node => &[
                Self::ProcessStart,
                Self::RelistDuration,
                Self::RelistLatencyMicroseconds,
                Self::PlegLastSeen,
                Self::PlegDiscards,
                Self::EventedPleg,
                Self::NodeReady,
            ],
            Role::Workload => &[Self::ProcessStart],
        }
    }

    /// The signals without which a unit of `role` is unknown, unless its pool says otherwise.
    ///
    /// For nodes either form of the relist duration satisfies [`Signal::RelistDuration`].
    pub fn required_of(role: Role) -> BTreeSet<Self> {
        let required: &[Self] = match role {
            Role::Controller => &[
                Self::ProcessStart,
                Self::Version,
                Self::LogEndOffset,
                Self::LogEndEpoch,
                Self::HighWatermark,
                Self::CurrentLeader,
                Self::CurrentEpoch,
                Self::ActiveController,
                Self::MetadataErrors,
                Self::OfflinePartitions,
                Self::FencedBrokers,
            ],
            Role::Broker => &[
                Self::ProcessStart,
                Self::Version,
                Self::UnderReplicated,
                Self::UnderMinIsr,
                Self::AtMinIsr,
                Self::Reassigning,
            ],
            Role::Node => {
                &[Self::ProcessStart, Self::Version, Self::RelistDuration, Self::PlegLastSeen]
            }
            Role::Workload => &[Self::ProcessStart, Self::Version],
        };
        required.iter().copied().collect()
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
