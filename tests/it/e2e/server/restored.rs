//! A hub is restored from a backup: what agents have seen since must not come back older.

use crate::e2e::cluster::{Cluster, Shape};
use crate::e2e::process::{eventually, eventually_true, now};
use crate::e2e::world::{KAFKA, World};

const CLUSTERS: [&str; 2] = ["east", "west"];

/// Times the hub signs between its backup and its loss; a day has a few.
const SIGNINGS: usize = 3;

/// A release after the one that was published in the gap.
const NEXT: &str = "4.3.2";

/// Two clusters on the first release; the hub was stopped, copied and started again.
fn backed_up() -> World {
    let mut world = World::new("");
    for name in CLUSTERS {
        world.add_cluster(name, &Shape::default());
    }
    world.settled();
    world.hub.kill();
    world.hub.back_up();
    world.hub.restart();
    world
}

/// The version of `timestamp.json` that the hub serves.
fn served(world: &World) -> u64 {
    let timestamp: serde_json::Value =
        world.hub.get("/tuf/metadata/timestamp.json").expect("a timestamp");
    timestamp["signed"]["version"].as_u64().expect("a version")
}

/// Seconds since 1970.
fn unix() -> u64 {
    u64::try_from(now().as_second()).expect("after 1970")
}

/// Waits until every agent believes this version or a later one.
fn all_believe(world: &World, version: u64) {
    for cluster in &world.clusters {
        eventually(&format!("{} sees timestamp {version}", cluster.name), || {
            let believed = cluster.timestamp_version()?;
            if believed >= version { Ok(()) } else { Err(format!("{believed}")) }
        });
    }
}

/// Whether its agent has ever named a rollback, to its log or to the hub.
fn named_a_rollback(world: &World, cluster: &Cluster) -> bool {
    let row = world.hub.cluster(&cluster.name).expect("a row");
    let failed = row.products.iter().filter_map(|p| p.failure.as_ref());
    cluster.log().contains("rollback") || failed.clone().any(|f| f.kind == "rollback")
}

/// Reports go on, nobody waits for anything.
fn all_is_well(world: &World) {
    world.hear_reports(&CLUSTERS, 3);
    for name in CLUSTERS {
        world.eventually_row(name, "nothing fails and nothing is waited for", |row| {
            row.products.iter().all(|p| p.failure.is_none() && p.waiting_on.is_empty())
        });
    }
}

/// The next release goes to every cluster: a restored hub grants again.
fn the_next_release_goes(world: &World) {
    world.vendor.release("kafka", "controller", NEXT, "[\">=3.9.0, <4.3.2\"]");
    world.vendor.channel("kafka", "stable", &[KAFKA[0], KAFKA[1], NEXT]);
    world.vendor.publish();
    for name in CLUSTERS {
        world.eventually_row(name, "it runs the next release", |row| {
            row.products.iter().any(|p| p.version.to_string() == NEXT)
        });
    }
}

#[test]
fn a_hub_restored_from_an_old_copy_is_no_rollback_to_anyone() {
    let mut world = backed_up();
    let copied = served(&world);
    for _ in 0..SIGNINGS {
        world.hub.kill();
        // Every start signs snapshot and timestamp, as the hub does by itself during a day.
        world.hub.restart();
    }
    let lost = served(&world);
    assert!(lost > copied, "{lost} is not above {copied}");
    all_believe(&world, lost);

    world.hub.kill();
    world.hub.restore();
    // Starts of one second have counted ahead of the clock; a day leaves time enough.
    eventually_true("the clock is past them", || unix() > lost, || lost.to_string());
    world.hub.restart();
    let restored = served(&world);
    assert!(restored > lost, "{restored} is not above {lost}");
    all_believe(&world, restored);
    all_is_well(&world);
    for cluster in &world.clusters {
        assert!(!named_a_rollback(&world, cluster), "{}", cluster.log());
    }
    world.release(false);
    for name in CLUSTERS {
        world.eventually_upgraded(name);
    }
}

#[test]
fn what_was_published_since_the_copy_is_published_again_before_agents_look() {
    let mut world = backed_up();
    world.release(false);
    for name in CLUSTERS {
        world.eventually_upgraded(name);
    }
    world.hub.kill();
    world.hub.restore();
    let vendor = &world.vendor;
    world.hub.run_aside(|url| {
        vendor.publish_to(url);
    });
    world.hub.restart();
    let restored = served(&world);
    all_believe(&world, restored);
    all_is_well(&world);
    the_next_release_goes(&world);
    for cluster in &world.clusters {
        assert!(!named_a_rollback(&world, cluster), "{}", cluster.log());
    }
}

#[test]
fn agents_that_looked_too_early_name_the_rollback_keep_what_they_have_and_recover() {
    let mut world = backed_up();
    world.release(false);
    for name in CLUSTERS {
        world.eventually_upgraded(name);
    }
    world.hub.kill();
    world.hub.restore();
    world.hub.restart();
    for cluster in &world.clusters {
        eventually("the older set is named", || {
            if named_a_rollback(&world, cluster) { Ok(()) } else { Err(cluster.status_text()) }
        });
        assert!(cluster.log().contains("rollback"), "the log names it as well");
    }
    world.vendor.publish();
    all_believe(&world, served(&world));
    all_is_well(&world);
    the_next_release_goes(&world);
}
