//! What keeps nodes from going, and what stops a roll: a budget, somebody else's cordon, a container
//! runtime that hangs.

use channels::wire::{HealthVerdict, Phase};
use serde_json::Value;

use super::objects::{shop, update};
use super::stage::{PATIENCE, Stage, at_gate, state};
use super::watch::{Watch, cordons};
use crate::e2e::process::{eventually_within, now};

/// How long the change of a node takes while another one's runtime hangs, milliseconds: longer than
/// a hang is tolerated, so that the stop meets a unit that is out.
const LONG_CHANGE_MS: u32 = 45_000;

/// What makes the lag of the PLEG red, and its standing still by itself, milliseconds: the defaults.
const RED_LAG_MS: f64 = 10_000.0;
const STALL_LIMIT_MS: i64 = 30_000;

#[test]
#[ignore = "needs Kubernetes (tests/peers/install.sh kubernetes)"]
fn a_budget_a_foreign_cordon_and_a_hung_runtime_each_stop_a_roll_of_nodes() {
    // One pod on every node, and none of them may ever go.
    let mut stage = Stage::set(3, &["platform"], |_| shop(3, 3));
    let nodes = Watch::nodes(&stage.peer);
    stage.peer.apply(&update("platform", "1.33.5"));
    stage.agent.start(&[]);

    a_budget_is_named_before_any_cordon(&stage, &nodes);
    stage.peer.kubectl(&[
        "--namespace=shop",
        "patch",
        "poddisruptionbudget",
        "web",
        "--type=merge",
        "--patch={\"spec\":{\"minAvailable\":2}}",
    ]);
    // Past its drain: a cordon elsewhere would take that back.
    until_changing(&stage, "n1");
    stage.peer.kubectl(&["cordon", "n3"]);
    a_foreign_cordon_is_waited_for_and_left_alone(&stage, &nodes);
    stage.peer.control("n2", &format!("run {LONG_CHANGE_MS}\n"));
    stage.peer.kubectl(&["uncordon", "n3"]);

    until_changing(&stage, "n2");
    a_hung_runtime_pauses_the_roll_while_p99_stays_flat(&stage);
    for node in ["n2", "n3"] {
        stage.peer.control(node, "");
    }
    stage.agent.until("n3 is healthy again", |status| {
        let units = &state(status, "platform").units;
        units.iter().any(|u| u.name.as_str() == "n3" && u.health == HealthVerdict::Healthy)
    });
    let went: Vec<String> = cordons(&nodes).into_iter().map(|cordon| cordon.node).collect();
    assert_eq!(went, ["n1", "n3", "n2"], "n3 by hand, and none since the pause");
    let resume = format!("{{\"spec\":{{\"resume\":\"{:.0}\"}}}}", now());
    let patch = ["patch", "clusterupdate", "acme.platform", "--type=merge", "--patch", &resume];
    stage.peer.kubectl(&patch);
    stage.until_rolled(&["platform"]);

    let went: Vec<String> = cordons(&nodes).into_iter().map(|cordon| cordon.node).collect();
    assert_eq!(went, ["n1", "n3", "n2", "n3"], "each once by the agent");
    let jobs = stage.peer.get(&["jobs", "--namespace", "fairway-system"]);
    assert_eq!(jobs["items"].as_array().map(Vec::len), Some(3), "one Job each: {jobs:#}");
}

/// Waits until a node is out, and its drain is over.
fn until_changing(stage: &Stage, node: &str) {
    let unit = format!("acme/platform/{node}");
    stage.agent.until(&format!("{unit} is being changed"), |status| {
        let drained = !matches!(
            state(status, "platform").phase,
            Phase::Preflight | Phase::Quiesce | Phase::Paused
        );
        drained && status.step.as_ref().is_some_and(|step| step.unit == unit)
    });
}

fn a_budget_is_named_before_any_cordon(stage: &Stage, nodes: &Watch) {
    let why = stage.until_gate("platform", "disruption_budget");
    assert!(why.message.contains("shop/web"), "{why:#?}");
    let named = |status: &Value| {
        status["waitingOn"].as_array().is_some_and(|all| {
            all.iter().any(|wait| {
                let message = wait["message"].as_str().unwrap_or_default();
                wait["gate"] == "disruption_budget" && message.contains("shop/web")
            })
        })
    };
    let shown = stage.until_shown("platform", "the resource names the budget", named);
    let waiting = shown["waiting"].as_str().unwrap_or_default();
    assert!(waiting.contains("disruption_budget"), "{shown:#}");
    stage.hear_reports(3);
    let status = stage.agent.status().expect("a status");
    assert!(at_gate(&status, "platform", "disruption_budget").is_some(), "{status:#?}");
    assert_eq!(cordons(nodes), [], "no node was ever unschedulable");
}

fn a_foreign_cordon_is_waited_for_and_left_alone(stage: &Stage, nodes: &Watch) {
    let why = stage.until_gate("platform", "foreign_cordon");
    assert_eq!(why.unit.as_ref().map(ToString::to_string).as_deref(), Some("n3"), "{why:#?}");
    stage.agent.until("n1 is done and nothing is out", |status| {
        status.step.is_none() && at_gate(status, "platform", "foreign_cordon").is_some()
    });
    stage.hear_reports(3);
    let status = stage.agent.status().expect("a status");
    assert!(status.step.is_none(), "{status:#?}");
    let node = stage.peer.get(&["node", "n3"]);
    assert_eq!(node["spec"]["unschedulable"], true, "it stays as it was made: {node:#}");
    let cordons = cordons(nodes);
    let open: Vec<&str> =
        cordons.iter().filter(|c| c.until_ms.is_none()).map(|c| c.node.as_str()).collect();
    assert_eq!(open, ["n3"], "{cordons:#?}");
}

#[expect(clippy::print_stdout, reason = "the delay is a figure that people want to see")]
fn a_hung_runtime_pauses_the_roll_while_p99_stays_flat(stage: &Stage) {
    let hung_ms = now().as_millisecond();
    stage.peer.control("n3", "delay Relist 600000\n");
    let status = stage.agent.until("the roll pauses", |status| status.pause.is_some());
    let after_ms = now().as_millisecond() - hung_ms;
    println!("paused {after_ms} ms after the runtime of n3 hung");
    let pause = status.pause.expect("just seen");
    assert_eq!(pause.why.gate, "pleg_lag", "{pause:#?}");
    assert!(pause.why.message.contains("no relist returned"), "not by p99: {pause:#?}");
    assert_eq!(pause.why.unit.as_ref().map(ToString::to_string).as_deref(), Some("n3"));
    assert!(pause.why.observed.is_some_and(|ms| ms >= RED_LAG_MS), "{pause:#?}");
    assert_eq!(status.step.map(|step| step.unit).as_deref(), Some("acme/platform/n2"));
    stage.agent.until("n3 is red because it stands still", |status| {
        let n3 = state(status, "platform").units.iter().find(|unit| unit.name.as_str() == "n3");
        let why = n3.and_then(|unit| unit.why.as_ref());
        why.is_some_and(|why| why.starts_with("no relist returned for"))
    });
    assert!(now().as_millisecond() - hung_ms >= STALL_LIMIT_MS, "not before its limit");

    // To every quantile of the histogram nothing has happened.
    let page = stage.page("n3");
    let sample = |name: &str| {
        let line = page.lines().find(|line| line.starts_with(name)).expect("a sample");
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    let fast = sample("kubelet_pleg_relist_duration_seconds_bucket{le=\"1\"}");
    let all = sample("kubelet_pleg_relist_duration_seconds_count");
    assert!((all - fast).abs() < 0.5, "{fast} of {all} relists took less than a second");
    let node = stage.peer.get(&["node", "n3"]);
    let conditions = node["status"]["conditions"].as_array().expect("conditions");
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    assert!(ready.is_some_and(|condition| condition["status"] == "True"), "{node:#}");

    let failing = |status: &Value| {
        status["conditions"].as_array().is_some_and(|all| {
            let is = |c: &Value| c["type"] == "Failing" && c["status"] == "True";
            all.iter().any(|c| is(c) && c["reason"] == "PlegLag")
        })
    };
    stage.until_shown("platform", "the resource says that it fails, and why", failing);
    eventually_within(PATIENCE, "an event says so as well", || {
        let events = stage.events("platform");
        let told = events.iter().any(|(why, what)| why == "PlegLag" && what.contains("n3"));
        if told { Ok(()) } else { Err(format!("{events:#?}")) }
    });
}
