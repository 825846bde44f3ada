//! Every refusal names its reason in the report, with its numbers, and nothing moves meanwhile.

use std::sync::Arc;

use channels::wire::{Failure, Role};
use jiff::Timestamp;

use super::world::{Build, Hub, World, graph, knowledge, known, product, release, unit, version};
use crate::plan::{Known, Mode, Severity, Trouble};
use crate::sim::Fault;
use crate::state::{Approval, LocalHold};

const KAFKA: &str = "acme/kafka";

/// Nothing of kafka moved, and the report says so with this gate.
fn refuses(world: &mut World, gate: &str) -> String {
    world.steps(80);
    assert_eq!(world.sim.state().ledger.restarts, [], "{}", world.text());
    let state = world.report().remove(&product(KAFKA)).unwrap();
    let found = state.waiting_on.iter().find(|why| why.gate == gate);
    let found = found.unwrap_or_else(|| panic!("{gate} not in {:#?}", state.waiting_on));
    assert!(found.since.is_some());
    found.message.clone()
}

/// Kafka alone: the other product must not use the lane.
fn alone(kafka: crate::plan::Knowledge) -> Known {
    let mut all = known();
    all.remove(&product("acme/platform"));
    all.insert(product(KAFKA), kafka);
    all
}

fn with_failure(kind: &str, severity: Severity) -> World {
    let mut world = World::new(&Build::default());
    let mut all = known();
    all.remove(&product("acme/platform"));
    let failure = Failure {
        kind: kind.to_owned(),
        message: format!("what was offered is a {kind}"),
        at: Timestamp::UNIX_EPOCH,
    };
    if let Some(kafka) = all.get_mut(&product(KAFKA)) {
        kafka.failure = Some(Trouble { failure, severity });
    }
    world.know(all);
    world
}

#[test]
fn metadata_that_does_not_verify_stops_every_start_and_is_named() {
    for kind in ["arbitrary_software", "wrong_software", "rollback", "freeze", "mix_and_match"] {
        let mut world = with_failure(kind, Severity::Refused);
        let message = refuses(&mut world, kind);
        assert!(message.contains(kind));
        let state = world.report().remove(&product(KAFKA)).unwrap();
        assert_eq!(state.failure.unwrap().kind, kind);
    }
}

#[test]
fn a_hub_that_is_away_does_not_take_away_what_was_verified() {
    let mut world = with_failure("hub_unreachable", Severity::Unreachable);
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
}

#[test]
fn another_vendors_broken_metadata_stops_only_that_vendor() {
    let mut world = World::new(&Build::default());
    let mut all = known();
    if let Some(kafka) = all.get_mut(&product(KAFKA)) {
        kafka.graph = None;
        kafka.failure = Some(Trouble {
            failure: Failure {
                kind: "arbitrary_software".to_owned(),
                message: "signed by nobody we know".to_owned(),
                at: Timestamp::UNIX_EPOCH,
            },
            severity: Severity::Refused,
        });
    }
    world.know(all);
    world.until(1_500, |w| w.runs("acme/platform") == "1.33.0");
    assert_eq!(world.gates(KAFKA), ["arbitrary_software"]);
}

#[test]
fn an_edge_that_the_release_does_not_list_is_refused() {
    let mut world = World::new(&Build::default());
    world.know(alone(knowledge(
        graph(&["3.9.0", "4.0.0"], &[(0, 1)], &[]),
        vec![
            release(KAFKA, "3.9.0", Role::Controller, &[]),
            release(KAFKA, "4.0.0", Role::Controller, &[">=3.9.1, <4.0.0"]),
        ],
    )));
    let message = refuses(&mut world, "edge_not_allowed");
    assert_eq!(
        message,
        "release 4.0.0 does not list 3.9.0 in upgrade_from; the graph alone cannot allow it"
    );
}

#[test]
fn a_missing_release_document_is_refused() {
    let mut world = World::new(&Build::default());
    let mut kafka = known().remove(&product(KAFKA)).unwrap();
    let failure = Failure {
        kind: "release_missing".to_owned(),
        message: "nobody signed for it".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    kafka.releases.insert(version("4.0.0"), Err(failure));
    world.know(alone(kafka));
    let message = refuses(&mut world, "release_missing");
    assert!(message.contains("4.0.0"), "{message}");
}

#[test]
fn a_risk_that_nobody_accepted_is_refused_by_name() {
    let mut world = World::new(&Build::default());
    let releases = vec![
        release(KAFKA, "3.9.0", Role::Controller, &[]),
        release(KAFKA, "4.0.0", Role::Controller, &["^3.9"]),
    ];
    world.know(alone(knowledge(graph(&["3.9.0", "4.0.0"], &[], &[(0, 1)]), releases)));
    let message = refuses(&mut world, "risk");
    assert_eq!(message, "4.0.0 carries risks that are not accepted: SlowStart");
}

#[test]
fn a_lagging_voter_blocks_the_others_and_says_by_how_much() {
    let mut world = World::new(&Build::default());
    world.steps(2);
    let leader = world.sim.state().quorum.unwrap().leader.unwrap();
    let laggard = if leader == unit("c-3") { unit("c-2") } else { unit("c-3") };
    world.sim.set_fault(&laggard, Fault::Lag { ms: 6_000 }).unwrap();
    world.know(alone(known().remove(&product(KAFKA)).unwrap()));
    world.steps(80);
    let state = world.report().remove(&product(KAFKA)).unwrap();
    // The laggard itself may go first (the others can do without it); nobody else may.
    let restarts = world.sim.state().ledger.restarts;
    assert!(restarts.iter().all(|restart| restart.unit == laggard), "{restarts:?}");
    let blocked =
        state.waiting_on.iter().any(|why| why.gate == "quorum_lag" && why.observed > why.limit);
    assert!(blocked || !restarts.is_empty(), "{:#?}", state.waiting_on);
}

#[test]
fn two_lagging_voters_block_everything_with_their_numbers() {
    let mut world = World::new(&Build { controllers: 5, ..Build::default() });
    world.steps(2);
    let leader = world.sim.state().quorum.unwrap().leader.unwrap();
    let followers: Vec<_> =
        ["c-1", "c-2", "c-3"].map(unit).into_iter().filter(|u| *u != leader).collect();
    for voter in &followers[..2] {
        world.sim.set_fault(voter, Fault::Lag { ms: 6_000 }).unwrap();
    }
    let message = refuses(&mut world, "quorum_lag");
    assert!(message.contains("limit 2000 ms"), "{message}");
}

#[test]
fn a_missing_metric_is_named_and_blocks() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    for name in ["c-1", "c-2", "c-3"] {
        let family = "kafka_server_raftmetrics_current_epoch".to_owned();
        world.sim.set_fault(&unit(name), Fault::MissingMetric { family }).unwrap();
    }
    let message = refuses(&mut world, "metric_missing");
    assert!(message.contains("current_epoch"), "{message}");
    let message = refuses(&mut world, "metric_names");
    assert!(message.contains("kafka_server_raft_metrics_current_epoch"), "{message}");
    assert_eq!(world.core.history.pause, None, "nothing has begun, so nothing is paused");
}

#[test]
fn an_unreadable_metric_is_named_and_blocks() {
    let mut world = World::new(&Build::default());
    for name in ["c-1", "c-2", "c-3"] {
        let family = "kafka_server_raftmetrics_log_end_offset".to_owned();
        world.sim.set_fault(&unit(name), Fault::Unreadable { family }).unwrap();
    }
    let message = refuses(&mut world, "unreadable");
    assert!(message.contains("kafka_server_raftmetrics_log_end_offset"), "{message}");
}

#[test]
fn pages_that_stand_still_block_even_if_every_lag_they_show_is_zero() {
    let mut world = World::new(&Build::default());
    world.steps(2);
    for name in ["c-1", "c-2", "c-3"] {
        world.sim.set_fault(&unit(name), Fault::StalePage).unwrap();
    }
    let message = refuses(&mut world, "stale");
    assert!(message.contains("stood still"), "{message}");
}

#[test]
fn a_stale_page_of_the_leader_alone_blocks_its_followers() {
    let mut world = World::new(&Build::default());
    world.steps(2);
    let leader = world.sim.state().quorum.unwrap().leader.unwrap();
    world.sim.set_fault(&leader, Fault::StalePage).unwrap();
    let message = refuses(&mut world, "stale");
    assert!(message.contains(leader.as_str()), "{message}");
}

#[test]
fn pages_that_stop_coming_block_as_unreachable() {
    let mut world = World::new(&Build::default());
    world.steps(2);
    for name in ["c-1", "c-2"] {
        world.sim.set_fault(&unit(name), Fault::Hang).unwrap();
    }
    refuses(&mut world, "unreachable");
}

#[test]
fn a_hold_on_the_cluster_stops_every_start_until_it_is_lifted() {
    let mut world = World::new(&Build::default());
    let hold = LocalHold { reason: "audit".to_owned(), since: world.now() };
    world.core.orders(Some(hold), vec![]);
    assert_eq!(refuses(&mut world, "hold"), "held on this cluster: audit");
    world.core.orders(None, vec![]);
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
}

#[test]
fn policy_manual_waits_for_an_approval() {
    let mut world = World::new(&Build { mode: Mode::Manual, ..Build::default() });
    let message = refuses(&mut world, "approval");
    assert!(message.contains("4.0.0"), "{message}");
    let at = world.now();
    let approval = Approval { product: product(KAFKA), to: version("4.0.0"), at, back: false };
    world.core.orders(None, vec![approval]);
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    assert_eq!(world.runs("acme/platform"), "1.32.0");
}

#[test]
fn policy_patch_takes_patches_and_names_what_it_leaves() {
    let mut world = World::new(&Build { mode: Mode::Patch, hub: Hub::Absent, ..Build::default() });
    let message = refuses(&mut world, "policy_patch");
    assert_eq!(message, "4.0.0 is available; policy patch does not leave 3.9.0's minor release");
}

#[test]
fn a_release_that_another_product_cannot_do_with_is_refused_by_that_products_name() {
    let mut world = World::new(&Build::default());
    let mut all = known();
    let platform = all.get_mut(&product("acme/platform")).unwrap();
    platform.graph = Some(Arc::new(graph(&["1.32.0"], &[], &[])));
    let running = platform.releases.get_mut(&version("1.32.0")).unwrap().as_mut().unwrap();
    Arc::make_mut(&mut running.document).dependencies.push(channels::wire::Dependency {
        product: product(KAFKA),
        requirement: "^3.9".parse().unwrap(),
    });
    world.know(all);
    let message = refuses(&mut world, "dependency");
    assert_eq!(message, "release 4.0.0 would break acme/platform 1.32.0, which needs ^3.9");
}

#[test]
fn a_dependency_on_another_product_is_waited_for() {
    let mut world = World::new(&Build::default());
    let mut all = known();
    let mut kafka = release(KAFKA, "4.0.0", Role::Controller, &["^3.9"]);
    let mut document = (*kafka.document).clone();
    document.dependencies.push(channels::wire::Dependency {
        product: product("acme/platform"),
        requirement: ">=1.33.0".parse().unwrap(),
    });
    kafka.document = Arc::new(document);
    if let Some(known) = all.get_mut(&product(KAFKA)) {
        known.releases.insert(version("4.0.0"), Ok(kafka));
    }
    world.know(all);
    world.steps(20);
    let state = world.report().remove(&product(KAFKA)).unwrap();
    assert_eq!(
        state.waiting_on[0].message,
        "release 4.0.0 needs acme/platform >=1.33.0, this cluster runs 1.32.0"
    );
    world.until(3_000, World::is_done);
    let first = world.sim.state().ledger.restarts[0].clone();
    assert_eq!(first.role, Role::Node, "the dependency goes first");
}

#[test]
fn an_edge_withdrawn_in_mid_roll_is_a_hold_and_a_wider_target_goes_on() {
    let mut world = World::new(&Build::default());
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
    let releases = || {
        vec![
            release(KAFKA, "3.9.0", Role::Controller, &[]),
            release(KAFKA, "4.0.0", Role::Controller, &["^3.9"]),
            release(KAFKA, "4.0.1", Role::Controller, &["^3.9", "^4.0"]),
        ]
    };
    let withdrawn = graph(&["3.9.0", "4.0.0"], &[], &[]);
    world.know(alone(knowledge(withdrawn, releases())));
    world.until(400, |w| w.core.history.out.is_none());
    world.steps(40);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1);
    assert_eq!(world.gates(KAFKA), ["edge_withdrawn"]);
    // A release that every running one may move to ends the hold.
    let fixed = graph(&["3.9.0", "4.0.0", "4.0.1"], &[(0, 2), (1, 2)], &[]);
    world.know(alone(knowledge(fixed, releases())));
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.1");
    assert_eq!(world.sim.state().ledger.violations, Vec::<String>::new());
}

#[test]
fn a_newer_target_in_mid_roll_needs_an_edge_from_every_running_release() {
    let mut world = World::new(&Build::default());
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
    let releases = vec![
        release(KAFKA, "3.9.0", Role::Controller, &[]),
        release(KAFKA, "4.0.0", Role::Controller, &["^3.9"]),
        release(KAFKA, "4.0.1", Role::Controller, &["^3.9"]),
    ];
    // 4.0.1 may be reached from 3.9.0 only: the roll to 4.0.0 is finished first.
    let next = graph(&["3.9.0", "4.0.0", "4.0.1"], &[(0, 1), (0, 2)], &[]);
    world.know(alone(knowledge(next, releases)));
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    let versions: Vec<String> =
        world.sim.state().ledger.restarts.into_iter().map(|restart| restart.to).collect();
    assert_eq!(versions, ["4.0.0", "4.0.0", "4.0.0"]);
}

#[test]
fn a_pin_says_how_far_and_not_that_a_product_moves() {
    let pinned = |mode, pin: &str| {
        let mut world = World::new(&Build { mode, ..Build::default() });
        world.core.policy.products.get_mut(&product(KAFKA)).unwrap().pin = Some(version(pin));
        world
    };
    assert!(refuses(&mut pinned(Mode::Manual, "4.0.0"), "approval").contains("4.0.0"));
    assert!(refuses(&mut pinned(Mode::Patch, "4.0.0"), "policy_patch").contains("4.0.0"));
    let approve = |world: &mut World| {
        let at = world.now();
        let approval = Approval { product: product(KAFKA), to: version("4.0.0"), at, back: false };
        world.core.orders(None, vec![approval]);
    };
    // Nobody goes beyond it, whoever approves.
    let mut world = pinned(Mode::Manual, "3.9.0");
    approve(&mut world);
    assert!(refuses(&mut world, "pin").contains("3.9.0"));
    let mut world = pinned(Mode::Manual, "4.0.0");
    approve(&mut world);
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
}

#[test]
fn a_newer_release_that_is_not_for_this_cluster_does_not_stop_the_roll_under_way() {
    let mut world = World::new(&Build::default());
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
    let mut newer = release(KAFKA, "4.0.1", Role::Controller, &["^3.9", "^4.0"]);
    Arc::make_mut(&mut newer.document).arches.clear();
    let releases = vec![
        release(KAFKA, "3.9.0", Role::Controller, &[]),
        release(KAFKA, "4.0.0", Role::Controller, &["^3.9"]),
        newer,
    ];
    let next = graph(&["3.9.0", "4.0.0", "4.0.1"], &[(0, 1), (0, 2), (1, 2)], &[]);
    world.know(alone(knowledge(next, releases)));
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    world.steps(10);
    assert_eq!(world.gates(KAFKA), ["arch_missing"], "it says so when it is the next one");
}

#[test]
fn a_unit_of_an_unknown_version_blocks_its_product() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    let id = world.step_id();
    world.sim.upgrade(&unit("c-2"), id, "3.7.7").unwrap();
    world.steps(200);
    assert!(world.gates(KAFKA).contains(&"version_unknown".to_owned()), "{}", world.text());
    assert_eq!(world.sim.state().ledger.restarts.len(), 1);
}

#[test]
fn a_product_that_waits_for_another_says_for_which_and_for_which_unit() {
    let mut world = World::new(&Build::default());
    world.until(400, |w| w.core.history.out.is_some());
    let out = world.core.history.out.clone().unwrap().key().unit.clone();
    let state = world.report().remove(&product("acme/platform")).unwrap();
    assert_eq!(state.waiting_on.len(), 1, "{:#?}", state.waiting_on);
    assert_eq!(state.waiting_on[0].gate, "other_product");
    assert_eq!(
        state.waiting_on[0].message,
        format!("acme/kafka is moving and its {out} is out; one product at a time")
    );
    // Every moment of the roll has its reason, also between units and when the roll is stuck.
    for _ in 0..30 {
        world.step();
        assert_eq!(world.gates("acme/platform"), ["other_product"], "{}", world.text());
    }
    let mut stuck = known();
    stuck.insert(
        product(KAFKA),
        knowledge(
            graph(&["3.9.0", "4.0.0"], &[], &[]),
            vec![
                release(KAFKA, "3.9.0", Role::Controller, &[]),
                release(KAFKA, "4.0.0", Role::Controller, &["^3.9"]),
            ],
        ),
    );
    world.know(stuck);
    world.until(400, |w| w.core.history.out.is_none());
    world.steps(20);
    assert_eq!(world.gates(KAFKA), ["edge_withdrawn"]);
    assert_eq!(world.gates("acme/platform"), ["other_product"]);
}

#[test]
fn a_product_the_hub_holds_lets_another_product_pass_and_says_so() {
    let mut world = World::new(&Build::default());
    world.held_product = Some(product(KAFKA));
    world.until(1_500, |w| w.runs("acme/platform") == "1.33.0");
    assert_eq!(world.runs(KAFKA), "3.9.0");
    world.steps(10);
    assert!(world.gates(KAFKA).contains(&"hub_hold".to_owned()), "{}", world.text());
}

/// Kafka cannot begin for this reason, which does not pass by itself: the platform goes meanwhile.
fn lets_pass(world: &mut World, gate: &str) {
    world.until(400, |w| w.core.history.out.is_some());
    let gates = world.gates(KAFKA);
    assert!(gates.contains(&gate.to_owned()), "it says why it does not go: {gates:?}");
    world.until(1_500, |w| w.runs("acme/platform") == "1.33.0");
    assert_eq!(world.runs(KAFKA), "3.9.0");
}

#[test]
fn a_product_that_is_held_by_its_own_order_lets_another_one_pass() {
    let mut world = World::new(&Build::default());
    let since = world.now();
    world.rule(KAFKA, |rules| {
        rules.hold = Some(LocalHold { reason: "its ClusterUpdate".to_owned(), since });
    });
    lets_pass(&mut world, "hold");
}

#[test]
fn a_product_without_a_required_metric_lets_another_one_pass() {
    let mut world = World::new(&Build::default());
    world.steps(2);
    let leader = world.sim.state().quorum.unwrap().leader.unwrap();
    let follower = if leader == unit("c-3") { unit("c-2") } else { unit("c-3") };
    let family = "kafka_server_raftmetrics_log_end_offset".to_owned();
    world.sim.set_fault(&follower, Fault::MissingMetric { family }).unwrap();
    lets_pass(&mut world, "metric_names");
}

#[test]
fn a_product_with_a_unit_of_an_unknown_version_lets_another_one_pass() {
    let mut world = World::new(&Build::default());
    let id = world.step_id();
    world.sim.upgrade(&unit("c-2"), id, "3.7.7").unwrap();
    lets_pass(&mut world, "version_unknown");
}

#[test]
fn a_quorum_that_is_too_small_to_begin_lets_another_product_pass() {
    let mut world = World::new(&Build { controllers: 1, ..Build::default() });
    lets_pass(&mut world, "quorum_too_small");
}

#[test]
fn a_product_that_the_hub_lets_wait_lets_another_one_pass_and_goes_when_its_time_has_come() {
    let mut world = World::new(&Build::default());
    let later = world.now() + jiff::SignedDuration::from_mins(30);
    world.waits_until = Some((product(KAFKA), later));
    lets_pass(&mut world, "hub_wait");
    world.now_ms = later.as_millisecond();
    world.until(1_500, World::is_done);
}

#[test]
fn a_release_that_concerns_no_unit_is_never_said_to_run() {
    let mut world = World::new(&Build::default());
    let releases = vec![
        release(KAFKA, "3.9.0", Role::Controller, &[]),
        release(KAFKA, "4.0.0", Role::Workload, &["^3.9"]),
    ];
    world.know(alone(knowledge(graph(&["3.9.0", "4.0.0"], &[(0, 1)], &[]), releases)));
    refuses(&mut world, "no_component");
    assert_eq!(world.runs(KAFKA), "3.9.0");
}
