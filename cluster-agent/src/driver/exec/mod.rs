//! The `exec` driver: the operator's own commands, one per stage.
//!
//! A command outlives the agent. It runs in its own process group below a small shell that records
//! who runs it and how it ended in `<state>/steps/<step id>/<stage>/`, so an agent that was killed
//! finds it again by its step id. (Under systemd this needs `KillMode=process`; the default kills
//! the whole control group.) The shell sees the command only as its argument array.

mod prune;
mod stage_dir;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::{DriverError, Stage, StepId, StepOrder, StepStatus};
use stage_dir::{StageDir, file_error};
pub use template::{CommandTemplate, TemplateError, TextTemplate};

/// Exit code of a stage that ran out of time (as `timeout(1)` reports it).
pub const EXIT_TIMED_OUT: i32 = 124;

/// Exit code of a stage whose end nobody saw: its shell was killed, or the machine restarted.
pub const EXIT_LOST: i32 = 125;

/// How much of a command's output is handed on: enough for a stack trace, small enough for a
/// report and the status page.
pub const LOG_TAIL_BYTES: usize = 8 * 1024;

/// A log longer than this is cut while its command runs, so that a chatty one cannot fill the disk.
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Of a stage that is over, this much of its log stays: [`STEPS_KEPT`] steps with four stages each
/// then take 200 MiB at most.
const LOG_KEPT_BYTES: u64 = 256 * 1024;

/// Between `SIGTERM` and `SIGKILL`: rolling.md §1.1 asks for at least 30 s for a controller's exit.
const KILL_GRACE: Duration = Duration::from_secs(30);

/// Steps whose files are kept; older ones are removed when a driver is opened and at every start.
const STEPS_KEPT: usize = 200;

/// How often, and how far apart, `start` looks whether the shell has claimed the stage.
const CLAIM_LOOKS: u32 = 200;
const CLAIM_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a command inherits from the agent's environment; everything else it gets by configuration.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// The shell around a command; see the file itself.
const WRAPPER: &str = include_str!("wrapper.sh");

/// One stage's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program and arguments.
    pub template: CommandTemplate,
    /// Additional environment.
    pub environment: BTreeMap<String, String>,
    /// How long it may run.
    pub timeout: Duration,
}

/// The commands of one pool, by stage.
pub type ExecCommands = BTreeMap<Stage, CommandSpec>;

/// Runs the operator's commands.
#[derive(Debug)]
pub struct ExecDriver {
    steps: PathBuf,
    commands: ExecCommands,
    kill_grace: Duration,
}

impl ExecDriver {
    /// A driver that keeps its files in `<state_dir>/steps`; removes what old steps left there.
    pub fn open(state_dir: &std::path::Path, commands: ExecCommands) -> Result<Self, DriverError> {
        // Commands run in `/`, not where the agent was started.
        let state_dir = std::path::absolute(state_dir)
            .map_err(|source| file_error("resolve", state_dir, source))?;
        let steps = state_dir.join("steps");
        prune::prune(&steps, None)?;
        Ok(Self { steps, commands, kill_grace: KILL_GRACE })
    }

    /// Sets the time between `SIGTERM` and `SIGKILL` of a stage that ran out of time (30 s unless
    /// set).
    #[must_use]
    pub fn with_kill_grace(mut self, kill_grace: Duration) -> Self {
        self.kill_grace = kill_grace;
        self
    }

    /// Whether the stage has a command.
    pub fn has_stage(&self, stage: Stage) -> bool {
        self.commands.contains_key(&stage)
    }

    /// Starts a stage unless it was started before; returns once the record of it is on disk. A
    /// start that nobody has claimed in time is withdrawn: its command will never run.
    pub async fn start(&self, order: &StepOrder, stage: Stage) -> Result<(), DriverError> {
        let spec = self.spec(stage)?;
        let argv = spec.template.render(order)?;
        let variables = template::environment(order)?;
        let dir = self.stage_dir(&order.step_id, stage);
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
        command.envs(&spec.environment).envs(variables).env("FAIRWAY_STAGE", stage.as_str());
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(record).stderr(Stdio::null());
        let program = spec.template.program().to_owned();
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
            super::process::kill_group_of(group)?;
        }
        // Collects the exit code so that no zombie stays; the files are what counts.
        tokio::spawn(async move { child.wait().await });
        if claimed {
            self.tidy(&order.step_id).await;
            return Ok(());
        }
        Err(file_error("lock", &dir.path().join("claim"), std::io::ErrorKind::TimedOut.into()))
    }

    /// How a stage stands; ends it if it has run for longer than it may.
    pub async fn status(&self, step: &StepId, stage: Stage) -> Result<StepStatus, DriverError> {
        let timeout = self.spec(stage)?.timeout;
        let dir = self.stage_dir(step, stage);
        let kill_grace = self.kill_grace;
        tokio::task::spawn_blocking(move || dir.status(timeout, kill_grace))
            .await
            .map_err(|_| DriverError::Thread)?
    }

    /// A full disk is a reason for a warning, never for holding up a step that has begun.
    async fn tidy(&self, in_hand: &StepId) {
        let (steps, step) = (self.steps.clone(), *in_hand);
        let pruned = tokio::task::spawn_blocking(move || prune::prune(&steps, Some(&step))).await;
        if let Err(error) = pruned.map_err(|_| DriverError::Thread).flatten() {
            tracing::warn!(%error, "old steps not removed");
        }
    }

    fn spec(&self, stage: Stage) -> Result<&CommandSpec, DriverError> {
        self.commands.get(&stage).ok_or(DriverError::StageNotConfigured { stage })
    }

    fn stage_dir(&self, step: &StepId, stage: Stage) -> StageDir {
        StageDir::new(self.steps.join(step.to_string()).join(stage.as_str()))
    }
}

#[cfg(test)]
mod tests;
