//! Agents from the first turn to the last: side by side, until a signal or a failure ends them.
//!
//! The first signal asks them to stop, the second ends the process with whatever they are doing.
//! Neither ends a command of the exec driver; the next agent finds it by its step id.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::agent;
use crate::config::Settings;

/// How long agents may take to stop; below the half minute after which init systems and Kubernetes
/// kill.
const STOP_MAX: Duration = Duration::from_secs(20);

/// SIGTERM and SIGINT alike.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let one =
            |kind, name: &str| signal(kind).with_context(|| format!("cannot listen for {name}"));
        Ok(Self {
            terminate: one(SignalKind::terminate(), "SIGTERM")?,
            interrupt: one(SignalKind::interrupt(), "SIGINT")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Runs agents side by side; the first that fails stops them all.
pub(super) async fn run_all(all: Vec<Settings>) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut signals = Signals::listen()?;
    let mut agents = JoinSet::new();
    for settings in all {
        let name = settings.cluster_name.clone();
        let stopped = stopped.clone();
        agents.spawn(async move {
            Box::pin(agent::run(settings, stopped))
                .await
                .with_context(|| format!("agent of {name}"))
        });
    }
    let first = tokio::select! {
        () = signals.next() => None,
        ended = agents.join_next() => ended,
    };
    tracing::info!("stopping; a second signal ends at once");
    // A failed send means that every agent has ended already.
    let _ = stop.send(true);
    let first = first.map_or(Ok(()), |ended| ended.context("an agent crashed")?);
    tokio::select! {
        rest = tokio::time::timeout(STOP_MAX, join(agents)) => {
            let in_time = rest.with_context(|| {
                format!("agents did not stop within {} s", STOP_MAX.as_secs())
            });
            first.and(in_time?)
        }
        () = signals.next() => first.and(Err(anyhow::anyhow!("ended by a second signal"))),
    }
}

async fn join(mut agents: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = agents.join_next().await {
        result = result.and(ended.context("an agent crashed")?);
    }
    result
}
