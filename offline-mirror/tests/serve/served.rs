//! The program itself, as a process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `offline-mirror serve`; killed when dropped.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) host: String,
}

impl Served {
    pub(crate) fn start(store: &Path, switches: &[&str]) -> Self {
        Self::spawn(Self::command(store).args(switches))
    }

    /// Read-only, with a line in `log` for every request.
    pub(crate) fn logging(store: &Path, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        Self::spawn(Self::command(store).env("FAIRWAY_LOG", "offline_mirror=info").stderr(log))
    }

    fn command(store: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offline-mirror"));
        command.arg("serve").arg(store).args(["--listen", "127.0.0.1:0"]);
        command
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let host = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, host }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
