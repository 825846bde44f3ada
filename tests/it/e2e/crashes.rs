//! `kill -9` of an agent anywhere in a roll: it resumes, and no unit is rolled twice.

use std::time::Duration;

use channels::wire::Phase;

use super::cluster::{Cluster, CommandLine, Shape};
use super::process::{eventually, eventually_true, now, tail};
use super::world::World;

const NAME: &str = "phoenix";

/// Every phase in which a unit is out.
const PHASES: [Phase; 6] = [
    Phase::Preflight,
    Phase::Quiesce,
    Phase::Mutate,
    Phase::AwaitReturn,
    Phase::AwaitHealth,
    Phase::Soak,
];

/// `SIGABRT`: a crash point ends the process as a kill would, without unwinding.
const ABORTED: i32 = 6;

/// Kills of the scenario with random moments.
const KILLS: u64 = 8;

/// A cluster whose agent has been stopped before the release came out.
fn before_a_roll() -> World {
    let mut world = World::new("");
    world.add_cluster(NAME, &Shape { quiesce: true, ..Shape::default() });
    world.settled();
    world.clusters[0].agent().kill();
    world.release(false);
    world
}

/// What was drained was put back, by the same step.
fn every_drain_was_undone(cluster: &Cluster) {
    let commands = cluster.commands();
    for drain in commands.iter().filter(|line| line.stage == "quiesce") {
        let undone = |line: &CommandLine| {
            line.stage == "restore" && line.step == drain.step && line.event == "end"
        };
        assert!(commands.iter().any(undone), "{drain:?} in {commands:#?}");
    }
}

fn roll_with_a_crash_at_every_phase(side: &str) {
    let mut world = before_a_roll();
    for phase in PHASES {
        let at = format!("{phase}:{side}");
        world.clusters[0].run(Some(&at));
        let signal = world.clusters[0].agent().ended_by_signal(&format!("it crashes at {at}"));
        let log = world.clusters[0].log();
        assert_eq!(signal, Some(ABORTED), "{at}: {}", tail(&log));
        assert!(tail(&log).contains("crash point reached"), "{at}: {}", tail(&log));
    }
    world.clusters[0].run(None);
    world.eventually_upgraded(NAME);
    world.clusters[0].rolled_once();
    every_drain_was_undone(&world.clusters[0]);
    // A restarted agent goes on with the step it finds: it needs no second drain.
    let mut drained = world.clusters[0].begun("quiesce");
    drained.sort();
    assert_eq!(drained, ["c-1", "c-2", "c-3"]);
}

#[test]
fn killed_between_memory_and_effect_of_every_phase_no_unit_is_rolled_twice() {
    roll_with_a_crash_at_every_phase("before");
}

#[test]
fn killed_after_the_effect_of_every_phase_no_unit_is_rolled_twice() {
    roll_with_a_crash_at_every_phase("after");
}

#[test]
fn killed_at_random_moments_no_unit_is_rolled_twice() {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| u64::try_from(now().as_microsecond()).expect("a time after 1970"));
    println!("SEED={seed} repeats the moments");
    let mut random = seed | 1;
    let mut world = before_a_roll();
    for _ in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        world.clusters[0].run(None);
        // Not to keep in step with anything: the moment of the kill is what is being tried.
        std::thread::sleep(Duration::from_millis(500 + random % 3_000));
        world.clusters[0].agent().kill();
    }
    world.clusters[0].run(None);
    world.eventually_upgraded(NAME);
    world.clusters[0].rolled_once();
    every_drain_was_undone(&world.clusters[0]);
}

#[test]
fn a_command_that_outlives_its_agent_is_found_again_by_its_step() {
    let mut world = before_a_roll();
    world.clusters[0].block("after-mutate");
    world.clusters[0].run(None);
    let cluster = &mut world.clusters[0];
    eventually_true("it runs", || cluster.begun("mutate").len() == 1, || cluster.log());
    cluster.agent().kill();
    let step = cluster.commands().pop().expect("a command ran").step;
    let unit = cluster.begun("mutate").pop().expect("a unit is out");
    let claim = cluster.state_dir().join(format!("steps/{step}/mutate/claim"));
    let claimed = std::fs::read(&claim).expect("the step has claimed its command");

    let restarted_at = now();
    cluster.run(None);
    let status = eventually("the agent takes the step up again", || {
        let status = cluster.status()?;
        let up = status.at > restarted_at && status.step.is_some();
        if up { Ok(status) } else { Err(format!("{status:#?}")) }
    });
    let taken_up = status.step.expect("a step");
    assert_eq!((taken_up.step_id, taken_up.attempt), (step.clone(), 1));
    assert_eq!(status.products[0].phase, Phase::Mutate);
    world.hear_reports(&[NAME], 3);
    let cluster = &world.clusters[0];
    let running = cluster.commands().into_iter().filter(|line| line.step == step);
    assert!(running.clone().all(|line| !(line.stage == "mutate" && line.event == "end")));

    cluster.unblock("after-mutate");
    world.eventually_row(NAME, "the unit is done", |row| {
        row.products[0].progress.is_some_and(|progress| progress.done >= 1)
    });
    assert_eq!(std::fs::read(&claim).expect("a claim"), claimed, "the command was not run again");
    assert_eq!(cluster.begun("mutate").iter().filter(|begun| **begun == unit).count(), 1);
}
