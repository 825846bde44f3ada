//! What holds for every unit: silence, staleness, restarts, versions, replication.

use channels::wire::{HealthVerdict, Role};

use super::*;
use crate::observation::ObserverError;
use crate::telemetry::PageError;

fn page(start: u32, version: &str) -> String {
    format!("process_start_time_seconds {start}\nworkload_build_info{{version=\"{version}\"}} 1\n")
}

fn workload() -> Observer {
    observer(vec![target("w1", Role::Workload, None)])
}

fn apply(observer: &mut Observer, text: &str, ms: i64) -> UnitObservation {
    let results = Results::from([(key("w1"), Ok(probe_of(Role::Workload, text, ms)))]);
    unit(&observer.apply(results, PROBE_MS, at(ms)), "w1").clone()
}

#[test]
fn a_unit_that_was_never_probed_is_unknown() {
    let seen = workload().apply(Results::new(), PROBE_MS, at(0));
    let seen = unit(&seen, "w1");
    assert_eq!((seen.verdict, seen.bad_since), (HealthVerdict::Unknown, Some(at(0))));
    assert_eq!(seen.findings, [Finding::NotObserved]);
}

#[test]
fn an_answer_that_fails_takes_the_figures_with_it_but_not_the_version() {
    let mut observer = workload();
    assert_eq!(apply(&mut observer, &page(5, "1.0.0"), 0).verdict, HealthVerdict::Healthy);
    let lost = Results::from([(key("w1"), Err(ScrapeError::Timeout { limit_ms: 1000 }))]);
    let seen = observer.apply(lost, PROBE_MS, at(500));
    let seen = unit(&seen, "w1");
    let why = "no answer within 1000 ms".to_owned();
    assert_eq!(seen.findings, [Finding::Unreachable { why }]);
    assert_eq!((seen.verdict, seen.last_good), (HealthVerdict::Unknown, Some(at(0))));
    assert_eq!((seen.version.as_deref(), seen.bad_since), (Some("1.0.0"), Some(at(500))));
}

#[test]
fn a_page_that_cannot_be_read_is_unreadable_not_empty() {
    let mut probe = probe_of(Role::Workload, "", 0);
    probe.page = Err(PageError::Truncated);
    let results = Results::from([(key("w1"), Ok(probe))]);
    let seen = workload().apply(results, PROBE_MS, at(0));
    assert_eq!(gates(&unit(&seen, "w1").findings), ["unreadable"]);
    assert_eq!(unit(&seen, "w1").last_good, None);
}

#[test]
fn old_answers_and_old_samples_are_stale() {
    let mut observer = workload();
    apply(&mut observer, &page(5, "1.0.0"), 0);
    let fresh = observer.apply(Results::new(), PROBE_MS, at(2_000));
    assert!(unit(&fresh, "w1").findings.is_empty());
    let old = observer.apply(Results::new(), PROBE_MS, at(2_001));
    let stale = Finding::Stale { age_ms: 2001, limit_ms: 2000 };
    assert_eq!(unit(&old, "w1").findings, [stale]);
    // A page served again by a cache, with the time of its samples.
    let stamp = at(0).as_millisecond();
    let cached = format!("process_start_time_seconds 5 {stamp}\n{}", {
        "workload_build_info{version=\"1.0.0\"} 1\n"
    });
    let seen = apply(&mut workload(), &cached, 60_000);
    assert_eq!(seen.findings, [Finding::Stale { age_ms: 60_000, limit_ms: 2000 }]);
}

#[test]
fn a_version_must_be_named_exactly_once() {
    let two = "process_start_time_seconds 5\nworkload_build_info{version=\"1\",a=\"1\"} 1\n\
               workload_build_info{version=\"2\",a=\"2\"} 1\n";
    assert_eq!(gates(&apply(&mut workload(), two, 0).findings), ["unreadable"]);
    let none = "process_start_time_seconds 5\nworkload_build_info{revision=\"1\"} 1\n";
    let missing = Finding::MetricMissing { signal: Signal::Version };
    assert_eq!(apply(&mut workload(), none, 0).findings, [missing]);
}

#[test]
fn replication_gauges_of_a_broker_are_findings() {
    let text = |urp: u32, under: u32, moving: u32, at_min: u32| {
        let replicas = "kafka_server_replicamanager";
        format!(
            "process_start_time_seconds 5\nkafka_server_app_info{{version=\"3.9.1\"}} 1\n\
             {replicas}_underreplicatedpartitions {urp}\n{replicas}_atminisrpartitioncount {at_min}\n\
             {replicas}_underminisrpartitioncount {under}\n{replicas}_reassigningpartitions {moving}\n"
        )
    };
    let mut observer = observer(vec![target("b1", Role::Broker, Some(4))]);
    let mut apply = |text: String, ms| {
        let results = Results::from([(key("b1"), Ok(probe_of(Role::Broker, &text, ms)))]);
        observer.apply(results, PROBE_MS, at(ms))
    };
    let bad = apply(text(1, 2, 3, 9), 0);
    let expected = ["under_replicated", "under_min_isr", "reassigning"];
    assert_eq!(gates(&unit(&bad, "b1").findings), expected);
    assert!(bad.at_min_isr_baseline.is_empty(), "not while something is under-replicated");
    let baseline = |seen: &Observation| seen.at_min_isr_baseline.values().copied().next();
    let good = apply(text(0, 0, 0, 2), 1_000);
    assert_eq!((unit(&good, "b1").verdict, baseline(&good)), (HealthVerdict::Healthy, Some(2)));
    // More is believed only after it stood for a minute.
    assert_eq!(baseline(&apply(text(0, 0, 0, 5), 2_000)), Some(2));
    assert_eq!(baseline(&apply(text(0, 0, 0, 5), 61_999)), Some(2));
    assert_eq!(baseline(&apply(text(0, 0, 0, 5), 62_000)), Some(5));
    assert_eq!(baseline(&apply(text(0, 0, 0, 1), 63_000)), Some(1));
}

#[test]
fn a_process_may_name_its_metrics_otherwise_with_and_without_a_restart() {
    let mut observer = observer(vec![target("b1", Role::Broker, Some(4))]);
    let text = |start: u32, suffix: &str, prefix: &str| {
        let replicas = format!("kafka_server_replicamanager_{prefix}");
        format!(
            "process_start_time_seconds {start}\nkafka_server_app_info{{version=\"4.0.0\"}} 1\n\
             {replicas}underreplicatedpartitions{suffix} 0\n{replicas}atminisrpartitioncount{suffix} 0\n\
             {replicas}underminisrpartitioncount{suffix} 0\n{replicas}reassigningpartitions{suffix} 0\n"
        )
    };
    let mut apply = |text: String, ms| {
        let results = Results::from([(key("b1"), Ok(probe_of(Role::Broker, &text, ms)))]);
        unit(&observer.apply(results, PROBE_MS, at(ms)), "b1").clone()
    };
    assert_eq!(apply(text(5, "", ""), 0).verdict, HealthVerdict::Healthy);
    let renamed = apply(text(5, "_value", "total_"), 500);
    assert_eq!(renamed.verdict, HealthVerdict::Healthy, "its exporter took other rules");
    let garbled = apply(text(5, "_odd", "total_"), 750);
    assert_eq!(garbled.verdict, HealthVerdict::Unknown, "names that nobody knows");
    let restarted = apply(text(6, "_value", "total_"), 1_000);
    assert_eq!(restarted.verdict, HealthVerdict::Healthy);
}

#[test]
fn targets_that_cannot_be_told_apart_are_refused() {
    let refused = |targets| Observer::new(targets, ObserverSettings::default()).unwrap_err();
    let controller = |name, id| target(name, Role::Controller, id);
    let twice = vec![controller("c1", Some(1)), controller("c1", Some(2))];
    assert!(matches!(refused(twice), ObserverError::Duplicate { .. }));
    assert!(matches!(refused(vec![controller("c1", None)]), ObserverError::NoNodeId { .. }));
    let taken = vec![controller("c1", Some(1)), controller("c2", Some(1))];
    assert!(matches!(refused(taken), ObserverError::NodeIdTaken { node_id: 1, .. }));
    let mut odd = controller("c1", Some(1));
    odd.version_evidence.family = "kafka app".to_owned();
    assert!(matches!(refused(vec![odd]), ObserverError::Evidence { .. }));
}

#[test]
fn reports_list_what_needs_attention_first() {
    let mut observer =
        observer(vec![target("a1", Role::Workload, None), target("b1", Role::Workload, None)]);
    let good = Ok(probe_of(Role::Workload, &page(5, "1.0.0"), 0));
    let seen = observer.apply(Results::from([(key("a1"), good)]), PROBE_MS, at(0));
    let states = seen.unit_states(&key("a1").product);
    let names: Vec<_> = states.iter().map(|state| state.name.as_str()).collect();
    assert_eq!(names, ["b1", "a1"]);
    assert_eq!(states[0].why.as_deref(), Some("the unit has not been observed"));
    let reason = Finding::QuorumLag { observed_ms: 2500, limit_ms: 2000 }.waiting_on(None, None);
    assert_eq!(
        (reason.gate.as_str(), reason.observed, reason.limit),
        ("quorum_lag", Some(2500.0), Some(2000.0))
    );
    assert_eq!(reason.message, "quorum lag 2500 ms, limit 2000 ms");
}

#[test]
fn a_unit_that_may_be_on_any_node_is_where_it_is_seen_and_a_configured_place_stays() {
    let mut fixed = target("w2", Role::Workload, None);
    fixed.placement = Placement::OnNode("n9".parse().unwrap());
    let mut observer = observer(vec![target("w1", Role::Workload, None), fixed]);
    let node = || Some("n1".parse().unwrap());
    observer.place(BTreeMap::from([(key("w1"), node()), (key("w2"), node())]));
    let seen = observer.apply(Results::new(), PROBE_MS, at(0));
    assert_eq!(unit(&seen, "w1").placement, Placement::OnNode("n1".parse().unwrap()));
    assert_eq!(unit(&seen, "w2").placement, Placement::OnNode("n9".parse().unwrap()));
    // Between two nodes it may be on any.
    observer.place(BTreeMap::from([(key("w1"), None)]));
    let seen = observer.apply(Results::new(), PROBE_MS, at(500));
    assert_eq!(unit(&seen, "w1").placement, Placement::Unknown);
}

#[test]
fn units_that_are_asked_the_same_share_one_list_and_others_do_not() {
    let nodes = ["n1", "n2"].map(|name| target(name, Role::Node, None));
    let mut named = target("w1", Role::Workload, None);
    let other = target("w2", Role::Workload, None);
    named.version_evidence.family = "shop_build_info".to_owned();
    let mut all = nodes.to_vec();
    all.extend([named, other]);
    let lists = observer(all).probe_targets(|_| true);
    let list = |name: &str| &lists.iter().find(|t| t.key == key(name)).unwrap().wanted;
    assert!(std::sync::Arc::ptr_eq(list("n1"), list("n2")));
    assert!(!std::sync::Arc::ptr_eq(list("w1"), list("w2")));
}
