//! The whole way over the gap and back with real registries: images pushed by others, a bundle, a
//! site that reaches nothing but its own registry and hub, an agent that upgrades, an increment, and
//! the connected hub that sees the site.

mod kills;
mod peer;
mod trip;

use channels::wire::Phase;
use serde_json::Value;

use self::peer::{Registry, pull};
use self::trip::Trip;
use super::process::{eventually, run_ok};
use super::world::KAFKA;

#[test]
#[ignore = "needs docker-registry and skopeo"]
fn a_release_goes_over_the_gap_an_agent_upgrades_and_the_hub_sees_the_site() {
    let mut trip = Trip::new();
    let first = trip.release(KAFKA[0], "[]", &KAFKA[..1]);
    let tools = trip.push_tools();
    trip.create("first", &["--version", KAFKA[0], "--image", &tools.name]);
    trip.cut_off();
    trip.verify_without_a_network("first");
    trip.make_site(&tools.pattern);
    let imported = trip.import("first");
    assert_eq!(imported["publications"][0]["changed"], true, "{imported}");

    // Everything is at the site's registry and in its own store, with the digests of upstream.
    let store = trip.import_into_a_store("first");
    let mine = trip.serve(&store);
    for host in [trip.site_registry.host.clone(), mine] {
        for (repository, digest) in [
            ("acme/kafka", first.image.as_str()),
            ("acme/kafka", &first.signature),
            (tools.repository, &tools.digest),
        ] {
            let name = format!("{}-{}", host.replace(':', "-"), &digest[7..19]);
            pull(&host, repository, digest, &trip.path("pulled").join(name));
        }
    }

    let mut cluster = trip.add_cluster("dark-1");
    trip.settled("dark-1", KAFKA[0]);

    // The receipt and the inventory go back; the next bundle holds only what is missing.
    let receipt = trip.receipt();
    assert_eq!(receipt["bundle"], "first", "{receipt}");
    trip.reconnect();
    let second = trip.release(KAFKA[1], "[\">=3.9.0, <4.3.1\"]", &KAFKA);
    let inventory = trip.text("north/inventory.json");
    let key = format!("north={}", trip.text("north/site.pub"));
    let since = ["--since-inventory", &inventory, "--site-key", &key, "--for", "north"];
    let what = ["--channel", "stable", "--from", KAFKA[0]];
    let made = trip.create("second", &[&what[..], &since].concat());
    assert!(made["required"].as_u64().unwrap() > 0, "{made}");
    assert_eq!(trip.carried("second"), second.new_objects(), "only what is missing");

    trip.cut_off();
    trip.import("second");
    trip.settled("dark-1", KAFKA[1]);
    cluster.rolled_once();
    cluster.agent().kill();

    // What the site's hub says of itself is carried back as well.
    let (status, key) = (trip.text("north.status.json"), trip.text("north.key.json"));
    let north = trip.text("north");
    let words =
        ["mirror", "status-export", "--site-dir", &north, "--out", &status, "--key-out", &key];
    trip.site.fairway(&words);
    trip.reconnect();
    trip.hub().fairway(&["sites", "add", "north", "--key", &key, "--interval", "7d"]);
    trip.hub().fairway(&["sites", "import", &status, "--site", "north"]);
    let drift: Value =
        serde_json::from_str(&trip.hub().fairway(&["drift", "--output", "json"])).unwrap();
    assert!(drift.to_string().contains("\"north\""), "{drift}");
    let sites: Value =
        serde_json::from_str(&trip.hub().fairway(&["sites", "--output", "json"])).unwrap();
    let receipt = &sites["items"][0]["status"]["receipt"];
    assert_eq!(receipt["sequence"], made["sequence"], "{sites}");
    assert_eq!(receipt["complete"], true, "{sites}");
    let clusters = trip.hub().fairway(&["clusters", "--site", "north", "--output", "json"]);
    assert!(clusters.contains("dark-1") && clusters.contains(KAFKA[1]), "{clusters}");
}

#[test]
#[ignore = "needs docker-registry and skopeo"]
fn a_lost_increment_is_refused_by_digest_and_repaired() {
    let trip = Trip::new();
    trip.release(KAFKA[0], "[]", &KAFKA[..1]);
    let lost = trip.create("lost", &["--version", KAFKA[0]])["sequence"].to_string();
    trip.release(KAFKA[1], "[\">=3.9.0, <4.3.1\"]", &KAFKA);
    trip.create("next", &["--version", KAFKA[1], "--assume", &lost]);
    trip.make_site_from("next", "127.0.0.1:1/none");
    let missing = trip.text("missing.json");
    let refused = trip.try_import(&["next"], &["--missing-out", &missing]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("create --repair"), "{told}");
    trip.create("repair", &["--repair", &missing]);
    let taken = trip.try_import(&["next", "repair"], &[]);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    // Afterwards the one that was lost is found: it is older than what the site has.
    let old = trip.try_import(&["lost"], &[]);
    let told = String::from_utf8_lossy(&old.stderr).into_owned();
    assert_eq!(old.status.code(), Some(1), "{told}");
    assert!(
        told.starts_with("error: rollback: ") || told.contains("\nerror: rollback: "),
        "{told}"
    );
}

/// Waits until a hub has heard that a cluster runs a release and is idle.
fn runs(hub: &super::world::Hub, name: &str, version: &str) {
    eventually(&format!("{name} runs {version}"), || {
        let row = hub.cluster(name)?;
        let is = |p: &channels::wire::ProductRow| {
            p.version.to_string() == version && p.phase == Phase::Idle
        };
        if row.products.iter().any(is) { Ok(()) } else { Err(format!("{row:#?}")) }
    });
}

/// A root that its holder signs without being asked.
fn make_view(view: &str, url: &str, root: &str, key: &str) {
    run_ok(&["mirror", "view", "init", view, "--server", url, "--root", root], &[]);
    let request = format!("{view}/request.json");
    run_ok(&["root", "sign", &request, "--key", key, "--yes"], &[trip::PASSPHRASE]);
    run_ok(&["mirror", "view", "accept", view, &request], &[]);
}

/// Starts a registry whose files lie in `dir`.
fn registry(dir: &std::path::Path) -> Registry {
    Registry::start(dir)
}
