//! Runs one command in a directory of its own, so that it outlives the agent and is found again.
//!
//! Knows nothing of stages, units or releases: a step id and a name say which directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::stage_dir::{StageDir, file_error};
use super::template::Values;
use super::{CommandSpec, KILL_GRACE, prune};
use crate::driver::{DriverError, StepId, StepStatus};

/// How often, and how far apart, `start` looks whether the shell has claimed the stage.
const CLAIM_LOOKS: u32 = 200;
const CLAIM_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a command inherits from the agent's environment; everything else it gets by configuration.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// The shell around a command; see the file itself.
const WRAPPER: &str = include_str!("wrapper.sh");

/// Where commands of steps are kept, below the state directory.
const STEPS: &str = "steps";

/// One command to run.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The step it belongs to.
    pub(super) step: &'a StepId,
    /// Its name within the step; a path component.
    pub(super) name: &'a str,
    /// The command.
    pub(super) spec: &'a CommandSpec,
    /// Values of its placeholders.
    pub(super) values: &'a Values,
    /// Environment beside the configured one.
    pub(super) variables: Vec<(String, String)>,
}

/// A directory of commands.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    root: PathBuf,
    kill_grace: Duration,
}

impl Runner {
    /// Keeps its files in `<state_dir>/steps`; removes what old steps left there.
    pub(super) fn open(state_dir: &Path) -> Result<Self, DriverError> {
        let runner = Self::below(state_dir, STEPS)?;
        prune::prune(&runner.root, None)?;
        Ok(runner)
    }

    /// For commands that nobody looks for after a crash: whatever still runs in
    /// `<state_dir>/<folder>` is ended, and all of it removed.
    pub(super) fn open_afresh(state_dir: &Path, folder: &str) -> Result<Self, DriverError> {
        let runner = Self::below(state_dir, folder)?;
        prune::clear(&runner.root)?;
        Ok(runner)
    }

    fn below(state_dir: &Path, folder: &str) -> Result<Self, DriverError> {
        // Commands run in `/`, not where the agent was started.
        let state_dir = std::path::absolute(state_dir)
            .map_err(|source| file_error("resolve", state_dir, source))?;
        Ok(Self { root: state_dir.join(folder), kill_grace: KILL_GRACE })
    }

    pub(super) fn with_kill_grace(self, kill_grace: Duration) -> Self {
        Self { kill_grace, ..self }
    }

    #[cfg(test)]
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Starts a command unless it was started before; returns once the record of it is on disk. A
    /// start that nobody has claimed in time is withdrawn: its command will never run.
    pub(super) async fn start(&self, run: Run<'_>) -> Result<(), DriverError> {
        let argv = run.spec.template.fill(run.values)?;
        let dir = self.dir(run.step, run.name);
        if dir.is_claimed() {
            return Ok(());
        }
        dir.create()?;
        let (intent, record) = dir.intend()?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(WRAPPER).arg("fairway-step");
        command.arg(dir.path()).arg(intent).args(argv);
        command.env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(&run.spec.environment).envs(run.variables);
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(record).stderr(Stdio::null());
        let program = run.spec.template.program().to_owned();
        let mut child = command.spawn().map_err(|source| DriverError::Spawn { program, source })?;
        for _ in 0..CLAIM_LOOKS {
            if dir.is_claimed() || child.try_wait().ok().flatten().is_some() {
                break;
            }
            tokio::time::sleep(CLAIM_LOOK_INTERVAL).await;
        }
        let mut claimed = dir.is_claimed();
        if !claimed {
            dir.withdraw()?;
            claimed = dir.is_claimed();
        }
        if !claimed && let Some(group) = child.id() {
            // It can claim nothing any more; a stalled one need not linger either.
            crate::driver::process::kill_group_of(group)?;
        }
        // Collects the exit code so that no zombie stays; the files are what counts.
        tokio::spawn(async move { child.wait().await });
        if claimed {
            self.tidy(run.step).await;
            return Ok(());
        }
        Err(file_error("lock", &dir.path().join("claim"), std::io::ErrorKind::TimedOut.into()))
    }

    /// How a command stands; ends it if it has run for longer than it may.
    pub(super) async fn status(
        &self,
        step: &StepId,
        name: &str,
        timeout: Duration,
    ) -> Result<StepStatus, DriverError> {
        let dir = self.dir(step, name);
        let kill_grace = self.kill_grace;
        tokio::task::spawn_blocking(move || dir.status(timeout, kill_grace))
            .await
            .map_err(|_| DriverError::Thread)?
    }

    /// A full disk is a reason for a warning, never for holding up a step that has begun.
    async fn tidy(&self, in_hand: &StepId) {
        let (steps, step) = (self.root.clone(), *in_hand);
        let pruned = tokio::task::spawn_blocking(move || prune::prune(&steps, Some(&step))).await;
        if let Err(error) = pruned.map_err(|_| DriverError::Thread).flatten() {
            tracing::warn!(%error, "old steps not removed");
        }
    }

    pub(super) fn dir(&self, step: &StepId, name: &str) -> StageDir {
        StageDir::new(self.root.join(step.to_string()).join(name))
    }
}
