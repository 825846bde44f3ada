//! Dark sites as tables.

use channels::wire::{SiteImport, SiteRow, StatusImportReply};
use jiff::Timestamp;

use crate::span::age;
use crate::table::{Format, Table, cell};

fn time(at: Timestamp, now: Timestamp, format: Format) -> String {
    match format {
        Format::Table => age(at, now),
        Format::Json | Format::Csv => at.to_string(),
    }
}

/// One row per site; `as_of` is when its status was made.
pub(super) fn sites(rows: &[SiteRow], now: Timestamp, format: Format) -> Table {
    let mut table = Table::new(&[
        "site",
        "as_of",
        "freshness",
        "clusters",
        "active",
        "healthy",
        "unhealthy",
        "unknown",
        "sequence",
        "bundle",
        "left_out",
        "hub",
        "description",
    ]);
    for row in rows {
        let status = row.status.as_ref();
        let number = |number: Option<u64>| cell(number.as_ref());
        let left_out = status.map_or_else(String::new, |s| {
            s.redacted.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(" ")
        });
        table.row(vec![
            row.name.to_string(),
            status.map_or_else(|| "never".to_owned(), |s| time(s.made_at, now, format)),
            row.freshness.as_str().to_owned(),
            number(status.map(|s| s.counts.clusters)),
            number(status.map(|s| s.counts.active)),
            number(status.map(|s| s.counts.healthy)),
            number(status.map(|s| s.counts.unhealthy)),
            number(status.map(|s| s.counts.unknown)),
            number(status.map(|s| s.sequence)),
            number(status.and_then(|s| s.newest_bundle)),
            left_out,
            cell(status.map(|s| &s.hub_version)),
            row.description.clone(),
        ]);
    }
    table
}

/// One row per status that was taken.
pub(super) fn imports(rows: &[SiteImport], now: Timestamp, format: Format) -> Table {
    let mut table =
        Table::new(&["id", "sequence", "made", "imported", "imported_by", "clusters", "digest"]);
    for row in rows {
        table.row(vec![
            row.id.to_string(),
            row.sequence.to_string(),
            time(row.made_at, now, format),
            time(row.imported_at, now, format),
            row.imported_by.clone(),
            row.clusters.to_string(),
            row.digest.to_string(),
        ]);
    }
    table
}

/// What became of an imported status.
pub(super) fn reply(reply: &StatusImportReply) -> Table {
    let mut table = Table::new(&["site", "sequence", "made", "clusters", "changed", "live_here"]);
    let live_here: Vec<String> = reply.live_here.iter().map(ToString::to_string).collect();
    table.row(vec![
        reply.site.to_string(),
        reply.sequence.to_string(),
        reply.made_at.to_string(),
        reply.clusters.to_string(),
        if reply.changed { "yes" } else { "no" }.to_owned(),
        live_here.join(" "),
    ]);
    table
}
