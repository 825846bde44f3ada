//! Child processes under test: logs in files, killed when dropped.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use jiff::Timestamp;

/// The binary that stands in for `fairway`, `update-server`, `cluster-agent` and `offline-mirror`.
pub(super) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_fairway-under-test"))
}

/// The binary with no setting of ours inherited from whoever runs the tests.
fn command(args: &[&str], envs: &[(&str, &str)]) -> Command {
    without_settings(Command::new(binary()), args, envs)
}

fn without_settings(mut command: Command, args: &[&str], envs: &[(&str, &str)]) -> Command {
    let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("FAIRWAY_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.args(args).envs(envs.iter().copied()).stdin(Stdio::null());
    command
}

/// A running child; `kill -9` on drop, so that a failed test leaves nothing behind.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the binary with `args`; standard output and error are appended to `log`.
    pub(super) fn start(args: &[&str], envs: &[(&str, &str)], log: &Path) -> Self {
        Self::spawn(command(args, envs), log)
    }

    /// The same, begun by other programs that become it: `through` and its arguments come first.
    pub(super) fn start_through(
        through: &[String],
        args: &[&str],
        envs: &[(&str, &str)],
        log: &Path,
    ) -> Self {
        let Some((program, first)) = through.split_first() else {
            return Self::start(args, envs, log);
        };
        let mut command = Command::new(program);
        command.args(first).arg(binary());
        Self::spawn(without_settings(command, args, envs), log)
    }

    fn spawn(mut command: Command, log: &Path) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let child = command
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("the binary starts");
        Self { child, log: log.to_owned() }
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it, and what ran with the same log before it, has logged so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `SIGKILL`, then waits until it is gone.
    pub(super) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Sends a signal by name (`TERM`, `STOP`, …).
    pub(super) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Its exit status, if it has ended.
    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Waits until it has ended by itself, and says by which signal.
    pub(super) fn ended_by_signal(&mut self, what: &str) -> Option<i32> {
        eventually(what, || self.exited().ok_or_else(|| tail(&self.log()))).signal()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal by name to a process.
pub(super) fn signal(id: u32, name: &str) {
    drop(
        Command::new("kill")
            .args([&format!("-{name}"), &id.to_string()])
            .stderr(Stdio::null())
            .status(),
    );
}

/// Runs the binary to its end.
pub(super) fn run(args: &[&str], envs: &[(&str, &str)]) -> Output {
    command(args, envs).output().expect("the binary starts")
}

/// Runs the binary to its end, which must be success; returns standard output.
pub(super) fn run_ok(args: &[&str], envs: &[(&str, &str)]) -> String {
    let output = run(args, envs);
    assert!(
        output.status.success(),
        "{args:?} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("utf-8 output")
}

/// The wall clock, as the processes under test read it.
#[expect(clippy::disallowed_methods, reason = "scenarios compare it with what processes wrote")]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// Longest wait for anything in a scenario; generous, because CI machines have two busy cores.
const PATIENCE: Duration = Duration::from_mins(2);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until `look` gives something; fails with `what` and the last `state` after a bound.
pub(super) fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
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

/// The same where much has to happen first, and a look may take seconds itself.
pub(super) fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let until_ms = now().as_millisecond() + i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
    loop {
        match look() {
            Ok(found) => return found,
            Err(state) if now().as_millisecond() > until_ms => {
                panic!("did not happen in {patience:?}: {what}; last seen: {state}");
            }
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Looks until `holds`; the state is shown if it never does.
pub(super) fn eventually_true(
    what: &str,
    mut holds: impl FnMut() -> bool,
    state: impl Fn() -> String,
) {
    eventually(what, || if holds() { Ok(()) } else { Err(state()) });
}

/// The last lines of a log, enough to say why a process ended.
pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
