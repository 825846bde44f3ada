//! `fairway explain CLUSTER`: why is it not moving, and when will it.

mod advice;
mod decide;
mod gather;
mod render;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::table::Format;
use crate::watch::WatchArgs;
use decide::Verdict;

/// Arguments of `fairway explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Its id or its name
    cluster: String,
    /// How to print the answer; CSV has a row per reason
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs `fairway explain`. Exit 1 where something has to be done before it moves.
pub(crate) async fn run(args: &ExplainArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    args.watch.run(now, out, async |now, out| show(&hub, args, now, out).await).await
}

async fn show(hub: &Hub, args: &ExplainArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let facts = gather::facts(hub, &args.cluster).await?;
    let answer = decide::explain(&facts, now);
    match args.output {
        Format::Json => out.json(&answer)?,
        Format::Csv => out.csv(&render::reasons(&answer))?,
        Format::Table => out.data(&render::page(&answer, now, out.colour()))?,
    }
    for unseen in &facts.unseen {
        out.warn(unseen)?;
    }
    match answer.verdict {
        Verdict::Current | Verdict::Moving | Verdict::Waits => Ok(()),
        Verdict::Blocked => Err(CliError::no(format!("{} is blocked", answer.name))),
    }
}
