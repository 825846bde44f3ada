//! What tests elsewhere take for granted of a simulated cluster.

use std::fmt::Write as _;

use super::*;

const NOW_MS: i64 = 1_790_000_000_000;

fn spec(seed: u64, speed: u32) -> ClusterSpec {
    let units = [
        (Role::Controller, 3, "3.9.1"),
        (Role::Broker, 3, "3.9.1"),
        (Role::Node, 2, "1.33.2"),
        (Role::Workload, 1, "1.0.0"),
    ];
    ClusterSpec::of("east", seed, speed, &units).unwrap()
}

fn name(text: &str) -> UnitName {
    text.parse().unwrap()
}

fn step(number: u128) -> StepId {
    StepId(uuid::Uuid::from_u128(number))
}

fn page(cluster: &SimCluster, unit: &str) -> String {
    match cluster.answer(&name(unit)).unwrap() {
        Answer::Page(page) => page,
        other @ (Answer::Down | Answer::Hangs) => panic!("{unit}: {other:?}"),
    }
}

/// The value of the sample whose line starts with `series`.
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find(|line| line.starts_with(&format!("{series} "))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn leader(cluster: &SimCluster) -> UnitName {
    cluster.state().quorum.unwrap().leader.unwrap()
}

fn run_out(cluster: &mut SimCluster, ms: i64) {
    cluster.advance(cluster.now_ms + ms);
}

fn history(seed: u64, stride_ms: i64) -> String {
    let mut cluster = SimCluster::new(&spec(seed, 1), NOW_MS);
    let mut log = String::new();
    let leader = leader(&cluster);
    cluster.upgrade(&leader, step(1), "4.3.1").unwrap();
    cluster.set_fault(&name("n-1"), Fault::Lag { ms: 3000 }).unwrap();
    let mut now_ms = NOW_MS;
    while now_ms < NOW_MS + 20_000 {
        now_ms += stride_ms;
        cluster.advance(now_ms);
        if now_ms % 1000 == 0 {
            for unit in ["c-1", "c-2", "c-3", "b-1", "n-1", "w-1"] {
                let answer = cluster.answer(&name(unit)).unwrap();
                writeln!(log, "{now_ms} {unit} {answer:?}").unwrap();
            }
        }
    }
    log
}

#[test]
fn a_seed_replays_exactly_however_often_the_model_is_looked_at() {
    assert_eq!(history(11, 50), history(11, 1000));
    assert_ne!(history(11, 1000), history(12, 1000));
}

#[test]
fn versions_and_starts_are_written_as_exporters_write_them() {
    let cluster = SimCluster::new(&spec(1, 1), NOW_MS);
    assert!(page(&cluster, "c-1").contains("\nkafka_server_app_info{version=\"3.9.1\"} 1\n"));
    assert!(page(&cluster, "b-1").contains("\nkafka_server_app_info{version=\"3.9.1\"} 1\n"));
    let kubelet = page(&cluster, "n-1");
    assert!(kubelet.contains("\nkubernetes_build_info{"), "{kubelet}");
    assert!(kubelet.contains("git_version=\"v1.33.2\""));
    assert!(kubelet.contains("kubelet_pleg_relist_duration_seconds_bucket{le=\"0.005\"} "));
    assert!(kubelet.contains("kubelet_pleg_relist_duration_seconds_bucket{le=\"10\"} "));
    assert!(kubelet.contains("kubelet_pleg_relist_duration_seconds_bucket{le=\"+Inf\"} "));
    for unit in ["c-1", "b-1", "n-1", "w-1"] {
        assert!(value(&page(&cluster, unit), "process_start_time_seconds") > 1.0e9, "{unit}");
    }
}

#[test]
fn a_cluster_that_is_left_alone_is_healthy() {
    let cluster = SimCluster::new(&spec(3, 1), NOW_MS);
    let pages: Vec<String> = ["c-1", "c-2", "c-3"].map(|unit| page(&cluster, unit)).into();
    let sum = |series: &str| -> f64 { pages.iter().map(|page| value(page, series)).sum() };
    assert!((sum("kafka_controller_kafkacontroller_activecontrollercount") - 1.0).abs() < 0.1);
    let epoch = value(&pages[0], "kafka_server_raftmetrics_current_epoch");
    assert!((sum("kafka_server_raftmetrics_current_epoch") - 3.0 * epoch).abs() < 0.1);
    let under = "kafka_server_replicamanager_underreplicatedpartitions";
    assert!(value(&page(&cluster, "b-2"), under) < 0.1);
}

#[test]
fn a_controller_is_down_for_about_8_s_and_comes_back_caught_up_in_the_new_version() {
    let mut cluster = SimCluster::new(&spec(4, 1), NOW_MS);
    let leader = leader(&cluster);
    let follower = ["c-1", "c-2", "c-3"].map(name).into_iter().find(|c| *c != leader).unwrap();
    let before = page(&cluster, follower.as_str());
    cluster.upgrade(&follower, step(1), "4.3.1").unwrap();
    run_out(&mut cluster, 7000);
    assert_eq!(cluster.answer(&follower).unwrap(), Answer::Down);
    assert!(!cluster.step(&step(1)).unwrap().finished);
    run_out(&mut cluster, 2500);
    assert!(cluster.step(&step(1)).unwrap().finished);
    let (after, of_leader) = (page(&cluster, follower.as_str()), page(&cluster, leader.as_str()));
    assert!(after.contains("kafka_server_app_info{version=\"4.3.1\"} 1"));
    let start = "process_start_time_seconds";
    assert!(value(&after, start) > value(&before, start));
    let end = "kafka_server_raftmetrics_log_end_offset";
    assert!(value(&of_leader, end) - value(&after, end) <= 1.0);
}

#[test]
fn speed_shortens_restarts_and_not_elections() {
    let mut cluster = SimCluster::new(&spec(5, 100), NOW_MS);
    cluster.upgrade(&name("n-1"), step(1), "1.34.0").unwrap();
    run_out(&mut cluster, 300);
    assert!(cluster.step(&step(1)).unwrap().finished, "25 s / 100");
    let leader = leader(&cluster);
    cluster.set_fault(&leader, Fault::Hang).unwrap();
    run_out(&mut cluster, 1500);
    assert_eq!(cluster.state().quorum.unwrap().leader, None, "2 s fetch timeout");
}

#[test]
fn restarting_the_leader_before_the_others_is_entered_as_a_violation() {
    let mut cluster = SimCluster::new(&spec(6, 1), NOW_MS);
    let first = leader(&cluster);
    cluster.upgrade(&first, step(1), "4.3.1").unwrap();
    let ledger = cluster.state().ledger;
    assert_eq!(ledger.violations.len(), 2, "{:?}", ledger.violations);
    assert!(ledger.violations[0].starts_with(&format!("leader {first} was restarted before")));
    assert_eq!(ledger.restarts[0].leader, Some(first));
}

#[test]
fn two_units_out_at_once_is_entered_as_a_violation() {
    let mut cluster = SimCluster::new(&spec(7, 1), NOW_MS);
    cluster.upgrade(&name("n-1"), step(1), "1.34.0").unwrap();
    run_out(&mut cluster, 100);
    cluster.upgrade(&name("n-2"), step(2), "1.34.0").unwrap();
    let ledger = cluster.state().ledger;
    assert_eq!(ledger.max_out, 2);
    assert_eq!(ledger.violations, ["n-2 was restarted while n-1 was out"]);
}

#[test]
fn a_roll_in_the_right_order_leaves_a_clean_ledger() {
    let mut cluster = SimCluster::new(&spec(8, 10), NOW_MS);
    for number in 0..3 {
        let state = cluster.state();
        let leads = state.quorum.unwrap().leader;
        let behind =
            |n: &&UnitName| n.as_str().starts_with("c-") && state.units[*n].version != "4.3.1";
        let mut left: Vec<&UnitName> = state.units.keys().filter(behind).collect();
        left.sort_by_key(|n| leads.as_ref() == Some(*n));
        cluster.upgrade(left[0], step(number), "4.3.1").unwrap();
        run_out(&mut cluster, 5000);
    }
    let ledger = cluster.state().ledger;
    assert_eq!((ledger.violations, ledger.max_out), (vec![], 1));
    assert!(ledger.restarts.iter().all(|r| r.up_at_ms.is_some() && r.others_down.is_empty()));
}

#[test]
fn a_step_given_twice_restarts_once_and_a_second_step_into_the_same_version_is_counted() {
    let mut cluster = SimCluster::new(&spec(9, 10), NOW_MS);
    let unit = name("w-1");
    cluster.upgrade(&unit, step(1), "1.1.0").unwrap();
    cluster.upgrade(&unit, step(1), "v1.1.0").unwrap();
    let busy = cluster.upgrade(&unit, step(2), "1.1.0").unwrap_err();
    assert_eq!(busy, SimError::Busy { unit: unit.clone(), step: step(1) });
    run_out(&mut cluster, 5000);
    cluster.upgrade(&unit, step(1), "1.1.0").unwrap();
    assert_eq!(cluster.state().ledger.restarts.len(), 1);
    let differs = cluster.upgrade(&unit, step(1), "1.2.0").unwrap_err();
    assert!(matches!(differs, SimError::StepDiffers { .. }));
    cluster.upgrade(&unit, step(3), "1.1.0").unwrap();
    assert_eq!(cluster.state().ledger.double_upgrades, 1);
}

#[test]
fn a_broker_that_is_down_leaves_partitions_of_others_under_replicated_until_it_is_in_sync() {
    let mut cluster = SimCluster::new(&spec(10, 1), NOW_MS);
    let under = "kafka_server_replicamanager_underreplicatedpartitions";
    cluster.upgrade(&name("b-1"), step(1), "4.3.1").unwrap();
    run_out(&mut cluster, 13_500);
    assert!(cluster.step(&step(1)).unwrap().finished);
    assert!(value(&page(&cluster, "b-2"), under) > 7.0);
    run_out(&mut cluster, 5000);
    assert!(value(&page(&cluster, "b-2"), under) < 0.1);
}

#[test]
fn every_fault_shows_and_goes() {
    let mut cluster = SimCluster::new(&spec(12, 1), NOW_MS);
    let (c, n) = (name("c-1"), name("n-1"));
    let family = "kafka_server_raftmetrics_log_end_offset".to_owned();
    let clean = page(&cluster, "c-1");
    cluster.set_fault(&c, Fault::MissingMetric { family: family.clone() }).unwrap();
    assert!(!page(&cluster, "c-1").contains(&family));
    cluster.clear_faults(&c).unwrap();
    cluster.set_fault(&c, Fault::Unreadable { family: family.clone() }).unwrap();
    assert!(page(&cluster, "c-1").contains(&format!("{family}{{note=\"a,b")));
    cluster.clear_faults(&c).unwrap();
    cluster.set_fault(&c, Fault::StalePage).unwrap();
    run_out(&mut cluster, 10_000);
    assert_eq!(page(&cluster, "c-1"), clean);
    cluster.clear_faults(&c).unwrap();
    assert_ne!(page(&cluster, "c-1"), clean);
    cluster.set_fault(&c, Fault::Hang).unwrap();
    assert_eq!(cluster.answer(&c).unwrap(), Answer::Hangs);
    cluster.clear_faults(&c).unwrap();
    run_out(&mut cluster, 1000);

    let count = "kubelet_pleg_relist_duration_seconds_count";
    cluster.set_fault(&n, Fault::RelistStall).unwrap();
    let before = page(&cluster, "n-1");
    run_out(&mut cluster, 40_000);
    let during = page(&cluster, "n-1");
    assert!((value(&during, count) - value(&before, count)).abs() < 0.1);
    assert!(value(&during, "kubelet_pleg_last_seen_seconds") > 1.0e9);
    cluster.clear_faults(&n).unwrap();
    run_out(&mut cluster, 10_000);
    assert!(value(&page(&cluster, "n-1"), count) > value(&during, count));
}

#[test]
fn a_bad_release_brings_its_fault_to_every_unit_that_comes_up_in_it() {
    let mut cluster = SimCluster::new(&spec(13, 10), NOW_MS);
    cluster.set_defect("4.3.1", Fault::Lag { ms: 9000 });
    let leader = leader(&cluster);
    let follower = ["c-1", "c-2", "c-3"].map(name).into_iter().find(|c| *c != leader).unwrap();
    cluster.upgrade(&follower, step(1), "4.3.1").unwrap();
    run_out(&mut cluster, 30_000);
    let end = "kafka_server_raftmetrics_log_end_offset";
    let behind = value(&page(&cluster, leader.as_str()), end)
        - value(&page(&cluster, follower.as_str()), end);
    assert!((17.0..=19.0).contains(&behind), "{behind}");
}

#[test]
fn names_that_do_not_exist_are_refused() {
    let mut cluster = SimCluster::new(&spec(14, 1), NOW_MS);
    let nobody = name("x-1");
    let refused = SimError::NoSuchUnit { unit: nobody.clone() };
    assert_eq!(cluster.upgrade(&nobody, step(1), "1").unwrap_err(), refused);
    assert_eq!(cluster.answer(&nobody).unwrap_err(), refused);
    assert_eq!(cluster.set_fault(&nobody, Fault::Hang).unwrap_err(), refused);
}

#[test]
fn a_leader_that_is_cut_off_stays_behind_in_its_epoch_until_it_is_back() {
    let mut cluster = SimCluster::new(&spec(3, 1), NOW_MS);
    let old = leader(&cluster);
    cluster.set_fault(&old, Fault::Cut).unwrap();
    run_out(&mut cluster, 8_000);
    let new = leader(&cluster);
    assert_ne!(new, old);
    let epoch = |cluster: &SimCluster, unit: &UnitName| {
        value(&page(cluster, unit.as_str()), "kafka_server_raftmetrics_current_epoch")
    };
    assert!(epoch(&cluster, &old) < epoch(&cluster, &new), "it answers, but knows of nothing");
    assert!(!cluster.voters()[&old].takes_part);
    cluster.clear_faults(&old).unwrap();
    run_out(&mut cluster, 5_000);
    assert_eq!(epoch(&cluster, &old).total_cmp(&epoch(&cluster, &new)), std::cmp::Ordering::Equal);
    assert!(cluster.voters()[&old].takes_part);
}

#[test]
fn a_crash_is_nobodys_order_and_comes_back_in_the_version_it_was_given() {
    let mut cluster = SimCluster::new(&spec(4, 10), NOW_MS);
    cluster.crash(&name("n-1"), step(9), Some("1.34.0"), 500).unwrap();
    assert!(!cluster.is_up(&name("n-1")));
    assert_eq!(cluster.restarting_for(&name("n-1")), Some(step(9)));
    run_out(&mut cluster, 5_000);
    assert!(cluster.is_up(&name("n-1")));
    assert_eq!(cluster.version(&name("n-1")), Some("1.34.0"));
    assert_eq!(cluster.state().ledger.restarts, []);
}

#[test]
fn a_leader_that_resigns_is_followed_by_another_and_follows_it() {
    let mut cluster = SimCluster::new(&spec(5, 1), NOW_MS);
    let old = leader(&cluster);
    cluster.unseat_leader();
    run_out(&mut cluster, 5_000);
    assert_ne!(leader(&cluster), old);
    assert!(cluster.voters().values().all(|voter| voter.takes_part));
}
