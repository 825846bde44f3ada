//! A backup that is taken while the hub runs, and the hub that is made of it: agents take it for the
//! one they know.

use std::path::{Path, PathBuf};

use crate::e2e::cluster::Shape;
use crate::e2e::process::{eventually, eventually_true, now, run, run_ok};
use crate::e2e::world::World;

const CLUSTERS: [&str; 2] = ["east", "west"];

/// Times the hub signs between its backup and its loss; a day has a few.
const SIGNINGS: usize = 3;

/// The version of `timestamp.json` that the hub serves.
fn served(world: &World) -> u64 {
    let timestamp: serde_json::Value =
        world.hub.get("/tuf/metadata/timestamp.json").expect("a timestamp");
    timestamp["signed"]["version"].as_u64().expect("a version")
}

fn all_believe(world: &World, version: u64) {
    for cluster in &world.clusters {
        eventually(&format!("{} sees timestamp {version}", cluster.name), || {
            let believed = cluster.timestamp_version()?;
            if believed >= version { Ok(()) } else { Err(format!("{believed}")) }
        });
    }
}

fn unix() -> u64 {
    u64::try_from(now().as_second()).expect("after 1970")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a utf-8 path")
}

#[test]
fn a_hub_restored_from_a_backup_of_its_running_self_goes_on_where_it_was() {
    let mut world = World::new("");
    for name in CLUSTERS {
        world.add_cluster(name, &Shape::default());
    }
    world.settled();
    let token = PathBuf::from(world.hub.token_file());
    let data = token.parent().expect("a data directory").to_owned();
    let (backup, lost_data) = (data.with_extension("backup"), data.with_extension("lost"));
    let (from, to) = (["--data-dir", text(&data)], ["--to", text(&backup)]);
    // Agents report meanwhile.
    run_ok(&[&["server", "backup", "--with-keys"][..], &from, &to].concat(), &[]);

    for _ in 0..SIGNINGS {
        world.hub.kill();
        // Every start signs snapshot and timestamp, as the hub does by itself during a day.
        world.hub.restart();
    }
    let lost = served(&world);
    all_believe(&world, lost);
    let restore = ["server", "restore", "--from", text(&backup), "--data-dir", text(&data)];
    let refused = run(&restore, &[]);
    assert_eq!(refused.status.code(), Some(2), "the hub's own directory holds something");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not an empty directory"));

    world.hub.kill();
    std::fs::rename(&data, &lost_data).expect("the lost directory goes");
    run_ok(&restore, &[]);
    // Its owner kept it; the database knows its hash.
    std::fs::copy(lost_data.join("admin.token"), &token).expect("the token");
    // Starts of one second have counted ahead of the clock; a day leaves time enough.
    eventually_true("the clock is past them", || unix() > lost, || lost.to_string());
    world.hub.restart();
    let restored = served(&world);
    assert!(restored > lost, "{restored} is not above {lost}");
    all_believe(&world, restored);
    world.hear_reports(&CLUSTERS, 3);
    world.release(false);
    for name in CLUSTERS {
        world.eventually_upgraded(name);
    }
    for cluster in &world.clusters {
        assert!(!cluster.log().contains("rollback"), "{}", cluster.log());
    }
}
