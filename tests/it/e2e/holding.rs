//! A hold of the whole fleet in mid-roll: every cluster stops before its next unit.

use channels::wire::Phase;

use super::cluster::Shape;
use super::process::{eventually_true, now};
use super::world::World;

const CLUSTERS: [&str; 3] = ["east", "north", "west"];
const REASON: &str = "storm over the north sea";

#[test]
fn a_hold_in_mid_roll_stops_each_cluster_before_its_next_unit_and_resume_goes_on() {
    let mut world = World::new("");
    for name in CLUSTERS {
        world.add_cluster(name, &Shape::default());
    }
    world.settled();
    for cluster in &world.clusters {
        cluster.block("after-mutate");
    }
    world.release(false);
    for cluster in &world.clusters {
        let out = || cluster.begun("mutate").len() == 1;
        eventually_true("its first unit is out", out, || cluster.status_text());
    }
    let hold = world.hub.fairway(&["hold", "--fleet", "--reason", REASON]);
    for cluster in &world.clusters {
        cluster.unblock("after-mutate");
    }
    for name in CLUSTERS {
        // The unit that was out is finished with all its evidence; the next does not begin.
        let row = world.eventually_row(name, "it stands before its second unit", |row| {
            row.products.iter().any(|p| {
                p.phase == Phase::Waiting
                    && p.progress.is_some_and(|progress| progress.done == 1)
                    && p.waiting_on.iter().any(|why| why.gate == "hub_hold")
            })
        });
        let row = &row.products[0];
        assert!(row.waiting_on.iter().any(|why| why.message.contains(REASON)), "{row:#?}");
        assert!(row.why_not.iter().any(|why| why.message.contains(REASON)), "{row:#?}");
    }
    world.hear_reports(&CLUSTERS, 3);
    for cluster in &world.clusters {
        assert_eq!(cluster.members.restarts().len(), 1, "{}", cluster.name);
        assert_eq!(cluster.begun("preflight").len(), 1, "{}", cluster.name);
        let status = cluster.status_text();
        assert!(status.contains(REASON), "{status}");
        assert!(cluster.log().contains(REASON), "{}", cluster.name);
    }
    let drift = world.hub.drift("acme/kafka");
    assert_eq!((drift.stopped, drift.rolling, drift.current), (3, 0, 0));

    let resumed_at = now();
    world.hub.fairway(&["resume", hold.trim(), "--acknowledge", "the storm is over"]);
    for cluster in &world.clusters {
        world.eventually_upgraded(&cluster.name);
        let restarts = cluster.rolled_once();
        assert!(restarts[1].0.at_ms > resumed_at.as_millisecond(), "{restarts:#?}");
    }
}
