//! Three clusters upgrade themselves: controllers, then nodes, one at a time, each with evidence.

use channels::wire::{Phase, Role};
use update_server::store::HistoryRow;

use super::cluster::{Cluster, Shape};
use super::nodes::Nodes;
use super::process::eventually;
use super::world::{KAFKA, PLATFORM, World};

const CLUSTERS: [&str; 3] = ["east", "north", "west"];

/// What one controller passes, as the hub hears it.
const CONTROLLER_TRAIL: [Phase; 5] =
    [Phase::Preflight, Phase::Mutate, Phase::AwaitReturn, Phase::AwaitHealth, Phase::Soak];

/// Phases with a unit out, in the order in which the hub learned of them.
fn rolled(trail: &[HistoryRow]) -> Vec<(String, Phase)> {
    let mut steps: Vec<(String, Phase)> = trail
        .iter()
        .filter(|row| row.phase.is_rolling())
        .map(|row| (row.unit.as_ref().expect("a unit is out").to_string(), row.phase))
        .collect();
    // A row is also written when only the verdict changes.
    steps.dedup();
    steps
}

#[test]
fn a_release_rolls_every_cluster_controllers_before_nodes_one_unit_at_a_time() {
    let mut world = World::new("");
    let nodes = Nodes::start(world.dir(), &CLUSTERS);
    for name in CLUSTERS {
        let shape = Shape { nodes: Some(nodes.url(name)), ..Shape::default() };
        world.add_cluster(name, &shape);
    }
    world.settled();
    for product in ["acme/kafka", "acme/platform"] {
        let drift = world.hub.drift(product);
        assert_eq!((drift.active, drift.current, drift.behind), (3, 3, 0), "{product}");
    }

    world.release(true);
    let drift = world.hub.drift("acme/kafka");
    assert_eq!((drift.current, drift.behind, drift.hops_max), (0, 3, Some(1)));
    eventually("drift goes to zero", || {
        let all = ["acme/kafka", "acme/platform"].map(|product| world.hub.drift(product));
        let zero = all.iter().all(|d| (d.current, d.behind, d.hops_max) == (3, 0, Some(0)));
        if zero { Ok(()) } else { Err(format!("{all:#?}\n{}", world.where_it_stands())) }
    });

    for cluster in &world.clusters {
        cluster.rolled_once();
        nodes_went_after_the_controllers(cluster, &nodes);
        the_hub_heard_every_step_in_order(&world, cluster);
    }
}

fn nodes_went_after_the_controllers(cluster: &Cluster, nodes: &Nodes) {
    let ledger = nodes.state(&cluster.name).ledger;
    assert_eq!((ledger.max_out, ledger.double_upgrades), (1, 0), "{ledger:#?}");
    assert!(ledger.violations.is_empty(), "{ledger:#?}");
    let last_controller = cluster.rolled_once().pop().unwrap().1;
    let mut units = Vec::new();
    for restart in &ledger.restarts {
        assert_eq!((restart.role, restart.to.as_str()), (Role::Node, PLATFORM[1]));
        assert!(restart.at_ms > last_controller.at_ms, "{restart:?} before {last_controller:?}");
        units.push(restart.unit.to_string());
    }
    assert_eq!(units, ["n-1", "n-2"]);
}

fn the_hub_heard_every_step_in_order(world: &World, cluster: &Cluster) {
    let kafka = world.hub.trail(&cluster.name, "acme/kafka");
    let restarts = cluster.rolled_once();
    let expected: Vec<_> = restarts
        .iter()
        .flat_map(|(down, _)| CONTROLLER_TRAIL.map(|phase| (down.unit.to_string(), phase)))
        .collect();
    assert_eq!(rolled(&kafka), expected, "{}", cluster.name);
    let last = kafka.last().unwrap();
    assert_eq!((last.phase, last.version.to_string().as_str()), (Phase::Idle, KAFKA[1]));

    // Evidence before the next: the hub knew that a unit soaks before the next one's process ended.
    for pair in restarts.windows(2) {
        let [(before, _), (next, _)] = pair else { continue };
        let soaks =
            |row: &&HistoryRow| row.phase == Phase::Soak && row.unit.as_ref() == Some(&before.unit);
        let soak = kafka.iter().find(soaks).expect("it soaked");
        assert!(soak.at.as_millisecond() < next.at_ms, "{soak:?} {next:?}");
    }

    // Never two units out across products: nodes begin when no controller is out any more.
    let platform = world.hub.trail(&cluster.name, "acme/platform");
    let first_node = platform.iter().find(|row| row.phase.is_rolling()).expect("nodes rolled");
    let last_controller = kafka.iter().rfind(|row| row.phase.is_rolling()).unwrap();
    assert!(first_node.seq > last_controller.seq, "{first_node:?} {last_controller:?}");
    let nodes: Vec<_> = rolled(&platform);
    let soaked: Vec<_> =
        nodes.iter().filter(|(_, phase)| *phase == Phase::Soak).map(|(n, _)| n.as_str()).collect();
    assert_eq!(soaked, ["n-1", "n-2"], "{nodes:?}");
}
