//! Lists as CSV and NDJSON: all rows that match, page by page.
//!
//! Every page is one short read, as if someone had turned the pages by hand: an export of a million
//! clusters keeps no lock and no long statement, and a slow reader costs one page of memory. Rows that
//! change meanwhile are shown as they are when their page comes.

use std::future::Future;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use channels::wire::{
    AuditRow, ClusterRow, DriftTotals, HealthRow, Page, ProductRow, Reason, SiteDrift, WaitingOn,
};
use futures_util::stream;
use serde::{Serialize, Serializer};

use super::super::negotiate::{self, Listing};
use super::super::problem::{ApiError, Code};

/// How a list is asked for: by `format`, else by `Accept`.
pub(super) fn listing(request: &HttpRequest, format: Option<&str>) -> Result<Listing, ApiError> {
    let Some(format) = format else { return Ok(negotiate::listing(request.headers())) };
    Listing::ALL.into_iter().find(|listing| listing.name() == format).ok_or_else(|| {
        ApiError::new(Code::InvalidRequest, "format must be one of json, ndjson, csv")
    })
}

/// A row that can be exported.
pub(super) trait Export: Serialize {
    /// Names of the columns.
    const COLUMNS: &'static [&'static str];

    /// Its lines in CSV, in the order of the columns.
    fn cells(&self) -> Vec<Vec<String>>;
}

/// What is still to come.
enum Stage {
    Page(Option<String>),
    Done,
}

/// All pages from the first one on; `page` reads the one that begins at a cursor.
pub(super) fn stream<T, F, R>(name: &str, listing: Listing, page: F) -> HttpResponse
where
    T: Export + 'static,
    F: Fn(Option<String>) -> R + 'static,
    R: Future<Output = Result<Page<T>, ApiError>> + 'static,
{
    let begin = (Stage::Page(None), page, true);
    let pieces = stream::unfold(begin, move |(stage, page, first)| async move {
        let Stage::Page(cursor) = stage else { return None };
        match page(cursor).await {
            // The reader sees a connection that breaks off, which is no complete answer.
            Err(error) => Some((Err(error), (Stage::Done, page, false))),
            Ok(Page { items, next }) => {
                let piece = written(&items, listing, first);
                let stage = next.map_or(Stage::Done, |next| Stage::Page(Some(next)));
                Some((Ok(Bytes::from(piece)), (stage, page, false)))
            }
        }
    });
    let file = format!("attachment; filename=\"fairway-{name}.{}\"", listing.name());
    HttpResponse::Ok()
        .content_type(listing.media_type())
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((VARY, "Accept"))
        .insert_header((CONTENT_DISPOSITION, file))
        .streaming(pieces)
}

/// Rows that are in memory anyway.
pub(super) fn whole<T: Export + Clone + 'static>(
    name: &str,
    listing: Listing,
    items: Vec<T>,
) -> HttpResponse {
    stream(name, listing, move |_| {
        let items = items.clone();
        async move { Ok(Page { items, next: None }) }
    })
}

fn written<T: Export>(items: &[T], listing: Listing, first: bool) -> String {
    let mut text = String::new();
    if first && listing == Listing::Csv {
        line(&mut text, T::COLUMNS.iter().copied());
    }
    for item in items {
        if listing == Listing::Csv {
            for cells in item.cells() {
                line(&mut text, cells.iter().map(String::as_str));
            }
        } else {
            // Strings, numbers and times: always serialises.
            text.push_str(&serde_json::to_string(item).unwrap_or_default());
            text.push('\n');
        }
    }
    text
}

/// One line of RFC 4180.
fn line<'c>(text: &mut String, cells: impl Iterator<Item = &'c str>) {
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            text.push(',');
        }
        field(text, cell);
    }
    text.push_str("\r\n");
}

/// One field. A spreadsheet takes text that begins like a formula for one, and agents write text: such
/// a field gets an apostrophe in front, which spreadsheets hide.
fn field(text: &mut String, cell: &str) {
    let is_formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    let guard = if is_formula { "'" } else { "" };
    if cell.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(guard);
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(guard);
        text.push_str(cell);
    }
}

fn cell<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(String::new, ToString::to_string)
}

fn joined<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    texts.collect::<Vec<_>>().join("; ")
}

impl Export for ClusterRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "site",
        "as_of",
        "enrolled_at",
        "last_seen",
        "freshness",
        "agent_version",
        "labels",
        "identity_conflict_since",
        "key_revoked_at",
        "product",
        "channel",
        "arch",
        "version",
        "target",
        "phase",
        "since",
        "unit",
        "done",
        "total",
        "health",
        "health_since",
        "quorum_lag_ms",
        "quorum_lag_unit",
        "pleg_lag_ms",
        "pleg_lag_unit",
        "drift",
        "hops",
        "behind_minor",
        "behind_patch",
        "age_days",
        "head",
        "eol",
        "waiting_on",
        "why_not",
        "failure",
    ];

    /// A line per product; a cluster that has told of none has one line.
    fn cells(&self) -> Vec<Vec<String>> {
        let labels: Vec<String> =
            self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let cluster = vec![
            self.id.to_string(),
            self.name.clone(),
            cell(self.site.as_ref()),
            cell(self.as_of.as_ref()),
            self.enrolled_at.to_string(),
            cell(self.last_seen.as_ref()),
            self.freshness.as_str().to_owned(),
            self.agent_version.clone(),
            labels.join("; "),
            cell(self.identity_conflict_since.as_ref()),
            cell(self.key_revoked.as_ref().map(|revoked| revoked.at).as_ref()),
        ];
        if self.products.is_empty() {
            let mut line = cluster;
            line.resize(Self::COLUMNS.len(), String::new());
            return vec![line];
        }
        let line = |product| cluster.iter().cloned().chain(product_cells(product)).collect();
        self.products.iter().map(line).collect()
    }
}

fn product_cells(product: &ProductRow) -> Vec<String> {
    let (health, drift) = (&product.health, &product.drift);
    vec![
        product.product.to_string(),
        product.channel.to_string(),
        product.arch.to_string(),
        product.version.to_string(),
        cell(product.target.as_ref()),
        product.phase.to_string(),
        product.since.to_string(),
        cell(product.unit.as_ref()),
        cell(product.progress.map(|p| p.done).as_ref()),
        cell(product.progress.map(|p| p.total).as_ref()),
        health.verdict.to_string(),
        cell(health.since.as_ref()),
        cell(health.quorum_lag_ms.as_ref()),
        cell(health.quorum_lag_unit.as_ref()),
        cell(health.pleg_lag_ms.as_ref()),
        cell(health.pleg_lag_unit.as_ref()),
        drift.state.as_str().to_owned(),
        cell(drift.hops.as_ref()),
        drift.behind_minor.to_string(),
        drift.behind_patch.to_string(),
        cell(drift.age_days.as_ref()),
        cell(drift.head.as_ref()),
        cell(drift.eol.as_ref()),
        joined(product.waiting_on.iter().map(|WaitingOn { message, .. }| message.as_str())),
        joined(product.why_not.iter().map(|Reason { message, .. }| message.as_str())),
        product.failure.as_ref().map_or_else(String::new, |failure| failure.message.clone()),
    ]
}

/// A line of the drift answer: of the fleet, or of a dark site.
#[derive(Debug, Clone)]
pub(super) enum DriftLine {
    /// The live fleet.
    Live(DriftTotals),
    /// One dark site.
    Site(SiteDrift),
}

impl Serialize for DriftLine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Live(totals) => totals.serialize(serializer),
            Self::Site(site) => site.serialize(serializer),
        }
    }
}

impl Export for DriftLine {
    const COLUMNS: &'static [&'static str] = &[
        "site",
        "as_of",
        "product",
        "channel",
        "arch",
        "head",
        "active",
        "silent",
        "current",
        "behind",
        "stranded",
        "off_graph",
        "eol",
        "rolling",
        "stopped",
        "hops_max",
        "behind_minor_max",
        "on_head_percent",
        "age_days_p50",
        "age_days_p95",
        "versions",
    ];

    fn cells(&self) -> Vec<Vec<String>> {
        let (site, as_of, totals) = match self {
            Self::Live(totals) => (String::new(), String::new(), totals),
            Self::Site(site) => (site.site.to_string(), site.as_of.to_string(), &site.totals),
        };
        let versions: Vec<String> =
            totals.versions.iter().map(|n| format!("{}: {}", n.version, n.clusters)).collect();
        vec![vec![
            site,
            as_of,
            totals.product.to_string(),
            totals.channel.to_string(),
            totals.arch.to_string(),
            cell(totals.head.as_ref()),
            totals.active.to_string(),
            totals.silent.to_string(),
            totals.current.to_string(),
            totals.behind.to_string(),
            totals.stranded.to_string(),
            totals.off_graph.to_string(),
            totals.eol.to_string(),
            totals.rolling.to_string(),
            totals.stopped.to_string(),
            cell(totals.hops_max.as_ref()),
            totals.spread.behind_minor_max.to_string(),
            totals.spread.on_head_percent.to_string(),
            cell(totals.spread.age_days_p50.as_ref()),
            cell(totals.spread.age_days_p95.as_ref()),
            versions.join("; "),
        ]]
    }
}

impl Export for HealthRow {
    const COLUMNS: &'static [&'static str] = &[
        "cluster",
        "name",
        "product",
        "channel",
        "health",
        "since",
        "quorum_lag_ms",
        "quorum_lag_unit",
        "pleg_lag_ms",
        "pleg_lag_unit",
        "why",
    ];

    fn cells(&self) -> Vec<Vec<String>> {
        let health = &self.health;
        vec![vec![
            self.cluster.to_string(),
            self.name.clone(),
            self.product.to_string(),
            cell(self.channel.as_ref()),
            health.verdict.to_string(),
            cell(health.since.as_ref()),
            cell(health.quorum_lag_ms.as_ref()),
            cell(health.quorum_lag_unit.as_ref()),
            cell(health.pleg_lag_ms.as_ref()),
            cell(health.pleg_lag_unit.as_ref()),
            cell(self.why.as_ref()),
        ]]
    }
}

impl Export for AuditRow {
    const COLUMNS: &'static [&'static str] =
        &["id", "at", "actor", "action", "object", "detail", "previous", "hash"];

    fn cells(&self) -> Vec<Vec<String>> {
        vec![vec![
            self.id.to_string(),
            self.at.to_string(),
            self.actor.clone(),
            self.action.clone(),
            self.object.clone(),
            self.detail.clone(),
            self.previous.clone(),
            self.hash.clone(),
        ]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(cells: &[&str]) -> String {
        let mut text = String::new();
        line(&mut text, cells.iter().copied());
        text
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        assert_eq!(
            csv(&["a", "b,c", "say \"x\"", "two\nlines", ""]),
            "a,\"b,c\",\"say \"\"x\"\"\",\"two\nlines\",\r\n"
        );
    }

    #[test]
    fn text_that_begins_like_a_formula_is_none_and_numbers_stay_numbers() {
        assert_eq!(csv(&["=1+1", "@x", "-x", "-5", "+3.5"]), "'=1+1,'@x,'-x,-5,+3.5\r\n");
        assert_eq!(csv(&["=A1,B2"]), "\"'=A1,B2\"\r\n");
    }
}
