//! Brokers that start, recover and lose disks, and controllers that are brokers as well.

use channels::wire::{HealthVerdict, Role};

use super::quorums::{page as controller_page, voter};
use super::*;

const REPLICA_MANAGER: &str = "kafka_server_replicamanager";

fn page(extra: &str) -> String {
    format!(
        "process_start_time_seconds 1.7e9\nkafka_server_app_info{{version=\"3.9.1\"}} 1\n\
         {REPLICA_MANAGER}_underreplicatedpartitions 0\n\
         {REPLICA_MANAGER}_underminisrpartitioncount 0\n\
         {REPLICA_MANAGER}_atminisrpartitioncount 2\n\
         {REPLICA_MANAGER}_reassigningpartitions 0\n{extra}"
    )
}

fn seen(extra: &str) -> UnitObservation {
    let mut observer = observer(vec![target("b7", Role::Broker, Some(7))]);
    let probe = probe_of(Role::Broker, &page(extra), 0);
    let results = Results::from([(key("b7"), Ok(probe))]);
    unit(&observer.apply(results, PROBE_MS, at(0)), "b7").clone()
}

#[test]
fn a_broker_that_runs_is_healthy_with_or_without_the_state() {
    for extra in ["", "kafka_server_kafkaserver_brokerstate 3\n"] {
        let seen = seen(extra);
        assert_eq!((seen.verdict, seen.recovering), (HealthVerdict::Healthy, None), "{extra}");
    }
}

#[test]
fn log_recovery_is_seen_with_what_is_left() {
    let recovering = seen(
        "kafka_server_kafkaserver_brokerstate 2\n\
         kafka_log_logmanager_remaininglogstorecover{dir=\"/a\"} 40\n\
         kafka_log_logmanager_remaininglogstorecover{dir=\"/b\"} 2\n\
         kafka_log_logmanager_remainingsegmentstorecover{dir=\"/a\",threadNum=\"0\"} 7\n",
    );
    assert_eq!(recovering.recovering, Some(49));
    assert_eq!(recovering.findings, [Finding::LogRecovery { observed: 49, limit: 0 }]);
    assert_eq!(recovering.findings[0].to_string(), "the broker recovers its logs, 49 left");
}

#[test]
fn recovery_without_figures_is_still_recovery() {
    let silent = seen("kafka_server_kafkaserver_brokerstate 2\n");
    assert_eq!(silent.recovering, Some(0));
    assert_eq!(gates(&silent.findings), ["log_recovery"]);
    let done = seen(
        "kafka_server_kafkaserver_brokerstate 3\n\
         kafka_log_logmanager_remaininglogstorecover{dir=\"/a\"} 0\n",
    );
    assert_eq!((done.verdict, done.recovering), (HealthVerdict::Healthy, None));
}

#[test]
fn a_broker_that_starts_or_ends_is_named_by_its_state() {
    let starting = seen("kafka_server_kafkaserver_brokerstate 1\n");
    assert_eq!(starting.findings, [Finding::BrokerState { state: "STARTING (1)".into() }]);
    let ending = seen("kafka_server_kafkaserver_brokerstate 6\n");
    let state = "PENDING_CONTROLLED_SHUTDOWN (6)".into();
    assert_eq!(ending.findings, [Finding::BrokerState { state }]);
}

#[test]
fn replicas_on_a_lost_disk_are_counted() {
    let lost = seen(&format!("{REPLICA_MANAGER}_offlinereplicacount 3\n"));
    assert_eq!(lost.findings, [Finding::OfflineReplicas { observed: 3, limit: 0 }]);
}

#[test]
fn a_count_that_is_none_is_unreadable_never_zero() {
    let negative = seen("kafka_log_logmanager_remaininglogstorecover{dir=\"/a\"} -1\n");
    assert_eq!(gates(&negative.findings), ["unreadable"]);
    assert_eq!(negative.verdict, HealthVerdict::Unknown);
}

fn combined() -> Target {
    let mut required = Signal::required_of(Role::Controller);
    required.extend(Signal::required_of(Role::Broker));
    Target { also_broker: true, required, ..target("c1", Role::Controller, Some(1)) }
}

fn observe_combined(extra: &str) -> Observation {
    let text = controller_page(&voter(1, 1000)) + extra;
    let target = combined();
    let family = VersionEvidence::default_of(Role::Controller).family;
    let wanted = alias::wanted_for(&target.signals(), &family).unwrap();
    let page = Page::read(text.as_bytes(), &wanted);
    let probe = Probe { page, date: None, requested_at: at(-10), received_at: at(0) };
    observer(vec![target]).apply(Results::from([(key("c1"), Ok(probe))]), PROBE_MS, at(0))
}

#[test]
fn a_combined_node_is_read_as_controller_and_as_broker() {
    let text = page("");
    let gauges = &text[text.find(REPLICA_MANAGER).unwrap()..];
    let seen = observe_combined(gauges);
    let unit = unit(&seen, "c1");
    assert!(unit.is_leader && unit.voter.is_some());
    assert_eq!(unit.broker.as_ref().unwrap().at_min_isr, Some(2));
    assert!(gates(&unit.findings).iter().all(|gate| *gate != "metric_missing"), "{unit:?}");
    let product = key("c1").product;
    assert_eq!(seen.at_min_isr_baseline.get(&product), Some(&2));
    assert_eq!(seen.brokers(&product).len(), 1);
}

#[test]
fn a_combined_node_without_broker_metrics_is_unknown() {
    let seen = observe_combined("");
    let missing = gates(&unit(&seen, "c1").findings);
    assert_eq!(missing.iter().filter(|gate| **gate == "metric_missing").count(), 4);
}
