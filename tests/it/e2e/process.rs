//! Child processes under test: logs in files, killed when dropped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// The binary that stands in for `fairway`, `update-server`, `cluster-agent` and `offline-mirror`.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_fairway-under-test"))
}

/// A running child; `kill -9` on drop, so that a failed test leaves nothing behind.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the binary with `args`; standard output and error go to `log`.
    pub fn start(args: &[&str], envs: &[(&str, &str)], log: &Path) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let child = Command::new(binary())
            .args(args)
            .envs(envs.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("the binary starts");
        Self { child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `SIGKILL`, then waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Sends a signal by name (`TERM`, `STOP`, …).
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]);
        drop({ status }.status());
    }

    /// Its exit status, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the binary to its end.
pub fn run(args: &[&str], envs: &[(&str, &str)]) -> Output {
    Command::new(binary())
        .args(args)
        .envs(envs.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts")
}

/// Runs the binary to its end, which must be success; returns standard output.
pub fn run_ok(args: &[&str], envs: &[(&str, &str)]) -> String {
    let output = run(args, envs);
    assert!(
        output.status.success(),
        "{args:?} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("utf-8 output")
}

/// Longest wait for anything in a scenario; generous, because CI machines have two busy cores.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until `look` gives something; fails with `what` and the last `state` after a bound.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    for _ in 0..PATIENCE.as_millis() / LOOK_EVERY.as_millis() {
        match look() {
            Ok(found) => return found,
            Err(state) => last = state,
        }
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("never happened: {what}; last seen: {last}");
}
