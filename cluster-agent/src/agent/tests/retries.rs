//! Steps that failed: what `resume` makes of them, and what is never undone.

use std::sync::Arc;

use super::world::{Build, Hub, World, graph, known, product, release, unit, version};
use crate::driver::{StepStatus, Task};
use crate::history::{Cause, Out};
use crate::phase::{Failed, Phase};
use crate::plan::Known;
use crate::sim::Fault;
use crate::state::Approval;

const KAFKA: &str = "acme/kafka";

fn out(world: &World) -> Out {
    world.core.history.out.clone().unwrap_or_else(|| panic!("nothing is out: {}", world.text()))
}

fn phase_of(world: &World) -> Option<&Phase> {
    world.core.history.out.as_ref().map(|out| &out.phase)
}

fn failed() -> StepStatus {
    StepStatus::Finished { exit_code: 3, log_tail: "no space left".to_owned() }
}

/// A world of one node to change, whose controllers have been rolled.
fn node_next() -> World {
    let mut world = World::new(&Build { nodes: 1, ..Build::default() });
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    world
}

/// A node that is drained, and whose change has failed.
fn failed_node() -> World {
    let mut world = node_next();
    world.change_says = Some(failed());
    world.until(400, |w| w.core.history.pause.is_some());
    let pause = world.core.history.pause.clone().unwrap();
    assert_eq!(pause.why.gate, "mutate_failed", "{pause:?}");
    assert_eq!(world.cordoned.len(), 1);
    world
}

fn changes(world: &World) -> usize {
    world.started.iter().filter(|(name, task)| name == "n-1" && *task == Task::Mutate).count()
}

fn restored(world: &World) -> bool {
    world.started.contains(&("n-1".to_owned(), Task::Restore))
}

#[test]
fn a_unit_that_returned_in_the_pause_keeps_the_name_of_its_step() {
    let mut world = node_next();
    world.until(400, |w| matches!(phase_of(w), Some(Phase::AwaitReturn { .. })));
    let step = out(&world).order;
    world.sim.set_fault(&unit("n-1"), Fault::Hang).unwrap();
    world.until(400, |w| w.core.history.pause.is_some());
    assert_eq!(world.core.history.pause.clone().unwrap().why.gate, "return_overdue");
    world.sim.clear_faults(&unit("n-1")).unwrap();
    world.until(100, |w| matches!(phase_of(w), Some(Phase::AwaitHealth { .. })));
    world.resume();
    assert_eq!(out(&world).order, step, "its cordon bears this name");
    world.until(1_500, World::is_done);
    assert!(world.cordoned.is_empty());
    assert_eq!(changes(&world), 1, "what has returned is not changed again");
}

#[test]
fn a_failed_change_is_tried_again_under_a_new_name() {
    let mut world = failed_node();
    let first = out(&world).order;
    world.change_says = None;
    world.resume();
    let second = out(&world).order;
    assert_ne!(second.step_id, first.step_id);
    assert_eq!(second.attempt, 2);
    world.until(1_500, World::is_done);
    assert!(world.cordoned.is_empty());
    world.check();
}

#[test]
fn a_changed_unit_whose_grant_has_lapsed_waits_for_a_word_and_is_never_undone() {
    let mut world = failed_node();
    let now = world.now();
    world.core.history.out.as_mut().unwrap().grant_expires_at = Some(now);
    world.hub = Hub::Silent;
    world.core.unheard("connection refused".to_owned(), None, now);
    world.change_says = None;
    world.resume();
    // Longer than any wait before a first change may be.
    world.steps(400);
    assert!(!restored(&world), "{}", world.text());
    assert_eq!((changes(&world), world.cordoned.len()), (1, 1));
    assert_eq!(world.gates("acme/platform"), ["grant_expired"]);
    world.hub = Hub::Grants;
    world.answer();
    world.steps(60);
    assert!(world.core.wants_word || changes(&world) == 2, "{}", world.text());
    world.answer();
    world.until(1_500, World::is_done);
    assert_eq!(changes(&world), 2);
    world.check();
}

#[test]
fn what_the_change_broke_on_its_unit_does_not_keep_the_next_attempt_from_mending_it() {
    let mut world = failed_node();
    world.sim.set_fault(&unit("n-1"), Fault::Hang).unwrap();
    world.steps(40);
    world.change_says = None;
    world.resume();
    world.until(100, |w| changes(w) == 2);
    assert!(!restored(&world));
    world.sim.clear_faults(&unit("n-1")).unwrap();
    world.until(1_500, World::is_done);
    assert!(world.cordoned.is_empty());
}

#[test]
fn a_gate_that_another_unit_closes_keeps_a_changed_unit_where_it_is_until_it_opens() {
    let mut world = failed_node();
    world.sim.set_fault(&unit("c-1"), Fault::Lag { ms: 9_000 }).unwrap();
    world.sim.set_fault(&unit("c-2"), Fault::Hang).unwrap();
    world.steps(30);
    world.change_says = None;
    world.resume();
    world.steps(300);
    assert!(!restored(&world), "{}", world.text());
    assert_eq!((changes(&world), world.cordoned.len()), (1, 1));
    for name in ["c-1", "c-2"] {
        world.sim.clear_faults(&unit(name)).unwrap();
    }
    world.steps(40);
    world.resume();
    world.until(1_500, World::is_done);
    assert!(world.cordoned.is_empty());
}

#[test]
fn a_changed_unit_whose_check_says_no_pauses_again_and_is_tried_again_by_resume() {
    let mut world = failed_node();
    world.change_says = None;
    world.refusing = Task::Preflight;
    world.says_no = Some("the image is gone".to_owned());
    world.resume();
    world.until(40, |w| w.core.history.pause.is_some());
    assert_eq!(world.core.history.pause.clone().unwrap().why.gate, "preflight_failed");
    assert_eq!(out(&world).failed, Some(Failed::Prepare));
    assert!(!restored(&world));
    world.says_no = None;
    world.resume();
    world.until(1_500, World::is_done);
    assert_eq!(changes(&world), 2);
}

#[test]
fn a_change_of_which_the_driver_knows_nothing_any_more_keeps_its_unit() {
    // Deleted after it failed, and deleted while it ran.
    for first in
        [failed(), StepStatus::Running { since: jiff::Timestamp::UNIX_EPOCH, detail: None }]
    {
        let mut world = node_next();
        world.change_says = Some(first);
        world.until(400, |w| matches!(phase_of(w), Some(Phase::Mutate { .. })));
        world.steps(4);
        world.change_says = Some(StepStatus::Absent);
        world.steps(4);
        world.kill();
        world.steps(400);
        assert_eq!(world.core.history.pause.clone().unwrap().why.gate, "mutate_failed");
        assert!(matches!(phase_of(&world), Some(Phase::Mutate { .. })), "{}", world.text());
        assert!(!restored(&world), "half a change is not put back into service");
        world.change_says = None;
        world.resume();
        world.until(1_500, World::is_done);
        assert!(world.cordoned.is_empty());
    }
}

#[test]
fn a_failure_in_a_pause_joins_its_reason_and_resume_tries_the_step_again() {
    let mut world = node_next();
    world.change_says =
        Some(StepStatus::Running { since: jiff::Timestamp::UNIX_EPOCH, detail: None });
    world.until(400, |w| matches!(phase_of(w), Some(Phase::Mutate { .. })));
    for name in ["c-1", "c-2"] {
        world.sim.set_fault(&unit(name), Fault::Hang).unwrap();
    }
    world.until(100, |w| w.core.history.pause.is_some());
    let stop = world.core.history.pause.clone().unwrap();
    world.change_says = Some(failed());
    world.steps(10);
    let pause = world.core.history.pause.clone().unwrap();
    assert_eq!((pause.why.gate.as_str(), pause.at), ("mutate_failed", stop.at));
    assert!(pause.why.message.contains("no space left"), "{pause:?}");
    assert!(
        pause.why.message.contains(&format!("paused before by {}", stop.why.gate)),
        "{pause:?}"
    );
    for name in ["c-1", "c-2"] {
        world.sim.clear_faults(&unit(name)).unwrap();
    }
    world.steps(40);
    world.change_says = None;
    world.resume();
    assert_eq!(out(&world).order.attempt, 2);
    world.until(1_500, World::is_done);
    assert!(world.cordoned.is_empty());
}

#[test]
fn a_pause_says_that_its_unit_went_first_because_it_was_ill() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.steps(2);
    let leader = world.sim.state().quorum.unwrap().leader.unwrap();
    let ill = if leader == unit("c-3") { unit("c-2") } else { unit("c-3") };
    world.sim.set_fault(&ill, Fault::Hang).unwrap();
    world.change_says = Some(failed());
    world.until(400, |w| w.core.history.pause.is_some());
    let pause = world.core.history.pause.clone().unwrap();
    assert_eq!((pause.why.gate.as_str(), pause.why.unit), ("mutate_failed", Some(ill)));
    assert!(pause.why.message.contains("it was not healthy before"), "{}", pause.why.message);
}

/// Kafka may go on to 4.0.0, and back again.
fn both_ways() -> Known {
    let mut all = known();
    let mut old = release(KAFKA, "3.9.0", channels::wire::Role::Controller, &[]);
    Arc::make_mut(&mut old.document).downgrade_from = vec!["^4.0".parse().unwrap()];
    let kafka = all.get_mut(&product(KAFKA)).unwrap();
    kafka.graph = Some(Arc::new(graph(&["3.9.0", "4.0.0"], &[(0, 1), (1, 0)], &[])));
    kafka.releases.insert(version("3.9.0"), Ok(old));
    all
}

/// The first controller came back sick, and its roll is paused.
fn sick() -> (World, channels::names::UnitName) {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.know(both_ways());
    world.sim.set_defect("4.0.0", Fault::Lag { ms: 8_000 });
    world.until(800, |w| w.core.history.pause.is_some());
    assert_eq!(world.core.history.pause.clone().unwrap().why.gate, "health_overdue");
    let unit = out(&world).key().unit.clone();
    (world, unit)
}

fn to_of(world: &World) -> Vec<(String, String)> {
    let restarts = world.sim.state().ledger.restarts;
    restarts.into_iter().map(|restart| (restart.unit.to_string(), restart.to)).collect()
}

#[test]
fn a_sick_unit_leaves_its_step_when_a_person_orders_the_product_back_and_resumes() {
    let (mut world, sick) = sick();
    let at = world.now();
    let order = Approval { product: product(KAFKA), to: version("3.9.0"), at, back: true };
    world.core.orders(None, vec![order]);
    world.steps(20);
    assert_eq!(out(&world).key().unit, sick, "nothing moves before a person says resume");
    world.resume();
    world.until(400, |w| to_of(w).len() == 2);
    assert_eq!(to_of(&world)[1], (sick.to_string(), "3.9.0".to_owned()));
    world.sim.clear_faults(&sick).unwrap();
    world.until(800, |w| w.core.history.products[&product(KAFKA)].roll.is_none());
    assert_eq!(world.runs(KAFKA), "3.9.0");
    assert_eq!(to_of(&world).len(), 2, "nobody else was touched");
    assert_eq!(world.core.history.pause, None);
}

#[test]
fn a_unit_that_was_put_back_by_hand_leaves_its_step_and_is_chosen_again() {
    let (mut world, sick) = sick();
    let id = world.step_id();
    world.sim.upgrade(&sick, id, "3.9.0").unwrap();
    world.steps(60);
    world.sim.clear_defects();
    world.sim.clear_faults(&sick).unwrap();
    world.resume();
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
    assert_eq!(world.core.history.pause, None);
    assert_eq!(to_of(&world).last().map(|(_, to)| to.as_str()), Some("4.0.0"));
}

#[test]
fn an_adopted_unit_that_changes_once_more_is_adopted_anew() {
    let mut world = World::new(&Build { controllers: 5, nodes: 0, ..Build::default() });
    world.until(600, |w| w.sim.state().ledger.restarts.len() == 1 && w.core.history.out.is_none());
    world.hub = Hub::Silent;
    let leads = world.sim.state().quorum.unwrap().leader.unwrap();
    let stray = if leads == unit("c-5") { unit("c-4") } else { unit("c-5") };
    let id = world.step_id();
    world.sim.upgrade(&stray, id, "3.9.0").unwrap();
    world.until(100, |w| w.core.history.out.is_some());
    assert_eq!(out(&world).order.component.version, "3.9.0");
    let id = world.step_id();
    world.sim.upgrade(&stray, id, "4.0.0").unwrap();
    world.until(400, |w| w.core.history.pause.is_some());
    assert_eq!(out(&world).cause, Cause::Adopted);
    world.resume();
    world.until(40, |w| {
        let out = w.core.history.out.as_ref();
        out.is_some_and(|out| out.order.component.version == "4.0.0")
    });
    world.until(400, |w| w.core.history.out.is_none());
    world.hub = Hub::Grants;
    world.until(2_500, |w| w.runs(KAFKA) == "4.0.0");
}

#[test]
fn the_election_a_step_may_cause_is_that_of_the_leader_it_changes() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.checks_controllers = true;
    world.until(800, |w| w.sim.state().ledger.restarts.len() == 2 && w.core.history.out.is_none());
    world.until(400, |w| w.core.history.out.is_some());
    let last = out(&world);
    assert!(last.leadership.was_leader, "the leader goes last");
    // Its check takes its time, and another is elected meanwhile.
    world.slow_checks = true;
    world.sim.unseat_leader();
    world.steps(60);
    let leader = world.sim.state().quorum.unwrap().leader.unwrap();
    assert_ne!(leader, last.key().unit);
    world.slow_checks = false;
    world.until(100, |w| matches!(phase_of(w), Some(Phase::Mutate { .. })));
    assert_eq!(out(&world).leadership.allowed(), 0, "a follower's restart moves no lead");
    world.until(800, |w| w.runs(KAFKA) == "4.0.0");
}

#[test]
fn a_node_that_reboots_in_its_drain_has_not_been_changed_by_that() {
    let mut world = node_next();
    world.until(400, |w| matches!(phase_of(w), Some(Phase::Quiesce { .. })));
    let taken_out = out(&world).before;
    world.slow_checks = true;
    let id = world.step_id();
    world.sim.crash(&unit("n-1"), id, None, 0).unwrap();
    // Until its relists are well known again.
    world.steps(300);
    world.slow_checks = false;
    world.until(400, |w| matches!(phase_of(w), Some(Phase::Mutate { .. })));
    let seen = world.core.observation.clone().unwrap();
    let started = seen.units[out(&world).key()].process_start;
    assert_ne!(started, taken_out.process_start_before);
    assert_eq!(out(&world).before.process_start_before, started);
    assert_eq!(out(&world).before.at, taken_out.at, "the step began when it was taken out");
}

#[test]
fn a_unit_that_leads_when_it_is_tried_again_is_not_kept_waiting_for_the_others() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    // The command says that it went well, and nothing was done.
    world.change_says = Some(StepStatus::Finished { exit_code: 0, log_tail: String::new() });
    world.until(1_500, |w| w.core.history.pause.is_some());
    assert_eq!(world.core.history.pause.clone().unwrap().why.gate, "return_overdue");
    let now = world.now();
    world.core.history.out.as_mut().unwrap().grant_expires_at = Some(now);
    world.hub = Hub::Silent;
    world.core.unheard("connection refused".to_owned(), None, now);
    world.change_says = None;
    world.resume();
    let me = out(&world).order.key.unit;
    assert!(!out(&world).leadership.was_leader);
    let leads = |w: &World| w.sim.voters().into_iter().any(|(name, v)| name == me && v.leads);
    for _ in 0..20 {
        if !leads(&world) {
            world.sim.unseat_leader();
            world.steps(60);
        }
    }
    assert!(leads(&world), "{}", world.text());
    assert!(matches!(phase_of(&world), Some(Phase::Preflight { .. })), "{}", world.text());
    world.hub = Hub::Grants;
    world.answer();
    world.until(1_500, |w| w.runs(KAFKA) == "4.0.0");
}
