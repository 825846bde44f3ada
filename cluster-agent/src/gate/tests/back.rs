//! `AwaitReturn`, `AwaitHealth` and `Soak`.

use super::*;
use crate::gate::{MutateRecord, back_and_healthy, has_returned, still_soaking_well};
use crate::observation::LagSource;
use crate::telemetry::Signal;

/// Changed a minute ago; then it started at 90.
fn record() -> MutateRecord {
    MutateRecord {
        incarnation_before: None,
        at: at(NOW_MS - 60_000),
        process_start_before: Some(90.0),
        pleg_p99_before_ms: Some(150),
        leader_offset_at_return: Some(480),
        epoch_at_soak: Some(7),
    }
}

fn returned(name: &str, observation: &Observation) -> Vec<String> {
    told(&has_returned(&key(name), "3.9.1", &record(), observation))
}

fn healthy_again(name: &str, observation: &Observation) -> Vec<String> {
    told(&back_and_healthy(&key(name), "v3.9.1", &record(), observation, &policy()))
}

fn soaks(name: &str, observation: &Observation) -> Vec<String> {
    told(&still_soaking_well(&key(name), "3.9.1", &record(), observation, &policy()))
}

#[test]
fn a_return_needs_an_answer_a_restart_and_the_version() {
    assert!(returned("c2", &healthy()).is_empty());
    let cases: Vec<(Change, &str)> = vec![
        (finding("c2", Finding::Unreachable { why: "x".to_owned() }), "c2:unreachable"),
        (unit("c2", |unit| unit.last_good = None), "c2:not_observed"),
        (unit("c2", |unit| unit.last_good = Some(at(NOW_MS - 60_000))), "c2:not_observed"),
        (unit("c2", |unit| unit.version = Some("3.9.0".to_owned())), "c2:version_differs"),
        (unit("c2", |unit| unit.version = None), "c2:metric_missing"),
        (unit("c2", |unit| unit.process_start = Some(90.0)), "c2:not_restarted"),
        (unit("c2", |unit| unit.process_start = None), "c2:metric_missing"),
    ];
    for (change, expected) in cases {
        assert_eq!(returned("c2", &changed(&[change])), [expected]);
    }
    let gone = UnitKey { unit: "c9".parse().unwrap(), ..key("c1") };
    assert_eq!(told(&has_returned(&gone, "3.9.1", &record(), &healthy())), ["c9:not_observed"]);
}

#[test]
fn a_leading_v_is_no_difference() {
    let observation = changed(&[unit("n2", |unit| unit.version = Some("v1.33.2".to_owned()))]);
    assert!(has_returned(&key("n2"), "1.33.2", &record(), &observation).is_empty());
}

#[test]
fn each_condition_of_a_controllers_health_is_named() {
    assert!(healthy_again("c2", &healthy()).is_empty());
    let lag = Finding::QuorumLag { observed_ms: 3000, limit_ms: 2000 };
    let behind = Finding::LogEpochBehind { log_end_epoch: 6, current_epoch: 7 };
    let cases: Vec<(Change, &str)> = vec![
        (finding("c2", lag), "c2:quorum_lag"),
        (finding("c2", behind), "c2:log_epoch_behind"),
        (finding("c2", Finding::QuorumLagUnknown), "c2:quorum_lag_unknown"),
        (view("c2", |view| view.good_probes = 4), "c2:too_few_good_probes"),
        (view("c2", |view| view.log_end_offset = Some(479)), "c2:log_not_caught_up"),
        (view("c2", |view| view.log_end_offset = None), "c2:metric_missing"),
        (view("c2", |view| view.metadata_errors = Some(1)), "c2:metadata_errors"),
        (view("c2", |view| view.metadata_errors = None), "c2:metric_missing"),
        (view("c2", |view| view.state = None), "c2:not_in_quorum"),
        (
            view("c2", |view| view.state = Some(VoterState::Other("candidate".to_owned()))),
            "c2:not_in_quorum",
        ),
        (unit("c2", |unit| unit.process_start = Some(90.0)), "c2:not_restarted"),
    ];
    for (change, expected) in cases {
        assert_eq!(healthy_again("c2", &changed(&[change])), [expected]);
    }
    // Others' troubles are the next gate's business.
    let other = finding("c3", Finding::QuorumLagUnknown);
    assert!(healthy_again("c2", &changed(&[other])).is_empty());
}

#[test]
fn without_a_sample_at_the_return_the_newest_leader_offset_counts() {
    let unsampled = MutateRecord { leader_offset_at_return: None, ..record() };
    let gate = |observation: &Observation| {
        told(&back_and_healthy(&key("c2"), "3.9.1", &unsampled, observation, &policy()))
    };
    assert!(gate(&healthy()).is_empty());
    let behind = changed(&[view("c2", |view| view.log_end_offset = Some(499))]);
    assert_eq!(gate(&behind), ["c2:log_not_caught_up"]);
    let unknown = changed(&[quorum(|quorum| quorum.leader_log_end_offset = None)]);
    assert_eq!(gate(&unknown), ["c2:quorum_lag_unknown"]);
}

#[test]
fn a_returned_node_is_compared_with_its_own_past() {
    assert!(healthy_again("n2", &healthy()).is_empty());
    // Ten times 150 ms is the limit; the idle limit of 1 s does not count here.
    let at_p99 = |p99_ms| {
        let idle =
            Finding::PlegLag { observed_ms: p99_ms, limit_ms: 1000, source_of_lag: LagSource::P99 };
        let slow = unit("n2", move |unit| unit.pleg.as_mut().unwrap().p99_ms = Some(p99_ms));
        changed(&[finding("n2", idle), slow])
    };
    assert!(healthy_again("n2", &at_p99(1499)).is_empty());
    assert_eq!(healthy_again("n2", &at_p99(1500)), ["n2:pleg_lag"]);
    let pleg =
        |change: fn(&mut PlegReading)| unit("n2", move |unit| change(unit.pleg.as_mut().unwrap()));
    let young = changed(&[pleg(|pleg| pleg.relists_since_start = 59)]);
    assert_eq!(healthy_again("n2", &young), ["n2:too_few_relists"]);
    let stall =
        Finding::PlegLag { observed_ms: 1200, limit_ms: 1000, source_of_lag: LagSource::Stall };
    assert_eq!(healthy_again("n2", &changed(&[finding("n2", stall)])), ["n2:pleg_lag"]);
    assert_eq!(
        healthy_again("n2", &changed(&[unit("n2", |unit| unit.pleg = None)])),
        ["n2:not_observed"]
    );
}

#[test]
fn a_returned_broker_waits_for_every_replica() {
    assert!(healthy_again("b2", &healthy()).is_empty());
    let catching_up = finding("b1", Finding::UnderReplicated { observed: 4, limit: 0 });
    assert_eq!(healthy_again("b2", &changed(&[catching_up])), ["b1:under_replicated"]);
    let blind = finding("b2", Finding::MetricMissing { signal: Signal::UnderReplicated });
    assert_eq!(healthy_again("b2", &changed(&[blind])), ["b2:metric_missing"]);
}

#[test]
fn a_soak_sees_elections_stalled_commits_and_offline_partitions() {
    assert!(soaks("c2", &healthy()).is_empty());
    let moved = |change: fn(&mut QuorumObservation)| changed(&[quorum(change)]);
    assert_eq!(soaks("c2", &moved(|quorum| quorum.epoch = Some(8))), ["-:epoch_changed"]);
    let stalled = moved(|quorum| quorum.commits = CommitProgress::Stalled { for_ms: 6000 });
    assert_eq!(soaks("c2", &stalled), ["-:commit_stalled"]);
    let offline = changed(&[view("c1", |view| view.offline_partitions = Some(1))]);
    assert_eq!(soaks("c2", &offline), ["-:offline_partitions"]);
    assert_eq!(soaks("b2", &offline), ["-:offline_partitions"]);
    let fenced = changed(&[view("c1", |view| view.fenced_brokers = Some(1))]);
    assert!(soaks("c2", &fenced).is_empty());
    assert_eq!(soaks("b2", &fenced), ["-:fenced_brokers"]);
    // A quorum that was small when it was rolled is so when it soaks.
    assert!(soaks("c2", &moved(|quorum| quorum.voters_expected = 2)).is_empty());
}

#[test]
fn a_soak_whose_epoch_is_not_known_proves_nothing() {
    let unknown = changed(&[quorum(|quorum| quorum.epoch = None)]);
    assert_eq!(soaks("c2", &unknown), ["-:metric_missing"]);
    let unnoted = MutateRecord { epoch_at_soak: None, ..record() };
    let found = still_soaking_well(&key("c2"), "3.9.1", &unnoted, &healthy(), &policy());
    assert_eq!(told(&found), ["-:metric_missing"]);
    assert!(soaks("n2", &unknown).is_empty(), "a node has no epoch");
}

#[test]
fn an_epoch_that_is_not_agreed_on_replaces_none_that_was() {
    let unknown = changed(&[quorum(|quorum| quorum.epoch = None)]);
    let mut kept = record();
    kept.renew_epoch(&key("c2"), &unknown);
    assert_eq!(kept.epoch_at_soak, Some(7));
    kept.renew_epoch(&key("c2"), &changed(&[quorum(|quorum| quorum.epoch = Some(8))]));
    assert_eq!(kept.epoch_at_soak, Some(8));
}

#[test]
fn a_record_keeps_what_was_known_before() {
    let mut kept = MutateRecord::before(&key("n1"), &healthy());
    assert_eq!((kept.at, kept.process_start_before), (at(NOW_MS), Some(100.0)));
    assert_eq!(kept.pleg_p99_before_ms, Some(50));
    kept.note_return(&key("c1"), &healthy());
    kept.note_soak(&key("c1"), &healthy());
    assert_eq!((kept.leader_offset_at_return, kept.epoch_at_soak), (Some(500), Some(7)));
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<MutateRecord>(&text).unwrap(), kept);
}

#[test]
fn a_combined_node_is_healthy_again_only_when_its_partitions_are() {
    let both = || {
        unit("c2", |unit| {
            unit.also_broker = true;
            unit.broker = broker().broker;
        })
    };
    assert_eq!(healthy_again("c2", &changed(&[both()])), Vec::<String>::new());
    let behind = finding("b1", Finding::UnderReplicated { observed: 3, limit: 0 });
    assert_eq!(healthy_again("c2", &changed(&[both(), behind])), ["b1:under_replicated"]);
    let fenced = view("c1", |view| view.fenced_brokers = Some(1));
    assert_eq!(soaks("c2", &changed(&[both(), fenced])), ["-:fenced_brokers"]);
}

#[test]
fn a_restart_within_the_same_second_is_one() {
    let same = changed(&[unit("c2", |unit| unit.process_start = Some(90.0))]);
    assert_eq!(healthy_again("c2", &same), ["c2:not_restarted"]);
    let another = changed(&[unit("c2", |unit| unit.process_start = Some(90.6))]);
    assert!(healthy_again("c2", &another).is_empty());
}
