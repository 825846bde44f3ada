//! An agent that cannot reach its hub finishes the unit that is out and begins no other.

use channels::wire::Phase;
use jiff::Timestamp;

use super::cluster::{Cluster, Shape};
use super::process::{eventually, eventually_true, now};
use super::world::World;

const NAME: &str = "island";

/// When the grant of the unit that is out ends, from the agent's memory.
fn grant_ends(cluster: &Cluster) -> Timestamp {
    let memory = cluster.memory();
    let at = &memory["history"]["out"]["grant_expires_at"];
    at.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{memory:#}"))
}

fn one_cluster(settings: &str) -> World {
    let mut world = World::new(settings);
    world.add_cluster(NAME, &Shape { quiesce: true, ..Shape::default() });
    world.settled();
    world
}

#[test]
fn without_its_hub_no_unit_begins_and_it_says_why_until_the_hub_is_back() {
    let mut world = one_cluster("grant_ttl_s = 3");
    world.clusters[0].block("after-mutate");
    world.release(false);
    let cluster = &world.clusters[0];
    eventually_true("a unit is out", || cluster.begun("mutate").len() == 1, || cluster.log());
    world.hub.kill();
    let ends = grant_ends(cluster);
    cluster.unblock("after-mutate");

    let status = eventually("it waits for its hub, its unit finished", || {
        let status = cluster.status()?;
        let waits = status.products.iter().flat_map(|product| &product.waiting_on);
        let alone = waits.clone().any(|why| why.gate == "hub_unreachable");
        let lapsed = status.at > ends && status.step.is_none();
        if alone && lapsed { Ok(status) } else { Err(format!("{status:#?}")) }
    });
    assert_eq!(status.products[0].phase, Phase::Waiting);
    assert!(status.hub.error.is_some());
    assert!(cluster.status_text().contains("hub_unreachable"), "{}", cluster.status_text());
    assert!(cluster.log().contains("hub_unreachable"));
    let alone = (cluster.members.restarts().len(), cluster.begun("preflight").len());
    assert_eq!(alone, (1, 1), "nothing began without a grant");

    let back_at = now();
    world.hub.restart();
    world.eventually_upgraded(NAME);
    let restarts = world.clusters[0].rolled_once();
    assert!(restarts[1].0.at_ms > back_at.as_millisecond(), "{restarts:#?}");
}

#[test]
fn a_drain_that_outlasts_its_grant_without_a_hub_is_undone() {
    let mut world = one_cluster("grant_ttl_s = 3");
    world.clusters[0].block("quiesce");
    world.release(false);
    let cluster = &world.clusters[0];
    eventually_true("a unit is drained", || cluster.begun("quiesce").len() == 1, || cluster.log());
    world.hub.kill();
    let ends = grant_ends(cluster);
    eventually("its grant lapses, and it knows that it is alone", || {
        let status = cluster.status()?;
        let alone = now() > ends && status.hub.error.is_some();
        if alone { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    cluster.unblock("quiesce");

    eventually_true(
        "the drain is undone",
        || cluster.begun("restore").len() == 1,
        || cluster.log(),
    );
    eventually_true("it says why", || cluster.status_text().contains("grant"), || cluster.log());
    assert!(cluster.begun("mutate").is_empty(), "{:#?}", cluster.commands());
    assert_eq!(cluster.members.restarts().len(), 0);

    world.hub.restart();
    world.eventually_upgraded(NAME);
    world.clusters[0].rolled_once();
}

#[test]
fn a_grant_that_lapses_before_the_change_lets_nothing_change() {
    let mut world = one_cluster("grant_ttl_s = 3");
    world.clusters[0].block("preflight");
    world.release(false);
    let cluster = &world.clusters[0];
    eventually_true("a step begins", || cluster.begun("preflight").len() == 1, || cluster.log());
    world.hub.process().signal("STOP");
    let ends = grant_ends(cluster);
    eventually_true("its grant lapses", || now() > ends, || ends.to_string());
    cluster.unblock("preflight");

    eventually("the step is refused", || {
        let status = cluster.status()?;
        let waits = status.products.iter().flat_map(|product| &product.waiting_on);
        let refused = waits.clone().any(|why| why.message.contains("grant"));
        let dropped = refused && status.step.is_none();
        if dropped { Ok(()) } else { Err(format!("{status:#?}\n{}", cluster.log())) }
    });
    assert!(cluster.begun("mutate").is_empty(), "{:#?}", cluster.commands());
    assert_eq!(cluster.members.restarts().len(), 0);

    world.hub.process().signal("CONT");
    world.eventually_upgraded(NAME);
    world.clusters[0].rolled_once();
}
