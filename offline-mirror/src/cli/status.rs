//! `offline-mirror status-export`: parses, fetches, and says what leaves the site.

use std::path::PathBuf;

use channels::wire::Redaction;
use clap::Args;
use serde::Serialize;

use super::{Output, say};
use crate::feed::read_token;
use crate::server::ServerAccess;
use crate::site::SiteDir;
use crate::status::{ExportedStatus, SiteHub, StatusRequest, write};

const DAY_S: u64 = 24 * 3600;

#[derive(Debug, Args)]
pub(super) struct StatusExportArgs {
    /// Base URL of the site's update server.
    #[arg(long, env = "FAIRWAY_SERVER")]
    server: String,
    /// File with an API token of role operator there.
    #[arg(long, env = "FAIRWAY_TOKEN_FILE")]
    token_file: PathBuf,
    /// Show the token over plain HTTP to another machine, on a network that nobody listens to.
    #[arg(long, env = "FAIRWAY_TOKEN_OVER_HTTP")]
    token_over_http: bool,
    /// What stays at the site, before anything is signed: names, labels, messages (names take
    /// messages with them).
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    redact: Vec<Redaction>,
    /// The site's directory, in which imports keep their receipts: the newest one goes with the
    /// status, because the site's hub sees no bundles.
    #[arg(long, value_name = "SITEDIR", conflicts_with = "newest_bundle")]
    site_dir: Option<PathBuf>,
    /// Sequence of the newest bundle that was imported at the site, where its directory is not at
    /// hand.
    #[arg(long, value_name = "SEQUENCE")]
    newest_bundle: Option<u64>,
    /// Days until the next status is meant to be sent; a week if left out.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=366))]
    good_for_days: Option<u64>,
    /// The file to write; <site>.status.json if left out.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the site's public key here too, for `fairway sites add`; carry it by another way.
    #[arg(long, value_name = "FILE")]
    key_out: Option<PathBuf>,
    /// How to say what was done.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What was written, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    file: String,
    bytes: usize,
    site: &'a str,
    sequence: u64,
    made_at: jiff::Timestamp,
    clusters: u64,
    redacted: Vec<&'static str>,
    key_id: &'a str,
}

pub(super) async fn run(args: StatusExportArgs) -> anyhow::Result<()> {
    let token = read_token(&args.token_file)?;
    let hub = SiteHub::new(ServerAccess::new(&args.server, token, args.token_over_http)?)?;
    let receipt = match &args.site_dir {
        Some(dir) => SiteDir::open_to_read(dir)?.newest_receipt()?,
        None => None,
    };
    let request = StatusRequest {
        redact: args.redact.into_iter().collect(),
        newest_bundle: args.newest_bundle,
        receipt,
        good_for_s: args.good_for_days.map(|days| days * DAY_S),
    };
    let exported = hub.export(&request).await?;
    let default = || PathBuf::from(format!("{}.status.json", exported.status.site));
    let file = args.out.unwrap_or_else(default);
    write(&file, &exported.bytes)?;
    if let Some(path) = &args.key_out {
        let mut text = serde_json::to_vec_pretty(&exported.key)?;
        text.push(b'\n');
        write(path, &text)?;
    }
    let file = file.display().to_string();
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&told(&exported, file))?),
        Output::Text => say(&summary(&exported, &file)),
    }
}

fn told(exported: &ExportedStatus, file: String) -> Told<'_> {
    let status = &exported.status;
    Told {
        file,
        bytes: exported.bytes.len(),
        site: status.site.as_str(),
        sequence: status.sequence,
        made_at: status.made_at,
        clusters: status.counts.clusters,
        redacted: status.redacted.iter().map(|redaction| redaction.as_str()).collect(),
        key_id: &exported.key.key_id,
    }
}

/// What a person must know who is about to carry the file out.
fn summary(exported: &ExportedStatus, file: &str) -> String {
    let status = &exported.status;
    let out = |redaction| status.redacted.contains(&redaction);
    let mut leaves = vec!["versions, channels, phases, health and drift of every cluster"];
    leaves.push(if out(Redaction::Names) {
        "pseudonyms in place of the clusters' names"
    } else {
        "the clusters' names"
    });
    if !out(Redaction::Labels) {
        leaves.push("their labels");
    }
    leaves.push(if out(Redaction::Messages) {
        "codes of reasons without their sentences"
    } else {
        "reasons and failures as agents and people worded them"
    });
    let counts = &status.counts;
    format!(
        "status {} of site {}, made at {}: {} clusters, {} of them active, {} healthy\n\
         leaves the site: {}\n\
         signed by key {}\n\
         written to {file} ({} bytes)",
        status.sequence,
        status.site,
        status.made_at,
        counts.clusters,
        counts.active,
        counts.healthy,
        leaves.join("; "),
        exported.key.key_id,
        exported.bytes.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(redacted: &[Redaction]) -> ExportedStatus {
        let text = include_str!("../../../channels/golden/v1/site-status.json");
        let mut status: channels::wire::SiteStatus = serde_json::from_str(text).unwrap();
        status.redacted = redacted.iter().copied().collect();
        let key = channels::wire::SiteKey {
            site: status.site.clone(),
            public_key: String::new(),
            key_id: "ab".to_owned(),
        };
        ExportedStatus { bytes: vec![0; 9], status, key }
    }

    #[test]
    fn the_summary_says_what_leaves_the_site() {
        let whole = summary(&exported(&[]), "north.status.json");
        assert!(whole.contains("; the clusters' names; their labels; reasons and failures as"));
        let redacted = summary(&exported(&Redaction::ALL), "north.status.json");
        let wanted = "; pseudonyms in place of the clusters' names; codes of reasons without";
        assert!(redacted.contains(wanted), "{redacted}");
        assert!(redacted.ends_with("written to north.status.json (9 bytes)"));
    }
}
