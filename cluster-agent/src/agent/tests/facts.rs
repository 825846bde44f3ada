//! Facts of the moment that other parts hand in: the lease, quorum changes, checks, missing metrics.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use signing::Sha256Digest;

use super::world::{Build, World, product, unit, version};
use crate::driver::Task;
use crate::phase::Phase;
use crate::plan::{
    CheckOutcome, CheckResult, CheckRule, CheckSource, CheckWhen, LeaseFact, QuorumChange,
    missing_metrics,
};

const KAFKA: &str = "acme/kafka";

fn world() -> World {
    World::new(&Build { nodes: 0, ..Build::default() })
}

fn elsewhere(world: &World) -> LeaseFact {
    LeaseFact::Elsewhere { holder: "agent-b".to_owned(), since: world.now() }
}

fn held(world: &World) -> LeaseFact {
    LeaseFact::Held { until: world.now() + SignedDuration::from_hours(10) }
}

#[test]
fn nothing_starts_without_the_lease_and_its_holder_is_named() {
    let mut world = world();
    let ran_out = LeaseFact::Held { until: world.now() };
    let unknown = LeaseFact::Unknown { why: "the API is away".to_owned(), since: world.now() };
    for (fact, said) in
        [(elsewhere(&world), "agent-b"), (ran_out, "ran out"), (unknown, "the API is away")]
    {
        world.core.leased(Some(fact));
        world.steps(60);
        assert_eq!(world.sim.state().ledger.restarts, []);
        let state = world.report().remove(&product(KAFKA)).unwrap();
        let why = state.waiting_on.iter().find(|why| why.gate == "lease").unwrap();
        assert!(why.message.contains(said), "{why:?}");
        assert_eq!(world.asked, 0, "no grant is asked for in vain");
    }
    let fact = held(&world);
    world.core.leased(Some(fact));
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    world.check();
}

#[test]
fn an_agent_that_loses_the_lease_in_mid_step_starts_nothing_and_drops_nothing() {
    let mut world = World::new(&Build { controllers: 3, nodes: 1, ..Build::default() });
    let drains = |w: &World| {
        let out = w.core.history.out.as_ref();
        out.is_some_and(|out| matches!(out.phase, Phase::Quiesce { .. }))
    };
    world.until(1_500, drains);
    let fact = elsewhere(&world);
    world.core.leased(Some(fact));
    let started = world.started.len();
    // Longer than any wait before a change may be.
    world.steps(400);
    assert!(drains(&world), "{}", world.text());
    assert_eq!(world.started.len(), started, "not even the drain is undone");
    assert_eq!(world.gates("acme/platform"), ["lease"]);
    let fact = held(&world);
    world.core.leased(Some(fact));
    world.until(1_500, World::is_done);
    world.check();
    assert!(world.cordoned.is_empty());
}

#[test]
fn a_change_of_a_quorums_voters_keeps_every_unit_where_it_is() {
    let mut world = world();
    let change = QuorumChange {
        product: product(KAFKA),
        what: "replace controller 3".to_owned(),
        since: world.now(),
    };
    world.core.quorum_change(Some(change));
    world.steps(60);
    assert_eq!(world.sim.state().ledger.restarts, []);
    assert!(world.gates(KAFKA).contains(&"quorum_change".to_owned()));
    world.core.quorum_change(None);
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
}

fn results(
    of: &World,
    name: &str,
    outcome: CheckOutcome,
) -> BTreeMap<channels::names::ProductRef, Vec<CheckResult>> {
    let result = CheckResult {
        name: name.to_owned(),
        release: Sha256Digest::of(b"4.0.0"),
        unit: None,
        outcome,
        at: of.now(),
    };
    BTreeMap::from([(product(KAFKA), vec![result])])
}

fn with_command(when: CheckWhen) -> World {
    let mut world = world();
    world.rule(KAFKA, |rules| {
        rules.checks.commands = vec![CheckRule { name: "validate".to_owned(), when }];
    });
    world
}

fn wanted(world: &World) -> Vec<(String, Option<String>)> {
    let plan = world.core.plan.as_ref().unwrap();
    let one = |order: &crate::driver::CheckOrder| {
        let unit = order.unit.as_ref().map(|(key, _)| key.unit.to_string());
        assert_eq!((&order.from, &order.to), (&version("3.9.0"), &version("4.0.0")));
        assert_eq!(order.release, Sha256Digest::of(b"4.0.0"));
        (order.name.clone(), unit)
    };
    plan.checks.iter().map(one).collect()
}

#[test]
fn the_first_unit_waits_for_the_owners_check_of_exactly_this_release() {
    let mut world = with_command(CheckWhen::Roll);
    world.steps(40);
    assert_eq!(world.gates(KAFKA), ["check_validate"]);
    assert_eq!(wanted(&world), [("validate".to_owned(), None)]);
    assert_eq!(world.asked, 0, "no grant is asked for before it has passed");
    let mut other = results(&world, "validate", CheckOutcome::Passed);
    other.values_mut().flatten().for_each(|found| found.release = Sha256Digest::of(b"4.0.1"));
    world.core.checks(CheckSource::Commands, other);
    world.steps(20);
    assert_eq!(world.gates(KAFKA), ["check_validate"], "it passed for another release");
    let running = results(&world, "validate", CheckOutcome::Running);
    world.core.checks(CheckSource::Commands, running);
    world.step();
    assert!(wanted(&world).is_empty(), "what runs is not run again");
    let passed = results(&world, "validate", CheckOutcome::Passed);
    world.core.checks(CheckSource::Commands, passed);
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    assert_eq!(world.asked, 3);
}

#[test]
fn a_check_that_fails_is_named_with_its_reason_and_run_again_after_a_while() {
    let mut world = with_command(CheckWhen::Roll);
    world.steps(40);
    let why = "log.message.format.version is gone in 4.0".to_owned();
    let failed = results(&world, "validate", CheckOutcome::Failed { why: why.clone() });
    world.core.checks(CheckSource::Commands, failed);
    world.step();
    assert!(wanted(&world).is_empty(), "not at once");
    let state = world.report().remove(&product(KAFKA)).unwrap();
    let found = state.waiting_on.iter().find(|w| w.gate == "check_validate").unwrap();
    assert!(found.message.contains(&why), "{found:?}");
    world.steps(8);
    assert_eq!(wanted(&world).len(), 1, "after refused_retry_ms");
    assert_eq!(world.sim.state().ledger.restarts, []);
}

#[test]
fn a_result_that_is_old_or_from_before_a_resume_counts_no_more() {
    let mut world = with_command(CheckWhen::Roll);
    world.rule(KAFKA, |rules| rules.checks.max_age_ms = 10_000);
    world.core.standing.hold = None;
    let passed = results(&world, "validate", CheckOutcome::Passed);
    world.core.checks(CheckSource::Commands, passed);
    // The baseline alone takes seven seconds; the hub is asked too late.
    world.core.policy.timings.baseline_ms = 12_000;
    world.steps(60);
    assert_eq!(world.gates(KAFKA), ["check_validate"]);
    let state = world.report().remove(&product(KAFKA)).unwrap();
    assert!(state.waiting_on[0].message.contains("limit 10 s"), "{state:?}");
    let passed = results(&world, "validate", CheckOutcome::Passed);
    world.core.checks(CheckSource::Commands, passed);
    world.until(600, |w| w.sim.state().ledger.restarts.len() == 1 && w.core.history.out.is_none());
    assert!(!world.gates(KAFKA).contains(&"check_validate".to_owned()), "the roll has begun");
    world.core.history.baseline_owed_since = Some(world.now());
    world.step();
    assert!(world.gates(KAFKA).contains(&"check_validate".to_owned()), "a resume asks again");
}

#[test]
fn a_check_of_every_unit_is_made_for_each() {
    let mut world = with_command(CheckWhen::Unit);
    let mut checked = vec![];
    for _ in 0..1_500 {
        if world.runs(KAFKA) == "4.0.0" {
            break;
        }
        world.step();
        let orders = world.core.plan.as_ref().map(|plan| plan.checks.clone()).unwrap_or_default();
        for order in orders {
            let (key, component) = order.unit.clone().unwrap();
            assert_eq!(component.version, "4.0.0");
            checked.push(key.unit.to_string());
            let mut passed = results(&world, "validate", CheckOutcome::Passed);
            passed.values_mut().flatten().for_each(|found| found.unit = Some(key.unit.clone()));
            world.core.checks(CheckSource::Commands, passed);
        }
    }
    checked.sort();
    assert_eq!(checked, ["c-1", "c-2", "c-3"]);
}

#[test]
fn what_another_source_finds_counts_and_what_is_required_of_it_must_be_there() {
    let mut world = world();
    world.rule(KAFKA, |rules| rules.checks.required = ["images".to_owned()].into());
    world.steps(40);
    assert_eq!(world.gates(KAFKA), ["check_images"]);
    assert!(wanted(&world).is_empty(), "no command makes it");
    let why = "registry says 404 for acme/controller".to_owned();
    let unknown = results(&world, "images", CheckOutcome::Unknown { why });
    world.core.checks(CheckSource::Kubernetes, unknown);
    world.steps(4);
    assert_eq!(world.gates(KAFKA), ["check_images"]);
    let passed = results(&world, "images", CheckOutcome::Passed);
    world.core.checks(CheckSource::Kubernetes, passed);
    let why = "policy/v1beta1 is still asked for".to_owned();
    let failed = results(&world, "deprecated_apis", CheckOutcome::Failed { why });
    world.core.checks(CheckSource::Prometheus, failed);
    world.steps(4);
    assert_eq!(world.gates(KAFKA), ["check_deprecated_apis"]);
    world.core.checks(CheckSource::Prometheus, BTreeMap::new());
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
}

#[test]
fn a_required_metric_that_no_live_page_has_is_named_before_anything_moves() {
    let mut world = world();
    let lost = |observation: &mut crate::observation::Observation, name: &str| {
        let key = observation.units.keys().find(|key| key.unit == unit(name)).unwrap().clone();
        let seen = observation.units.get_mut(&key).unwrap();
        let signal = crate::telemetry::Signal::LogEndOffset;
        seen.findings = vec![crate::observation::Finding::MetricMissing { signal }];
        seen.verdict = channels::wire::HealthVerdict::Unknown;
    };
    world.steps(10);
    let mut seen = world.core.observation.clone().unwrap();
    lost(&mut seen, "c-2");
    let now: Timestamp = world.now();
    drop(world.core.observe(seen.clone(), now));
    world.core.plan_only(now);
    let state = world.report().remove(&product(KAFKA)).unwrap();
    let why = state.waiting_on.iter().find(|why| why.gate == "metric_names").unwrap();
    assert_eq!(why.unit, Some(unit("c-2")));
    assert!(why.message.contains("kafka_server_raftmetrics_log_end_offset"), "{why:?}");
    assert!(why.message.contains("kafka_server_raft_metrics_log_end_offset"), "{why:?}");
    assert!(!world.started.iter().any(|(_, task)| *task == Task::Mutate));
    assert_eq!(missing_metrics(&seen, &world.core.history).len(), 1);

    // In mid-roll a process that starts lacks metrics for a while; that is said elsewhere.
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
    assert_eq!(missing_metrics(&seen, &world.core.history), []);
}

#[test]
fn a_check_that_said_no_is_made_again_while_another_product_has_the_lane() {
    let mut world = World::new(&Build::default());
    world.rule(KAFKA, |rules| {
        let (name, when) = ("validate".to_owned(), CheckWhen::Roll);
        rules.checks.commands = vec![CheckRule { name, when }];
    });
    // Nothing gets ready to go.
    world.core.policy.timings.baseline_ms = 3_600_000;
    world.steps(20);
    let why = "not on this cluster".to_owned();
    let failed = results(&world, "validate", CheckOutcome::Failed { why });
    world.core.checks(CheckSource::Commands, failed);
    world.step();
    let picked = world.core.plan.as_ref().unwrap().picked.clone().unwrap();
    assert_eq!(picked.product, product("acme/platform"));
    assert!(wanted(&world).is_empty(), "not at once");
    assert!(world.gates(KAFKA).contains(&"check_validate".to_owned()), "{}", world.text());
    world.steps(8);
    assert_eq!(wanted(&world), [("validate".to_owned(), None)]);
    let passed = results(&world, "validate", CheckOutcome::Passed);
    world.core.checks(CheckSource::Commands, passed);
    world.step();
    let picked = world.core.plan.as_ref().unwrap().picked.clone().unwrap();
    assert_eq!(picked.product, product(KAFKA));
}

#[test]
fn a_product_whose_check_said_no_lets_another_one_pass() {
    let mut world = World::new(&Build::default());
    world.rule(KAFKA, |rules| {
        let (name, when) = ("validate".to_owned(), CheckWhen::Roll);
        rules.checks.commands = vec![CheckRule { name, when }];
    });
    world.steps(20);
    let why = "not on this cluster".to_owned();
    let failed = results(&world, "validate", CheckOutcome::Failed { why });
    world.core.checks(CheckSource::Commands, failed);
    world.until(1_500, |w| w.runs("acme/platform") == "1.33.0");
    assert_eq!(world.runs(KAFKA), "3.9.0");
}
