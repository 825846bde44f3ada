//! `fairway sites`: dark sites, whose status is carried here as signed files; add, list, imports,
//! import, remove.

mod render;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use channels::names::SiteName;
use channels::wire::{
    Page, SiteImport, SiteKey, SiteRegistration, SiteRow, SiteStatus, StatusImportReply, media_type,
};
use jiff::Timestamp;
use signing::PublicKey;

use crate::error::{CliError, Result};
use crate::files::read_bounded;
use crate::hub::{Hub, HubArgs};
use crate::out::Out;
use crate::span::{Span, age};
use crate::table::Format;
use crate::watch::WatchArgs;
use crate::words::{count, fingerprint};

/// Largest key file read: a public key is a few lines.
const MAX_KEY_BYTES: u64 = 16 * 1024;

/// Arguments of `fairway sites`.
#[derive(Debug, clap::Args)]
pub(crate) struct SitesArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    hub: HubArgs,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t, global = true)]
    output: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Register a site, or change what is registered: its status files are believed from then on
    Add {
        /// Its name, as its own hub is started with (--site)
        name: SiteName,
        /// Its public key: PEM, or what `offline-mirror status-export --key-out` wrote. Bring it by
        /// another way than the status files
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// For people
        #[arg(long, default_value = "", value_name = "TEXT", hide_default_value = true)]
        description: String,
        /// How often a status is expected (12h, 7d); what the site says of itself if left out
        #[arg(long, value_name = "TIME")]
        interval: Option<Span>,
    },
    /// List the registered sites and how old what is known of each one is
    List {
        #[command(flatten)]
        watch: WatchArgs,
    },
    /// List the status files that were imported of a site, newest first
    Imports {
        /// Its name
        name: SiteName,
    },
    /// Import a status file that was carried here
    Import {
        /// The file
        file: PathBuf,
        /// Refuse the status of any other site
        #[arg(long, value_name = "NAME")]
        site: Option<SiteName>,
    },
    /// Forget a site and what is known of it
    Remove {
        /// Its name
        name: SiteName,
    },
}

/// Runs `fairway sites …`.
pub(crate) async fn run(args: &SitesArgs, now: Timestamp, out: &mut Out) -> Result<()> {
    let hub = Hub::new(&args.hub.connection(None)?)?;
    match &args.command {
        None => watched(&hub, &args.watch, args.output, now, out).await,
        Some(_) if args.watch.is_used() => Err(CliError::failed("--watch stands behind `list`")),
        Some(Command::List { watch }) => watched(&hub, watch, args.output, now, out).await,
        Some(Command::Add { name, key, description, interval }) => {
            let public_key = read_key(key, name)?;
            let said = SiteRegistration {
                public_key: public_key.to_spki_pem(),
                description: description.clone(),
                expected_interval_s: interval.map(|span| span.0),
            };
            let path = format!("api/v1/sites/{name}");
            let row: SiteRow = hub.put(&path, "application/json", &said).await?;
            let told = format!("site {name} is registered; its status must be signed with the key");
            let table = || render::sites(std::slice::from_ref(&row), now, Format::Csv);
            super::answered(out, args.output, &row, table, &told)?;
            if args.output != Format::Table {
                return Ok(());
            }
            out.note(&fingerprint(&public_key))?;
            out.note("compare it with what the site says")
        }
        Some(Command::Imports { name }) => {
            let page: Page<SiteImport> =
                hub.get(&format!("api/v1/sites/{name}/imports"), &[]).await?;
            let table = || render::imports(&page.items, now, args.output);
            super::print(out, args.output, &page, table, "no status of it was imported")
        }
        Some(Command::Import { file, site }) => {
            import(&hub, file, site.as_ref(), args.output, now, out).await
        }
        Some(Command::Remove { name }) => {
            super::answers_nothing(args.output, "sites remove")?;
            hub.delete(&format!("api/v1/sites/{name}")).await?;
            out.note(&format!("site {name} and what was known of it are forgotten"))
        }
    }
}

async fn watched(
    hub: &Hub,
    watch: &WatchArgs,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    watch.run(now, out, async |now, out| list(hub, format, now, out).await).await
}

async fn list(hub: &Hub, format: Format, now: Timestamp, out: &mut Out) -> Result<()> {
    let page: Page<SiteRow> = hub.get("api/v1/sites", &[]).await?;
    let table = || render::sites(&page.items, now, format);
    super::print(out, format, &page, table, "no site is registered")
}

async fn import(
    hub: &Hub,
    file: &Path,
    site: Option<&SiteName>,
    format: Format,
    now: Timestamp,
    out: &mut Out,
) -> Result<()> {
    let max = u64::try_from(SiteStatus::MAX_BYTES).unwrap_or(u64::MAX);
    let bytes = read_bounded(file, max).map_err(|error| {
        CliError::failed(format!("failed to read the status {}: {error}", file.display()))
    })?;
    let query: Vec<_> = site.map(|name| ("site", name.to_string())).into_iter().collect();
    let path = "api/v1/status-imports";
    let reply: StatusImportReply =
        hub.post_bytes(path, &query, media_type::SITE_STATUS, bytes).await?;
    match format {
        Format::Json => return out.json(&reply),
        Format::Csv => return out.csv(&render::reply(&reply)),
        Format::Table => {}
    }
    let clusters = count(usize::try_from(reply.clusters).unwrap_or(usize::MAX), "cluster");
    let made = format!("made {} ago", age(reply.made_at, now));
    let what = if reply.changed { "is shown from now on" } else { "was imported before" };
    out.note(&format!(
        "status {} of site {} ({clusters}, {made}) {what}",
        reply.sequence, reply.site
    ))?;
    if !reply.live_here.is_empty() {
        let ids: Vec<String> = reply.live_here.iter().map(ToString::to_string).collect();
        out.warn(&format!(
            "left out, because they report to this hub themselves: {}",
            ids.join(", ")
        ))?;
    }
    Ok(())
}

/// A public key as PEM, or in the document that the site's hub gives; that one names its site.
fn read_key(file: &Path, name: &SiteName) -> Result<PublicKey> {
    let bytes = read_bounded(file, MAX_KEY_BYTES).map_err(|error| {
        CliError::failed(format!("failed to read the key {}: {error}", file.display()))
    })?;
    let pem = match serde_json::from_slice::<SiteKey>(&bytes) {
        Ok(key) if key.site != *name => {
            return Err(CliError::no(format!(
                "{} holds the key of site {}, not of {name}",
                file.display(),
                key.site
            )));
        }
        Ok(key) => key.public_key,
        Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    };
    PublicKey::from_spki_pem(&pem)
        .map_err(|error| CliError::because(format!("{} is no public key", file.display()), &error))
}
