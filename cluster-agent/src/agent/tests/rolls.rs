//! Whole rolls: the invariants hold in calm and in trouble, and every run ends.

use channels::rollout::Calendar;
use channels::wire::Phase;

use super::world::{Build, Death, Dice, Hub, World, at, unit};
use crate::driver::Task;
use crate::phase::Phase as UnitPhase;
use crate::plan::LeaseFact;
use crate::sim::Fault;

/// Seeds of an ordinary test run; `SEEDS=200` for a long one.
fn seeds() -> Vec<u64> {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match read("SEED") {
        Some(seed) => vec![seed],
        None => (1..=read("SEEDS").unwrap_or(6)).collect(),
    }
}

#[test]
fn a_calm_cluster_rolls_controllers_then_nodes_with_the_leader_last() {
    let mut world = World::new(&Build::default());
    world.until(1_500, World::is_done);
    world.check();
    let restarts = world.sim.state().ledger.restarts;
    assert_eq!(restarts.len(), 6);
    assert_eq!(restarts[2].leader.as_ref(), Some(&restarts[2].unit), "leader last");
    assert!(world.cordoned.is_empty());
    assert_eq!(world.asked, 6, "a grant before every unit");
    let first: Vec<Phase> =
        world.phases.iter().filter(|(unit, _)| unit == "n-1").map(|(_, phase)| *phase).collect();
    let expected = [
        Phase::Preflight,
        Phase::Quiesce,
        Phase::Mutate,
        Phase::AwaitReturn,
        Phase::AwaitHealth,
        Phase::Soak,
    ];
    assert_eq!(first, expected);
}

#[test]
fn without_a_hub_the_policy_alone_decides() {
    let mut world = World::new(&Build { hub: Hub::Absent, ..Build::default() });
    world.until(1_500, World::is_done);
    world.check();
    assert_eq!(world.asked, 0);
}

/// One whole roll in which the agent dies once; two controllers' worth of changes and a node's
/// cover every phase.
fn dies(change: u32, death: Death) {
    let mut world = World::new(&Build { nodes: 1, ..Build::default() });
    world.die_in = Some((change, death));
    world.until(2_500, World::is_done);
    world.check();
    let restarts = world.sim.state().ledger.restarts.len();
    assert_eq!(restarts, 4, "{death:?} at change {change}");
    assert!(world.cordoned.is_empty(), "{death:?} at change {change}");
}

#[test]
fn an_agent_that_dies_between_write_and_effect_never_rolls_a_unit_twice() {
    // The first controller's step, and the node's: every phase of both kinds.
    for change in (0..7).chain(18..28) {
        dies(change, Death::AfterPersist);
    }
}

#[test]
fn an_agent_that_dies_after_an_effect_finds_its_step_again() {
    for change in (0..6).chain(18..26) {
        dies(change, Death::AfterEffect);
    }
}

#[test]
fn an_agent_that_dies_before_the_write_has_done_nothing() {
    for change in [0, 1, 2, 4, 19, 21] {
        dies(change, Death::BeforePersist);
    }
}

#[test]
fn whatever_goes_wrong_no_invariant_breaks_and_the_roll_ends() {
    for seed in seeds() {
        eprintln!("SEED={seed}");
        let mut dice = Dice::new(seed);
        let mut world = World::new(&Build { seed, ..Build::default() });
        if dice.below(2) == 0 {
            world.hooks = [Task::Before, Task::After].into();
        }
        let names = ["c-1", "c-2", "c-3", "n-1", "n-2", "n-3"];
        for _ in 0..700 {
            trouble(&mut world, &mut dice, &names);
            world.step();
            if world.is_done() {
                break;
            }
        }
        // The trouble ends; a person resumes whenever the agent asks for it.
        for name in names {
            world.sim.clear_faults(&unit(name)).unwrap();
        }
        world.hub = Hub::Grants;
        world.core.leased(None);
        world.rule("acme/kafka", |rules| rules.windows = Calendar::default());
        for _ in 0..40 {
            if world.is_done() {
                break;
            }
            if world.core.history.pause.is_some() {
                world.resume();
            }
            world.steps(100);
        }
        assert!(world.is_done(), "SEED={seed} does not end:\n{}", world.text());
        world.check();
        assert!(world.cordoned.is_empty(), "SEED={seed}");
    }
}

fn frozen() -> Calendar {
    let text = r#"{"time_zone":"UTC","freezes":[
        {"from":"2020-01-01","until":"2100-01-01","reason":"drill"}]}"#;
    serde_json::from_str(text).unwrap()
}

/// Now and then something breaks, heals, dies, or is held.
fn trouble(world: &mut World, dice: &mut Dice, names: &[&str]) {
    let index = usize::try_from(dice.below(names.len() as u64)).unwrap();
    let name = unit(names[index]);
    match dice.below(400) {
        0..=1 => world.sim.set_fault(&name, Fault::Hang).unwrap(),
        2 => world.sim.set_fault(&name, Fault::StalePage).unwrap(),
        3..=4 => world.sim.set_fault(&name, Fault::Lag { ms: 4_000 }).unwrap(),
        5..=24 => world.sim.clear_faults(&name).unwrap(),
        25..=28 => world.kill(),
        29 => world.die_in = Some((0, Death::AfterPersist)),
        30 => world.die_in = Some((0, Death::AfterEffect)),
        31 => world.hub = Hub::Silent,
        32 => world.hub = Hub::Holds("drill".to_owned()),
        33..=42 => world.hub = Hub::Grants,
        43..=52 if world.core.history.pause.is_some() => world.resume(),
        53 => {
            let since = world.now();
            let fact = LeaseFact::Elsewhere { holder: "another".to_owned(), since };
            world.core.leased(Some(fact));
        }
        54..=63 => world.core.leased(None),
        64 => world.rule("acme/kafka", |rules| rules.windows = frozen()),
        65..=70 => world.rule("acme/kafka", |rules| rules.windows = Calendar::default()),
        _ => {}
    }
}

#[test]
fn a_hold_of_the_hub_in_mid_roll_stops_before_the_next_unit() {
    let mut world = World::new(&Build::default());
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
    world.hub = Hub::Holds("incident 4711".to_owned());
    world.until(400, |w| w.core.history.out.is_none());
    world.steps(60);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1);
    assert_eq!(world.gates("acme/kafka"), ["hub_hold"]);
    world.hub = Hub::Grants;
    world.until(1_500, World::is_done);
    world.check();
}

#[test]
fn an_agent_cut_off_from_its_hub_stops_before_the_next_unit() {
    let mut world = World::new(&Build::default());
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1);
    world.hub = Hub::Silent;
    world.until(400, |w| w.core.history.out.is_none());
    world.steps(60);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1);
    assert_eq!(world.gates("acme/kafka"), ["hub_unreachable"]);
}

#[test]
fn an_agent_that_dies_while_a_node_drains_goes_on_with_that_drain() {
    let mut world = World::new(&Build::default());
    let drains = |w: &World| {
        w.core
            .history
            .out
            .as_ref()
            .is_some_and(|out| matches!(out.phase, UnitPhase::Quiesce { .. }))
    };
    world.until(1_500, drains);
    let step = world.core.history.out.as_ref().unwrap().order.step_id;
    world.kill();
    world.until(100, |w| w.sim.state().ledger.restarts.len() == 4);
    assert_eq!(world.sim.state().ledger.restarts[3].step_id, step);
    world.until(1_500, World::is_done);
    world.check();
}

#[test]
fn a_member_that_a_drain_moves_is_waited_for_while_the_node_stays_drained() {
    let mut world = World::new(&Build::default());
    world.until(1_500, |w| {
        let out = w.core.history.out.as_ref();
        out.is_some_and(|out| matches!(out.phase, UnitPhase::Quiesce { .. }))
    });
    let step = world.core.history.out.as_ref().unwrap().order.step_id;
    let state = world.sim.state().ledger.restarts;
    let moved = state.iter().find(|restart| restart.leader.as_ref() != Some(&restart.unit));
    let moved = moved.unwrap().unit.clone();
    world.sim.set_fault(&moved, Fault::Hang).unwrap();
    // As long as a pod may take that is made anew elsewhere.
    world.steps(40);
    let out = world.core.history.out.as_ref().unwrap();
    assert_eq!(out.order.step_id, step, "{}", world.text());
    assert_eq!(world.cordoned.len(), 1);
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "controllers only");
    assert!(world.gates("acme/platform").contains(&"unreachable".to_owned()), "{}", world.text());
    world.sim.clear_faults(&moved).unwrap();
    world.until(100, |w| w.sim.state().ledger.restarts.len() == 4);
    assert_eq!(world.sim.state().ledger.restarts[3].step_id, step);
    world.until(1_500, World::is_done);
    world.check();
}

#[test]
fn another_node_that_goes_while_one_is_drained_undoes_the_drain() {
    let mut world = World::new(&Build::default());
    world.until(1_500, |w| {
        let out = w.core.history.out.as_ref();
        out.is_some_and(|out| matches!(out.phase, UnitPhase::Quiesce { .. }))
    });
    let out = world.core.history.out.as_ref().unwrap().key().unit.clone();
    let other = if out == unit("n-1") { unit("n-2") } else { unit("n-1") };
    world.sim.set_fault(&other, Fault::Hang).unwrap();
    world.until(40, |w| w.core.history.out.is_none());
    assert!(world.cordoned.is_empty());
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "controllers only");
}

/// A world whose first node is drained, under a grant that lapses at that moment.
fn drained_under_a_lapsed_grant() -> World {
    let mut world = World::new(&Build::default());
    let drains = |w: &World| {
        w.core
            .history
            .out
            .as_ref()
            .is_some_and(|out| matches!(out.phase, UnitPhase::Quiesce { .. }))
    };
    world.until(1_500, drains);
    let now = world.now();
    world.core.history.out.as_mut().unwrap().grant_expires_at = Some(now);
    world
}

#[test]
fn a_drain_that_outlasts_the_grant_of_an_agent_that_is_cut_off_is_undone() {
    let mut world = drained_under_a_lapsed_grant();
    world.hub = Hub::Silent;
    let now = world.now();
    world.core.unheard("connection refused".to_owned(), None, now);
    world.until(40, |w| w.core.history.out.is_none());
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "controllers only");
    assert!(world.cordoned.is_empty());
    let refused = world.core.history.refused.clone().unwrap();
    assert_eq!(refused.why.gate, "grant_expired", "{refused:?}");
    world.hub = Hub::Grants;
    world.until(1_500, World::is_done);
    world.check();
}

#[test]
fn a_drain_that_outlasts_its_grant_goes_on_while_the_hub_answers() {
    let mut world = drained_under_a_lapsed_grant();
    world.until(40, |w| w.sim.state().ledger.restarts.len() == 4);
    world.until(1_500, World::is_done);
    world.check();
}

#[test]
fn a_drain_that_outlasts_its_grant_waits_while_nobody_knows_whether_the_hub_answers() {
    let mut world = drained_under_a_lapsed_grant();
    world.disk = world.core.history.clone();
    world.kill();
    world.steps(40);
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "controllers only");
    assert_eq!(world.cordoned.len(), 1);
    let now = world.now();
    world.core.unheard("connection refused".to_owned(), None, now);
    world.until(40, |w| w.core.history.out.is_none());
    assert!(world.cordoned.is_empty());
}

#[test]
fn a_drain_that_outlasts_its_grant_needs_a_word_of_the_hub_from_the_last_moments() {
    let mut world = drained_under_a_lapsed_grant();
    // Long enough for every answer to be old; no report was due meanwhile.
    world.slow_checks = true;
    world.steps(60);
    assert!(!world.core.wants_word, "nothing to decide while it drains");
    world.slow_checks = false;
    world.steps(20);
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "controllers only");
    assert!(world.core.wants_word);
    assert_eq!(world.gates("acme/platform"), ["grant_expired"]);
    world.answer();
    world.until(10, |w| w.sim.state().ledger.restarts.len() == 4);
    world.until(1_500, World::is_done);
    world.check();
}

#[test]
fn a_drain_does_not_wait_for_ever_for_what_nobody_tells() {
    let mut world = drained_under_a_lapsed_grant();
    world.disk = world.core.history.clone();
    world.kill();
    // The limit is await_health_ms: 120 s here.
    world.steps(238);
    assert_eq!(world.cordoned.len(), 1, "{}", world.text());
    world.until(20, |w| w.core.history.out.is_none());
    assert!(world.cordoned.is_empty());
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "controllers only");
    let refused = world.core.history.refused.clone().unwrap();
    assert_eq!(refused.why.gate, "grant_expired", "{refused:?}");
    assert!(refused.why.message.contains("still not known after 120 s"), "{refused:?}");
}

#[test]
fn probes_that_never_suffice_are_named_and_undo_the_drain_in_the_end() {
    let mut world = drained_under_a_lapsed_grant();
    world.core.history.out.as_mut().unwrap().grant_expires_at = None;
    // No two probes are close enough to each other to be two.
    world.core.policy.timings.gate_apart_ms = 3_600_000;
    world.core.standing.watch.clear();
    world.steps(20);
    assert_eq!(world.gates("acme/platform"), ["gate_once"], "{}", world.text());
    world.until(260, |w| w.core.history.out.is_none());
    assert!(world.cordoned.is_empty());
    assert_eq!(world.core.history.refused.clone().unwrap().why.gate, "gate_once");
}

fn soaks(world: &World) -> bool {
    let out = world.core.history.out.as_ref();
    out.is_some_and(|out| matches!(out.phase, UnitPhase::Soak { .. }))
}

#[test]
fn an_agent_that_was_down_in_a_soak_watches_what_is_left_of_it() {
    let mut world = World::new(&Build::default());
    world.until(400, soaks);
    world.kill();
    world.now_ms += 120_000;
    let looked_again = world.now_ms;
    world.until(400, |w| w.core.history.out.is_none());
    assert!(world.now_ms - looked_again >= 5_000, "{} ms", world.now_ms - looked_again);
    world.until(1_500, World::is_done);
    world.check();
}

#[test]
fn a_soak_that_began_without_an_epoch_takes_the_first_one_and_holds_to_it() {
    let mut world = World::new(&Build::default());
    world.until(400, soaks);
    world.core.history.out.as_mut().unwrap().before.epoch_at_soak = None;
    world.step();
    assert!(soaks(&world), "{}", world.text());
    let written = world.disk.out.clone().unwrap();
    assert!(written.before.epoch_at_soak.is_some(), "an election after a crash is noticed too");
}

#[test]
fn a_leader_lost_while_another_controller_soaks_pauses_the_roll_until_resume() {
    let mut world = World::new(&Build::default());
    world.until(400, soaks);
    let leader = world.sim.state().quorum.unwrap().leader.unwrap();
    world.sim.set_fault(&leader, Fault::Hang).unwrap();
    world.until(100, |w| w.core.history.pause.is_some());
    world.steps(40);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1, "nothing starts while paused");
    let state = world.report().remove(&"acme/kafka".parse().unwrap()).unwrap();
    assert_eq!(state.phase, Phase::Paused);
    assert!(state.failure.is_some());
    world.sim.clear_faults(&leader).unwrap();
    world.steps(20);
    world.resume();
    world.until(2_500, |w| w.is_done() || w.core.history.pause.is_some());
    assert!(world.is_done(), "{}", world.text());
    world.check();
}

#[test]
fn a_unit_that_comes_back_sick_keeps_the_next_one_where_it_is() {
    let mut world = World::new(&Build::default());
    world.sim.set_defect("4.0.0", Fault::Lag { ms: 8_000 });
    world.until(800, |w| w.core.history.pause.is_some());
    assert_eq!(world.sim.state().ledger.restarts.len(), 1);
    let pause = world.core.history.pause.clone().unwrap();
    assert_eq!(pause.why.gate, "health_overdue", "{pause:?}");
    assert!(pause.why.message.contains("quorum"), "{pause:?}");
    world.steps(100);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1, "no roll-back, no next unit");
}

#[test]
fn a_unit_that_restarts_by_itself_in_mid_roll_is_soaked_before_the_next_one() {
    let mut world = World::new(&Build { controllers: 5, nodes: 0, ..Build::default() });
    world.until(600, |w| w.sim.state().ledger.restarts.len() == 1 && w.core.history.out.is_none());
    // Between two units, an outsider restarts one that was not yet rolled.
    world.hub = Hub::Silent;
    let stray = unit("c-5");
    let id = world.step_id();
    let leads = world.sim.state().quorum.unwrap().leader.unwrap();
    let stray = if leads == stray { unit("c-4") } else { stray };
    world.sim.upgrade(&stray, id, "4.0.0").unwrap();
    world.until(400, |w| w.core.history.out.as_ref().is_some_and(|o| o.key().unit == stray));
    let out = world.core.history.out.clone().unwrap();
    assert_eq!(out.cause, crate::history::Cause::Adopted);
    // It need not catch a leader that goes on: one offset is enough.
    world.steps(2);
    let limit = |w: &World| w.core.history.out.as_ref().unwrap().before.leader_offset_at_return;
    let first = limit(&world).unwrap();
    world.steps(4);
    assert_eq!(limit(&world), Some(first));
    world.until(400, |w| w.core.history.out.is_none());
    world.hub = Hub::Grants;
    world.until(2_500, |w| w.runs("acme/kafka") == "4.0.0");
    world.check();
}

#[test]
fn a_stage_that_cannot_be_started_pauses_by_name_instead_of_looping() {
    for stage in [Task::Mutate, Task::Quiesce, Task::Preflight, Task::Restore] {
        let mut world = World::new(&Build { controllers: 3, nodes: 1, ..Build::default() });
        world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
        world.broken = Some(stage);
        world.until(400, |w| w.core.history.pause.is_some());
        let pause = world.core.history.pause.clone().unwrap();
        assert_eq!(pause.why.gate, "stage_not_started", "{stage}");
        assert!(pause.why.message.contains("cannot lock the claim"), "{pause:?}");
        assert_eq!(pause.why.unit, Some(unit("n-1")));
        let tried = world.failed_starts;
        assert!(tried <= 4, "{stage}: {tried}");
        world.steps(100);
        assert_eq!(world.failed_starts, tried, "{stage}: nothing starts while paused");
        let state = world.report().remove(&"acme/platform".parse().unwrap()).unwrap();
        assert_eq!(state.phase, Phase::Paused, "{stage}");
        assert!(state.waiting_on.iter().any(|why| why.gate == "paused"), "{stage}");
        world.broken = None;
        world.resume();
        world.until(1_500, World::is_done);
        world.check();
        assert!(world.cordoned.is_empty(), "{stage}");
    }
}

#[test]
fn a_unit_that_became_leader_while_it_was_drained_lets_the_others_go_first() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.checks_controllers = true;
    world.until(400, |w| w.core.history.out.is_some());
    let picked = world.core.history.out.clone().unwrap().key().unit.clone();
    // The preflight command takes its time; meanwhile the lead moves to the picked unit.
    world.slow_checks = true;
    for _ in 0..400 {
        let leader = world.sim.state().quorum.unwrap().leader.unwrap();
        if leader == picked {
            break;
        }
        let id = world.step_id();
        world.sim.upgrade(&leader, id, "3.9.0").unwrap();
        world.steps(40);
    }
    assert_eq!(world.sim.state().quorum.unwrap().leader.unwrap(), picked);
    world.slow_checks = false;
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    let rolled: Vec<_> =
        world.sim.state().ledger.restarts.into_iter().filter(|r| r.to == "4.0.0").collect();
    let last = rolled.last().unwrap();
    assert_eq!(last.leader.as_ref(), Some(&last.unit), "leader last: {rolled:#?}");
    let led: Vec<_> = rolled.iter().filter(|r| r.leader.as_ref() == Some(&r.unit)).collect();
    assert_eq!(led.len(), 1, "only one step moved the lead: {rolled:#?}");
}

#[test]
fn the_node_the_agent_runs_on_goes_last() {
    let mut world = World::new(&Build { hosts_agent: Some("n-1"), ..Build::default() });
    world.until(1_500, World::is_done);
    world.check();
    let restarts = world.sim.state().ledger.restarts;
    let nodes: Vec<&str> = restarts[3..].iter().map(|r| r.unit.as_str()).collect();
    assert_eq!(nodes, ["n-2", "n-3", "n-1"]);
}

#[test]
fn a_refused_step_does_not_use_up_the_calm_that_resume_owes() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.checks_controllers = true;
    world.until(400, |w| w.sim.state().ledger.restarts.len() == 1 && w.core.history.out.is_none());
    world.core.history.baseline_owed_since = Some(world.now());
    world.until(400, |w| w.core.history.out.is_some());
    // A hold drops the step before it changes anything.
    let hold = crate::state::LocalHold { reason: "drill".to_owned(), since: world.now() };
    world.core.orders(Some(hold), vec![]);
    world.until(40, |w| w.core.history.out.is_none());
    world.core.orders(None, vec![]);
    world.steps(10);
    assert!(world.gates("acme/kafka").contains(&"baseline".to_owned()), "{}", world.text());
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    assert_eq!(world.core.history.baseline_owed_since, None);
    world.check();
}

const HOUR_MS: i64 = 3_600_000;

fn between_units() -> World {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.until(600, |w| w.sim.state().ledger.restarts.len() == 1 && w.core.history.out.is_none());
    world
}

#[test]
fn a_grant_from_the_future_is_worth_nothing_after_the_clock_went_back() {
    let mut world = between_units();
    world.hub = Hub::Silent;
    let ahead = at(world.now_ms + HOUR_MS);
    for heard in world.core.standing.directives.values_mut() {
        heard.at = ahead;
    }
    world.steps(100);
    assert_eq!(world.sim.state().ledger.restarts.len(), 1, "{}", world.text());
    assert_eq!(world.gates("acme/kafka"), ["hub_unreachable"]);
    world.hub = Hub::Grants;
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    assert_eq!(world.generation(), 3, "a grant of its own for every unit");
}

#[test]
fn a_roll_does_not_wait_for_the_time_that_the_clock_had_before_it_went_back() {
    let mut world = between_units();
    let ahead = at(world.now_ms + HOUR_MS);
    world.core.history.last_step_ended_at = Some(ahead);
    world.core.history.baseline_owed_since = Some(ahead);
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    world.check();
}

#[test]
fn a_pause_from_before_the_clock_went_back_can_be_resumed() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    world.sim.set_defect("4.0.0", Fault::Lag { ms: 8_000 });
    world.until(800, |w| w.core.history.pause.is_some());
    let ahead = at(world.now_ms + HOUR_MS);
    world.core.history.pause.as_mut().unwrap().at = ahead;
    world.resume();
    assert_eq!(world.core.history.pause, None);
}

#[test]
fn a_unit_that_goes_away_while_it_soaks_is_soaked_anew_even_by_an_agent_that_just_started() {
    let mut world = World::new(&Build { nodes: 0, ..Build::default() });
    let in_phase = |w: &World, phase: Phase| {
        w.core.history.out.as_ref().is_some_and(|out| out.phase.wire() == phase)
    };
    world.until(400, |w| in_phase(w, Phase::Soak));
    world.kill();
    world.steps(6);
    let name = world.core.history.out.as_ref().unwrap().order.key.unit.clone();
    let id = world.step_id();
    world.sim.crash(&name, id, None, 1_000).unwrap();
    world.until(8, |w| in_phase(w, Phase::AwaitHealth));
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
}

#[test]
fn a_node_that_comes_up_in_the_new_version_while_it_is_drained_is_not_restarted_again() {
    let mut world = World::new(&Build { nodes: 1, ..Build::default() });
    let drains = |w: &World| {
        let out = w.core.history.out.as_ref();
        out.is_some_and(|out| matches!(out.phase, UnitPhase::Quiesce { .. }))
    };
    world.until(1_500, drains);
    world.slow_checks = true;
    let id = world.step_id();
    world.sim.crash(&unit("n-1"), id, Some("1.33.0"), 0).unwrap();
    world.steps(20);
    world.slow_checks = false;
    world.until(1_500, World::is_done);
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "only controllers were restarted");
    assert!(world.cordoned.is_empty());
}

#[test]
fn a_hold_stops_a_drain_that_began_before_the_clock_went_back() {
    let mut world = World::new(&Build::default());
    let drains = |w: &World| {
        let out = w.core.history.out.as_ref();
        out.is_some_and(|out| matches!(out.phase, UnitPhase::Quiesce { .. }))
    };
    world.until(1_500, drains);
    world.core.history.out.as_mut().unwrap().before.at = at(world.now_ms + HOUR_MS);
    world.hub = Hub::Holds("incident 4711".to_owned());
    world.answer();
    world.until(40, |w| w.core.history.out.is_none());
    assert_eq!(world.sim.state().ledger.restarts.len(), 3, "{}", world.text());
    assert!(world.cordoned.is_empty());
}

#[test]
fn a_command_that_keeps_saying_no_is_named_at_every_moment_with_its_first_time() {
    let mut world = World::new(&Build { controllers: 3, nodes: 1, ..Build::default() });
    world.until(1_500, |w| w.runs("acme/kafka") == "4.0.0");
    world.says_no = Some(format!("{}\nPDB web blocks the drain", "waiting\n".repeat(100)));
    world.until(400, |w| w.core.history.refused.is_some());
    let first = world.core.history.refused.clone().unwrap();
    let told = |world: &mut World| {
        let state = world.report().remove(&"acme/platform".parse().unwrap()).unwrap();
        let found = state.waiting_on.iter().find(|why| why.gate == "quiesce_failed").cloned();
        found.unwrap_or_else(|| panic!("{:#?}", state.waiting_on))
    };
    for _ in 0..100 {
        world.step();
        let why = told(&mut world);
        assert_eq!((why.observed, why.since), (Some(3.0), Some(first.at)), "{why:?}");
        assert!(why.message.contains("ended with code 3"), "{why:?}");
        assert!(why.message.ends_with("PDB web blocks the drain"), "{why:?}");
    }
    let last = world.core.history.refused.clone().unwrap();
    assert!(last.times_before >= 2, "{last:?}");
    let why = told(&mut world);
    assert!(why.message.contains(&format!("{} times since", last.times_before + 1)), "{why:?}");
    world.says_no = None;
    world.until(1_500, World::is_done);
    assert_eq!(world.core.history.refused, None);
    world.check();
}
