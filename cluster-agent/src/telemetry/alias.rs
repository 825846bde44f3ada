//! Which metric names carry a signal (rolling.md §1.3).
//!
//! The same JMX attribute has a different name under every exporter configuration in use. The table lists
//! them; each target is matched against it from its live page, and the answer is kept for as long
//! as the page has that name: an exporter takes other rules without a restart of the process.

use std::collections::{BTreeMap, BTreeSet};

use channels::wire::Role;

use super::page::{FamilyReading, Page};
use super::signal::Signal;
use super::wanted::{FamilyKind, Wanted, WantedError};

/// Which configuration or program gives a metric its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Strimzi's `kafka-metrics` rules.
    Strimzi,
    /// The `KRaft` example of `jmx_exporter`; Strimzi's metrics reporter names alike.
    JmxExample,
    /// Confluent's monitoring stacks.
    Confluent,
    /// Charts whose rules append the attribute: `…_value`.
    ValueSuffix,
    /// A name of another row after the exporter's sanitizer added or took a suffix.
    Sanitized,
    /// Kubelet, seconds (since 1.14) and unchanged ones.
    Kubelet,
    /// Kubelet, microseconds (up to 1.16).
    OldKubelet,
    /// Every official client library.
    ClientLibrary,
    /// kube-state-metrics.
    KubeStateMetrics,
}

/// One name of one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AliasRow {
    /// What it carries.
    pub signal: Signal,
    /// The metric name.
    pub name: &'static str,
    /// What such a family is.
    pub kind: FamilyKind,
    /// Who names it so.
    pub naming: Naming,
    /// Another attribute that tells nearly the same: used only for as long as no row tells it
    /// itself. A starting controller shows `KafkaController` metrics before its raft metrics.
    pub stands_in: bool,
}

const fn row(signal: Signal, naming: Naming, name: &'static str) -> AliasRow {
    AliasRow { signal, name, kind: FamilyKind::Number, naming, stands_in: false }
}

const fn stand_in(signal: Signal, naming: Naming, name: &'static str) -> AliasRow {
    AliasRow { stands_in: true, ..row(signal, naming, name) }
}

/// Every known name, preferred ones first within a signal.
#[rustfmt::skip]
pub const ROWS: &[AliasRow] = {
    use Naming::{
        ClientLibrary, Confluent, JmxExample, KubeStateMetrics, Kubelet, OldKubelet, Sanitized,
        Strimzi, ValueSuffix,
    };
    use Signal as S;
    &[
        row(S::ProcessStart, ClientLibrary, "process_start_time_seconds"),
        row(S::LogEndOffset, Strimzi, "kafka_server_raftmetrics_log_end_offset"),
        row(S::LogEndOffset, JmxExample, "kafka_server_raft_metrics_log_end_offset"),
        // Where raft-metrics are dropped, the last applied record stands in for the log's end.
        stand_in(S::LogEndOffset, Strimzi, "kafka_controller_kafkacontroller_lastappliedrecordoffset"),
        stand_in(S::LogEndOffset, ValueSuffix, "kafka_controller_kafkacontroller_lastappliedrecordoffset_value"),
        row(S::LogEndEpoch, Strimzi, "kafka_server_raftmetrics_log_end_epoch"),
        row(S::LogEndEpoch, JmxExample, "kafka_server_raft_metrics_log_end_epoch"),
        row(S::HighWatermark, Strimzi, "kafka_server_raftmetrics_high_watermark"),
        row(S::HighWatermark, JmxExample, "kafka_server_raft_metrics_high_watermark"),
        stand_in(S::HighWatermark, Strimzi, "kafka_controller_kafkacontroller_lastcommittedrecordoffset"),
        stand_in(S::HighWatermark, ValueSuffix, "kafka_controller_kafkacontroller_lastcommittedrecordoffset_value"),
        row(S::CurrentLeader, Strimzi, "kafka_server_raftmetrics_current_leader"),
        row(S::CurrentLeader, Confluent, "kafka_server_raft_metrics_current_leader"),
        row(S::CurrentEpoch, Strimzi, "kafka_server_raftmetrics_current_epoch"),
        row(S::CurrentEpoch, Confluent, "kafka_server_raft_metrics_current_epoch"),
        row(S::CurrentState, Strimzi, "kafka_server_raftmetrics_current_state"),
        row(S::CurrentState, JmxExample, "kafka_server_raft_metrics_current_state_info"),
        row(S::CurrentState, Sanitized, "kafka_server_raft_metrics_current_state"),
        row(S::CurrentState, Sanitized, "kafka_server_raftmetrics_current_state_info"),
        row(S::ActiveController, Strimzi, "kafka_controller_kafkacontroller_activecontrollercount"),
        row(S::ActiveController, ValueSuffix, "kafka_controller_kafkacontroller_activecontrollercount_value"),
        row(S::NumberOfVoters, Strimzi, "kafka_server_raftmetrics_number_of_voters"),
        row(S::NumberOfVoters, JmxExample, "kafka_server_raft_metrics_number_of_voters"),
        row(S::UncommittedVoterChange, Strimzi, "kafka_server_raftmetrics_uncommitted_voter_change"),
        row(S::UncommittedVoterChange, JmxExample, "kafka_server_raft_metrics_uncommitted_voter_change"),
        row(S::AppliedLag, Strimzi, "kafka_controller_kafkacontroller_lastappliedrecordlagms"),
        row(S::AppliedLag, ValueSuffix, "kafka_controller_kafkacontroller_lastappliedrecordlagms_value"),
        row(S::MetadataErrors, Strimzi, "kafka_controller_kafkacontroller_metadataerrorcount"),
        row(S::MetadataErrors, ValueSuffix, "kafka_controller_kafkacontroller_metadataerrorcount_value"),
        row(S::MetadataErrors, Sanitized, "kafka_controller_kafkacontroller_metadataerrorcount_total"),
        row(S::FencedBrokers, Strimzi, "kafka_controller_kafkacontroller_fencedbrokercount"),
        row(S::FencedBrokers, ValueSuffix, "kafka_controller_kafkacontroller_fencedbrokercount_value"),
        row(S::OfflinePartitions, Strimzi, "kafka_controller_kafkacontroller_offlinepartitionscount"),
        row(S::OfflinePartitions, ValueSuffix, "kafka_controller_kafkacontroller_offlinepartitionscount_value"),
        row(S::GlobalPartitions, Strimzi, "kafka_controller_kafkacontroller_globalpartitioncount"),
        row(S::GlobalPartitions, ValueSuffix, "kafka_controller_kafkacontroller_globalpartitioncount_value"),
        row(S::UnderReplicated, Strimzi, "kafka_server_replicamanager_underreplicatedpartitions"),
        row(S::UnderReplicated, ValueSuffix, "kafka_server_replicamanager_total_underreplicatedpartitions_value"),
        row(S::UnderMinIsr, Strimzi, "kafka_server_replicamanager_underminisrpartitioncount"),
        row(S::UnderMinIsr, ValueSuffix, "kafka_server_replicamanager_total_underminisrpartitioncount_value"),
        row(S::AtMinIsr, Strimzi, "kafka_server_replicamanager_atminisrpartitioncount"),
        row(S::AtMinIsr, ValueSuffix, "kafka_server_replicamanager_total_atminisrpartitioncount_value"),
        row(S::Reassigning, Strimzi, "kafka_server_replicamanager_reassigningpartitions"),
        row(S::Reassigning, ValueSuffix, "kafka_server_replicamanager_total_reassigningpartitions_value"),
        row(S::BrokerState, Strimzi, "kafka_server_kafkaserver_brokerstate"),
        row(S::OfflineReplicas, Strimzi, "kafka_server_replicamanager_offlinereplicacount"),
        row(S::OfflineReplicas, ValueSuffix, "kafka_server_replicamanager_total_offlinereplicacount_value"),
        row(S::LogsToRecover, Strimzi, "kafka_log_logmanager_remaininglogstorecover"),
        row(S::SegmentsToRecover, Strimzi, "kafka_log_logmanager_remainingsegmentstorecover"),
        AliasRow { kind: FamilyKind::Histogram, ..row(S::RelistDuration, Kubelet, "kubelet_pleg_relist_duration_seconds") },
        AliasRow { kind: FamilyKind::Summary, ..row(S::RelistLatencyMicroseconds, OldKubelet, "kubelet_pleg_relist_latency_microseconds") },
        row(S::PlegLastSeen, Kubelet, "kubelet_pleg_last_seen_seconds"),
        row(S::PlegDiscards, Kubelet, "kubelet_pleg_discard_events"),
        row(S::PlegDiscards, Sanitized, "kubelet_pleg_discard_events_total"),
        row(S::EventedPleg, Kubelet, "kubelet_evented_pleg_connection_success_count"),
        row(S::EventedPleg, Sanitized, "kubelet_evented_pleg_connection_success_count_total"),
        row(S::NodeReady, KubeStateMetrics, "kube_node_status_condition"),
    ]
};

/// Names of `signal`, preferred ones first.
pub fn names_of(signal: Signal) -> impl Iterator<Item = &'static AliasRow> {
    ROWS.iter().filter(move |row| row.signal == signal)
}

/// Everything a unit of `role` is read for, and the family that holds its version.
///
/// A version family `…_info` is read under its name without that ending, too: the Prometheus client
/// library for Java, and with it `jmx_exporter` since 1.0, takes the ending off every gauge.
pub fn wanted_of(role: Role, version_family: &str) -> Result<Wanted, WantedError> {
    wanted_for(&Signal::of_role(role).iter().copied().collect(), version_family)
}

/// As [`wanted_of`], for a unit that carries other signals than those of one role.
pub fn wanted_for(signals: &BTreeSet<Signal>, version_family: &str) -> Result<Wanted, WantedError> {
    let rows = signals.iter().flat_map(|&signal| names_of(signal));
    let known = rows.map(|row| (row.name, row.kind));
    let mut wanted = Wanted::new(known.chain([(version_family, FamilyKind::Number)]))?;
    if let Some(stripped) = version_family.strip_suffix("_info").filter(|name| !name.is_empty()) {
        wanted.also_spelled(version_family, stripped)?;
    }
    Ok(wanted)
}

/// The names one target uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AliasMap {
    resolved: BTreeMap<Signal, &'static AliasRow>,
}

impl AliasMap {
    /// Nothing resolved.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves what is not resolved yet. A name once chosen stays while it is on the page; one that
    /// vanishes makes way only for another name of the same attribute, as after a change of the
    /// exporter's rules, and is missed rather than replaced by a stand-in. A stand-in always makes
    /// way.
    pub fn resolve(&mut self, page: &Page, signals: &[Signal]) {
        let is_live = |row: &AliasRow| *page.family(row.name) != FamilyReading::Absent;
        for &signal in signals {
            if self.resolved.get(&signal).is_some_and(|row| !row.stands_in && is_live(row)) {
                continue;
            }
            let live = names_of(signal).find(|row| is_live(row));
            match live {
                Some(row) if !row.stands_in || !self.resolved.contains_key(&signal) => {
                    self.resolved.insert(signal, row);
                }
                Some(_) | None => {}
            }
        }
    }

    /// The name that carries `signal` on this target.
    pub fn name(&self, signal: Signal) -> Option<&'static str> {
        self.resolved.get(&signal).map(|row| row.name)
    }
}
