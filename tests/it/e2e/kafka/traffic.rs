//! A producer and a consumer on a topic with three replicas of which two must be in sync.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use super::peer::{Peer, script};

/// What became of the records.
#[derive(Debug, Deserialize)]
pub(super) struct Counted {
    /// Records whose producer was told that they are safe.
    pub(super) acknowledged: u64,
    /// Of those, how many never came back.
    pub(super) lost: u64,
    /// Records that were refused for good.
    pub(super) failed: u64,
    /// Longest time without an acknowledgement.
    pub(super) longest_gap_ms: u64,
}

/// Records that flow until [`Traffic::finish`].
#[derive(Debug)]
pub(super) struct Traffic {
    child: Child,
    held_open: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Traffic {
    /// Starts it, and waits until the first record has made the round trip.
    pub(super) fn start(peer: &Peer, per_second: u32) -> Self {
        // What the clients meet while brokers come and go; nobody reads it unless a test fails.
        let noise = std::fs::File::create(peer.dir().join("traffic.log")).expect("a log");
        let mut child = Command::new(script("kafka_tool.sh"))
            .arg(peer.dir())
            .args(["traffic", "orders"])
            .arg(peer.dir().join("traffic"))
            .arg(per_second.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(noise)
            .spawn()
            .expect("bash runs it");
        let held_open = child.stdin.take();
        let mut said = BufReader::new(child.stdout.take().expect("it was piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line of UTF-8");
        assert_eq!(line.trim(), r#"{"ready":true}"#, "records flow");
        Self { child, held_open, said }
    }

    /// Stops the producer, lets the consumer read the rest, and counts.
    pub(super) fn finish(mut self) -> Counted {
        drop(self.held_open.take());
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line of UTF-8");
        serde_json::from_str(&line).expect("its summary")
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
