//! Hooks around each step: in order, once, and cleaned up after when a step is refused in between.

use super::world::{Build, Death, World, at};
use crate::driver::Task;
use crate::history::Cause;
use crate::phase::Phase;
use crate::plan::LeaseFact;
use crate::state::LocalHold;

fn hooked(build: &Build) -> World {
    let mut world = World::new(build);
    world.hooks = [Task::Before, Task::After].into();
    world
}

fn of(world: &World, unit: &str) -> Vec<Task> {
    world.started.iter().filter(|(name, _)| name == unit).map(|(_, task)| *task).collect()
}

#[test]
fn hooks_run_before_anything_is_done_to_a_unit_and_when_everything_is_over() {
    let mut world = hooked(&Build { nodes: 1, ..Build::default() });
    world.until(2_500, World::is_done);
    world.check();
    let node = of(&world, "n-1");
    let expected =
        [Task::Preflight, Task::Before, Task::Quiesce, Task::Mutate, Task::Restore, Task::After];
    assert_eq!(node, expected);
    assert_eq!(of(&world, "c-1"), [Task::Before, Task::Mutate, Task::After]);
}

#[test]
fn a_hook_that_says_no_refuses_the_step_and_nothing_was_changed() {
    let mut world = hooked(&Build { nodes: 0, ..Build::default() });
    world.refusing = Task::Before;
    world.says_no = Some("the load balancer keeps it".to_owned());
    world.until(400, |w| w.core.history.refused.is_some());
    world.steps(4);
    assert_eq!(world.sim.state().ledger.restarts, []);
    let refused = world.core.history.refused.clone().unwrap();
    assert_eq!(refused.why.gate, "before_failed");
    assert!(refused.why.message.contains("the load balancer keeps it"), "{refused:?}");
    assert_eq!(world.core.history.pause, None, "it is tried again by itself");
    assert!(world.gates("acme/kafka").contains(&"before_failed".to_owned()));
    assert!(!world.started.iter().any(|(_, task)| *task == Task::After));
    world.says_no = None;
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    world.check();
}

#[test]
fn a_hook_that_fails_afterwards_pauses_and_is_run_again_by_resume() {
    let mut world = hooked(&Build { nodes: 0, ..Build::default() });
    world.refusing = Task::After;
    world.says_no = Some("cannot enable it again".to_owned());
    world.until(400, |w| w.core.history.pause.is_some());
    let pause = world.core.history.pause.clone().unwrap();
    assert_eq!(pause.why.gate, "after_failed");
    world.steps(100);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1, "the next unit stays where it is");
    world.says_no = None;
    world.resume();
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "no unit was changed twice");
    world.check();
}

#[test]
fn a_step_that_is_refused_after_its_first_hook_still_gets_the_second() {
    let mut world = hooked(&Build { nodes: 0, ..Build::default() });
    world.until(400, |w| w.started.iter().any(|(_, task)| *task == Task::Before));
    let hold = LocalHold { reason: "drill".to_owned(), since: world.now() };
    world.core.orders(Some(hold), vec![]);
    world.until(40, |w| w.core.history.out.is_none());
    let tasks: Vec<Task> = world.started.iter().map(|(_, task)| *task).collect();
    assert_eq!(tasks, [Task::Before, Task::After]);
    assert_eq!(world.core.history.refused.clone().unwrap().why.gate, "hold");
    assert_eq!(world.sim.state().ledger.restarts, []);
    world.core.orders(None, vec![]);
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    world.check();
}

#[test]
fn an_agent_that_dies_anywhere_around_a_hook_runs_each_once_per_step() {
    // The first unit's changes with one death, and those in which something starts with the other.
    let deaths = [(Death::AfterPersist, 0..9), (Death::AfterEffect, 1..3)];
    for (death, changes) in deaths {
        for change in changes {
            let mut world = hooked(&Build { nodes: 0, ..Build::default() });
            world.die_in = Some((change, death));
            world.until(2_500, |w| w.runs("acme/kafka") == "4.0.0");
            world.check();
            assert_eq!(world.sim.state().ledger.restarts.len(), 3, "{death:?} at {change}");
            for name in ["c-1", "c-2", "c-3"] {
                let mut tasks = of(&world, name);
                tasks.dedup();
                assert_eq!(
                    tasks,
                    [Task::Before, Task::Mutate, Task::After],
                    "{name}: {death:?} at {change}"
                );
            }
        }
    }
}

#[test]
fn a_unit_that_goes_away_while_its_last_hook_runs_is_soaked_anew() {
    let mut world = hooked(&Build { nodes: 0, ..Build::default() });
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
    world.slow_checks = true;
    let out = |w: &World| w.core.history.out.clone();
    world.until(400, |w| out(w).is_some_and(|out| matches!(out.phase, Phase::After { .. })));
    let name = out(&world).unwrap().order.key.unit;
    let id = world.step_id();
    world.sim.crash(&name, id, None, 0).unwrap();
    world.steps(10);
    assert!(world.sim.is_up(&name), "it is back before the hook ends");
    world.slow_checks = false;
    world.until(40, |w| out(w).is_some_and(|out| out.cause == Cause::Adopted));
    assert_eq!(out(&world).unwrap().order.key.unit, name);
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    assert_eq!(world.sim.state().ledger.restarts.len(), 3);
}

#[test]
fn resume_runs_no_hook_again_while_another_agent_holds_the_lease() {
    let mut world = hooked(&Build { nodes: 0, ..Build::default() });
    world.refusing = Task::After;
    world.says_no = Some("cannot enable it again".to_owned());
    world.until(400, |w| w.core.history.pause.is_some());
    world.says_no = None;
    let runs = |w: &World| w.started.iter().filter(|(_, task)| *task == Task::After).count();
    let fact = LeaseFact::Elsewhere { holder: "another".to_owned(), since: at(world.now_ms) };
    world.core.leased(Some(fact));
    world.resume();
    world.steps(10);
    assert_eq!((runs(&world), world.core.history.pause.clone()), (1, None));
    world.core.leased(None);
    world.steps(2);
    assert_eq!(runs(&world), 2);
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
}
