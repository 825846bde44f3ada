//! The program itself, as a process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `offline-mirror serve`; killed when dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) host: String,
}

impl Served {
    pub(crate) fn start(store: &Path, switches: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_offline-mirror"))
            .arg("serve")
            .arg(store)
            .args(["--listen", "127.0.0.1:0"])
            .args(switches)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
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
