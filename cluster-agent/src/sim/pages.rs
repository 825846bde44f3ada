//! The pages units serve: names as Strimzi's JMX exporter rules and the kubelet give them.
//!
//! A page also holds what real pages hold and the agent does not want (runtime families, label
//! values with commas and braces), because reading past it is part of the job.

use super::broker::{Broker, PARTITIONS_LED};
use super::pleg::{BOUNDS_US, Histogram, Pleg};
use super::text::{Text, seconds, seconds_of_us};

/// A process of any kind.
pub(super) struct ProcessView<'a> {
    pub(super) version: &'a str,
    pub(super) start_ms: i64,
    pub(super) now_ms: i64,
}

/// A controller's place in the quorum.
pub(super) struct ControllerView<'a> {
    pub(super) process: ProcessView<'a>,
    pub(super) state: &'a str,
    /// -1 = none known.
    pub(super) leader: i64,
    pub(super) epoch: u64,
    pub(super) high_watermark: i64,
    pub(super) log_end: i64,
    pub(super) log_end_epoch: u64,
    pub(super) voters: usize,
    pub(super) active_brokers: usize,
    pub(super) fenced_brokers: usize,
    /// When the leader appended the record applied last, where that is known.
    pub(super) applied_at_ms: Option<i64>,
}

/// A controller's page.
pub(super) fn controller(view: &ControllerView<'_>) -> String {
    let mut text = Text::default();
    jvm(&mut text, &view.process);
    app_info(&mut text, view.process.version);
    raft(&mut text, view);
    let leads = view.state == "leader";
    let active = u8::from(leads);
    let mut gauge = |name: &str, value: &dyn std::fmt::Display| {
        let name = format!("kafka_controller_kafkacontroller_{name}");
        text.single(&name, "gauge", "Attribute exposed for management", value);
    };
    gauge("activecontrollercount", &active);
    gauge("activebrokercount", &if leads { view.active_brokers } else { 0 });
    gauge("fencedbrokercount", &if leads { view.fenced_brokers } else { 0 });
    gauge("offlinepartitionscount", &0);
    gauge("metadataerrorcount", &0);
    gauge("lastappliedrecordoffset", &(view.high_watermark - 1));
    gauge("lastcommittedrecordoffset", &(view.high_watermark - 1));
    // Before the first record is applied Kafka reports its own clock as the lag.
    let applied_at_ms = if view.high_watermark < 0 { Some(0) } else { view.applied_at_ms };
    if let Some(at_ms) = applied_at_ms {
        gauge("lastappliedrecordtimestamp", &at_ms);
        gauge("lastappliedrecordlagms", &(view.process.now_ms - at_ms));
    }
    text.finish()
}

fn raft(text: &mut Text, view: &ControllerView<'_>) {
    let name = "kafka_server_raftmetrics_current_state";
    text.family(name, "untyped", "Attribute exposed for management");
    text.sample(name, &format!("current_state=\"{}\"", view.state), 1);
    let mut gauge = |name: &str, value: &dyn std::fmt::Display| {
        let name = format!("kafka_server_raftmetrics_{name}");
        text.single(&name, "gauge", "Attribute exposed for management", value);
    };
    gauge("current_leader", &view.leader);
    gauge("current_vote", &-1);
    gauge("current_epoch", &view.epoch);
    gauge("high_watermark", &view.high_watermark);
    gauge("log_end_offset", &view.log_end);
    gauge("log_end_epoch", &view.log_end_epoch);
    gauge("number_unknown_voter_connections", &0);
    gauge("number_of_voters", &view.voters);
    if view.state == "leader" {
        gauge("number_of_observers", &view.active_brokers);
        gauge("uncommitted_voter_change", &0);
    }
}

/// A broker's page; `missing` counts the partitions it leads that lack a replica.
pub(super) fn broker(process: &ProcessView<'_>, broker: &Broker, missing: u32) -> String {
    let mut text = Text::default();
    jvm(&mut text, process);
    app_info(&mut text, process.version);
    let name = "kafka_server_raftmetrics_current_state";
    text.family(name, "untyped", "Attribute exposed for management");
    text.sample(name, "current_state=\"observer\"", 1);
    let mut gauge = |name: &str, value: &dyn std::fmt::Display| {
        text.single(name, "gauge", "Attribute exposed for management", value);
    };
    gauge("kafka_server_raftmetrics_current_leader", &broker.leader.map_or(-1, i64::from));
    gauge("kafka_server_raftmetrics_current_epoch", &broker.epoch);
    gauge("kafka_server_raftmetrics_log_end_offset", &broker.metadata_end);
    gauge("kafka_server_raftmetrics_high_watermark", &broker.metadata_end);
    gauge("kafka_server_kafkaserver_brokerstate", &3);
    gauge("kafka_server_replicamanager_leadercount", &PARTITIONS_LED);
    gauge("kafka_server_replicamanager_partitioncount", &(3 * PARTITIONS_LED));
    gauge("kafka_server_replicamanager_underreplicatedpartitions", &missing);
    gauge("kafka_server_replicamanager_underminisrpartitioncount", &0);
    gauge("kafka_server_replicamanager_atminisrpartitioncount", &missing);
    gauge("kafka_server_replicamanager_offlinereplicacount", &0);
    gauge("kafka_server_replicamanager_reassigningpartitions", &0);
    text.finish()
}

/// A kubelet's page.
pub(super) fn kubelet(process: &ProcessView<'_>, node: &str, pleg: &Pleg) -> String {
    let mut text = Text::default();
    go(&mut text, process);
    let bare = process.version.trim_start_matches('v');
    let mut parts = bare.split('.');
    let major = parts.next().unwrap_or("0");
    let minor = parts.next().unwrap_or("0");
    let name = "kubernetes_build_info";
    text.family(
        name,
        "gauge",
        "[BETA] A metric with a constant '1' value labeled by major, minor, git version",
    );
    let labels = format!(
        "build_date=\"2026-09-01T10:00:00Z\",compiler=\"gc\",git_tree_state=\"clean\",\
         git_version=\"v{bare}\",go_version=\"go1.26\",major=\"{major}\",minor=\"{minor}\",\
         platform=\"linux/amd64\""
    );
    text.sample(name, &labels, 1);
    let name = "kubelet_node_name";
    text.family(name, "gauge", "[ALPHA] The node's name. The count is always 1.");
    text.sample(name, &format!("node=\"{node}\""), 1);
    text.single(
        "kubelet_pleg_discard_events",
        "counter",
        "[ALPHA] The number of discard events in PLEG.",
        0,
    );
    text.single(
        "kubelet_pleg_last_seen_seconds",
        "gauge",
        "[ALPHA] Timestamp in seconds when PLEG was last seen active.",
        pleg.last_seen_ms.map_or(0, |ms| ms.div_euclid(1000)),
    );
    let help = "[ALPHA] Duration in seconds for relisting pods in PLEG.";
    histogram(&mut text, "kubelet_pleg_relist_duration_seconds", help, &pleg.duration);
    let help = "[ALPHA] Interval in seconds between relisting in PLEG.";
    histogram(&mut text, "kubelet_pleg_relist_interval_seconds", help, &pleg.interval);
    text.finish()
}

/// A workload's page.
pub(super) fn workload(process: &ProcessView<'_>) -> String {
    let mut text = Text::default();
    go(&mut text, process);
    let name = "workload_build_info";
    text.family(name, "gauge", "A metric with a constant '1' value labeled by version");
    text.sample(name, &format!("version=\"{}\"", process.version), 1);
    text.finish()
}

fn app_info(text: &mut Text, version: &str) {
    let name = "kafka_server_app_info";
    text.family(name, "gauge", "Attribute exposed for management");
    text.sample(name, &format!("version=\"{version}\""), 1);
}

fn histogram(text: &mut Text, name: &str, help: &str, histogram: &Histogram) {
    text.family(name, "histogram", help);
    let bucket = format!("{name}_bucket");
    for (bound, count) in BOUNDS_US.iter().zip(histogram.cumulative) {
        let bound = seconds_of_us(*bound);
        let bound = bound.trim_end_matches('0').trim_end_matches('.');
        text.sample(&bucket, &format!("le=\"{bound}\""), count);
    }
    text.sample(&bucket, "le=\"+Inf\"", histogram.count);
    text.sample(&format!("{name}_sum"), "", seconds_of_us(histogram.sum_us));
    text.sample(&format!("{name}_count"), "", histogram.count);
}

fn process_start(text: &mut Text, process: &ProcessView<'_>) {
    text.single(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        seconds(process.start_ms),
    );
}

fn jvm(text: &mut Text, process: &ProcessView<'_>) {
    process_start(text, process);
    let name = "jvm_memory_pool_used_bytes";
    text.family(name, "gauge", "Used bytes of a given JVM memory pool.");
    text.sample(name, "pool=\"CodeHeap 'non-nmethods'\"", 1_344_512);
    text.sample(name, "pool=\"G1 Eden Space\"", 41_943_040 + process.now_ms % 9_973);
    let name = "jvm_info";
    text.family(name, "gauge", "VM version info");
    text.sample(name, "runtime=\"OpenJDK Runtime Environment\",version=\"17.0.12+7, mixed\"", 1);
}

fn go(text: &mut Text, process: &ProcessView<'_>) {
    process_start(text, process);
    text.single(
        "go_goroutines",
        "gauge",
        "Number of goroutines that currently exist.",
        500 + process.now_ms % 37,
    );
    let name = "http_requests_total";
    text.family(name, "counter", "Requests by path");
    let since_start_s = (process.now_ms - process.start_ms) / 1000;
    text.sample(name, "code=\"200\",path=\"/pods/{namespace}/{name},all\"", since_start_s);
    text.sample(name, "code=\"404\",path=\"C:\\\\\\\"odd\\\"\"", 1);
}
