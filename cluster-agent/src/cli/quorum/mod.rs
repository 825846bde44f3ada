//! `quorum`: looks at a metadata quorum and changes its voters, one guided change at a time.
//!
//! While a change is open no unit goes, and while a unit or a roll is out no change is opened.

mod change;
mod raise;
mod stance;
mod status;

use anyhow::bail;
use channels::names::ProductRef;
use clap::{Args, Subcommand};

use super::{Answer, ConfigArgs, ReadArgs, commands};
use crate::config::Settings;
use crate::kafka::change::{ChangeFile, Wish};
use crate::kafka::{Endpoint, KafkaSettings};
use change::change;
use raise::raise;
use status::status;

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
    /// There it runs after the agent's gates and somebody's approval; by hand it needs --by-hand.
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
    /// No agent rolls this cluster: go without its memory (state.json), which tells of open rolls.
    #[arg(long)]
    pub no_agent: bool,
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
    /// The agent does not finalize at the moment: raise it all the same, with nobody's gates.
    #[arg(long)]
    pub by_hand: bool,
    /// No agent rolls this cluster: go without its memory (state.json), which tells of open rolls.
    #[arg(long)]
    pub no_agent: bool,
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
