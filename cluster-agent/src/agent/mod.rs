//! The agent: the one loop that reads the clock, sleeps and does what the core decided.
//!
//! ```text
//! probe ──▶ Observation ─┐
//! hub ────▶ News ────────┼─▶ Core (pure) ─▶ Change ─▶ persist ─▶ effects ─▶ report, status
//! people ─▶ order files ─┘
//! ```
//! Nothing in here holds a policy. A change of the memory is on disk before any effect of it runs.

mod begin;
mod checks;
mod chores;
mod core;
mod due;
mod enrolment;
mod error;
mod events;
mod finalize;
mod inputs;
mod ledger;
mod links;
mod lookout;
mod open;
mod open_change;
mod orphans;
mod outbox;
mod pausing;
mod prober;
mod report;
mod resume;
mod risks;
mod shell;
mod steer;
mod supervision;
#[cfg(test)]
mod tests;
mod told;

use std::time::Duration;

use tokio::sync::watch;

pub use core::{Change, Core};
pub use enrolment::{EnrolKey, Enrolment, Rotated, enroll, load_enrolment, rotate_key};
pub use error::AgentError;
pub use events::DriverFacts;
pub use ledger::Ledger;
pub use links::{Metadata, Refresh, refresh};
pub use open_change::open_change;
pub use orphans::{Orphan, orphans};
pub use prober::Prober;
pub use report::product_states;

use crate::config::Settings;
use crate::crash::CrashPoint;
use shell::Shell;

/// How long a turn of the loop may go on after the agent was told to stop. What it was doing then
/// is found again by its step id, as after a crash; waiting for it only spares a probe.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How often order files are looked at while nothing else is due.
const LOOK: Duration = Duration::from_secs(1);

/// Runs one agent until `shutdown` becomes true or its sender is gone.
///
/// Several agents may share a process: each has its own settings, state directory and drivers.
pub async fn run(
    settings: Settings,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), AgentError> {
    let crash = CrashPoint::from_env().map_err(|source| AgentError::CrashPoint { source })?;
    let mut shell = Box::new(Shell::open(settings, crash)?);
    loop {
        let Some(turned) = until_stopped(Box::pin(shell.tick()), &mut shutdown).await else {
            break;
        };
        let pause = turned?.min(LOOK);
        tokio::select! {
            biased;
            stopped = shutdown.wait_for(|stop| *stop) => {
                // An error means that whoever could say stop is gone.
                drop(stopped);
                break;
            }
            news = shell.news() => shell.take_news(news)?,
            () = tokio::time::sleep(pause) => {}
        }
    }
    // Whatever is out goes on by itself; the next start finds it by its step id.
    Box::pin(shell.stop()).await;
    tracing::info!("agent stopped");
    Ok(())
}

/// The outcome of `turn`; `None` if the agent is told to stop and the turn does not end soon.
async fn until_stopped<T>(
    mut turn: impl Future<Output = T> + Unpin,
    shutdown: &mut watch::Receiver<bool>,
) -> Option<T> {
    tokio::select! {
        biased;
        turned = &mut turn => return Some(turned),
        // An error means that whoever could say stop is gone.
        stopped = shutdown.wait_for(|stop| *stop) => drop(stopped),
    }
    tokio::time::timeout(STOP_GRACE, turn).await.ok()
}
