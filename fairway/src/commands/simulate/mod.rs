//! `fairway simulate`: a rollout policy on a fleet that does not exist, or on a copy of the real
//! one. Nothing is sent to a hub but the question who is there.

mod rings;
mod rows;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

use channels::names::{ChannelName, ProductRef};
use channels::rollout::policy::POLICY_MAX_BYTES;
use channels::rollout::{Period, Policy};
use channels::simulate::fault::SCENARIO_MAX_BYTES;
use channels::simulate::fleet::FLEET_MAX_BYTES;
use channels::simulate::{
    Fault, Fleet, STEP_DEFAULT, Settings, SimulateError, chart, scenario, simulate,
};
use channels::version::ReleaseVersion;
use jiff::Timestamp;

use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;

const EXAMPLES: &str = "\
Examples:
  fairway simulate --policy policy.yaml --fleet fleet.yaml
  fairway simulate --policy policy.yaml --fleet fleet.yaml --faults bad:5%
  fairway simulate --policy policy.yaml --fleet fleet.yaml --faults regress:10%,after=6h,label=tier=edge --output svg > rollout.svg
  fairway simulate --policy policy.yaml --server https://hub:8443 --product acme/kafka --release 4.3.1

Faults (times are lengths of time after the start; label= and version= may come several times):
  bad:SHARE                the release fails on these clusters
  silent:SHARE             they begin and are never heard of again
  regress:SHARE,after=T    they succeed, and T later are less healthy than before
  slow:FACTORx[,share=S]   their upgrades take so many times as long
  blind[:SHARE][,from=T][,to=T]   the health of these clusters cannot be read
    … each of these with [,label=NAME=VALUE][,version=REQUIREMENT]
  outage:from=T[,to=T]     the hub is down
  hold:from=T[,to=T]       somebody holds the rollout
  resume:at=T              somebody acknowledges all failures so far
A fault that ends in .yaml is a file with a list of them under `faults:`.";

/// Arguments of `fairway simulate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SimulateArgs {
    /// The rollout policy
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// A model fleet; without it, the clusters of the hub at --server
    #[arg(long, value_name = "FILE")]
    fleet: Option<PathBuf>,
    /// Of the hub's clusters, those with this product; needed when they have several
    #[arg(long, value_name = "VENDOR/PRODUCT", conflicts_with = "fleet")]
    product: Option<ProductRef>,
    /// Of the hub's clusters, those that follow this channel
    #[arg(long, conflicts_with = "fleet")]
    channel: Option<ChannelName>,
    /// The release: it shuffles the order, and clusters that run it already are left out
    #[arg(long, value_name = "VERSION", default_value = "0.0.0-next")]
    release: ReleaseVersion,
    /// What goes wrong, such as bad:5%, or a scenario file; may be given several times
    #[arg(long, value_name = "FAULT")]
    faults: Vec<String>,
    /// Fixes every throw of the dice
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How far apart the times are at which anything happens (1m to 1d)
    #[arg(long, value_name = "TIME", default_value_t = STEP_DEFAULT)]
    step: Period,
    /// When the release is published, such as 2026-12-01T08:00:00Z; now, if not given
    #[arg(long, value_name = "TIME")]
    published_at: Option<Timestamp>,
    /// How to print the result; CSV has the rings
    #[arg(long, value_enum, default_value_t)]
    output: SimulateFormat,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum SimulateFormat {
    /// A chart and tables, 80 columns wide.
    #[default]
    #[value(name = "table", alias = "text")]
    Text,
    /// The whole result.
    Json,
    /// A header and one row per ring.
    Csv,
    /// A picture.
    Svg,
}

/// Runs `fairway simulate`.
pub(crate) async fn run(args: &SimulateArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let policy = Policy::parse(&args.policy, &read(&args.policy, POLICY_MAX_BYTES)?)
        .map_err(|error| CliError::failed(crate::error::chain(&error)))?;
    let faults = faults(&args.faults)?;
    let fleet = match &args.fleet {
        Some(file) => Fleet::from_yaml(file, &read(file, FLEET_MAX_BYTES)?, args.seed)
            .map_err(|error| CliError::failed(crate::error::chain(&error)))?,
        None => from_hub(args, &policy, out).await?,
    };
    let settings = Settings {
        seed: args.seed,
        step: args.step,
        published_at: args.published_at.unwrap_or_else(|| to_the_second(now)),
        release: args.release.clone(),
    };
    let report = simulate(&policy, &fleet, &faults, &settings).map_err(|error| refused(&error))?;
    if report.in_no_ring > 0 {
        out.warn(&format!(
            "{} of {} clusters are in no ring of the policy and never get the release",
            report.in_no_ring,
            report.in_no_ring + report.clusters + report.already_there
        ))?;
    }
    let mut rings = report.rings.iter().rev().skip_while(|ring| ring.clusters == 0);
    if let Some(ring) = rings.find(|ring| ring.clusters == 0) {
        let name = &ring.name;
        out.warn(&format!("no cluster is in ring {name}, so the rings behind it never open"))?;
    }
    match args.output {
        SimulateFormat::Text => out.data(&chart::text(&report)),
        SimulateFormat::Json => out.json(&report),
        SimulateFormat::Csv => out.csv(&rings::table(&report)),
        SimulateFormat::Svg => out.data(&chart::svg(&report)),
    }
}

/// A time that can be typed again as `--published-at`.
fn to_the_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn refused(error: &SimulateError) -> CliError {
    let failed = CliError::failed(error.to_string());
    match error {
        SimulateError::FaultHitsNobody { .. } => {
            failed.hint("are label= and version= spelt as in the fleet?")
        }
        SimulateError::NobodyToUpgrade { .. } => {
            failed.hint("do the rings select the fleet's labels, and is --release a new one?")
        }
        SimulateError::Step { .. } | SimulateError::TooManyFaults { .. } => failed,
    }
}

fn read(file: &Path, max_bytes: usize) -> Result<String> {
    let max_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    let what = || format!("{}: cannot be read", file.display());
    let bytes = read_bounded(file, max_bytes).map_err(|error| CliError::because(what(), &error))?;
    String::from_utf8(bytes).map_err(|error| CliError::because(what(), &error))
}

/// Faults as given, those of scenario files in their place.
fn faults(texts: &[String]) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for text in texts {
        let file = Path::new(text);
        if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            let read = scenario(file, &read(file, SCENARIO_MAX_BYTES)?);
            faults.extend(read.map_err(|error| CliError::failed(error.to_string()))?);
        } else {
            let fault = text.parse().map_err(|error: channels::simulate::FaultError| {
                CliError::failed(error.to_string()).hint("fairway simulate --help lists all faults")
            })?;
            faults.push(fault);
        }
    }
    Ok(faults)
}

async fn from_hub(args: &SimulateArgs, policy: &Policy, out: &mut Out) -> Result<Fleet> {
    let connection = args.hub.connection(None).map_err(|error| {
        if args.hub.names_a_hub() {
            return error;
        }
        CliError::failed("no fleet is named")
            .hint("pass --fleet FILE, or --server URL for the clusters of a hub")
    })?;
    let hub = Hub::new(&connection)?;
    rows::fleet(&hub, args.product.as_ref(), args.channel.as_ref(), policy, out).await
}
