//! `fairway clusters`: the fleet, one row per product of a cluster; invite, reinvite, invites,
//! uninvite, show, label, trust, retire.

mod label;
mod render;
#[cfg(test)]
mod tests;

use channels::names::{ChannelName, ClusterId, ProductRef, SiteName};
use channels::rollout::Selector;
use channels::version::ReleaseVersion;
use channels::wire::{
    ClusterRow, JoinToken, JoinTokenRequest, LabelsRequest, OpenJoinToken, Page, ReinviteRequest,
    TrustRequest,
};
use jiff::Timestamp;

use label::{LabelChange, NewLabel};

use crate::error::{CliError, Result};
use crate::hub::{Hub, HubArgs, PAGE_ROWS, segment};
use crate::out::Out;
use crate::span::{Span, until};
use crate::table::Format;
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
    command: Option<Command>,
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
        /// Its id or its name
        cluster: String,
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
    },
    /// Set labels of a cluster or take them away; a rollout policy's rings are chosen by them
    Label {
        /// Its id or its name
        cluster: String,
        /// `key=value` sets a label, `key-` takes it away
        #[arg(required = true, value_name = "KEY=VALUE|KEY-", allow_hyphen_values = true)]
        changes: Vec<LabelChange>,
    },
    /// Take a cluster out of the fleet: its key is no longer accepted, its grant is void
    #[command(visible_alias = "revoke")]
    Retire {
        /// Its id or its name
        cluster: String,
    },
}

/// Filters and length of the list.
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only clusters that run this product
    #[arg(long, value_name = "VENDOR/PRODUCT")]
    product: Option<ProductRef>,
    /// Only clusters that follow this channel
    #[arg(long)]
    channel: Option<ChannelName>,
    /// Only clusters on this version
    #[arg(long)]
    version: Option<ReleaseVersion>,
    /// Only clusters in this phase (idle, waiting, mutate, soak, paused, …)
    #[arg(long)]
    phase: Option<String>,
    /// Only clusters with this verdict (healthy, unhealthy, unknown)
    #[arg(long)]
    health: Option<String>,
    /// Only clusters with this freshness (fresh, late, silent, gone, never; carried for those of dark
    /// sites)
    #[arg(long)]
    freshness: Option<String>,
    /// Only clusters whose name starts so
    #[arg(long, value_name = "PREFIX")]
    name: Option<String>,
    /// Only clusters whose labels match: key=value, key!=value, `key in (a,b)`, key, !key, with
    /// commas between them
    #[arg(long, short = 'l')]
    selector: Option<Selector>,
    /// Only clusters of this dark site
    #[arg(long)]
    site: Option<SiteName>,
    /// At most so many clusters
    #[arg(long, default_value = DEFAULT_LIMIT, conflicts_with = "all")]
    limit: usize,
    /// All clusters, however many
    #[arg(long)]
    all: bool,
}

impl ListArgs {
    fn query(&self) -> Vec<(&'static str, String)> {
        let filters = [
            ("product", self.product.as_ref().map(ToString::to_string)),
            ("channel", self.channel.as_ref().map(ToString::to_string)),
            ("version", self.version.as_ref().map(ToString::to_string)),
            ("phase", self.phase.clone()),
            ("health", self.health.clone()),
            ("freshness", self.freshness.clone()),
            ("name", self.name.clone()),
            ("selector", self.selector.as_ref().map(ToString::to_string)),
            ("site", self.site.as_ref().map(ToString::to_string)),
        ];
        filters.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// Runs `fairway clusters …`.
pub(crate) async fn run(args: &ClustersArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    match &args.command {
        None => list(&hub, args, now, out).await,
        Some(_) if !args.list.query().is_empty() => {
            Err(CliError::failed("filters apply to the list of clusters only"))
        }
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
        Some(Command::Reinvite { cluster, expires, note }) => {
            let request = ReinviteRequest { expires_in_s: expires.0, note: note.clone() };
            let id = resolve(&hub, cluster).await?;
            let path = format!("api/v1/clusters/{id}/join-tokens");
            let token = hub.post(&path, "application/json", &request).await?;
            print_token(&token, &format!("cluster {cluster} alone"), args.output, now, out)
        }
        Some(Command::Invites) => invites(&hub, args.output, now, out).await,
        Some(Command::Uninvite { id }) => {
            hub.delete(&format!("api/v1/join-tokens/{id}")).await?;
            out.note(&format!("join token {id} is ended; clusters that enrolled with it stay"))
        }
        Some(Command::Trust { cluster, acknowledge }) => {
            let request = TrustRequest { acknowledge: acknowledge.clone() };
            let id = resolve(&hub, cluster).await?;
            let path = format!("api/v1/clusters/{id}/trust");
            let row: ClusterRow = hub.post(&path, "application/json", &request).await?;
            if args.output == Format::Json {
                return out.json(&row);
            }
            out.note(&format!(
                "the identity conflict of {cluster} ({id}) is over; a second agent with its key \
                 will be found again"
            ))
        }
        Some(Command::Show { cluster }) => {
            let row = one(&hub, cluster).await?;
            match args.output {
                Format::Json => out.json(&row),
                Format::Table => out.data(&render::details(&row, now)),
                Format::Csv => out.data(&render::units(&row).csv()),
            }
        }
        Some(Command::Label { cluster, changes }) => {
            let request = LabelsRequest { labels: label::patch(changes) };
            let id = resolve(&hub, cluster).await?;
            let path = format!("api/v1/clusters/{id}/labels");
            let row: ClusterRow = hub.put(&path, "application/json", &request).await?;
            if args.output == Format::Json {
                return out.json(&row);
            }
            let after = match label::shown(&row.labels) {
                none if none.is_empty() => "no labels".to_owned(),
                labels => labels,
            };
            out.note(&format!("cluster {cluster} ({id}) has {after}"))
        }
        Some(Command::Retire { cluster }) => {
            let id = resolve(&hub, cluster).await?;
            hub.delete(&format!("api/v1/clusters/{id}")).await?;
            out.note(&format!("cluster {cluster} ({id}) is retired; its key is no longer accepted"))
        }
    }
}

async fn list(hub: &Hub, args: &ClustersArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let limit = if args.list.all { MAX_CLUSTERS } else { args.list.limit.clamp(1, MAX_CLUSTERS) };
    let page = fetch(hub, &args.list.query(), limit).await?;
    let more = page.next.is_some();
    let shown = page.items.len();
    super::print(
        out,
        args.output,
        &page,
        || render::list(&page.items, now, args.output),
        "no cluster matches",
    )?;
    if more {
        let first = count(shown, "cluster");
        out.warn(&format!("there are more than the {first} shown; --all shows the rest"))?;
    }
    Ok(())
}

/// Follows pages until `limit` rows or the end; `next` says whether there are more.
async fn fetch(
    hub: &Hub,
    filters: &[(&'static str, String)],
    limit: usize,
) -> Result<Page<ClusterRow>> {
    let mut all = Page { items: Vec::new(), next: None };
    loop {
        let mut query = filters.to_vec();
        query.push(("limit", PAGE_ROWS.min(limit - all.items.len()).to_string()));
        if let Some(cursor) = all.next.take() {
            query.push(("cursor", cursor));
        }
        let page: Page<ClusterRow> = hub.get("api/v1/clusters", &query).await?;
        let progressed = !page.items.is_empty();
        all.items.extend(page.items);
        all.next = page.next;
        // An empty page that promises more would be asked for again for ever.
        if all.next.is_none() || !progressed || all.items.len() >= limit {
            return Ok(all);
        }
    }
}

/// Every join token that still works.
async fn invites(hub: &Hub, format: Format, now: Timestamp, out: &mut Out) -> Result<()> {
    let mut all: Page<OpenJoinToken> = Page { items: Vec::new(), next: None };
    loop {
        let mut query = vec![("limit", PAGE_ROWS.to_string())];
        query.extend(all.next.take().map(|cursor| ("cursor", cursor)));
        let page: Page<OpenJoinToken> = hub.get("api/v1/join-tokens", &query).await?;
        let progressed = !page.items.is_empty();
        all.items.extend(page.items);
        all.next = page.next;
        if all.next.is_none() || !progressed || all.items.len() >= MAX_INVITES {
            break;
        }
    }
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
    if format == Format::Json {
        return out.json(token);
    }
    out.line(&token.token)?;
    let left = until(token.expires_at, now);
    out.note(&format!("{who} may enrol with it in the next {left}"))
}

/// The id of a cluster named by id or by name.
pub(crate) async fn resolve(hub: &Hub, cluster: &str) -> Result<ClusterId> {
    match cluster.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(one(hub, cluster).await?.id),
    }
}

/// One cluster, by id or name.
async fn one(hub: &Hub, cluster: &str) -> Result<ClusterRow> {
    if cluster.is_empty() {
        return Err(CliError::failed("the name of a cluster is not empty"));
    }
    hub.get(&format!("api/v1/clusters/{}", segment(cluster)), &[]).await
}
