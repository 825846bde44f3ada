//! From the facts to what the template prints.

use askama::Template;
use channels::wire::{
    BundleReceipt, DriftTotals, Freshness, Redaction, SiteDrift, SiteImport, SiteRow,
};
use jiff::Timestamp;

use super::SitesFacts;
use crate::http::dashboard::shell::Shell;
use crate::http::dashboard::words::{self, Pill, Tone, count};

/// The page.
#[derive(Debug, Template)]
#[template(path = "sites.html")]
pub(super) struct SitesPage {
    shell: Shell,
    sites: Vec<Site>,
    imports: Option<Imports>,
}

#[derive(Debug)]
struct Site {
    name: String,
    description: String,
    imports_href: String,
    freshness: Pill,
    as_of: String,
    expected: String,
    status: Option<Status>,
    graphs: Vec<Graph>,
    key: String,
    registered: String,
    todo: Option<Todo>,
}

#[derive(Debug)]
struct Status {
    sequence: u64,
    taken: String,
    hub_version: String,
    bundle: String,
    receipt: Option<Receipt>,
    clusters: String,
    health: String,
    redacted: String,
}

/// What the site's mirror signed when its newest bundle was in.
#[derive(Debug)]
struct Receipt {
    said: String,
    is_complete: bool,
    manifest: String,
    digest: String,
}

/// A site's clusters on one of this hub's graphs.
#[derive(Debug)]
struct Graph {
    name: String,
    href: String,
    counts: String,
    here: String,
    there: String,
    is_behind: bool,
}

/// What somebody should do, and with which commands.
#[derive(Debug)]
struct Todo {
    tone: Tone,
    why: String,
    there: Option<String>,
    here: Option<String>,
}

#[derive(Debug)]
struct Imports {
    site: String,
    rows: Vec<Import>,
}

#[derive(Debug)]
struct Import {
    id: u64,
    sequence: u64,
    made: String,
    taken: String,
    by: String,
    clusters: u64,
    digest: String,
}

impl SitesPage {
    pub(super) fn new(shell: Shell, facts: &SitesFacts) -> Self {
        let import = |import: &SiteImport| Import {
            id: import.id,
            sequence: import.sequence,
            made: words::relative(facts.at, import.made_at),
            taken: words::relative(facts.at, import.imported_at),
            by: import.imported_by.clone(),
            clusters: import.clusters,
            digest: import.digest.hex(),
        };
        Self {
            shell,
            sites: facts.sites.iter().map(|(row, every_s)| site(facts, row, *every_s)).collect(),
            imports: facts.imports.as_ref().map(|(name, imports)| Imports {
                site: name.to_string(),
                rows: imports.iter().map(import).collect(),
            }),
        }
    }
}

fn site(facts: &SitesFacts, row: &SiteRow, every_s: u64) -> Site {
    let status = row.status.as_ref();
    let drift: Vec<&SiteDrift> = facts.drift.iter().filter(|d| d.site == row.name).collect();
    let graphs: Vec<Graph> = drift.iter().map(|drift| graph(drift)).collect();
    let redacted = |left_out: &std::collections::BTreeSet<Redaction>| {
        left_out.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ")
    };
    Site {
        name: row.name.to_string(),
        description: row.description.clone(),
        imports_href: format!("/sites?site={}", row.name),
        freshness: words::freshness(row.freshness)
            .unwrap_or_else(|| Pill::new(Tone::Plain, row.freshness.as_str())),
        as_of: status.map_or_else(|| "never".to_owned(), |s| words::relative(facts.at, s.made_at)),
        expected: words::span(every_s),
        status: status.map(|status| Status {
            sequence: status.sequence,
            taken: format!(
                "{} by {}",
                words::relative(facts.at, status.imported_at),
                status.imported_by
            ),
            hub_version: status.hub_version.clone(),
            bundle: status.newest_bundle.map_or_else(
                || "none that it told of".to_owned(),
                |sequence| format!("number {sequence}, imported there"),
            ),
            receipt: status.receipt.as_ref().map(|receipt| receipt_of(receipt, facts.at)),
            clusters: format!(
                "{}, {} active there",
                count(status.counts.clusters, "cluster"),
                status.counts.active
            ),
            health: format!(
                "{} healthy, {} unhealthy, {} unknown",
                status.counts.healthy, status.counts.unhealthy, status.counts.unknown
            ),
            redacted: redacted(&status.redacted),
        }),
        todo: todo(row, every_s, &graphs, facts),
        graphs,
        key: row.key_id.clone(),
        registered: format!(
            "{} by {}",
            words::relative(facts.at, row.registered_at),
            row.registered_by
        ),
    }
}

fn receipt_of(receipt: &BundleReceipt, now: Timestamp) -> Receipt {
    Receipt {
        said: format!("{}, imported {}", receipt.bundle, words::relative(now, receipt.imported_at)),
        is_complete: receipt.complete,
        manifest: receipt.manifest.to_string(),
        digest: receipt.digest.to_string(),
    }
}

fn graph(drift: &SiteDrift) -> Graph {
    let totals = &drift.totals;
    let head = |version: &Option<channels::version::ReleaseVersion>| {
        version.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    Graph {
        name: format!("{} {} {}", totals.product, totals.channel, totals.arch),
        href: format!("/channels/{}/{}/{}", totals.product, totals.channel, totals.arch),
        counts: counts(totals),
        here: head(&totals.head),
        there: head(&drift.head_at_site),
        is_behind: totals.head.is_some() && totals.head > drift.head_at_site,
    }
}

fn counts(totals: &DriftTotals) -> String {
    let parts = [
        (totals.current, "on the head"),
        (totals.behind, "behind"),
        (totals.stranded, "stranded"),
        (totals.off_graph, "off graph"),
        (totals.eol, "past end of life"),
        (totals.silent, "silent there"),
    ];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, what)| format!("{number} {what}")).collect();
    if parts.is_empty() { count(totals.active, "cluster") } else { parts.join(", ") }
}

fn todo(row: &SiteRow, every_s: u64, graphs: &[Graph], facts: &SitesFacts) -> Option<Todo> {
    let name = &row.name;
    let export = || {
        Some(format!(
            "offline-mirror status-export --server SITE-HUB --token-file FILE --out {name}.status.json"
        ))
    };
    let import = || Some(format!("fairway sites import {name}.status.json --site {name}"));
    let age = row.status.as_ref().map(|status| words::relative(facts.at, status.made_at));
    let age = age.unwrap_or_default();
    let fetch = |tone, why| Some(Todo { tone, why, there: export(), here: import() });
    match row.freshness {
        Freshness::Never => {
            fetch(Tone::Mute, "Nothing is known of it: no status was ever carried here.".to_owned())
        }
        Freshness::Silent => fetch(
            Tone::Bad,
            format!(
                "Its status was made {age}, more than twice the {} within which one is expected. \
                 What is shown may have nothing to do with the site any more.",
                words::span(every_s)
            ),
        ),
        Freshness::Late | Freshness::Gone | Freshness::Unknown => fetch(
            Tone::Warn,
            format!("Its status was made {age}; one is expected every {}.", words::span(every_s)),
        ),
        Freshness::Fresh | Freshness::Carried => {
            let behind: Vec<&str> = graphs
                .iter()
                .filter(|graph| graph.is_behind)
                .map(|graph| graph.name.as_str())
                .collect();
            if behind.is_empty() {
                return None;
            }
            Some(Todo {
                tone: Tone::Move,
                why: format!(
                    "The site does not have the newest release of {}: carry a bundle. A bundle \
                     made against the inventory that came back holds only what is missing.",
                    behind.join(", ")
                ),
                there: None,
                here: Some(format!(
                    "offline-mirror create DIR --server HUB --root ROOT --view VIEW --for {name} \
                     --since-inventory INVENTORY --site-key {name}=KEY"
                )),
            })
        }
    }
}
