//! Members that fail in the middle of a roll: one that stands still, and a leader that dies.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use channels::wire::{Phase, WaitingOn};
use cluster_agent::agent::Prober;
use cluster_agent::config::{Overrides, Settings};
use cluster_agent::gate::may_take_out;
use cluster_agent::observation::UnitKey;
use cluster_agent::status::Status;
use jiff::Timestamp;

use super::pages::leader;
use super::peer::Members;
use super::stage::{Stage, at_gate, kafka, show};
use crate::e2e::process::{eventually, now};
use crate::e2e::world::KAFKA;

/// Short waits, but a soak in which a person's hand finds the leader.
const TIMINGS: &str = "[timings]\nbaseline_ms = 2000\nrefused_retry_ms = 1000\n\
                       [timings.controller]\nsoak_ms = 8000\n";

/// The fetch timeout and two probes, by their defaults, milliseconds.
const RED_WITHIN_MS: i64 = 2_000 + 2 * 500;

/// What the agent's units are called besides the one that stands still.
type Others = Vec<String>;

#[test]
#[ignore = "needs Kafka (tests/peers/install.sh kafka) and FAIRWAY_DATA"]
fn a_frozen_kafka_follower_keeps_the_others_and_a_dead_leader_pauses_the_roll() {
    let mut stage = Stage::set(Members::Controllers, TIMINGS);
    stage.agent.start(&[]);
    stage.until_idle(KAFKA[0]);
    stage.release();
    let first = stage.until_begun(1).remove(0);
    // The operator's own check keeps the second from going while everything else is ready.
    std::fs::write(stage.agent.path("not-now"), "").expect("a marker");
    stage.until_gate("check_duty");
    stage.agent.until("the first has soaked", |status| kafka(status).unit.is_none());

    frozen_follower(&stage, &first);
    dead_leader(&stage);

    stage.until_gate("finalize_approval");
    let begun = stage.begun();
    let mut each_once = begun.clone();
    each_once.sort();
    assert_eq!(each_once, ["c1", "c2", "c3"], "each once: {begun:?}");
}

/// The follower that was rolled first stands still: nobody else may go until it answers again.
fn frozen_follower(stage: &Stage, frozen: &str) {
    let others: Others = ["c1", "c2", "c3"].map(str::to_owned).into();
    let others: Others = others.into_iter().filter(|unit| unit != frozen).collect();
    let ended = AtomicBool::new(false);
    let (stopped_at, looks, statuses) = std::thread::scope(|scope| {
        let agent = scope.spawn(|| statuses_until(stage, &ended));
        let (stopped_at, looks) = gates_around(Path::new(&stage.agent.config()), &others, || {
            stage.peer.signal(frozen, "STOP");
        });
        let deadline = stopped_at.as_millisecond() + RED_WITHIN_MS;
        stage.agent.until("the agent has decided again", |s| s.at.as_millisecond() >= deadline);
        ended.store(true, Ordering::Relaxed);
        (stopped_at, looks, agent.join().expect("it collects"))
    });
    let since = |at: Timestamp| at.as_millisecond() - stopped_at.as_millisecond();

    // By the agent's own library at its own pace, for both of the others.
    for (index, unit) in others.iter().enumerate() {
        let red = looks.iter().find(|look| look.red[index]).expect("it turns red");
        show(&format!("{frozen} stopped: the gate of {unit} is red after {} ms", since(red.at)));
    }
    let decided = looks.iter().find(|look| since(look.at) >= RED_WITHIN_MS).expect("looked on");
    assert_eq!(decided.red, [true, true], "{looks:#?}");

    // By the running agent: what it waits for, and since when.
    let reason = |status: &Status| about(status, frozen).cloned();
    let red = statuses.iter().find_map(reason).expect("the agent says so");
    let late = since(red.since.expect("it says since when"));
    show(&format!(
        "{frozen} stopped: the agent waits after {late} ms, [{}] {}",
        red.gate, red.message
    ));
    let decided = statuses.iter().find(|status| since(status.at) >= RED_WITHIN_MS);
    let decided = decided.expect("it decided again");
    assert!(reason(decided).is_some(), "{decided:#?}");
    says_so(stage, frozen);

    std::fs::remove_file(stage.agent.path("not-now")).expect("the marker");
    let from = now();
    stage.agent.until("it has decided several times", |s| since(s.at) >= since(from) + 3_000);
    assert_eq!(stage.begun().len(), 1, "{}", stage.agent.status_text());
    stage.peer.signal(frozen, "CONT");
    assert_ne!(stage.until_begun(2)[1], frozen);
}

/// The sentence with unit and numbers, as a person reads it.
fn says_so(stage: &Stage, frozen: &str) {
    let lag = eventually("the lag is told with its limit", || {
        let status = stage.agent.status().ok_or("no status")?;
        let lag = kafka(&status).waiting_on.iter().find(|why| {
            why.gate == "quorum_lag" && why.unit.as_ref().is_some_and(|u| u.to_string() == *frozen)
        });
        lag.cloned().ok_or_else(|| stage.agent.status_text())
    });
    assert!(lag.observed.unwrap() >= 2_000.0 && lag.limit.unwrap() >= 2_000.0, "{lag:?}");
    let text = stage.agent.status_text();
    assert!(text.contains(&format!("may not go: {frozen}: ")), "{text}");
    show(&text);
}

/// What the product waits for on account of a unit, its health gates only.
fn about<'s>(status: &'s Status, unit: &str) -> Option<&'s WaitingOn> {
    kafka(status).waiting_on.iter().find(|why| {
        let named = why.unit.as_ref().is_some_and(|named| named.to_string() == unit);
        named && why.message.contains("may not go")
    })
}

fn statuses_until(stage: &Stage, ended: &AtomicBool) -> Vec<Status> {
    let mut statuses: Vec<Status> = Vec::new();
    loop {
        // Asked before the look: what was waited for is on the last one.
        let is_last = ended.load(Ordering::Relaxed);
        let status = stage.agent.status().expect("the agent runs");
        if statuses.last().is_none_or(|last| last.at != status.at) {
            statuses.push(status);
        }
        if is_last {
            return statuses;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One decision about all units.
#[derive(Debug)]
struct Gates {
    at: Timestamp,
    red: Vec<bool>,
}

/// Decides at the agent's pace: once the gates of `units` are green runs `fault`, then goes on until
/// the decision after the limit. Says when the fault happened, and every decision since.
fn gates_around(config: &Path, units: &Others, fault: impl FnOnce()) -> (Timestamp, Vec<Gates>) {
    let settings = Settings::load(config, Overrides::default()).expect("a configuration");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut prober = Prober::new(&settings, None).expect("a prober");
        let mut look = async || {
            loop {
                let due = Duration::from_millis(20);
                match prober.probe_engaged(None, now()).await {
                    None => tokio::time::sleep(due).await,
                    Some(seen) => {
                        let red = units.iter().map(|unit| {
                            let (product, unit) = ("acme/kafka".parse(), unit.parse());
                            let key = UnitKey { product: product.unwrap(), unit: unit.unwrap() };
                            !may_take_out(&key, &seen, &settings.gate).is_empty()
                        });
                        return Gates { at: now(), red: red.collect() };
                    }
                }
            }
        };
        let mut green = 0;
        for _ in 0..240 {
            green = if look().await.red.contains(&true) { 0 } else { green + 1 };
            if green == 4 {
                break;
            }
        }
        assert_eq!(green, 4, "the gates were green before");
        fault();
        let stopped_at = now();
        let mut looks = Vec::new();
        loop {
            looks.push(look().await);
            let at = looks.last().expect("just pushed").at;
            if at.as_millisecond() >= stopped_at.as_millisecond() + RED_WITHIN_MS {
                return (stopped_at, looks);
            }
        }
    })
}

/// The leader dies while the second controller soaks: a person has to look.
fn dead_leader(stage: &Stage) {
    let second = stage.begun()[1].clone();
    let soaking = |status: &Status| {
        let state = kafka(status);
        state.phase == Phase::Soak && state.unit.as_ref().is_some_and(|u| u.to_string() == second)
    };
    stage.agent.until("the second controller soaks", soaking);
    let old = leader(&stage.peer.members);
    assert_ne!(old, second, "it leads and goes last");
    stage.peer.member(&old, &["kill"]);
    let status = stage.agent.until("the roll is paused", |status| status.pause.is_some());
    let why = status.pause.expect("just seen").why;
    show(&format!("leader {old} killed: paused at [{}] {}", why.gate, why.message));
    assert!(["epoch_changed", "unexpected_election"].contains(&why.gate.as_str()), "{why:?}");
    assert!(at_gate(&stage.agent.status().unwrap(), "paused").is_some());
    let text = stage.agent.status_text();
    assert!(text.contains("PAUSED") && text.contains(&why.gate), "{text}");

    stage.peer.member(&old, &["start"]);
    assert_eq!(stage.begun().len(), 2, "nothing goes while it is paused");
    stage.agent.run_ok(&["resume"]);
    assert_eq!(stage.until_begun(3)[2], old);
}
