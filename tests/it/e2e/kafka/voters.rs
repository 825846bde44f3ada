//! `cluster-agent quorum replace`: another controller in the place of one, and a lost disk.

use super::peer::{Member, Members};
use super::stage::Stage;
use crate::e2e::world::KAFKA;

const TIMINGS: &str = "[timings]\nbaseline_ms = 2000\n[timings.controller]\nsoak_ms = 2000\n";

#[test]
#[ignore = "needs Kafka (tests/peers/install.sh kafka) and FAIRWAY_DATA"]
fn kafka_controllers_are_replaced_step_by_step_and_never_while_a_roll_is_open() {
    let mut stage = Stage::set(Members::Controllers, TIMINGS);
    stage.agent.start(&[]);
    stage.until_idle(KAFKA[0]);
    another_controller(&mut stage);
    stage.until_idle(KAFKA[0]);
    a_lost_disk_while_killed_twice(&stage);

    stage.until_begun(1);
    let refused = stage.agent.run(&["quorum", "replace", "--id", "3"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("voters change only while no roll is open"), "{why}");
}

/// Directories of the voters, by node id, as Kafka's own tool tells them.
fn voters(stage: &Stage) -> Vec<(i64, String)> {
    let text = stage.peer.tool(&["quorum", "describe", "--replication"]);
    let mut voters: Vec<(i64, String)> = text
        .lines()
        .filter(|line| line.contains("Leader") || line.contains("Follower"))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
        })
        .collect();
    voters.sort();
    voters
}

/// Controller 2 goes, a new controller 4 comes.
fn another_controller(stage: &mut Stage) {
    stage.peer.member("c4", &["create", "controller", "4"]);
    stage.peer.member("c4", &["format"]);
    stage.peer.member("c4", &["start", KAFKA[0]]);
    let new = stage.peer.show("c4");
    let endpoint = format!("CONTROLLER://127.0.0.1:{}", new.kafka_port);
    let words = ["quorum", "replace", "--id", "2", "--with", "4", "--endpoint", &endpoint];
    let said = stage.agent.run_ok(&words);
    assert!(said.contains("done: replace controller 2 by 4"), "{said}");
    let ids: Vec<i64> = voters(stage).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [1, 3, 4]);

    // What is left to people: it says so.
    stage.peer.member("c2", &["stop"]);
    stage.peer.members.retain(|member| member.name != "c2");
    stage.peer.members.push(Member { name: "c4".to_owned(), ..new });
    stage.agent.stop();
    stage.configure(&stage.peer.members);
    stage.agent.start(&[]);
}

/// Controller 3 gets a new disk; the command is killed while it waits and again between its two
/// changes. A release that comes meanwhile waits for its end.
fn a_lost_disk_while_killed_twice(stage: &Stage) {
    let old = stage.peer.show("c3").directory_id;
    stage.peer.member("c3", &["stop"]);
    stage.peer.member("c3", &["format", "--new-disk"]);

    let replace = ["quorum", "replace", "--id", "3"];
    stage.agent.run_killed_at(&replace, "waiting: controller 3 does not fetch as an observer yet");
    stage.release();
    let wait = stage.until_gate("quorum_change");
    assert!(wait.message.contains("replace the disk of controller 3"), "{}", wait.message);

    stage.peer.member("c3", &["start"]);
    stage.agent.run_killed_at(&replace, "removing controller 3, directory ");
    assert_eq!(stage.begun(), Vec::<String>::new(), "nothing goes while voters change");
    let said = stage.agent.run_ok(&replace);
    assert!(said.contains("done: replace the disk of controller 3"), "{said}");

    let new = stage.peer.show("c3").directory_id;
    assert_ne!(old, new);
    let found = voters(stage);
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 4]);
    assert!(found.contains(&(3, new)), "{found:?}");
}
