//! `cluster-agent quorum` and the native witness against real controllers.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use cluster_agent::config::{Overrides, Settings};
use cluster_agent::kafka::{Look, Witnesses};
use cluster_agent::observation::{Finding, GateScope};
use serde_json::Value;

use super::peer::{Turn, script};
use crate::e2e::process::{Process, eventually, now, run};

/// A cluster of three controllers and three brokers, and an agent's configuration for it.
struct Kafka {
    dir: tempfile::TempDir,
    peer: Child,
    config: String,
    _turn: Turn,
}

impl Kafka {
    fn start(how: &[&str]) -> Self {
        let turn = Turn::take();
        let dir = tempfile::tempdir().unwrap();
        let mut peer = Command::new(script("kafka.sh"))
            .arg(dir.path().join("cluster"))
            .arg("--rules")
            .arg(script("kafka/rules-without-raft.yml"))
            .args(how)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(peer.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let cluster: Value = serde_json::from_str(&line).expect("the cluster starts");
        let config = configuration(&cluster);
        let path = dir.path().join("agent.toml");
        std::fs::write(&path, config).unwrap();
        Self { config: path.to_str().unwrap().to_owned(), dir, peer, _turn: turn }
    }

    /// One verb of `kafka_member.sh`.
    fn member(&self, name: &str, words: &[&str]) -> String {
        let mut command = Command::new(script("kafka_member.sh"));
        command.arg(self.dir.path().join("cluster")).arg(name).args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name} {words:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn words<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let head = ["agent", "quorum"];
        let tail = ["--config", self.config.as_str()];
        // Nobody rolls this cluster: there is no memory to ask for open rolls.
        let changes = matches!(words.first(), Some(&("add" | "remove" | "replace" | "raise")));
        let alone = changes.then_some("--no-agent");
        head.iter().chain(words).chain(&tail).copied().chain(alone).collect()
    }

    /// `cluster-agent quorum …` to its end.
    fn quorum(&self, words: &[&str]) -> Output {
        run(&self.words(words), &[])
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
        self.dir.path().join("state/quorum-change.json")
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // The end of its standard input is what it waits for.
        drop(self.peer.stdin.take());
        drop(self.peer.wait());
    }
}

fn configuration(cluster: &Value) -> String {
    let list = |key: &str| {
        let addresses = cluster[key].as_str().unwrap().split(',');
        addresses.map(|address| format!("{address:?}")).collect::<Vec<_>>().join(", ")
    };
    let units = |role: &str| {
        let members = cluster["members"].as_array().unwrap().iter();
        let unit = |member: &Value| {
            format!(
                "{{ name = {}, node_id = {}, metrics_url = {}, on_node = \"\" }}",
                member["name"], member["node_id"], member["metrics_url"]
            )
        };
        members.filter(|m| m["role"] == role).map(unit).collect::<Vec<_>>().join(", ")
    };
    let exec = "[products.pools.exec]\nmutate = { command = [\"/bin/false\"] }\n";
    format!(
        "state_dir = \"state\"\n[cluster]\nname = \"quorum\"\n\
         [hub]\nurl = \"http://127.0.0.1:9\"\nroot = \"root.json\"\nreports = false\n\
         [[products]]\nproduct = \"acme/kafka\"\nchannel = \"stable\"\n\
         initial_version = \"3.9.1\"\n[products.kafka]\nbootstrap = [{}]\nbrokers = [{}]\n\
         [[products.pools]]\nname = \"controllers\"\nrole = \"controller\"\nunits = [{}]\n{exec}\
         [[products.pools]]\nname = \"brokers\"\nrole = \"broker\"\nunits = [{}]\n{exec}",
        list("bootstrap_controllers"),
        list("bootstrap_servers"),
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

    kafka.member("c3", &["stop"]);
    kafka.member("c3", &["format", "--new-disk"]);
    kafka.member("c3", &["start"]);
    let log = kafka.dir.path().join("replace.log");
    let mut command = Process::start(&kafka.words(&["replace", "--id", "3"]), &[], &log);
    eventually("the old directory leaves", || {
        let log = command.log();
        if log.contains("removing controller 3") { Ok(()) } else { Err(log) }
    });
    command.kill();

    let done = kafka.quorum(&["replace", "--id", "3"]);
    assert!(done.status.success(), "{}", said(&done));
    let after = kafka.voters();
    assert_eq!(after.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_ne!(after[&3], before[&3]);
    assert_eq!((&after[&1], &after[&2]), (&before[&1], &before[&2]));
    assert!(!kafka.open_change().exists());

    // Another id in its place.
    kafka.member("c4", &["create", "controller", "4"]);
    kafka.member("c4", &["format"]);
    kafka.member("c4", &["start"]);
    let shown: Value = serde_json::from_str(&kafka.member("c4", &["show"])).unwrap();
    let endpoint = format!("CONTROLLER://127.0.0.1:{}", shown["kafka_port"]);
    let words = ["replace", "--id", "3", "--with", "4", "--endpoint", &endpoint];
    let done = kafka.quorum(&words);
    assert!(done.status.success(), "{}", said(&done));
    let voters = kafka.voters();
    assert_eq!(voters.keys().copied().collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!(Some(voters[&4].as_str()), shown["directory_id"].as_str());
}

#[test]
#[ignore = "needs Kafka (tests/peers/install.sh kafka)"]
fn the_leaders_word_names_a_stopped_follower_and_thin_partitions() {
    let kafka = Kafka::start(&[]);
    let path = Path::new(&kafka.config);
    let settings = Settings::load(path, Overrides::default()).unwrap();
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
    let mut topic = Command::new(script("kafka_tool.sh"));
    topic.arg(kafka.dir.path().join("cluster"));
    topic.args(["topics", "--create", "--topic", "orders", "--partitions", "1"]);
    topic.args(["--replication-factor", "3", "--config", "min.insync.replicas=2"]);
    let made = topic.output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    kafka.member("b3", &["stop"]);
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
    kafka.member("b3", &["start"]);

    let follower = if leader == 1 { "c2" } else { "c1" };
    kafka.member(follower, &["pause"]);
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
    kafka.member(follower, &["continue"]);
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
