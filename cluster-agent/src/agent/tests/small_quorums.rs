//! Quorums of one and two voters, which lose their majority with every unit: where their owner
//! allows it, they are rolled without anybody's help.

use super::world::{Build, World, unit};
use crate::phase::Phase;
use crate::sim::Fault;

fn daring(controllers: usize) -> World {
    let mut world = World::new(&Build { controllers, nodes: 0, ..Build::default() });
    world.core.policy.gate.allow_small_quorum = true;
    world
}

#[test]
fn a_voter_that_is_away_for_long_does_not_pause_the_roll_of_a_small_quorum() {
    for controllers in [1, 2] {
        let mut world = daring(controllers);
        for restarts in 1..=controllers {
            world.until(600, |w| w.sim.state().ledger.restarts.len() == restarts);
            let name = world.sim.state().ledger.restarts[restarts - 1].unit.clone();
            // Longer than a quorum may be without a leader.
            world.sim.delay(&name, 25_000).unwrap();
            world.until(200, |w| w.core.history.out.is_none() || w.core.history.pause.is_some());
            assert_eq!(world.core.history.pause, None, "{controllers} voters: {}", world.text());
        }
        world.until(200, |w| w.runs("acme/kafka") == "4.0.0");
        let ledger = world.sim.state().ledger;
        assert_eq!((ledger.double_upgrades, ledger.max_out), (0, 1));
    }
}

#[test]
fn a_sole_voter_that_does_not_answer_again_pauses_the_roll_by_its_own_deadline() {
    let mut world = daring(1);
    let awaited = |w: &World| {
        let out = w.core.history.out.as_ref();
        out.is_some_and(|out| matches!(out.phase, Phase::AwaitReturn { .. }))
    };
    world.until(600, awaited);
    world.sim.set_fault(&unit("c-1"), Fault::Hang).unwrap();
    world.until(400, |w| w.core.history.pause.is_some());
    assert_eq!(world.core.history.pause.clone().unwrap().why.gate, "return_overdue");
}
