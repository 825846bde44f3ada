//! One change to every cluster that matches: shown, agreed to, done.

use channels::wire::{BulkAction, BulkFilter, BulkItem, BulkReply, BulkRequest};

use super::Filters;
use crate::commands::request::ask_terminal;
use crate::error::{CliError, Result};
use crate::hub::Hub;
use crate::out::Out;
use crate::table::{Format, Table, cell};
use crate::words::count;

/// Which clusters a command changes beside the one it names, and whether somebody has agreed.
#[derive(Debug, clap::Args)]
pub(super) struct ManyArgs {
    #[command(flatten)]
    filters: Filters,
    /// Every cluster of the fleet
    #[arg(long)]
    all: bool,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    preview: bool,
    /// Do not ask before it is done
    #[arg(long)]
    yes: bool,
}

impl ManyArgs {
    /// Whether clusters are chosen by what they have in common.
    pub(super) fn is_used(&self) -> bool {
        self.all || !self.filters.query().is_empty()
    }

    /// The cluster that is named first in `words`, unless clusters are chosen otherwise.
    pub(super) fn one<'w>(&self, words: &'w [String]) -> Result<(Option<&'w str>, &'w [String])> {
        if self.is_used() {
            return Ok((None, words));
        }
        if self.preview {
            return Err(CliError::failed("a preview is for a change to many clusters"));
        }
        match words.split_first() {
            Some((cluster, rest)) => Ok((Some(cluster), rest)),
            None => Err(CliError::failed("name a cluster, or choose clusters with --selector")),
        }
    }

    fn filter(&self) -> Result<BulkFilter> {
        let filters = &self.filters;
        if filters.site.is_some() {
            return Err(CliError::failed("clusters of dark sites are changed at their own hub"));
        }
        Ok(BulkFilter {
            selector: filters.selector.as_ref().map(ToString::to_string),
            product: filters.product.clone(),
            channel: filters.channel.clone(),
            version: filters.version.clone(),
            phase: filters.phase.clone(),
            health: filters.health.clone(),
            freshness: filters.freshness.clone(),
            name: filters.name.clone(),
            all: self.all,
        })
    }
}

/// Shows what would change, asks, and does it. Of new invitations the tokens go to standard output.
pub(super) async fn run(
    hub: &Hub,
    args: &ManyArgs,
    action: BulkAction,
    format: Format,
    out: &mut Out,
) -> Result<()> {
    let mut request = BulkRequest { filter: args.filter()?, action, expect: None };
    let preview: BulkReply = hub.post("api/v1/bulk", "application/json", &request).await?;
    let clusters = preview.expect.clusters;
    let of = count(usize::try_from(clusters).unwrap_or(usize::MAX), "cluster");
    if args.preview {
        super::super::print(out, format, &preview, || changes(&preview.items), "nothing changes")?;
        return rest(&preview, out);
    }
    let refused = preview.items.iter().filter(|item| item.refused.is_some()).count();
    if clusters == 0 {
        if format != Format::Table {
            return super::super::print(out, format, &preview, || changes(&preview.items), "");
        }
        let already = format!("no cluster changes; {} so already", preview.unchanged);
        let text = if refused > 0 { changes(&preview.items).text() } else { String::new() };
        return out.note(&format!("{text}{already}"));
    }
    if !args.yes {
        out.note(changes(&preview.items).text().trim_end())?;
        rest(&preview, out)?;
        if !ask_terminal(&format!("Change {of}?"))? {
            return Err(CliError::no("nothing was changed"));
        }
    }
    request.expect = Some(preview.expect);
    let reply = pieces(hub, request, out).await?;
    tell(&reply, format, out)
}

/// Does what was agreed to, a piece at a time; every piece is done or not done as a whole.
async fn pieces(hub: &Hub, mut request: BulkRequest, out: &mut Out) -> Result<BulkReply> {
    let all = request.expect.map_or(0, |expect| expect.clusters);
    let mut whole: Option<BulkReply> = None;
    loop {
        let done = whole.as_ref().map_or(0, |whole| whole.done);
        let reply: BulkReply = match hub.post("api/v1/bulk", "application/json", &request).await {
            Ok(reply) => reply,
            Err(error) if done > 0 => {
                out.warn(&format!(
                    "{done} of {all} clusters were changed before it broke off; the same command \
                     shows the rest"
                ))?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        // A reply that changed nothing and promises more would be asked for again for ever.
        request.expect = reply.next.filter(|_| reply.done > 0);
        let mut reply = match whole.take() {
            None => reply,
            Some(before) => BulkReply {
                done: before.done + reply.done,
                items: joined(before.items, reply.items),
                ..before
            },
        };
        if request.expect.is_none() {
            reply.next = None;
            return Ok(reply);
        }
        whole = Some(reply);
    }
}

/// Refused clusters are in every piece's reply.
fn joined(mut before: Vec<BulkItem>, after: Vec<BulkItem>) -> Vec<BulkItem> {
    let new: Vec<BulkItem> =
        after.into_iter().filter(|item| before.iter().all(|known| known.id != item.id)).collect();
    before.extend(new);
    before
}

fn rest(preview: &BulkReply, out: &mut Out) -> Result<()> {
    let listed = u64::try_from(preview.items.len()).unwrap_or(u64::MAX);
    let more = preview.expect.clusters.saturating_sub(listed);
    if more > 0 {
        out.note(&format!("… and {more} more"))?;
    }
    Ok(())
}

fn tell(reply: &BulkReply, format: Format, out: &mut Out) -> Result<()> {
    let tokens = reply.items.iter().any(|item| item.token.is_some());
    match format {
        Format::Json => out.json(reply)?,
        Format::Csv if tokens => out.csv(&invitations(&reply.items))?,
        Format::Table if tokens => out.table(&invitations(&reply.items))?,
        Format::Csv => out.csv(&changes(&reply.items))?,
        Format::Table => {}
    }
    for item in &reply.items {
        if let Some(why) = &item.refused {
            out.warn(&format!("{} was not changed: {why}", item.name))?;
        }
    }
    let done = count(usize::try_from(reply.done).unwrap_or(usize::MAX), "cluster");
    out.note(&format!("{done} changed"))
}

/// One row per cluster and change.
fn changes(items: &[BulkItem]) -> Table {
    let mut table = Table::new(&["name", "what", "before", "after", "refused"]);
    for item in items {
        if let Some(why) = &item.refused {
            let none = String::new;
            table.row(vec![item.name.clone(), none(), none(), none(), why.clone()]);
        }
        for change in &item.changes {
            table.row(vec![
                item.name.clone(),
                change.what.clone(),
                cell(change.before.as_ref()),
                cell(change.after.as_ref()),
                String::new(),
            ]);
        }
    }
    table
}

/// One row per token: whoever sets up a machine needs both cells.
fn invitations(items: &[BulkItem]) -> Table {
    let mut table = Table::new(&["name", "cluster", "token", "expires"]);
    for item in items {
        if let Some(token) = &item.token {
            table.row(vec![
                item.name.clone(),
                item.id.to_string(),
                token.token.clone(),
                token.expires_at.to_string(),
            ]);
        }
    }
    table
}
