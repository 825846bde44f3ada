//! `fairway demo`: the main job in one command, with real parts.
//!
//! It re-executes its own binary as an update server and as agent processes, so it works with
//! nothing else built. Only the clusters are simulated: their members serve real exposition text
//! over HTTP. Keys, signatures, database, reports, grants and gates are the ones of production.
//!
//! ```text
//! demo ──start──► update server ◄──reports, graphs── agents (several per process)
//!   │ publishes, repairs, watches                        │ scrape, upgrade
//!   └────────────────────────────────────────────► simulated members
//! ```

mod agents;
mod example;
mod process;
mod scenario;
mod stage;
mod vendor;
mod verdict;
mod watch;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use agents::{FleetArgs, run as run_fleet};

use self::stage::Stage;
use self::watch::Watch;
use crate::clock;
use crate::error::{CliError, Result};
use crate::out::Out;

/// Most clusters in one demo: each costs about 14 scrapes a second while it rolls.
const CLUSTERS_MAX: u32 = 200;
/// Between two looks at the hub.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks until `--once` gives up, 15 minutes: ten times what it takes on two idle cores.
const LOOKS_MAX: u32 = 1_800;
/// Share of the healthy clusters' products that are done before the lagging quorum is repaired: late
/// enough to be seen waiting, early enough to finish with the rest.
const REPAIR_WHEN_DONE_PERCENT: usize = 40;

/// Options of `fairway demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Clusters in the fleet
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=i64::from(CLUSTERS_MAX)))]
    clusters: u32,
    /// Address of the dashboard; port 0 takes a free one
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// Directory for everything the demo writes; a temporary one, removed at the end, if left out
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Divides soak and baseline times and simulated restarts and relists; never quorum thresholds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=60))]
    speed: u32,
    /// End when the fleet has converged: exit 0, or 1 if an invariant broke
    #[arg(long)]
    once: bool,
}

/// Runs the demo until it converged (`--once`) or Ctrl-C.
pub(crate) async fn run(args: &DemoArgs, out: &mut Out) -> Result<()> {
    // Kept until the end: dropping it removes the directory.
    let (_temporary, dir) = if let Some(dir) = &args.data_dir {
        prepare(dir)?;
        (None, dir.clone())
    } else {
        let temporary = tempfile::Builder::new()
            .prefix("fairway-demo-")
            .tempdir()
            .map_err(|e| CliError::because("failed to make a temporary directory", &e))?;
        let dir = temporary.path().to_owned();
        (Some(temporary), dir)
    };
    let mut stage = Stage::new(&dir);
    let ended = tokio::select! {
        result = perform(args, &mut stage, out) => result,
        told = told_to_end() => match told {
            Ok(()) => out.line("stopping"),
            Err(e) => Err(CliError::because("failed to listen for signals", &e)),
        }
    };
    stage.strike().await;
    ended
}

/// Waits for Ctrl-C, SIGTERM or a terminal that is closed: in each case the children must end too.
async fn told_to_end() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

/// A data directory must be ours: empty or absent.
fn prepare(dir: &Path) -> Result<()> {
    let failed = |e: std::io::Error| {
        CliError::because(format!("failed to use {} as data directory", dir.display()), &e)
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(CliError::failed(format!("{} is not empty", dir.display()))
            .hint("name a new directory, or leave --data-dir out"));
    }
    Ok(())
}

/// The play, act by act.
async fn perform(args: &DemoArgs, stage: &mut Stage, out: &mut Out) -> Result<()> {
    let clusters = usize::try_from(args.clusters).unwrap_or(usize::MAX);
    let members = scenario::fleet(clusters);
    let started = clock::now();

    let hub = stage.start_server(args.listen).await?;
    out.line(&format!("dashboard  {}", hub.base()))?;
    stage.establish_vendor(&hub).await?;
    out.line("published  acme/kafka up to 4.2.0, acme/platform up to 1.33.6")?;
    stage.start_agents(&hub, &members, args.speed).await?;
    out.line(&format!(
        "started    {clusters} clusters, each with 3 controllers and 3 nodes, at speed {}",
        args.speed
    ))?;

    let mut watch = Watch::new(&members);
    for _ in 0..LOOKS_MAX {
        stage.check()?;
        watch.look(&hub, out).await?;
        if watch.all_reported() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    stage.release(&hub).await?;
    out.line("released   acme/kafka 4.3.0, acme/platform 1.34.1")?;
    watch.expect(&[("acme/kafka", "4.3.0"), ("acme/platform", "1.34.1")])?;

    let mut looks = 0;
    let mut repaired = members.iter().all(|member| !member.lagging);
    while !(watch.converged() && repaired) {
        stage.check()?;
        watch.look(&hub, out).await?;
        if !repaired && watch.lagging_seen() && watch.done_percent() >= REPAIR_WHEN_DONE_PERCENT {
            stage.repair(&members).await?;
            repaired = true;
            out.line("repaired   the lagging quorum")?;
        }
        looks += 1;
        if args.once && looks > LOOKS_MAX {
            return Err(CliError::no(watch.unfinished()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    watch.look(&hub, out).await?;

    let seconds = clock::now().duration_since(started).as_secs();
    let verdict = stage.verdict(&members).await?;
    out.data(&verdict.summary(clusters, seconds))?;
    if args.once {
        return verdict.check();
    }
    out.line(&format!("the fleet is on the new releases; look around at {}", hub.base()))?;
    out.line("Ctrl-C ends the demo")?;
    loop {
        stage.check()?;
        watch.look(&hub, out).await?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
