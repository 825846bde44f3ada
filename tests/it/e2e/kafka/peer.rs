//! A real Kafka cluster, and what can be done to its members.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::e2e::process::signal;

/// Held by the one test that has a cluster.
#[derive(Debug)]
struct Turn(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Turn {
    /// Waits until no other test has a cluster.
    fn take() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // A test that failed has left nothing behind.
        Self(TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Which members a cluster has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    /// Three controllers and three brokers.
    All,
    /// Three controllers.
    Controllers,
}

/// One member, as the scripts show it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Member {
    /// Its name, which is also its unit's.
    pub(super) name: String,
    /// `controller` or `broker`.
    pub(super) role: String,
    /// Its `node.id`.
    pub(super) node_id: i64,
    /// Where its exporter serves.
    pub(super) metrics_url: String,
    /// Where Kafka listens.
    pub(super) kafka_port: u16,
    /// The id of its data directory.
    pub(super) directory_id: String,
    /// Its process.
    pub(super) process: Option<u32>,
}

impl Member {
    /// The address of its exporter.
    pub(super) fn exporter(&self) -> SocketAddr {
        let address = self.metrics_url.trim_start_matches("http://").trim_end_matches("/metrics");
        address.parse().expect("an address and a port")
    }
}

#[derive(Debug, Deserialize)]
struct Started {
    members: Vec<Member>,
}

/// A running cluster; it ends with this value.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its members, in the order they roll apart from the leader.
    pub(super) members: Vec<Member>,
    dir: PathBuf,
    keeper: Child,
    // The keeper stops everything when this closes.
    held_open: Option<ChildStdin>,
    _turn: Turn,
}

/// A file of `tests/peers`.
pub(super) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

/// The folder with real data, which has the exporter's rule files.
pub(super) fn rule_file(name: &str) -> PathBuf {
    let data = std::env::var_os("FAIRWAY_DATA").expect("FAIRWAY_DATA names the data folder");
    Path::new(&data).join("jmx-exporter-rules").join(name)
}

impl Peer {
    /// Starts a cluster in `dir`, in the older version.
    pub(super) fn start(dir: &Path, which: Members) -> Self {
        let how: &[&str] = if which == Members::Controllers { &["--controllers"] } else { &[] };
        Self::start_with(dir, &rule_file("strimzi-kafka-metrics.yaml"), how)
    }

    /// Starts a cluster in `dir` whose exporters follow `rules`, with further options of the script.
    pub(super) fn start_with(dir: &Path, rules: &Path, how: &[&str]) -> Self {
        let turn = Turn::take();
        let mut keeper = Command::new(script("kafka.sh"))
            .arg(dir)
            .arg("--rules")
            .arg(rules)
            .args(how)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash runs tests/peers/kafka.sh");
        let held_open = keeper.stdin.take();
        let mut line = String::new();
        let said = keeper.stdout.take().expect("it was piped");
        BufReader::new(said).read_line(&mut line).expect("a line of UTF-8");
        let started: Started = serde_json::from_str(&line).expect("the cluster starts");
        Self { members: started.members, dir: dir.to_owned(), keeper, held_open, _turn: turn }
    }

    /// The folder of the cluster.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its controllers.
    pub(super) fn controllers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.role == "controller")
    }

    /// Does something to a member; it must succeed. Returns what the script printed.
    pub(super) fn member(&self, name: &str, words: &[&str]) -> String {
        let mut command = Command::new(script("kafka_member.sh"));
        finished(command.arg(&self.dir).arg(name).args(words))
    }

    /// Runs one of Kafka's own tools; it must succeed. Returns what it printed.
    pub(super) fn tool(&self, words: &[&str]) -> String {
        finished(Command::new(script("kafka_tool.sh")).arg(&self.dir).args(words))
    }

    /// A member as it is at the moment.
    pub(super) fn show(&self, name: &str) -> Member {
        serde_json::from_str(&self.member(name, &["show"])).expect("a member's line of JSON")
    }

    /// Sends a signal to a member's process.
    pub(super) fn signal(&self, name: &str, signal_name: &str) {
        signal(self.show(name).process.expect("it runs"), signal_name);
    }
}

fn finished(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("bash runs it");
    let (said, why) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed: {}\n{said}\n{why}", output.status);
    said.into_owned()
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It kills its members and ends; the folder must not go before that.
        drop(self.held_open.take());
        drop(self.keeper.wait());
    }
}
