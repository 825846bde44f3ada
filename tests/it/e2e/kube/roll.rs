//! Controllers, nodes and a Deployment, all ordered at once by their `ClusterUpdate`s, while the
//! agent is killed at every phase of a step.

use std::collections::BTreeSet;

use cluster_agent::sim::member::{LedgerEntry, LedgerEvent};
use serde_json::Value;

use super::objects::{quorum, shop, update};
use super::stage::{PRODUCTS, Stage, at_gate};
use super::watch::{Cordon, Watch, cordons};
use crate::e2e::world::KAFKA;

const ALL: [&str; 3] = ["kafka", "platform", "shop"];

/// The node of which the agent is told that it runs there.
const HOST: &str = "n2";

/// Where the agent is killed, one after the other: every phase, on controllers and on nodes, and
/// both sides of what creates or asks for something.
const KILLS: [&str; 9] = [
    "preflight:before",
    "mutate:after",
    "soak:before",
    "quiesce:before",
    "quiesce:after",
    "mutate:before",
    "mutate:after",
    "await_return:after",
    "await_health:after",
];

/// `SIGABRT`: a crash point ends the process as a kill would, without unwinding.
const ABORTED: i32 = 6;

#[test]
#[ignore = "needs Kubernetes (tests/peers/install.sh kubernetes)"]
fn everything_in_a_cluster_is_rolled_once_though_the_agent_is_killed_at_every_phase() {
    let applied = |members: &std::path::Path| [quorum(members), shop(2, 1)].join("---\n");
    let mut stage = Stage::set(5, &ALL, applied);
    let nodes = Watch::nodes(&stage.peer);
    let pods = Watch::start(
        &stage.peer,
        &["pods", "--namespace", "kafka"],
        &[".metadata.uid", ".metadata.annotations.fairway\\.dev/version"],
    );
    let progress = Watch::start(
        &stage.peer,
        &["clusterupdates"],
        &[".status.conditions[?(@.type==\"Progressing\")].status"],
    );
    for (product, _, [_, new]) in PRODUCTS {
        stage.peer.apply(&update(product, new));
    }

    for (kill, at) in KILLS.into_iter().enumerate() {
        if kill > 1 {
            // What a person does who knows that the agent is dead and does not want to wait.
            stage.peer.kubectl(&["--namespace=fairway-system", "delete", "lease", "fairway-agent"]);
        }
        stage.agent.start(&[("FAIRWAY_CRASH_AT", at), ("FAIRWAY_NODE_NAME", HOST)]);
        if kill == 1 {
            nothing_begins_before_the_lease_of_the_dead_agent_has_run_out(&stage);
        }
        let signal = stage.until_agent_ended(&format!("it crashes at {at}"));
        assert_eq!(signal, Some(ABORTED), "{at}: {}", stage.agent.status_text());
    }
    stage.peer.kubectl(&["--namespace=fairway-system", "delete", "lease", "fairway-agent"]);
    stage.agent.start(&[("FAIRWAY_NODE_NAME", HOST)]);
    stage.until_rolled(&ALL);

    let rounds = cordons(&nodes);
    nodes_went_one_after_another_with_the_host_last(&stage, &nodes, &rounds);
    controllers_went_before_them_with_the_leader_last(&stage, &pods, &rounds);
    the_deployment_went_last(&stage, &rounds);
    resources_tell_it_all(&stage, &progress);
}

/// The agent that was killed may still be believed alive: a new one goes on with nothing until the
/// Lease has stood still for as long as it says.
fn nothing_begins_before_the_lease_of_the_dead_agent_has_run_out(stage: &Stage) {
    let waiting = stage.agent.until("the new agent waits for the lease", |status| {
        ALL.iter().any(|product| at_gate(status, product, "lease").is_some())
    });
    assert!(waiting.step.is_some(), "the step is known: {waiting:#?}");
    let set = stage.peer.get(&["statefulset", "quorum", "--namespace", "kafka"]);
    assert_eq!(set["metadata"]["annotations"]["fairway.dev/step"], Value::Null, "{set:#}");
}

fn nodes_went_one_after_another_with_the_host_last(
    stage: &Stage,
    nodes: &Watch,
    rounds: &[Cordon],
) {
    let order: Vec<&str> = rounds.iter().map(|cordon| cordon.node.as_str()).collect();
    assert_eq!(order, ["n1", "n3", "n4", "n5", HOST], "each once: {rounds:#?}");
    for pair in rounds.windows(2) {
        assert!(pair[0].until_ms.is_some_and(|end| end <= pair[1].from_ms), "{pair:#?}");
    }
    for node in &stage.peer.nodes {
        let boots = nodes.values(&node.name, 2);
        assert_eq!(boots.len(), 2, "one reboot of {}: {boots:?}", node.name);
        assert_eq!(nodes.values(&node.name, 3), ["v1.32.9", "v1.33.5"]);
        let left = stage.peer.get(&["node", &node.name]);
        assert_eq!(left["spec"]["unschedulable"], Value::Null, "{left:#}");
        assert!(!left["metadata"]["annotations"].to_string().contains("fairway.dev"), "{left:#}");
    }
    let jobs = stage.peer.get(&["jobs", "--namespace", "fairway-system"]);
    let jobs = jobs["items"].as_array().expect("jobs");
    let mut changed: Vec<&str> = jobs
        .iter()
        .map(|job| job["metadata"]["annotations"]["fairway.dev/unit"].as_str().expect("a unit"))
        .collect();
    changed.sort_unstable();
    let once = ["n1", "n2", "n3", "n4", "n5"].map(|name| format!("acme/platform/{name}"));
    assert_eq!(changed, once, "one Job each");
    assert!(jobs.iter().all(|job| job["status"]["succeeded"] == 1), "{jobs:#?}");
}

/// The ledger is what the controllers' own processes wrote.
fn controllers_went_before_them_with_the_leader_last(
    stage: &Stage,
    pods: &Watch,
    rounds: &[Cordon],
) {
    let mut out: Option<LedgerEntry> = None;
    let mut rolled = Vec::new();
    for entry in stage.ledger().into_iter().skip(3) {
        match (entry.event, out.take()) {
            (LedgerEvent::Down, None) => out = Some(entry),
            (LedgerEvent::Up, Some(down)) if down.unit == entry.unit => {
                if down.version != entry.version {
                    rolled.push((down, entry));
                }
            }
            (_, other) => panic!("two out at once: {entry:?} {other:?}"),
        }
    }
    assert!(out.is_none(), "all are back: {out:?}");
    let units: BTreeSet<_> = rolled.iter().map(|(down, _)| down.unit.to_string()).collect();
    assert_eq!((units.len(), rolled.len()), (3, 3), "each once: {rolled:#?}");
    let led: Vec<bool> = rolled.iter().map(|(down, _)| down.led).collect();
    assert_eq!(led, [false, false, true], "the active one last: {rolled:#?}");
    let first_cordon = rounds.first().expect("nodes were rolled").from_ms;
    for (down, up) in &rolled {
        assert_eq!((down.version.as_str(), up.version.as_str()), (KAFKA[0], KAFKA[1]));
        assert!(up.at_ms < first_cordon, "{up:?} after a node went at {first_cordon}");
    }
    // Until the first node was drained each pod was made anew once, with the new version.
    for unit in &units {
        let seen = pods.of(unit).into_iter().filter(|line| line.at_ms < first_cordon);
        let made: BTreeSet<_> =
            seen.map(|line| (line.words[2].clone(), line.words[1].clone())).collect();
        let versions: Vec<&str> = made.iter().map(|(version, _)| version.as_str()).collect();
        assert_eq!(versions, KAFKA, "{unit}: {made:?}");
    }
}

fn the_deployment_went_last(stage: &Stage, rounds: &[Cordon]) {
    let sets = stage.peer.get(&["replicasets", "--namespace", "shop"]);
    let sets = sets["items"].as_array().expect("ReplicaSets");
    let versions = sets.iter().map(|set| {
        let template = &set["spec"]["template"]["metadata"];
        (&template["annotations"]["fairway.dev/version"], &set["metadata"]["creationTimestamp"])
    });
    let (new, old): (Vec<_>, Vec<_>) = versions.partition(|(version, _)| version.is_string());
    assert_eq!((old.len(), new.len()), (1, 1), "changed once: {sets:#?}");
    let (version, made) = new[0];
    assert_eq!(version, "2.0.0");
    let made: jiff::Timestamp = made.as_str().and_then(|at| at.parse().ok()).expect("a time");
    let last_node = rounds.last().and_then(|cordon| cordon.until_ms).expect("nodes are back");
    // The API server counts in whole seconds.
    assert!(made.as_second() >= last_node / 1000, "{made} before {last_node}");
}

/// What people see with `kubectl`.
#[expect(
    clippy::print_stdout,
    reason = "the table is for people, whoever reads this test's output"
)]
fn resources_tell_it_all(stage: &Stage, progress: &Watch) {
    stage.peer.kubectl(&[
        "wait",
        "clusterupdates",
        "--all",
        "--for=condition=Progressing=False",
        "--timeout=120s",
    ]);
    let table = stage.peer.kubectl(&["get", "clusterupdates"]);
    println!("{table}");
    for (product, _, [old, new]) in PRODUCTS {
        let name = format!("acme.{product}");
        let row = table.lines().find(|line| line.starts_with(&name)).expect("a row");
        assert!(row.contains(&format!("runs {new}")), "{table}");
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[1], new, "{table}");
        let settled = |status: &Value| {
            let is = |kind: &str| {
                let conditions = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
                let found = conditions.iter().find(|condition| condition["type"] == kind);
                found.map(|condition| condition["status"].as_str().unwrap_or_default().to_owned())
            };
            [("Available", "True"), ("Progressing", "False"), ("Failing", "False")]
                .iter()
                .all(|(kind, wanted)| is(kind).as_deref() == Some(*wanted))
        };
        let status = stage.until_shown(product, "its conditions are those of rest", settled);
        let last = &status["history"][0];
        assert_eq!((&last["state"], &last["version"]), (&"Completed".into(), &new.into()));
        assert_eq!((&last["from"], &last["verified"]), (&old.into(), &true.into()), "{last:#}");
        let turned = progress.values(&name, 1);
        assert_eq!(turned[turned.len() - 2..], ["True", "False"], "{product}: {turned:?}");
        let events = stage.events(product);
        assert!(events.iter().any(|(why, _)| why == "UpdateCompleted"), "{events:#?}");
    }
    // The host went last, in the one life of the agent that nobody ended.
    let events = stage.events("platform");
    for reason in ["Preflight", "Quiesce", "Mutate", "AwaitReturn", "AwaitHealth", "Soak", "Back"] {
        let told = |(why, what): &(String, String)| {
            *why == format!("Unit{reason}") && what.starts_with(HOST)
        };
        assert!(events.iter().any(told), "{reason} of {HOST}: {events:#?}");
    }
}
