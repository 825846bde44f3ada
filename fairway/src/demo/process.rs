//! The demo's child processes: this same binary, told to be something else.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::error::{CliError, Result};

/// Time a child gets to end by itself after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A running child; killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    what: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts this binary with `args`; its log goes to `log`.
    pub(super) fn start<I, A>(what: &'static str, args: I, log: &Path) -> Result<Self>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let failed =
            |error: std::io::Error| CliError::because(format!("failed to start the {what}"), &error);
        let binary = std::env::current_exe().map_err(failed)?;
        let out = std::fs::File::create(log).map_err(failed)?;
        let child = Command::new(binary)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(failed)?)
            .stderr(out)
            // Ctrl-C on a terminal reaches the whole foreground group; the demo ends its children
            // itself, in order, so that the server can drain its queue.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Self { what, child, log: log.to_owned() })
    }

    /// Fails if the child has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(CliError::failed(format!("the {} ended: {status}", self.what))
                .hint(format!("its log is {}", self.log.display()))),
            Err(error) => Err(CliError::because(format!("failed to watch the {}", self.what), &error)),
        }
    }

    /// Asks the child to end, waits, and kills it if it does not.
    pub(super) async fn stop(mut self) {
        if let Some(id) = self.child.id() {
            let term = Command::new("kill").arg("-TERM").arg(id.to_string()).status().await;
            if term.is_ok_and(|status| status.success())
                && tokio::time::timeout(GRACE, self.child.wait()).await.is_ok()
            {
                return;
            }
        }
        // Nothing is left to do when even this fails: the child is gone already.
        let _gone = self.child.kill().await;
    }
}
