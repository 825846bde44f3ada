//! Everything that happened to objects of a kind, as `kubectl get --watch` saw it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::peer::Peer;
use crate::e2e::process::now;

/// What an object was at one moment: its columns, of which the last may hold spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// When it was seen, milliseconds of the wall clock.
    pub(super) at_ms: i64,
    /// The columns; `<none>` where a field is not there.
    pub(super) words: Vec<String>,
}

impl Line {
    /// The object's name.
    pub(super) fn name(&self) -> &str {
        &self.words[0]
    }
}

/// A running watch; it ends with this value.
#[derive(Debug)]
pub(super) struct Watch {
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Watch {
    /// Watches what `words` select; `columns` are the paths of fields after the name's.
    pub(super) fn start(peer: &Peer, words: &[&str], columns: &[&str]) -> Self {
        let mut spec = "custom-columns=A:.metadata.name".to_owned();
        for column in columns {
            spec += &[",A:", *column].concat();
        }
        let words = [&["get"], words, &["--watch", "--no-headers", "--output", &spec]].concat();
        let mut child = peer
            .command(&words)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("kubectl starts");
        let said = BufReader::new(child.stdout.take().expect("it was piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (seen, count) = (Arc::clone(&lines), columns.len());
        std::thread::spawn(move || {
            for text in said.lines().map_while(Result::ok) {
                let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                let rest = words.split_off(words.len().min(count));
                words.push(rest.join(" "));
                let at_ms = now().as_millisecond();
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(Line { at_ms, words });
            }
        });
        Self { child, lines }
    }

    /// Nodes: whether they are unschedulable (1), their boot id (2) and version (3).
    pub(super) fn nodes(peer: &Peer) -> Self {
        let info = [".status.nodeInfo.bootID", ".status.nodeInfo.kubeletVersion"];
        Self::start(peer, &["nodes"], &[&[".spec.unschedulable"], &info[..]].concat())
    }

    /// What has been seen so far.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The same of one object.
    pub(super) fn of(&self, name: &str) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.name() == name).collect()
    }

    /// Different values that a column of one object had, in order, repetitions in a row left out.
    pub(super) fn values(&self, name: &str, column: usize) -> Vec<String> {
        let mut values: Vec<String> =
            self.of(name).into_iter().map(|line| line.words[column].clone()).collect();
        values.dedup();
        values
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Times between which a node was unschedulable, milliseconds of the wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cordon {
    /// The node.
    pub(super) node: String,
    /// When it began.
    pub(super) from_ms: i64,
    /// When it ended; `None` = it has not.
    pub(super) until_ms: Option<i64>,
}

/// All cordons that a watch of nodes has seen, by their beginning.
pub(super) fn cordons(nodes: &Watch) -> Vec<Cordon> {
    let mut found: Vec<Cordon> = Vec::new();
    for line in nodes.lines() {
        let open = found.iter_mut().find(|c| c.node == line.name() && c.until_ms.is_none());
        match (line.words[1] == "true", open) {
            (true, None) => found.push(Cordon {
                node: line.name().to_owned(),
                from_ms: line.at_ms,
                until_ms: None,
            }),
            (false, Some(open)) => open.until_ms = Some(line.at_ms),
            (true, Some(_)) | (false, None) => {}
        }
    }
    found
}
