//! `fairway rollout`: policies applied to the hub, rollouts watched and steered.

mod apply;
mod render;
mod steer;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use channels::rollout::Name;
use channels::wire::{Page, PolicyRow, RolloutCluster, RolloutRow};
use jiff::Timestamp;

use crate::error::Result;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::table::Format;
use crate::watch::WatchArgs;

/// Most rows ever fetched, ten times the largest fleet we test with: a hub whose pages never end
/// must not fill our memory.
const MAX_ROWS: usize = 10_000_000;

/// Arguments of `fairway rollout`.
#[derive(Debug, clap::Args)]
pub(crate) struct RolloutArgs {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    hub: HubArgs,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Apply a rollout policy: shows what changes and which rings the fleet falls into, then asks
    Apply {
        /// The policy
        file: PathBuf,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the policies in force, or print the text of one
    Policies {
        /// Print the text of this one
        name: Option<Name>,
        /// Of this version instead of the one in force
        #[arg(long, value_name = "N", requires = "name")]
        version: Option<u64>,
    },
    /// Take a policy out of force; what it governed is granted without a policy from then on
    Remove {
        /// Its name
        name: Name,
        /// Why; kept in the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List rollouts, newest first
    List {
        /// Those that are over too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        watch: WatchArgs,
    },
    /// Show one rollout: its rings, what they wait for, its failures
    Show {
        /// Its number; list has them
        id: u64,
        #[command(flatten)]
        watch: WatchArgs,
    },
    /// List the clusters of a rollout, each with why it may not go and when that may change
    Clusters {
        /// Its number; list has them
        id: u64,
        /// Only clusters in this state
        #[arg(long, value_enum)]
        state: Option<State>,
    },
    /// Stop a rollout, or one of its rings, before the next unit
    Hold {
        /// Its number; list has them
        id: u64,
        /// Only this ring
        #[arg(long)]
        ring: Option<Name>,
        /// Why; shown on every cluster it stops
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Let a rollout go on that somebody held or that halted: shows its failures, then asks
    Resume {
        /// Its number; list has them
        id: u64,
        /// Lift only the holds of this ring
        #[arg(long)]
        ring: Option<Name>,
        /// What you have seen and accept; kept in the audit log
        #[arg(long, value_name = "TEXT")]
        acknowledge: String,
        /// Accept the failures shown without being asked
        #[arg(long)]
        yes: bool,
    },
    /// Let a ring open that needs a person's approval, once its gates pass too
    Approve {
        /// Its number; list has them
        id: u64,
        /// The ring
        ring: Name,
        /// Why; kept in the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Speed one rollout up: the emergency curve in every ring, and no windows. Gates, caps and
    /// freezes stay
    Emergency {
        /// Its number; list has them
        id: u64,
        /// Why; kept in the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// States to ask for, as the hub names them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum State {
    NotStarted,
    Granted,
    Rolling,
    Succeeded,
    Failed,
    Acknowledged,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Granted => "granted",
            Self::Rolling => "rolling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Acknowledged => "acknowledged",
        }
    }
}

/// Asks a person a question; `true` is yes.
type Ask = dyn Fn(&str) -> Result<bool>;

/// Runs `fairway rollout …`.
pub(crate) async fn run(args: &RolloutArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    run_with(args, now, out, &super::request::ask_terminal).await
}

async fn run_with(args: &RolloutArgs, now: Timestamp, out: &mut Out, ask: &Ask) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    let format = args.output;
    match &args.command {
        Command::Apply { file, yes } => {
            apply::apply(&hub, file, format, out, (!yes).then_some(ask)).await
        }
        Command::Policies { name: None, .. } => policies(&hub, format, now, out).await,
        Command::Policies { name: Some(name), version } => {
            policy(&hub, name, *version, format, now, out).await
        }
        Command::Remove { name, reason, yes } => {
            super::answers_nothing(format, "rollout remove")?;
            apply::remove(&hub, name, reason, out, (!yes).then_some(ask)).await
        }
        Command::List { all, watch } => {
            watch.run(now, out, async |now, out| list(&hub, *all, format, now, out).await).await
        }
        Command::Show { id, watch } => {
            watch.run(now, out, async |now, out| show(&hub, *id, format, now, out).await).await
        }
        Command::Clusters { id, state } => clusters(&hub, *id, *state, format, now, out).await,
        Command::Hold { id, ring, reason } => {
            steer::hold(&hub, *id, ring.as_ref(), reason, format, out).await
        }
        Command::Resume { id, ring, acknowledge, yes } => {
            let resume = steer::Resume { id: *id, ring: ring.as_ref(), acknowledge, format, now };
            steer::resume(&hub, &resume, out, (!yes).then_some(ask)).await
        }
        Command::Approve { id, ring, reason } => {
            steer::approve(&hub, *id, ring, reason, format, out).await
        }
        Command::Emergency { id, reason, yes } => {
            steer::emergency(&hub, *id, reason, format, out, (!yes).then_some(ask)).await
        }
    }
}

async fn policies(hub: &Hub, format: Format, now: Timestamp, out: &mut Out) -> Result<()> {
    let page: Page<PolicyRow> = hub.get("api/v1/rollout-policies", &[]).await?;
    let nothing = "no rollout policy is applied: every cluster is granted unless something is held";
    super::print(out, format, &page, || render::policies(&page.items, now, format), nothing)
}

async fn policy(
    hub: &Hub,
    name: &Name,
    version: Option<u64>,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let query: Vec<_> = version.map(|n| ("version", n.to_string())).into_iter().collect();
    let row: PolicyRow = hub.get(&format!("api/v1/rollout-policies/{name}"), &query).await?;
    match (format, &row.text) {
        (Format::Json, _) => out.json(&row),
        (Format::Table, Some(text)) => out.data(text),
        (Format::Table | Format::Csv, _) => {
            out.csv(&render::policies(std::slice::from_ref(&row), now, format))
        }
    }
}

async fn list(hub: &Hub, all: bool, format: Format, now: Timestamp, out: &mut Out) -> Result<()> {
    let query: Vec<_> = all.then(|| ("all", "true".to_owned())).into_iter().collect();
    let page: Page<RolloutRow> = hub.pages("api/v1/rollouts", &query, MAX_ROWS).await?;
    super::print(
        out,
        format,
        &page,
        || render::rollouts(&page.items, now, format),
        "no rollout is going on",
    )
}

async fn show(hub: &Hub, id: u64, format: Format, now: Timestamp, out: &mut Out) -> Result<()> {
    let row: RolloutRow = hub.get(&format!("api/v1/rollouts/{id}"), &[]).await?;
    match format {
        Format::Json => out.json(&row),
        Format::Csv => out.csv(&render::rings(&row)),
        Format::Table => out.data(&render::one(&row, now, out.colour())),
    }
}

async fn clusters(
    hub: &Hub,
    id: u64,
    state: Option<State>,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let query: Vec<_> = state.map(|s| ("state", s.as_str().to_owned())).into_iter().collect();
    let path = format!("api/v1/rollouts/{id}/clusters");
    let page: Page<RolloutCluster> = hub.pages(&path, &query, MAX_ROWS).await?;
    let table = || render::clusters(&page.items, now, format);
    super::print(out, format, &page, table, "no such cluster is in the rollout")
}
