//! G(x).

use proptest::prelude::*;

use super::*;
use crate::gate::may_take_out;
use crate::observation::LagSource;
use crate::telemetry::Signal;

fn gate_of(name: &str, observation: &Observation) -> Vec<String> {
    told(&may_take_out(&key(name), observation, &policy()))
}

/// Each change alone makes exactly the named refusals, and none without it.
fn toggles(name: &str, cases: Vec<(Change, &[&str])>) {
    assert!(gate_of(name, &healthy()).is_empty(), "{name} must pass when all is well");
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(gate_of(name, &changed(&[change])), expected, "case {index} of {name}");
    }
}

fn lagging() -> Finding {
    Finding::QuorumLag { observed_ms: 3000, limit_ms: 2000 }
}

fn silent() -> Finding {
    Finding::Unreachable { why: "no answer".to_owned() }
}

fn stale() -> Finding {
    Finding::Stale { age_ms: 3000, limit_ms: 2000 }
}

fn slow() -> Finding {
    Finding::PlegLag { observed_ms: 1500, limit_ms: 1000, source_of_lag: LagSource::P99 }
}

#[test]
fn each_condition_of_a_controllers_gate_is_named() {
    let missing = Finding::MetricMissing { signal: Signal::LogEndOffset };
    let unreadable = Finding::Unreadable { family: "x".to_owned(), why: "y".to_owned() };
    toggles(
        "c2",
        vec![
            (finding("c3", lagging()), &["c3:quorum_lag"]),
            (finding("c1", lagging()), &["c1:quorum_lag"]),
            (finding("c3", Finding::QuorumLagUnknown), &["c3:quorum_lag_unknown"]),
            (finding("c3", missing), &["c3:metric_missing"]),
            (finding("c3", unreadable), &["c3:unreadable"]),
            (finding("c3", silent()), &["c3:unreachable"]),
            (finding("c3", stale()), &["c3:stale"]),
            (finding("c3", Finding::NotInQuorum { state: "voted".into() }), &["c3:not_in_quorum"]),
            (unit("c3", |unit| unit.verdict = HealthVerdict::Unknown), &["c3:not_observed"]),
            (view("c3", |view| view.epoch = Some(6)), &["-:epoch_mismatch"]),
            (view("c3", |view| view.current_leader = Some(2)), &["-:leaders_disagree"]),
            (view("c3", |view| view.current_leader = None), &["-:leaders_disagree"]),
            (view("c1", |view| view.active = Some(false)), &["-:no_leader"]),
            (view("c1", |view| view.active = None), &["-:no_leader"]),
            (view("c3", |view| view.active = Some(true)), &["-:active_controllers"]),
            (view("c3", |view| view.number_of_voters = Some(4)), &["-:voters_mismatch"]),
            (view("c1", |view| view.uncommitted_change = true), &["-:uncommitted_voter_change"]),
            (view("c1", |view| view.offline_partitions = Some(1)), &["-:offline_partitions"]),
            (
                quorum(|quorum| quorum.commits = CommitProgress::Stalled { for_ms: 6000 }),
                &["-:commit_stalled"],
            ),
            (quorum(|quorum| quorum.commits = CommitProgress::Unknown), &["-:commit_unknown"]),
            (quorum(|quorum| quorum.voters_expected = 2), &["-:quorum_too_small"]),
            (Box::new(|observation| observation.quorums.clear()), &["-:metric_missing"]),
            (finding("b1", Finding::UnderMinIsr { observed: 1, limit: 0 }), &["b1:under_min_isr"]),
            (finding("b1", silent()), &["b1:unreachable"]),
            (
                finding("b1", Finding::MetricMissing { signal: Signal::UnderMinIsr }),
                &["b1:metric_missing"],
            ),
            (finding("n1", silent()), &["n1:unreachable"]),
            (finding("n1", Finding::NotReady), &["n1:not_ready"]),
        ],
    );
}

#[test]
fn a_controllers_gate_does_not_mind_what_is_none_of_its_business() {
    toggles(
        "c2",
        vec![
            (finding("b1", Finding::UnderReplicated { observed: 1, limit: 0 }), &[]),
            (finding("b1", Finding::Reassigning { observed: 1, limit: 0 }), &[]),
            (view("c1", |view| view.fenced_brokers = Some(1)), &[]),
            (finding("n1", slow()), &[]),
            (quorum(|quorum| quorum.commit_window_ms = None), &[]),
        ],
    );
}

#[test]
fn no_gate_counts_the_unit_itself() {
    let lost = || Finding::Unreachable { why: "no answer".to_owned() };
    toggles(
        "c2",
        vec![
            (finding("c2", lagging()), &[]),
            (finding("c2", lost()), &[]),
            (view("c2", |view| view.epoch = Some(3)), &[]),
            (view("c2", |view| view.current_leader = Some(4)), &[]),
            (view("c2", |view| view.active = Some(true)), &[]),
            (view("c2", |view| view.number_of_voters = Some(1)), &[]),
        ],
    );
    toggles("b2", vec![(finding("b2", lost()), &[])]);
    // The leader confirms itself even while it is the one to be taken out.
    toggles(
        "c1",
        vec![
            (view("c1", |view| view.active = Some(false)), &["-:no_leader"]),
            (finding("c1", lost()), &["-:no_leader"]),
            (finding("c1", lagging()), &[]),
        ],
    );
}

#[test]
fn each_condition_of_a_brokers_gate_is_named() {
    let of = |finding: fn(u64, u64) -> Finding| finding(1, 0);
    let under_replicated = of(|observed, limit| Finding::UnderReplicated { observed, limit });
    let under_min_isr = of(|observed, limit| Finding::UnderMinIsr { observed, limit });
    let reassigning = of(|observed, limit| Finding::Reassigning { observed, limit });
    toggles(
        "b2",
        vec![
            (finding("b1", under_replicated.clone()), &["b1:under_replicated"]),
            (finding("b1", under_min_isr), &["b1:under_min_isr"]),
            (finding("b1", reassigning), &["b1:reassigning"]),
            (finding("b2", under_replicated), &["b2:under_replicated"]),
            (finding("b1", silent()), &["b1:unreachable"]),
            (finding("b1", stale()), &["b1:stale"]),
            (view("c1", |view| view.offline_partitions = Some(1)), &["-:offline_partitions"]),
            (view("c1", |view| view.fenced_brokers = Some(1)), &["-:fenced_brokers"]),
            (
                unit("b1", |unit| unit.broker.as_mut().unwrap().at_min_isr = Some(2)),
                &["-:at_min_isr"],
            ),
            (Box::new(|observation| observation.at_min_isr_baseline.clear()), &["-:at_min_isr"]),
            // The quorum's shape, with no voter left out.
            (finding("c2", lagging()), &["c2:quorum_lag"]),
            (view("c2", |view| view.epoch = Some(6)), &["-:epoch_mismatch"]),
            (quorum(|quorum| quorum.commits = CommitProgress::Unknown), &["-:commit_unknown"]),
            (Box::new(|observation| observation.quorums.clear()), &["-:metric_missing"]),
            (finding("n3", silent()), &["n3:unreachable"]),
        ],
    );
}

#[test]
fn each_condition_of_a_nodes_gate_is_named() {
    let stall = Finding::PlegStall { observed_ms: 40_000, limit_ms: 30_000 };
    toggles(
        "n2",
        vec![
            (finding("n1", slow()), &["n1:pleg_lag"]),
            (finding("n1", stall), &["n1:pleg_stall"]),
            (
                finding("n1", Finding::TooFewRelists { observed: 3, limit: 20 }),
                &["n1:too_few_relists"],
            ),
            (finding("n1", Finding::PlegDiscards { observed: 3, limit: 0 }), &["n1:pleg_discards"]),
            (finding("n1", Finding::NotReady), &["n1:not_ready"]),
            (finding("n1", stale()), &["n1:stale"]),
            // The reference asks for the node's own PLEG too.
            (finding("n2", slow()), &["n2:pleg_lag"]),
            (finding("c3", silent()), &["c3:unreachable"]),
            // No member of Kafka is on the node: its lag is no reason.
            (finding("c3", lagging()), &[]),
            (unit("n1", |unit| unit.verdict = HealthVerdict::Unknown), &["n1:not_observed"]),
        ],
    );
    let relaxed = GatePolicy { node_itself_green: false, ..policy() };
    let red = changed(&[finding("n2", slow())]);
    assert!(may_take_out(&key("n2"), &red, &relaxed).is_empty());
}

#[test]
fn a_node_that_hosts_members_needs_their_gates_too() {
    let on_n2 = |name| unit(name, |unit| unit.placement = Placement::OnNode("n2".parse().unwrap()));
    let unknown = |name| unit(name, |unit| unit.placement = Placement::Unknown);
    let lag = || finding("c3", lagging());
    for (name, placed) in [("c2", on_n2("c2")), ("b2", on_n2("b2")), ("c2", unknown("c2"))] {
        let observation = changed(&[placed, lag()]);
        assert_eq!(gate_of("n2", &observation), ["c3:quorum_lag"], "{name}");
    }
    // Not counting the member that goes down with its node.
    assert!(gate_of("n2", &changed(&[on_n2("c3"), lag()])).is_empty());
    // It is on another node.
    assert!(gate_of("n1", &changed(&[on_n2("c2"), lag()])).is_empty());
    let crowded = changed(&[on_n2("c2"), on_n2("b1")]);
    assert_eq!(gate_of("n2", &crowded), ["-:members_share_node"]);
}

#[test]
fn a_relaxed_quorum_needs_a_majority_without_the_unit() {
    let relaxed = GatePolicy { all_other_voters: false, ..policy() };
    let gate = |changes: &[Change]| told(&may_take_out(&key("c2"), &changed(changes), &relaxed));
    assert!(gate(&[finding("c3", lagging())]).is_empty(), "3 of 5 are left");
    let two = [finding("c3", lagging()), finding("c4", lagging())];
    assert_eq!(gate(&two), ["-:too_few_voters"]);
}

#[test]
fn small_quorums_are_refused_without_an_override() {
    let mut observation = healthy();
    for name in ["c3", "c4", "c5"] {
        observation.units.remove(&key(name));
    }
    quorum(|quorum| quorum.voters_expected = 2)(&mut observation);
    assert_eq!(gate_of("c2", &observation), ["-:quorum_too_small"]);
    let daring = GatePolicy { allow_small_quorum: true, ..policy() };
    assert!(may_take_out(&key("c2"), &observation, &daring).is_empty());
}

#[test]
fn of_two_voters_one_may_go_if_the_other_is_well_whatever_a_majority_would_need() {
    let daring = GatePolicy { allow_small_quorum: true, all_other_voters: false, ..policy() };
    let gate = |name: &str, observation: &Observation| {
        told(&may_take_out(&key(name), observation, &daring))
    };
    let two = quorum_of(2);
    assert_eq!((gate("c1", &two), gate("c2", &two)), (vec![], vec![]));
    // Strimzi's rule for two: the other one must be caught up.
    let mut behind = two.clone();
    finding("c1", lagging())(&mut behind);
    assert_eq!(gate("c2", &behind), ["c1:quorum_lag"]);
    assert_eq!(gate("c1", &behind), Vec::<String>::new());
    let mut unknown = two;
    finding("c1", Finding::QuorumLagUnknown)(&mut unknown);
    assert_eq!(gate("c2", &unknown), ["c1:quorum_lag_unknown"]);
    // Three are not small: the override does not take their majority away.
    let mut three = quorum_of(3);
    finding("c3", lagging())(&mut three);
    assert_eq!(gate("c2", &three), ["-:too_few_voters"]);
}

#[test]
fn a_sole_voter_speaks_for_itself() {
    let daring = GatePolicy { allow_small_quorum: true, ..policy() };
    let gate = |observation: &Observation| told(&may_take_out(&key("c1"), observation, &daring));
    let one = quorum_of(1);
    assert_eq!(gate(&one), Vec::<String>::new());
    assert_eq!(gate_of("c1", &one), ["-:quorum_too_small"]);
    let cases: Vec<(Change, &str)> = vec![
        (view("c1", |view| view.active = Some(false)), "-:no_leader"),
        (view("c1", |view| view.current_leader = None), "-:no_leader"),
        (finding("c1", silent()), "-:no_leader"),
        (view("c1", |view| view.number_of_voters = Some(3)), "-:voters_mismatch"),
        (view("c1", |view| view.uncommitted_change = true), "-:uncommitted_voter_change"),
    ];
    for (change, expected) in cases {
        let mut changed = one.clone();
        change(&mut changed);
        assert_eq!(gate(&changed), [expected]);
    }
}

#[test]
fn a_workload_needs_its_peers_and_nobody_down() {
    let mut observation = healthy();
    for name in ["w1", "w2"] {
        observation.units.insert(key(name), healthy_unit(Role::Workload));
    }
    assert!(gate_of("w1", &observation).is_empty());
    let mut missing = observation.clone();
    finding("w2", Finding::MetricMissing { signal: Signal::Version })(&mut missing);
    assert_eq!(gate_of("w1", &missing), ["w2:metric_missing"]);
    finding("n1", Finding::NotReady)(&mut observation);
    assert_eq!(gate_of("w1", &observation), ["n1:not_ready"]);
}

#[test]
fn a_unit_that_is_not_observed_never_passes() {
    let gone = UnitKey { unit: "c9".parse().unwrap(), ..key("c1") };
    assert_eq!(told(&may_take_out(&gone, &healthy(), &policy())), ["c9:not_observed"]);
}

proptest! {
    #[test]
    fn whatever_is_unknown_blocks_every_unit_it_could_hurt(
        victim in prop::sample::select(vec!["c1", "c3", "c5"]),
        name in prop::sample::select(vec!["c2", "c4", "b1", "b3"]),
        kind in 0..5,
    ) {
        let unknown = match kind {
            0 => Finding::NotObserved,
            1 => stale(),
            2 => silent(),
            3 => Finding::QuorumLagUnknown,
            _ => Finding::MetricMissing { signal: Signal::CurrentEpoch },
        };
        prop_assert_eq!(unknown.verdict(), HealthVerdict::Unknown);
        let observation = changed(&[finding(victim, unknown)]);
        prop_assert!(!gate_of(name, &observation).is_empty());
    }
}

/// Five nodes that are controller and broker in one process each.
fn combined() -> Vec<Change> {
    ["c1", "c2", "c3", "c4", "c5"]
        .map(|name| {
            unit(name, |unit| {
                unit.also_broker = true;
                unit.broker = broker().broker;
            })
        })
        .into()
}

#[test]
fn a_combined_node_passes_both_gates() {
    let with = |more: Option<Change>| {
        let mut changes = combined();
        changes.push(Box::new(|observation| {
            observation.at_min_isr_baseline = BTreeMap::from([(key("c1").product, 8)]);
        }));
        changes.extend(more);
        changed(&changes)
    };
    assert_eq!(gate_of("c2", &with(None)), Vec::<String>::new());
    let under_replicated = || Finding::UnderReplicated { observed: 1, limit: 0 };
    let cases: Vec<(Change, &[&str])> = vec![
        // As a controller.
        (finding("c3", lagging()), &["c3:quorum_lag"]),
        (view("c3", |view| view.epoch = Some(6)), &["-:epoch_mismatch"]),
        (quorum(|quorum| quorum.voters_expected = 2), &["-:quorum_too_small"]),
        // As a broker: what a controller alone would not mind.
        (finding("c3", under_replicated()), &["c3:under_replicated"]),
        (finding("c2", under_replicated()), &["c2:under_replicated"]),
        (view("c1", |view| view.fenced_brokers = Some(1)), &["-:fenced_brokers"]),
        (unit("c3", |unit| unit.broker.as_mut().unwrap().at_min_isr = Some(2)), &["-:at_min_isr"]),
        // Its own troubles as a voter do not count, nor that it is away.
        (finding("c2", lagging()), &[]),
        (finding("c2", silent()), &[]),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(gate_of("c2", &with(Some(change))), expected, "case {index}");
    }
}

#[test]
fn a_node_that_hosts_a_combined_node_asks_both_of_its_gates() {
    let mut changes = combined();
    changes.push(Box::new(|observation| {
        observation.at_min_isr_baseline = BTreeMap::from([(key("c1").product, 8)]);
    }));
    changes.push(unit("c2", |unit| unit.placement = Placement::OnNode("n1".parse().unwrap())));
    assert_eq!(gate_of("n1", &changed(&changes)), Vec::<String>::new());
    changes.push(finding("c3", Finding::UnderReplicated { observed: 1, limit: 0 }));
    assert_eq!(gate_of("n1", &changed(&changes)), ["c3:under_replicated"]);
}
