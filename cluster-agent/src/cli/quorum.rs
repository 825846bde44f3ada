//! `quorum`: looks at a metadata quorum and changes its voters, one guided change at a time.
//!
//! While a change is open no unit goes, and while a unit or a roll is out no change is opened.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use channels::names::ProductRef;
use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::time::Instant;

use super::{Answer, ConfigArgs, Output, ReadArgs, Verdict, commands, complain};
use crate::clock;
use crate::config::Settings;
use crate::history::ProductHistory;
use crate::kafka::change::{
    Change, ChangeFile, Ended, Guide, Guiding, Opening, Rules, SmallQuorum, Wish, open,
};
use crate::kafka::{CaughtUp, Endpoint, Features, KafkaClient, KafkaSettings, QuorumView, Replica};
use crate::state::{self, InUse, in_use};

/// An agent decides this soon after it has read its orders, many times over.
const AGENT_READS: Duration = Duration::from_secs(3);

/// `quorum`.
#[derive(Debug, Clone, Subcommand)]
pub enum QuorumCommand {
    /// Show voters, observers, who has caught up, and the change that is open.
    Status(QuorumStatusArgs),
    /// Add a new controller: wait until it has caught up as an observer, then make it a voter.
    Add(AddArgs),
    /// Take a controller out of the voters, so that it can be stopped for good.
    Remove(RemoveArgs),
    /// Replace a controller by one with another id, or, without --with, its disk.
    ///
    /// Another id is added before the old one is removed. A new disk under the same id must be
    /// removed first: two voters cannot have one id.
    Replace(ReplaceArgs),
    /// Raise a feature that the cluster has finalized, such as metadata.version. It never goes back.
    ///
    /// For [products.finalize]: `cluster-agent quorum raise --feature metadata.version --level 25`.
    Raise(RaiseArgs),
    /// Close the change that is open, wherever it stands. Nothing is undone.
    Abort(ProductArgs),
}

/// Which product's quorum.
#[derive(Debug, Clone, Args)]
pub struct ProductArgs {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The product; not needed if only one has [products.kafka].
    #[arg(long)]
    pub product: Option<ProductRef>,
}

/// `quorum status`.
#[derive(Debug, Clone, Args)]
pub struct QuorumStatusArgs {
    /// Which configuration and output.
    #[command(flatten)]
    pub read: ReadArgs,
    /// The product; not needed if only one has [products.kafka].
    #[arg(long)]
    pub product: Option<ProductRef>,
}

/// What every change can be told.
#[derive(Debug, Clone, Args)]
pub struct ChangeArgs {
    /// Which product's quorum.
    #[command(flatten)]
    pub product: ProductArgs,
    /// Check everything and print the plan; touch nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How long to go on before leaving the rest to another run, seconds.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub wait: u64,
    /// A quorum of one or two voters is meant.
    #[arg(long)]
    pub allow_small_quorum: bool,
}

/// `quorum add`.
#[derive(Debug, Clone, Args)]
pub struct AddArgs {
    /// Node id of the new controller.
    #[arg(long)]
    pub id: i32,
    /// Where it listens, as in its advertised.listeners: CONTROLLER://host:port.
    #[arg(long)]
    pub endpoint: Endpoint,
    /// Everything else.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `quorum remove`.
#[derive(Debug, Clone, Args)]
pub struct RemoveArgs {
    /// Node id of the controller that goes.
    #[arg(long)]
    pub id: i32,
    /// Everything else.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `quorum replace`.
#[derive(Debug, Clone, Args)]
pub struct ReplaceArgs {
    /// Node id of the controller that is replaced, or whose disk is.
    #[arg(long)]
    pub id: i32,
    /// Node id of the controller that takes its place; without it, the same id with a new disk.
    #[arg(long, requires = "endpoint")]
    pub with: Option<i32>,
    /// Where the new one listens: CONTROLLER://host:port; for a new disk, if that changes as well.
    #[arg(long)]
    pub endpoint: Option<Endpoint>,
    /// Everything else.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `quorum raise`.
#[derive(Debug, Clone, Args)]
pub struct RaiseArgs {
    /// Which product's cluster.
    #[command(flatten)]
    pub product: ProductArgs,
    /// The feature.
    #[arg(long, default_value = "metadata.version")]
    pub feature: String,
    /// Its new level, a number; `max` is the highest that the active controller supports.
    #[arg(long)]
    pub level: Level,
    /// Let the servers check it; change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// A feature's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// This one.
    Number(i16),
    /// The highest that the active controller supports.
    Max,
}

impl std::str::FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "max" => Ok(Self::Max),
            number => number
                .parse()
                .ok()
                .filter(|level| *level > 0)
                .map(Self::Number)
                .ok_or("it must be a number above 0, or `max`"),
        }
    }
}

pub(super) fn quorum(command: &QuorumCommand) -> anyhow::Result<Answer> {
    let work = async {
        match command {
            QuorumCommand::Status(args) => status(args).await,
            QuorumCommand::Abort(args) => abort(args),
            QuorumCommand::Raise(args) => raise(args).await,
            QuorumCommand::Add(args) => {
                let wish = Wish::Add { id: args.id, endpoint: args.endpoint.clone() };
                change(&args.change, wish).await
            }
            QuorumCommand::Remove(args) => change(&args.change, Wish::Remove { id: args.id }).await,
            QuorumCommand::Replace(args) => {
                let wish = match (args.with, args.endpoint.clone()) {
                    (Some(with), Some(endpoint)) => Wish::Replace { id: args.id, with, endpoint },
                    (Some(_), None) => bail!("--with needs --endpoint"),
                    (None, endpoint) => Wish::Disk { id: args.id, endpoint },
                };
                change(&args.change, wish).await
            }
        }
    };
    commands::runtime()?.block_on(work)
}

/// The product that is meant and its servers.
fn product<'a>(
    settings: &'a Settings,
    given: Option<&ProductRef>,
) -> anyhow::Result<(&'a ProductRef, &'a KafkaSettings)> {
    let mut with_servers = settings
        .products
        .iter()
        .filter(|(name, _)| given.is_none_or(|given| given == *name))
        .filter_map(|(name, product)| Some((name, product.kafka.as_ref()?)));
    match (with_servers.next(), with_servers.next()) {
        (Some(found), None) => Ok(found),
        (Some(_), Some(_)) => bail!("several products have [products.kafka]: say --product"),
        (None, _) => match given {
            Some(given) => bail!("{given} has no [products.kafka] with its controllers' addresses"),
            None => bail!("no product has [products.kafka] with its controllers' addresses"),
        },
    }
}

async fn change(args: &ChangeArgs, wish: Wish) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.product.config)?;
    let (name, servers) = product(&settings, args.product.product.as_ref())?;
    let file = ChangeFile::new(&settings.state_dir);
    let _guiding = if args.dry_run { None } else { Some(guiding(&file)?) };
    let mut client = KafkaClient::new(servers)?;
    let fetch_timeout_ms = settings.quorum_limits.fetch_timeout_ms;
    let mut change = match file.read()? {
        Some(open) if open.product == *name && open.goal.is_wish(&wish) => {
            complain(&format!("going on with the change that is open: {}", open.goal));
            if args.dry_run {
                return Ok(Answer::yes(planned(&open)));
            }
            // Nothing goes while the file is there; but it may have come back from a copy.
            no_roll(&settings)?;
            no_finalize(&settings)?;
            open
        }
        Some(open) => bail!(
            "another change is open: {} of {} since {}; finish it first, or close it with \
             `cluster-agent quorum abort`",
            open.goal,
            open.product,
            open.opened_at
        ),
        None => {
            no_roll(&settings)?;
            no_finalize(&settings)?;
            let small =
                if args.allow_small_quorum { SmallQuorum::Allowed } else { SmallQuorum::Refused };
            let rules = Rules { fetch_timeout_ms, small };
            let change = match open(&mut client, name, &wish, rules, clock::now()).await? {
                Opening::Ready(change) => change,
                Opening::Refused(reasons) => {
                    let lines: Vec<String> =
                        reasons.iter().map(|why| format!("refused: {why}")).collect();
                    let lines = lines.join("\n") + "\n";
                    return Ok(Answer { text: lines, verdict: Verdict::No });
                }
            };
            if args.dry_run {
                return Ok(Answer::yes(planned(&change)));
            }
            begin(&settings, &file, &change).await?;
            complain(planned(&change).trim_end());
            change
        }
    };
    let until = Instant::now() + Duration::from_secs(args.wait);
    let mut guide = Guide { client: &mut client, file: &file, fetch_timeout_ms };
    match guide.drive(&mut change, until, &mut |line| complain(&line)).await? {
        Ended::Done => {
            let after = change.afterwards().map_or_else(String::new, |after| format!("{after}\n"));
            Ok(Answer::yes(format!("done: {}\n{after}", change.goal)))
        }
        Ended::Closed => {
            let text = format!(
                "stopped: {} was closed or replaced while this command ran; nothing more is done\n",
                change.goal
            );
            Ok(Answer { text, verdict: Verdict::No })
        }
        Ended::Waiting { why } => {
            let text = format!("not done yet: {why}\nrun the same command again to go on\n");
            Ok(Answer { text, verdict: Verdict::No })
        }
    }
}

/// The lock of whoever changes voters or levels, for as long as this command lives.
fn guiding(file: &ChangeFile) -> anyhow::Result<Guiding> {
    file.guide()?.context(
        "another `cluster-agent quorum` command still runs with this state directory: let it end, \
         or end it (`quorum abort` closes its change, and it ends by itself)",
    )
}

/// Opens the change, and looks again whether the agent let a unit go in the meantime.
async fn begin(settings: &Settings, file: &ChangeFile, change: &Change) -> anyhow::Result<()> {
    file.write(change)?;
    if in_use(&settings.state_dir)? == InUse::Yes {
        tokio::time::sleep(AGENT_READS).await;
        if let Err(error) = no_roll(settings).and_then(|()| no_finalize(settings)) {
            file.remove()?;
            return Err(error);
        }
    }
    Ok(())
}

/// An error while a unit is out or a roll has begun.
fn no_roll(settings: &Settings) -> anyhow::Result<()> {
    let document = state::load(&settings.state_dir, &settings.cluster_name)
        .context("whether a roll is open cannot be told")?;
    if let Some(out) = &document.history.out {
        bail!("unit {} is out: voters change only while no roll is open", out.key());
    }
    let rolls = document.history.products.iter();
    if let Some((product, _)) =
        rolls.into_iter().find(|(_, p)| p.roll.as_ref().is_some_and(|roll| roll.touched))
    {
        bail!("{product} is being rolled: voters change only while no roll is open");
    }
    Ok(())
}

/// An error while a finalize step runs: it may change features that the quorum depends on.
fn no_finalize(settings: &Settings) -> anyhow::Result<()> {
    let document = state::load(&settings.state_dir, &settings.cluster_name)?;
    let runs = |p: &ProductHistory| p.finalization.as_ref().is_some_and(|f| f.run.is_some());
    if let Some((product, _)) = document.history.products.iter().find(|(_, p)| runs(p)) {
        bail!("{product} is being finalized: wait until that is over");
    }
    Ok(())
}

/// Raises a feature, unless it is there already: safe to repeat.
async fn raise(args: &RaiseArgs) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.product.config)?;
    let (name, servers) = product(&settings, args.product.product.as_ref())?;
    let file = ChangeFile::new(&settings.state_dir);
    let _guiding = if args.dry_run { None } else { Some(guiding(&file)?) };
    if let Some(open) = file.read()? {
        bail!("a change of voters is open: {} of {}", open.goal, open.product);
    }
    no_roll(&settings)?;
    let mut client = KafkaClient::new(servers)?;
    let (finalized, supported) = client.levels().await?;
    let feature = &args.feature;
    let level = match args.level {
        Level::Number(level) => level,
        Level::Max => *supported
            .get(feature)
            .with_context(|| format!("the active controller knows no feature {feature}"))?,
    };
    let now = finalized.get(feature).copied().unwrap_or(0);
    if now == level {
        return Ok(Answer::yes(format!("{name}: {feature} is {level} already\n")));
    }
    if now > level {
        bail!("{feature} is {now}: a level never goes back, and {level} is below it");
    }
    client.raise_feature(feature, level, args.dry_run).await?;
    let done = if args.dry_run { "could be raised" } else { "raised" };
    Ok(Answer::yes(format!("{name}: {feature} {done} from {now} to {level}\n")))
}

fn abort(args: &ProductArgs) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.config)?;
    let file = ChangeFile::new(&settings.state_dir);
    let text = match file.read() {
        Ok(None) => return Ok(Answer::yes("no change is open\n")),
        Ok(Some(open)) => {
            if args.product.as_ref().is_some_and(|product| *product != open.product) {
                bail!("the change that is open is one of {}", open.product);
            }
            format!(
                "closed: {}. Nothing was undone: see `cluster-agent quorum status`. A command that \
                 still guides it ends before its next act\n",
                open.goal
            )
        }
        Err(error) => format!("removed a file that could not be read ({error})\n"),
    };
    file.remove()?;
    Ok(Answer::yes(text))
}

fn planned(change: &Change) -> String {
    let mut text = format!("{} of {}:\n", change.goal, change.product);
    for (number, step) in (1..).zip(change.plan()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {number}. {step}");
    }
    text
}

/// The answer of `quorum status`.
#[derive(Debug, Serialize)]
struct Shown {
    product: ProductRef,
    leader: i64,
    epoch: u64,
    high_watermark: Option<i64>,
    voters: Vec<ShownReplica>,
    observers: Vec<ShownReplica>,
    features: Features,
    open_change: Option<Change>,
}

#[derive(Debug, Serialize)]
struct ShownReplica {
    id: i64,
    directory: String,
    log_end_offset: Option<i64>,
    caught_up: bool,
    behind_ms: Option<u64>,
    endpoints: Vec<Endpoint>,
}

async fn status(args: &QuorumStatusArgs) -> anyhow::Result<Answer> {
    let settings = commands::settings(&args.read.config)?;
    let (name, servers) = product(&settings, args.product.as_ref())?;
    let mut client = KafkaClient::new(servers)?;
    let view = client.describe().await?;
    let features = client.features().await?;
    let limit_ms = settings.quorum_limits.fetch_timeout_ms;
    let shown = |replicas: &[Replica]| {
        replicas.iter().map(|replica| show(replica, &view, limit_ms)).collect()
    };
    let open_change =
        ChangeFile::new(&settings.state_dir).read()?.filter(|open| open.product == *name);
    let shown = Shown {
        product: name.clone(),
        leader: view.leader,
        epoch: view.epoch,
        high_watermark: view.high_watermark,
        voters: shown(&view.voters),
        observers: shown(&view.observers),
        features,
        open_change,
    };
    Ok(Answer::yes(match args.read.output {
        Output::Json => serde_json::to_string_pretty(&shown)? + "\n",
        Output::Text => render(&shown),
    }))
}

fn show(replica: &Replica, view: &QuorumView, limit_ms: u64) -> ShownReplica {
    let (caught_up, behind_ms) = match view.caught_up(replica, limit_ms) {
        CaughtUp::Yes(ms) => (true, Some(ms)),
        CaughtUp::Behind(ms) => (false, Some(ms)),
        CaughtUp::Never => (false, None),
    };
    ShownReplica {
        id: replica.id,
        directory: replica.directory.to_string(),
        log_end_offset: replica.log_end_offset,
        caught_up,
        behind_ms,
        endpoints: view.endpoints.get(&replica.id).cloned().unwrap_or_default(),
    }
}

fn render(shown: &Shown) -> String {
    let number = |value: Option<i64>| value.map_or("?".to_owned(), |value| value.to_string());
    let mut text = format!(
        "{}: leader {}, epoch {}, high watermark {}\n",
        shown.product,
        shown.leader,
        shown.epoch,
        number(shown.high_watermark)
    );
    let roles = [("voter", &shown.voters), ("observer", &shown.observers)];
    for (role, replica) in roles.iter().flat_map(|(role, list)| list.iter().map(move |r| (role, r)))
    {
        let state = match (replica.caught_up, replica.behind_ms) {
            (true, _) => "caught up".to_owned(),
            (false, Some(ms)) => format!("{ms} ms behind"),
            (false, None) => "not caught up".to_owned(),
        };
        let places: Vec<String> = replica.endpoints.iter().map(ToString::to_string).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {role:8} {:5}  {:22}  end {:>10}  {state:14} {}",
            replica.id,
            replica.directory,
            number(replica.log_end_offset),
            places.join(" ")
        );
    }
    for (feature, level) in &shown.features {
        let _ = writeln!(text, "  feature  {feature} {level}");
    }
    if let Some(open) = &shown.open_change {
        let _ = writeln!(text, "  open     {} since {}", open.goal, open.opened_at);
    }
    text
}
