//! `cluster-agent quorum` and the native witness against real controllers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

use cluster_agent::config::{Overrides, Settings};
use cluster_agent::kafka::{Look, Witnesses};
use cluster_agent::observation::{Finding, GateScope};
use serde_json::Value;

use super::peer::{Member, Peer, script};
use super::stage::PATIENCE;
use crate::e2e::agent::Agent;
use crate::e2e::process::{eventually, now};

/// A cluster of three controllers and three brokers, and an agent's configuration for it.
struct Kafka {
    agent: Agent,
    peer: Peer,
    // Goes last: everything lives in it.
    _dir: tempfile::TempDir,
}

impl Kafka {
    fn start(how: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rules = script("kafka/rules-without-raft.yml");
        let peer = Peer::start_with(&dir.path().join("cluster"), &rules, how);
        let agent = Agent::new(dir.path(), PATIENCE);
        std::fs::write(agent.config(), configuration(&peer.members)).unwrap();
        Self { agent, peer, _dir: dir }
    }

    /// `cluster-agent quorum …` to its end.
    fn quorum(&self, words: &[&str]) -> Output {
        // Nobody rolls this cluster: there is no memory to ask for open rolls.
        let changes = matches!(words.first(), Some(&("add" | "remove" | "replace" | "raise")));
        let alone: &[&str] = if changes { &["--no-agent"] } else { &[] };
        self.agent.run(&[&["quorum"], words, alone].concat())
    }

    fn status(&self) -> Value {
        let output = self.quorum(&["status", "--output", "json"]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The voters' directories by id.
    fn voters(&self) -> BTreeMap<i64, String> {
        let status = self.status();
        let voters = status["voters"].as_array().unwrap().iter();
        let voter = |voter: &Value| {
            let directory = voter["directory"].as_str().unwrap().to_owned();
            (voter["id"].as_i64().unwrap(), directory)
        };
        voters.map(voter).collect()
    }

    fn open_change(&self) -> PathBuf {
        self.agent.path("state/quorum-change.json")
    }
}

fn configuration(members: &[Member]) -> String {
    let of_role = |role: &'static str| members.iter().filter(move |member| member.role == role);
    let servers = |role: &'static str| -> String {
        let address = |member: &Member| format!("\"127.0.0.1:{}\"", member.kafka_port);
        of_role(role).map(address).collect::<Vec<_>>().join(", ")
    };
    let units = |role: &'static str| -> String {
        let unit = |Member { name, node_id, metrics_url, .. }: &Member| {
            format!(
                "{{ name = \"{name}\", node_id = {node_id}, metrics_url = \"{metrics_url}\", \
                 on_node = \"\" }}"
            )
        };
        of_role(role).map(unit).collect::<Vec<_>>().join(", ")
    };
    let exec = "[products.pools.exec]\nmutate = { command = [\"/bin/false\"] }\n";
    format!(
        "state_dir = \"state\"\n[cluster]\nname = \"quorum\"\n\
         [hub]\nurl = \"http://127.0.0.1:9\"\nroot = \"root.json\"\nreports = false\n\
         [[products]]\nproduct = \"acme/kafka\"\nchannel = \"stable\"\n\
         initial_version = \"3.9.1\"\n[products.kafka]\nbootstrap = [{}]\nbrokers = [{}]\n\
         [[products.pools]]\nname = \"controllers\"\nrole = \"controller\"\nunits = [{}]\n{exec}\
         [[products.pools]]\nname = \"brokers\"\nrole = \"broker\"\nunits = [{}]\n{exec}",
        servers("controller"),
        servers("broker"),
        units("controller"),
        units("broker"),
    )
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    assert!(!output.status.success(), "{}", said(output));
    assert!(said(output).contains(why), "{}", said(output));
}

#[test]
#[ignore = "needs Kafka (tests/peers/install.sh kafka)"]
fn a_controllers_disk_is_replaced_and_a_killed_command_goes_on() {
    let kafka = Kafka::start(&[]);
    let before = kafka.voters();
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);

    refused(&kafka.quorum(&["remove", "--id", "3"]), "2 voters would be left");
    refused(&kafka.quorum(&["remove", "--id", "7"]), "controller 7 is not a voter");
    let again = ["add", "--id", "2", "--endpoint", "CONTROLLER://127.0.0.1:1"];
    refused(&kafka.quorum(&again), "controller 2 is a voter already");
    let plan = kafka.quorum(&["replace", "--id", "3", "--dry-run"]);
    assert!(plan.status.success() && said(&plan).contains("remove voter 3"), "{}", said(&plan));
    assert!(!kafka.open_change().exists(), "a dry run opens nothing");

    // Opened before the disk is changed: it waits, and stays open.
    let opened = kafka.quorum(&["replace", "--id", "3", "--wait", "1"]);
    refused(&opened, "controller 3 does not fetch as an observer yet");
    assert!(kafka.open_change().exists());
    refused(&kafka.quorum(&["remove", "--id", "2"]), "another change is open");
    assert_eq!(kafka.voters(), before, "nothing has changed");

    kafka.peer.member("c3", &["stop"]);
    kafka.peer.member("c3", &["format", "--new-disk"]);
    kafka.peer.member("c3", &["start"]);
    let replace = ["quorum", "replace", "--id", "3", "--no-agent"];
    kafka.agent.run_killed_at(&replace, "removing controller 3");

    let done = kafka.quorum(&["replace", "--id", "3"]);
    assert!(done.status.success(), "{}", said(&done));
    let after = kafka.voters();
    assert_eq!(after.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_ne!(after[&3], before[&3]);
    assert_eq!((&after[&1], &after[&2]), (&before[&1], &before[&2]));
    assert!(!kafka.open_change().exists());

    // Another id in its place.
    kafka.peer.member("c4", &["create", "controller", "4"]);
    kafka.peer.member("c4", &["format"]);
    kafka.peer.member("c4", &["start"]);
    let shown = kafka.peer.show("c4");
    let endpoint = format!("CONTROLLER://127.0.0.1:{}", shown.kafka_port);
    let words = ["replace", "--id", "3", "--with", "4", "--endpoint", &endpoint];
    let done = kafka.quorum(&words);
    assert!(done.status.success(), "{}", said(&done));
    let voters = kafka.voters();
    assert_eq!(voters.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(voters[&4], shown.directory_id);
}

#[test]
#[ignore = "needs Kafka (tests/peers/install.sh kafka)"]
fn the_leaders_word_names_a_stopped_follower_and_thin_partitions() {
    let kafka = Kafka::start(&[]);
    let path = kafka.agent.path("agent.toml");
    let settings = Settings::load(&path, Overrides::default()).unwrap();
    let mut witnesses = Witnesses::new(settings.witness_targets()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Who looks again too soon is told nothing.
    let mut look = || -> Look {
        eventually("a look is due", || {
            runtime.block_on(witnesses.look(now())).pop().ok_or("not due".to_owned())
        })
    };
    let findings = |look: &Look, unit: &str| -> Result<Vec<Finding>, String> {
        let word = look.words.iter().find(|(key, _)| key.unit.as_str() == unit);
        word.unwrap().1.clone().map(|word| word.findings)
    };

    let leader = eventually("all are in sync and no partition is thin", || {
        let look = look();
        let quorum = look.quorum.clone().ok_or_else(|| format!("{look:?}"))?;
        let calm = look.gates.is_empty() && quorum.in_sync.len() == 3;
        if calm { Ok(quorum.leader) } else { Err(format!("{look:?}")) }
    });
    // A topic of three replicas, two of them needed: without one broker the others must stay.
    let orders = ["topics", "--create", "--topic", "orders", "--partitions", "1"];
    let replicas = ["--replication-factor", "3", "--config", "min.insync.replicas=2"];
    kafka.peer.tool(&[&orders[..], &replicas].concat());
    kafka.peer.member("b3", &["stop"]);
    let thin = eventually("the other brokers must stay", || {
        let look = look();
        let thin = look.gates.iter().filter_map(|gate| match (&gate.scope, &gate.finding) {
            (GateScope::Unit(key), Finding::PartitionsThin { first, .. })
                if first == "orders-0" =>
            {
                Some(key.unit.to_string())
            }
            _ => None,
        });
        let thin: Vec<String> = thin.collect();
        if thin.is_empty() { Err(format!("{look:?}")) } else { Ok(thin) }
    });
    assert_eq!(thin, ["b1", "b2"], "b3 itself is not in sync and may go");
    kafka.peer.member("b3", &["start"]);

    let follower = if leader == 1 { "c2" } else { "c1" };
    kafka.peer.member(follower, &["pause"]);
    eventually("the stopped follower is behind", || {
        let look = look();
        let found = findings(&look, follower)?;
        match found.as_slice() {
            [Finding::QuorumLag { observed_ms, limit_ms: 2_000 }] if *observed_ms >= 2_000 => {
                Ok(())
            }
            _ => Err(format!("{found:?}")),
        }
    });
    kafka.peer.member(follower, &["continue"]);
    eventually("it has caught up again", || {
        // A voter that was away may start an election: nobody leads for a moment.
        let found = findings(&look(), follower)?;
        if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
#[ignore = "needs Kafka (tests/peers/install.sh kafka)"]
fn voters_of_a_static_quorum_are_not_changed() {
    let kafka = Kafka::start(&["--static"]);
    let output = kafka.quorum(&["replace", "--id", "3", "--dry-run"]);
    refused(&output, "the quorum is static (kraft.version 0)");
    refused(&output, "kafka-features.sh upgrade --feature kraft.version=1");
    assert!(!kafka.open_change().exists());
    let level = kafka.quorum(&["raise", "--level", "1"]);
    refused(&level, "a level never goes back");
    let level = kafka.quorum(&["raise", "--level", "max"]);
    assert!(level.status.success() && said(&level).contains("already"), "{}", said(&level));
}
