//! What an administrator can say to a cluster, each by its command, and that the cluster hears it.

use channels::wire::{ClusterRow, Page, RingState, RolloutRow};

use super::cluster::Shape;
use super::process::{eventually, run};
use super::world::{KAFKA, World};

const NAME: &str = "vega";
const OF: [&str; 2] = ["--of", "acme/kafka"];

/// Nobody goes before a person has said so.
const POLICY: &str = "\
name: asks-first
applies_to: [{product: acme/kafka}]
curve: {points: [{after: 0s, share: 100%}]}
gates: {soak: 2s, min_sample: 1, max_unknown: 100%}
rings:
  - {name: mine, approval: true, select: {match_labels: {ring: mine}}}
  - {name: everyone, rest: true}
";

fn waits(row: &ClusterRow, gate: &str) -> bool {
    row.products.iter().flat_map(|product| &product.waiting_on).any(|why| why.gate == gate)
}

fn set(world: &World, word: &str) {
    world.hub.fairway(&["clusters", "set", NAME, OF[0], OF[1], word]);
}

#[test]
fn every_verb_is_a_command_that_the_cluster_hears_of() {
    let mut world = World::new("");
    world.add_cluster(NAME, &Shape::default());
    world.settled();
    world.hub.fairway(&["clusters", "label", NAME, "ring=mine"]);
    let file = world.dir().join("asks-first.yaml");
    std::fs::write(&file, POLICY).expect("a policy");
    world.hub.fairway(&["rollout", "apply", file.to_str().expect("utf-8"), "--yes"]);

    // Promote: a release enters the channel, and has its rollout once it is published.
    world.vendor.release("kafka", "controller", KAFKA[1], "[\">=3.9.0, <4.3.1\"]");
    let repository = world.dir().join("acme");
    let repository = repository.to_str().expect("utf-8");
    world.hub.fairway(&["promote", repository, "kafka", KAFKA[1], "--to", "stable", "--yes"]);
    world.vendor.publish();
    let id = eventually("its first ring awaits approval", || {
        let page: Page<RolloutRow> = world.hub.get("/api/v1/rollouts")?;
        let awaits = |row: &&RolloutRow| {
            row.release.to_string() == KAFKA[1]
                && row.rings.first().is_some_and(|ring| ring.state == RingState::AwaitsApproval)
        };
        page.items.iter().find(awaits).map(|row| row.id).ok_or_else(|| format!("{page:#?}"))
    });
    world.eventually_row(NAME, "it waits for a person", |row| {
        let mut reasons = row.products.iter().flat_map(|product| &product.why_not);
        reasons.any(|reason| reason.code == "needs_approval")
    });

    // Pin: it stays, although the ring is open; without the pin it goes.
    set(&world, &format!("pin={}", KAFKA[0]));
    world.hear_reports(&[NAME], 2);
    let id = id.to_string();
    world.hub.fairway(&["rollout", "approve", &id, "mine", "--reason", "it is well"]);
    world.hear_reports(&[NAME], 3);
    assert!(world.clusters[0].members.restarts().is_empty(), "pinned is pinned");
    set(&world, "pin-");
    world.eventually_upgraded(NAME);
    world.clusters[0].rolled_once();

    // Channel: the agent's own policy does not let the hub choose, and everybody is told.
    set(&world, "channel=fast");
    world.eventually_row(NAME, "it says that it does not follow", |row| waits(row, "hub_channel"));
    let shown = world.hub.fairway(&["clusters", "show", NAME]);
    assert!(shown.contains("channel_mismatch: the hub wants channel fast"), "{shown}");
    set(&world, "channel-");
    world.eventually_row(NAME, "nothing is wanted of it", |row| !waits(row, "hub_channel"));

    // Retire: the agent is told for good.
    world.hub.fairway(&["clusters", "retire", NAME]);
    eventually("the agent is told", || {
        let hub = world.clusters[0].status()?.hub;
        let told = hub.key_refused.as_deref() == Some("cluster_retired");
        if told { Ok(()) } else { Err(format!("{hub:?}")) }
    });
    let (server, token) = (world.hub.url(), world.hub.token_file());
    let envs = [("FAIRWAY_SERVER", server.as_str()), ("FAIRWAY_TOKEN_FILE", token.as_str())];
    let gone = run(&["clusters", "show", NAME], &envs);
    assert_eq!(gone.status.code(), Some(1), "{}", String::from_utf8_lossy(&gone.stderr));
}
