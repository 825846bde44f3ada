//! A whole roll of controllers and brokers under traffic, then its finalize step.

use channels::wire::Phase;

use super::pages::{Pages, Seen};
use super::peer::Members;
use super::stage::{Change, Stage, kafka, show};
use super::traffic::{Counted, Traffic};
use crate::e2e::process::eventually;
use crate::e2e::world::KAFKA;

/// A person would wait for minutes at each of these.
const TIMINGS: &str = "[timings]\nbaseline_ms = 3000\n[timings.controller]\nsoak_ms = 3000\n\
                       [timings.broker]\nsoak_ms = 3000\n";

/// Records per second.
const RATE: u32 = 100;

/// Longest time from the end of a leader's restart to the first page in the new epoch: pages are
/// read once a second, and a controller that starts keeps two cores busy.
const SEEN_LATE_MS: i64 = 10_000;

#[test]
#[ignore = "needs Kafka (tests/peers/install.sh kafka) and FAIRWAY_DATA"]
fn a_kafka_cluster_is_upgraded_under_traffic_and_finalized_by_approval() {
    let mut stage = Stage::set(Members::All, TIMINGS);
    stage.agent.start(&[]);
    stage.until_idle(KAFKA[0]);
    let before = stage.peer.tool(&["features", "describe"]);
    let pages = Pages::watch(stage.peer.controllers().cloned().collect());
    let traffic = Traffic::start(&stage.peer, RATE);

    stage.release();
    for unit in 1..=6 {
        stage.until_begun(unit);
    }
    let wait = stage.until_gate("finalize_approval");
    assert!(wait.message.contains("cluster-agent finalize acme/kafka"), "{}", wait.message);
    let counted = traffic.finish();
    let seen = pages.finish();

    let changes = stage.changes();
    one_after_another_with_the_leader_last(&changes, &seen);
    elections_only_when_the_leader_went(&changes, &seen);
    nothing_was_lost(&stage, &counted, &seen);
    finalized_by_approval_and_for_good(&stage, &before);
}

/// The unit of each change, in order; fails if two overlap or one went twice.
fn one_after_another_with_the_leader_last(changes: &[Change], seen: &Seen) {
    let pairs: Vec<_> = changes.chunks(2).collect();
    for pair in &pairs {
        let [begin, end] = pair else { panic!("{changes:#?}") };
        assert_eq!((begin.event.as_str(), end.event.as_str()), ("begin", "end"), "{changes:#?}");
        assert_eq!((&begin.unit, KAFKA[1]), (&end.unit, end.version.as_str()), "{changes:#?}");
    }
    let units: Vec<&str> = pairs.iter().map(|pair| pair[0].unit.as_str()).collect();
    let (controllers, brokers) = units.split_at(3);
    assert_eq!(brokers, ["b1", "b2", "b3"], "brokers after the controllers");
    let led: Vec<_> = pairs[..3]
        .iter()
        .map(|pair| seen.leader_at(pair[0].at_ms) == Some(pair[0].unit.as_str()))
        .collect();
    assert_eq!(led, [false, false, true], "the active controller last: {controllers:?}");
    let mut each_once = controllers.to_vec();
    each_once.sort_unstable();
    assert_eq!(each_once, ["c1", "c2", "c3"]);
}

fn elections_only_when_the_leader_went(changes: &[Change], seen: &Seen) {
    let (begin, end) = (changes[4].at_ms, changes[5].at_ms + SEEN_LATE_MS);
    let elections = seen.elections();
    assert!(!elections.is_empty(), "the leader went, so another was elected");
    for page in elections {
        assert!((begin..end).contains(&page.at_ms), "an election at {page:?}: {changes:#?}");
    }
}

fn nothing_was_lost(stage: &Stage, counted: &Counted, seen: &Seen) {
    let (gap_ms, pages) = (counted.longest_gap_ms, seen.by_unit());
    show(&format!("traffic: {counted:?}, longest gap {gap_ms} ms; pages read: {pages:?}"));
    assert!(counted.acknowledged > u64::from(RATE) * 30, "records flowed: {counted:?}");
    assert_eq!((counted.lost, counted.failed), (0, 0), "{counted:?}");
    assert_eq!(seen.offline(), Vec::<&super::pages::Page>::new(), "partitions without a leader");
    let log = stage.agent.log();
    for gate in ["offline_partitions", "under_min_isr", "witness_disagrees", "unexpected_election"]
    {
        let met = log.contains(&format!("gate=\"{gate}\""));
        assert!(!met, "the agent met {gate}:\n{log}");
    }
}

fn finalized_by_approval_and_for_good(stage: &Stage, before: &str) {
    let level = |text: &str| {
        let line = text.lines().find(|line| line.contains("metadata.version")).map(str::to_owned);
        line.expect("metadata.version is a feature")
    };
    assert!(level(before).contains("FinalizedVersionLevel: 3.9"), "{before}");
    let unfinalized = stage.peer.tool(&["features", "describe"]);
    assert!(level(&unfinalized).contains("FinalizedVersionLevel: 3.9"), "{unfinalized}");

    stage.agent.run_ok(&["finalize", "acme/kafka", "--yes", "--by", "the person on duty"]);
    stage.agent.until("it is finalized", |status| {
        kafka(status).phase == Phase::Idle && kafka(status).waiting_on.is_empty()
    });
    let after = stage.peer.tool(&["features", "describe"]);
    assert!(level(&after).contains("FinalizedVersionLevel: 4.3"), "{after}");

    let back = stage.agent.run(&["back", "--product", "acme/kafka", "--version", KAFKA[0]]);
    assert_eq!(back.status.code(), Some(2), "{back:?}");
    let why = String::from_utf8_lossy(&back.stderr).into_owned();
    assert!(why.contains("4.3.1 was finalized, there is no way back to 3.9.1"), "{why}");
    // An order that was given all the same, by a file of another version, changes nothing.
    order_back(stage);
    let wait = stage.until_gate("finalized");
    assert!(wait.message.contains("there is no way back to 3.9.1"), "{}", wait.message);
    assert_eq!(stage.begun().len(), 6, "nothing went back");
}

fn order_back(stage: &Stage) {
    let order = cluster_agent::state::Approval {
        product: "acme/kafka".parse().unwrap(),
        to: KAFKA[0].parse().unwrap(),
        at: crate::e2e::process::now(),
        back: true,
    };
    let control = cluster_agent::state::Control::new(&stage.agent.path("state"));
    eventually("the order is written", || {
        control.approve(order.clone()).map_err(|error| error.to_string())
    });
}
