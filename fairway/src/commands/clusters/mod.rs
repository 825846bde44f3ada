//! `fairway clusters`: the fleet, one row per product of a cluster; invite, reinvite, invites,
//! uninvite, show, label, set, trust, retire.

mod filters;
mod label;
mod many;
pub(crate) mod render;
mod set;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use channels::names::{ClusterId, ProductRef};
use channels::wire::{
    BulkAction, ClusterRow, JoinToken, JoinTokenRequest, LabelsRequest, OpenJoinToken, Page,
    ReinviteRequest, RevokeRequest, SettingsRequest, TrustRequest,
};
use jiff::Timestamp;

use filters::Filters;
use label::NewLabel;
use many::ManyArgs;

use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs, segment};
use crate::out::Out;
use crate::span::{Span, until};
use crate::table::Format;
use crate::watch::WatchArgs;
use crate::words::count;

/// Clusters listed when neither `--limit` nor `--all` is given: a long screenful, not a fleet.
const DEFAULT_LIMIT: &str = "1000";

/// Most clusters ever fetched, ten times the largest fleet we test with: a hub whose pages never
/// end must not fill our memory.
const MAX_CLUSTERS: usize = 10_000_000;

/// Most open join tokens ever fetched: people mint them, one by one.
const MAX_INVITES: usize = 100_000;

/// Arguments of `fairway clusters`.
#[derive(Debug, clap::Args)]
pub(crate) struct ClustersArgs {
    #[command(subcommand)]
    command: Option<Box<Command>>,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    hub: HubArgs,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Mint a join token with which clusters enrol; it is shown once
    Invite {
        /// How many clusters may enrol with it
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        uses: u32,
        /// How long it stays valid (90s, 15m, 12h, 30d); at most 30 days
        #[arg(long, default_value = "1h", value_name = "TIME")]
        expires: Span,
        /// What it is for; kept in the audit log
        #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
        note: String,
        /// A label of every cluster that enrols with it; may be given several times
        #[arg(long = "label", value_name = "KEY=VALUE")]
        labels: Vec<NewLabel>,
    },
    /// Mint a token with which one cluster that lost its key enrols again, under its name, with a
    /// new key; the key it has is refused from then on
    Reinvite {
        /// Its id or its name; none to choose clusters by what they have in common
        cluster: Option<String>,
        #[command(flatten)]
        many: ManyArgs,
        /// How long it stays valid (90s, 15m, 12h); at most a day
        #[arg(long, default_value = "1h", value_name = "TIME")]
        expires: Span,
        /// Why; kept in the audit log
        #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
        note: String,
    },
    /// List the join tokens that still work: how many clusters may enrol with each, until when
    Invites,
    /// End a join token: no cluster enrols with it any more
    Uninvite {
        /// Its number, as `invites` lists it
        id: u64,
    },
    /// End an identity conflict: the next agent that reports with the cluster's key is believed
    Trust {
        /// Its id or its name
        cluster: String,
        /// What you have seen and done (which machine is off, for good); kept in the audit log
        #[arg(long, value_name = "TEXT")]
        acknowledge: String,
    },
    /// Show one cluster with its units and its reasons
    Show {
        /// Its id or its name
        cluster: String,
        #[command(flatten)]
        watch: WatchArgs,
    },
    /// List the fleet's clusters, as `fairway clusters` alone does
    List {
        #[command(flatten)]
        list: ListArgs,
    },
    /// Set labels of clusters or take them away; a rollout policy's rings are chosen by them
    Label {
        /// The cluster's id or name, then `key=value` to set a label, `key-` to take it away;
        /// without the cluster if clusters are chosen by what they have in common
        #[arg(required = true, value_name = "CLUSTER|KEY=VALUE|KEY-")]
        words: Vec<String>,
        #[command(flatten)]
        many: ManyArgs,
    },
    /// Set the channel that a product of clusters should follow, the version it is pinned to, and
    /// the highest one it may go to
    Set {
        /// Of which product
        #[arg(long = "of", value_name = "VENDOR/PRODUCT")]
        of: ProductRef,
        /// The cluster's id or name, then `channel=NAME`, `pin=VERSION`, `max-version=VERSION`, or
        /// `pin-` and the like to take it away; without the cluster if clusters are chosen by what
        /// they have in common
        #[arg(required = true, value_name = "CLUSTER|NAME=VALUE|NAME-")]
        words: Vec<String>,
        #[command(flatten)]
        many: ManyArgs,
    },
    /// End a cluster's key at once: what it reports is refused, its grant is void. It stays in the
    /// fleet, and comes back with another key after `reinvite`
    Revoke {
        /// Its id or its name; none to choose clusters by what they have in common
        cluster: Option<String>,
        #[command(flatten)]
        many: ManyArgs,
        /// Why; kept in the audit log, and told to its agent
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Take a cluster out of the fleet for good: its key is no longer accepted, its grant is void
    Retire {
        /// Its id or its name; none to choose clusters by what they have in common
        cluster: Option<String>,
        #[command(flatten)]
        many: ManyArgs,
    },
}

/// Filters and length of the list.
#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    filters: Filters,
    /// At most so many clusters
    #[arg(long, default_value = DEFAULT_LIMIT, conflicts_with = "all")]
    limit: usize,
    /// All clusters, however many
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    watch: WatchArgs,
}

/// Runs `fairway clusters …`.
pub(crate) async fn run(args: &ClustersArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    match args.command.as_deref() {
        None => watched(&hub, &args.list, args.output, now, out).await,
        Some(_) if !args.list.filters.query().is_empty() || args.list.watch.is_used() => {
            Err(CliError::failed("filters and --watch stand behind the command that they are for"))
        }
        Some(Command::List { list }) => watched(&hub, list, args.output, now, out).await,
        Some(Command::Invite { uses, expires, note, labels }) => {
            let request = JoinTokenRequest {
                uses: *uses,
                expires_in_s: expires.0,
                note: note.clone(),
                labels: label::labels_of(labels),
            };
            let token = hub.post("api/v1/join-tokens", "application/json", &request).await?;
            let who = count(usize::try_from(*uses).unwrap_or(usize::MAX), "cluster");
            print_token(&token, &who, args.output, now, out)
        }
        Some(Command::Reinvite { cluster, many, expires, note }) => {
            let (cluster, note) = (cluster.as_deref(), note.clone());
            let request = ReinviteRequest { expires_in_s: expires.0, note };
            reinvite(&hub, cluster, many, request, args.output, now, out).await
        }
        Some(Command::Invites) => invites(&hub, args.output, now, out).await,
        Some(Command::Uninvite { id }) => {
            super::answers_nothing(args.output, "clusters uninvite")?;
            hub.delete(&format!("api/v1/join-tokens/{id}")).await?;
            out.note(&format!("join token {id} is ended; clusters that enrolled with it stay"))
        }
        Some(Command::Trust { cluster, acknowledge }) => {
            trust(&hub, cluster, acknowledge.clone(), args.output, out).await
        }
        Some(Command::Show { cluster, watch }) => {
            let format = args.output;
            let shown = async |now, out: &mut Out| show(&hub, cluster, format, now, out).await;
            watch.run(now, out, shown).await
        }
        Some(Command::Label { words, many }) => label(&hub, words, many, args.output, out).await,
        Some(Command::Set { of, words, many }) => {
            set(&hub, of, words, many, args.output, out).await
        }
        Some(Command::Revoke { cluster, many, reason }) => {
            let reason = reason.clone();
            let Some(cluster) = named(cluster.as_deref(), many)? else {
                let action = BulkAction::Revoke { reason };
                return many::run(&hub, many, action, args.output, out).await;
            };
            revoke(&hub, cluster, reason, args.output, out).await
        }
        Some(Command::Retire { cluster, many }) => {
            let Some(cluster) = named(cluster.as_deref(), many)? else {
                return many::run(&hub, many, BulkAction::Retire, args.output, out).await;
            };
            super::answers_nothing(args.output, "clusters retire of one cluster")?;
            let id = resolve(&hub, cluster).await?;
            hub.delete(&format!("api/v1/clusters/{id}")).await?;
            out.note(&format!("cluster {cluster} ({id}) is retired; its key is no longer accepted"))
        }
    }
}

async fn reinvite(
    hub: &Hub,
    cluster: Option<&str>,
    many: &ManyArgs,
    request: ReinviteRequest,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let Some(cluster) = named(cluster, many)? else {
        let ReinviteRequest { expires_in_s, note } = request;
        return many::run(hub, many, BulkAction::Reinvite { expires_in_s, note }, format, out)
            .await;
    };
    let id = resolve(hub, cluster).await?;
    let path = format!("api/v1/clusters/{id}/join-tokens");
    let token = hub.post(&path, "application/json", &request).await?;
    print_token(&token, &format!("cluster {cluster} alone"), format, now, out)
}

async fn trust(
    hub: &Hub,
    cluster: &str,
    acknowledge: String,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let id = resolve(hub, cluster).await?;
    let path = format!("api/v1/clusters/{id}/trust");
    let request = TrustRequest { acknowledge };
    let row: ClusterRow = hub.post(&path, "application/json", &request).await?;
    let told = format!(
        "the identity conflict of {cluster} ({id}) is over; a second agent with its key will be \
         found again"
    );
    super::answered(out, format, &row, || render::row(&row), &told)
}

/// The one cluster that is named; `None` if clusters are chosen by what they have in common.
fn named<'a>(cluster: Option<&'a str>, many: &ManyArgs) -> Result<Option<&'a str>> {
    match (cluster, many.is_used()) {
        (Some(_), true) => Err(CliError::failed("name a cluster or choose clusters, not both")),
        (None, false) => {
            Err(CliError::failed("name a cluster, or choose clusters with --selector"))
        }
        (cluster, _) => Ok(cluster),
    }
}

/// Reads every word as a change.
fn changes<T: FromStr>(words: &[String]) -> Result<Vec<T>>
where
    T::Err: std::error::Error + 'static,
{
    let read = |word: &String| {
        word.parse().map_err(|error| CliError::because(format!("{word:?} is no change"), &error))
    };
    let changes: Vec<T> = words.iter().map(read).collect::<Result<_>>()?;
    if changes.is_empty() { Err(CliError::failed("say what changes")) } else { Ok(changes) }
}

async fn label(
    hub: &Hub,
    words: &[String],
    many: &ManyArgs,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let (cluster, words) = many.one(words)?;
    let labels = label::patch(&changes(words)?);
    let Some(cluster) = cluster else {
        return many::run(hub, many, BulkAction::Label { labels }, format, out).await;
    };
    let id = resolve(hub, cluster).await?;
    let path = format!("api/v1/clusters/{id}/labels");
    let row: ClusterRow = hub.put(&path, "application/json", &LabelsRequest { labels }).await?;
    let after = match label::shown(&row.labels) {
        none if none.is_empty() => "no labels".to_owned(),
        labels => labels,
    };
    let told = format!("cluster {cluster} ({id}) has {after}");
    super::answered(out, format, &row, || label::table(&row), &told)
}

async fn set(
    hub: &Hub,
    product: &ProductRef,
    words: &[String],
    many: &ManyArgs,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let (cluster, words) = many.one(words)?;
    let (product, change) = (product.clone(), set::patch(&changes(words)?));
    let Some(cluster) = cluster else {
        let action = BulkAction::Set { product, change };
        return many::run(hub, many, action, format, out).await;
    };
    let id = resolve(hub, cluster).await?;
    let path = format!("api/v1/clusters/{id}/settings");
    let request = SettingsRequest { product: product.clone(), change };
    let row: ClusterRow = hub.put(&path, "application/json", &request).await?;
    let own = row.settings.iter().find(|settings| settings.product == product);
    let after = own.map_or_else(|| "nothing set".to_owned(), set::shown);
    let told = format!("{product} on cluster {cluster} ({id}): {after}");
    super::answered(out, format, &row, || set::table(&row), &told)
}

async fn revoke(
    hub: &Hub,
    cluster: &str,
    reason: String,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let id = resolve(hub, cluster).await?;
    let path = format!("api/v1/clusters/{id}/revoke");
    let row: ClusterRow = hub.post(&path, "application/json", &RevokeRequest { reason }).await?;
    let told = format!(
        "the key of {cluster} ({id}) is revoked; let it back in with: fairway clusters reinvite \
         {cluster}"
    );
    super::answered(out, format, &row, || render::row(&row), &told)
}

async fn show(
    hub: &Hub,
    cluster: &str,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let row = one(hub, cluster).await?;
    match format {
        Format::Json => out.json(&row),
        Format::Table => out.data(&render::details(&row, now, out.colour())),
        Format::Csv => out.csv(&render::units(&row)),
    }
}

async fn watched(
    hub: &Hub,
    args: &ListArgs,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let shown = async |now, out: &mut Out| list(hub, args, format, now, out).await;
    args.watch.run(now, out, shown).await
}

async fn list(
    hub: &Hub,
    args: &ListArgs,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let limit = if args.all { MAX_CLUSTERS } else { args.limit.clamp(1, MAX_CLUSTERS) };
    let filters = args.filters.query();
    let page: Page<ClusterRow> = hub.pages("api/v1/clusters", &filters, limit).await?;
    let more = page.next.is_some();
    let shown = page.items.len();
    super::print(
        out,
        format,
        &page,
        || render::list(&page.items, now, format),
        "no cluster matches",
    )?;
    if more {
        let first = count(shown, "cluster");
        out.warn(&format!("there are more than the {first} shown; --all shows the rest"))?;
    }
    Ok(())
}

/// Every join token that still works.
async fn invites(hub: &Hub, format: Format, now: Timestamp, out: &mut Out) -> Result<()> {
    let all: Page<OpenJoinToken> = hub.pages("api/v1/join-tokens", &[], MAX_INVITES).await?;
    let table = || render::invites(&all.items, now, format);
    super::print(out, format, &all, table, "no join token is open")
}

/// The token alone on standard output, so that a script can take it.
fn print_token(
    token: &JoinToken,
    who: &str,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    if format == Format::Table {
        out.line(&token.token)?;
    }
    let left = until(token.expires_at, now);
    let told = format!("{who} may enrol with it in the next {left}");
    super::answered(out, format, token, || render::token(token), &told)
}

/// The id of a cluster named by id or by name.
pub(crate) async fn resolve(hub: &Hub, cluster: &str) -> Result<ClusterId> {
    match cluster.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(one(hub, cluster).await?.id),
    }
}

/// One cluster, by id or name.
pub(crate) async fn one(hub: &Hub, cluster: &str) -> Result<ClusterRow> {
    if cluster.is_empty() {
        return Err(CliError::failed("the name of a cluster is not empty"));
    }
    hub.get(&format!("api/v1/clusters/{}", segment(cluster)), &[]).await
}
