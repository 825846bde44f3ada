//! A rollout over twelve simulated clusters with the real binary: rings in order, a halt that only a
//! person ends, and a hub that forgets nothing when it is killed.

pub(super) mod fleet;

use std::collections::BTreeMap;

use channels::wire::{
    AttemptState, Page, RolloutCluster, RolloutFailure, RolloutRow, RolloutState,
};

use self::fleet::{Fleet, KAFKA_CHANNEL};
use super::process::{eventually, run};
use super::world::{KAFKA, World};

/// Two rings that open at once, with little soak; a failed canary halts everything.
const POLICY: &str = "\
name: two-rings
applies_to: [{product: acme/kafka}]
emergency: true
curve: {points: [{after: 0s, share: 100%}]}
gates: {soak: 2s, min_sample: 1, max_unknown: 100%}
deadlines: {silence: 20s}
caps: {concurrent: 4}
rings:
  - {name: canary, select: {match_labels: {ring: canary}}}
  - {name: everyone, rest: true}
";

/// A world with the policy applied, its fleet settled on the old release.
fn stage(fleets: &[(&str, &str, usize)]) -> (World, Vec<Fleet>) {
    let world = World::new("");
    world.vendor.channel("kafka", KAFKA_CHANNEL, &KAFKA[..1]);
    world.vendor.channel("platform", fleet::PLATFORM_CHANNEL, &super::world::PLATFORM[..1]);
    world.vendor.publish();
    let fleets: Vec<Fleet> = fleets
        .iter()
        .map(|(prefix, ring, size)| Fleet::start(&world, prefix, ring, *size))
        .collect();
    for name in fleets.iter().flat_map(|fleet| &fleet.names) {
        world.eventually_row(name, "it reports itself", |row| !row.products.is_empty());
    }
    let file = world.dir().join("two-rings.yaml");
    std::fs::write(&file, POLICY).expect("a policy");
    world.hub.fairway(&["rollout", "apply", file.to_str().expect("utf-8"), "--yes"]);
    (world, fleets)
}

/// The vendor releases the new Kafka; answers with its rollout.
fn release(world: &World) -> u64 {
    world.vendor.release("kafka", "controller", KAFKA[1], "[\">=3.9.0, <4.3.1\"]");
    world.vendor.channel("kafka", KAFKA_CHANNEL, &KAFKA);
    world.vendor.publish();
    eventually("the release has its rollout", || {
        let page: Page<RolloutRow> = world.hub.get("/api/v1/rollouts")?;
        let of_it = page.items.iter().find(|row| row.release.to_string() == KAFKA[1]);
        of_it.map(|row| row.id).ok_or_else(|| format!("{page:#?}"))
    })
}

fn rollout(world: &World, id: u64) -> Result<RolloutRow, String> {
    world.hub.get(&format!("/api/v1/rollouts/{id}"))
}

/// Every member by its name.
fn members(world: &World, id: u64) -> Result<BTreeMap<String, RolloutCluster>, String> {
    let page: Page<RolloutCluster> =
        world.hub.get(&format!("/api/v1/rollouts/{id}/clusters?limit=500"))?;
    Ok(page.items.into_iter().map(|row| (row.name.clone(), row)).collect())
}

/// A busy machine makes simulated lags real ones, which halts a rollout as it should. A person looks
/// and lets it go on; any other failure is one.
fn accept_lags(world: &World, row: &RolloutRow) {
    let open: Vec<_> = row.failures.iter().filter(|failure| !failure.acknowledged).collect();
    let lags = open.iter().all(|failure| failure.why == "health_regression");
    assert!(lags, "{row:#?}");
    if row.state == RolloutState::Halted {
        let number = row.id.to_string();
        let words = ["rollout", "resume", &number, "--acknowledge", "a busy machine", "--yes"];
        world.hub.fairway(&words);
    }
}

/// When the hub first heard that a cluster's Kafka had a unit out, and that it ran the new release.
fn began_and_ended(world: &World, name: &str) -> (jiff::Timestamp, jiff::Timestamp) {
    let trail = world.hub.trail(name, "acme/kafka");
    let began = trail.iter().find(|row| row.phase.is_rolling()).expect("it rolled");
    let ended = trail.iter().find(|row| row.version.to_string() == KAFKA[1]).expect("it is there");
    (began.at, ended.at)
}

#[test]
fn rings_go_in_order_and_a_killed_hub_forgets_nothing() {
    let (mut world, fleets) = stage(&[("canary", "canary", 3), ("shop", "prod", 9)]);
    let id = release(&world);
    let rolling = eventually("a canary rolls, and everybody else waits with a reason", || {
        let members = members(&world, id)?;
        let (canaries, others): (Vec<_>, Vec<_>) =
            members.values().partition(|row| row.name.starts_with("canary"));
        for row in others {
            assert_eq!(row.state, AttemptState::NotStarted, "{row:?}");
            assert!(!row.why_not.is_empty(), "{row:?}");
        }
        let rolling: Vec<String> = canaries
            .iter()
            .filter(|row| row.state == AttemptState::Rolling)
            .map(|row| row.name.clone())
            .collect();
        if rolling.is_empty() { Err(format!("{canaries:#?}")) } else { Ok(rolling) }
    });
    let before = rollout(&world, id).expect("a rollout");
    world.hub.kill();
    world.hub.restart();
    let after = rollout(&world, id).expect("the same rollout");
    assert_eq!((after.opened_at, after.policy_version), (before.opened_at, before.policy_version));
    let known = members(&world, id).expect("its members");
    for name in &rolling {
        let state = known[name].state;
        assert!(
            matches!(state, AttemptState::Rolling | AttemptState::Succeeded),
            "{name} was forgotten: {state:?}"
        );
    }

    let all: Vec<&String> = fleets.iter().flat_map(|fleet| &fleet.names).collect();
    eventually("everybody is there", || {
        let row = rollout(&world, id)?;
        accept_lags(&world, &row);
        let in_flight = row.caps.in_flight;
        assert!(in_flight <= 4, "{in_flight} at a time, the policy allows 4");
        if row.state == RolloutState::Converged { Ok(()) } else { Err(format!("{row:#?}")) }
    });
    let times: BTreeMap<&String, _> =
        all.iter().map(|name| (*name, began_and_ended(&world, name))).collect();
    let canaries = times.iter().filter(|(name, _)| name.starts_with("canary"));
    let first_canary = canaries.map(|(_, (_, ended))| *ended).min().expect("canaries");
    for (name, (began, _)) in times.iter().filter(|(name, _)| !name.starts_with("canary")) {
        assert!(*began > first_canary, "{name} began at {began}, before {first_canary}");
    }
}

#[test]
fn a_canary_that_falls_silent_halts_everybody_until_a_person_accepts_it() {
    let (world, mut fleets) =
        stage(&[("doomed", "canary", 1), ("canary", "canary", 1), ("shop", "prod", 10)]);
    let id = release(&world);
    eventually("the doomed canary rolls", || {
        let row = members(&world, id)?.remove("doomed-1").ok_or("no such member")?;
        if row.state == AttemptState::Rolling { Ok(()) } else { Err(format!("{row:?}")) }
    });
    fleets[0].kill();
    let halted = eventually("its silence halts the rollout", || {
        let row = rollout(&world, id)?;
        let silent = |one: &RolloutFailure| one.name == "doomed-1" && one.why == "silent";
        if row.failures.iter().any(silent) {
            return Ok(row);
        }
        accept_lags(&world, &row);
        Err(format!("{row:#?}"))
    });
    assert_eq!(halted.state, RolloutState::Halted);
    assert!(halted.rings.iter().all(|ring| ring.name.as_str() == "canary" || ring.rolling == 0));
    let path = format!("/api/upgrades_info/acme/kafka/v1/graph?channel={KAFKA_CHANNEL}");
    eventually("plain clients are told", || {
        let graph = world.hub.request("GET", &path, &[], &[]).map_err(|e| e.to_string())?.text();
        let told = graph.contains("FairwayHold") && graph.contains("halted: ");
        if told { Ok(()) } else { Err(graph) }
    });

    // Nobody is there to be asked, so nothing is accepted.
    let (url, token) = (world.hub.url(), world.hub.token_file());
    let envs = [("FAIRWAY_SERVER", url.as_str()), ("FAIRWAY_TOKEN_FILE", token.as_str())];
    let number = id.to_string();
    let words = ["rollout", "resume", &number, "--acknowledge", "its rack burnt down"];
    let unasked = run(&["rollout", "resume", &number, "--acknowledge", " "], &envs);
    assert_eq!(unasked.status.code(), Some(2), "{unasked:?}");
    assert_eq!(rollout(&world, id).expect("a rollout").state, RolloutState::Halted);
    world.hub.fairway(&[&words[..], &["--yes"]].concat());

    eventually("all others are there", || {
        accept_lags(&world, &rollout(&world, id)?);
        let members = members(&world, id)?;
        let missing: Vec<_> = members
            .values()
            .filter(|row| row.name != "doomed-1" && row.version.to_string() != KAFKA[1])
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:#?}")) }
    });
    let doomed = members(&world, id).expect("members").remove("doomed-1").expect("it stays shown");
    assert_eq!(
        (doomed.state, doomed.failure.as_deref()),
        (AttemptState::Acknowledged, Some("silent"))
    );
    let shown = world.hub.fairway(&["rollout", "show", &number]);
    assert!(shown.contains("fell silent"), "{shown}");
}
