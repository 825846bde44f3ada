//! An agent in a folder of its own: its configuration, its log, and what it says of itself.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use cluster_agent::status::{self, Status};

use super::process::{Process, eventually, eventually_within, run, run_ok};

/// An agent; its process, if it runs, ends with this value.
#[derive(Debug)]
pub(super) struct Agent {
    dir: PathBuf,
    patience: Duration,
    process: Option<Process>,
}

impl Agent {
    /// An agent that has not been started, whose files are in `dir`. It is waited for as long as
    /// `patience` for each single thing.
    pub(super) fn new(dir: &Path, patience: Duration) -> Self {
        Self { dir: dir.to_owned(), patience, process: None }
    }

    /// A file of its folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Its configuration file.
    pub(super) fn config(&self) -> String {
        self.path("agent.toml").to_str().expect("a utf-8 path").to_owned()
    }

    /// Starts it, with these further variables.
    pub(super) fn start(&mut self, envs: &[(&str, &str)]) {
        let words = ["agent", "run", "--log-format", "text", "--config", &self.config()];
        self.process = Some(Process::start(&words, envs, &self.path("agent.log")));
    }

    /// Ends it and waits for that.
    pub(super) fn stop(&mut self) {
        self.process = None;
    }

    /// Its process, which must run.
    pub(super) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running agent")
    }

    /// What it has logged in all its lives.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// Runs a command of its program to the end.
    pub(super) fn run(&self, words: &[&str]) -> Output {
        run(&[&["agent"], words, &["--config", &self.config()]].concat(), &[])
    }

    /// The same; it must succeed. Returns standard output.
    pub(super) fn run_ok(&self, words: &[&str]) -> String {
        run_ok(&[&["agent"], words, &["--config", &self.config()]].concat(), &[])
    }

    /// Runs a command of its program and kills it (`kill -9`) once it has said so.
    pub(super) fn run_killed_at(&self, words: &[&str], line: &str) {
        let log = self.path("command.log");
        drop(std::fs::remove_file(&log));
        let config = self.config();
        let words = [&["agent"], words, &["--config", &config]].concat();
        let mut command = Process::start(&words, &[], &log);
        eventually(line, || {
            if command.log().contains(line) {
                return Ok(());
            }
            assert!(command.exited().is_none(), "it ended: {}", command.log());
            Err(command.log())
        });
        command.kill();
    }

    /// What it says it does, as people read it.
    pub(super) fn status_text(&self) -> String {
        String::from_utf8_lossy(&self.run(&["status"]).stdout).into_owned()
    }

    /// The same as a value; `None` while there is none.
    pub(super) fn status(&self) -> Option<Status> {
        status::read(&self.path("state")).expect("a readable status")
    }

    /// Waits until its status is as `is` wants it.
    pub(super) fn until(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        eventually_within(self.patience, what, || {
            let status = self.status().ok_or("no status")?;
            if is(&status) { Ok(status) } else { Err(self.status_text()) }
        })
    }
}
