//! The page over made-up rows.

use askama::Template as _;
use channels::wire::AuditRow;
use jiff::Timestamp;

use super::AuditFacts;
use super::filter::Asked;
use super::view::AuditPage;
use crate::catalog::CatalogStatus;
use crate::http::dashboard::shell::{Live, Place, Shell};
use crate::http::dashboard::visitor::Visitor;
use crate::store::{AuditFound, ChainCheck, row_hash};

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// Newest first, chained.
fn rows(count: u64) -> Vec<AuditRow> {
    let mut previous = "0".repeat(64);
    let mut rows: Vec<AuditRow> = (1..=count)
        .map(|id| {
            let mut row = AuditRow {
                id,
                at: now(),
                actor: "<mira>".to_owned(),
                action: "hold".to_owned(),
                object: format!("hold/{id}"),
                detail: format!("{{\"reason\":\"{}\"}}", "x".repeat(200)),
                previous: previous.clone(),
                hash: String::new(),
            };
            row.hash = row_hash(&row);
            previous.clone_from(&row.hash);
            row
        })
        .collect();
    rows.reverse();
    rows
}

fn html(query: &str, rows: Vec<AuditRow>, go_on: Option<u64>, check: Option<ChainCheck>) -> String {
    let visitor = Visitor::sample(now(), "/audit", query);
    let status = CatalogStatus {
        root_version: None,
        expires: None,
        stale: None,
        expired_roles: Vec::new(),
        products: Vec::new(),
    };
    let shell = Shell::new(&visitor, &status, Place::Audit, "Audit log", Live::No);
    let facts = AuditFacts { found: AuditFound { rows, go_on }, check };
    AuditPage::new(shell, &Asked::read(query), &facts, now()).render().unwrap()
}

#[test]
fn rows_lead_to_those_like_them_and_long_details_are_folded() {
    let page = html("since=2026-01-01", rows(2), Some(1), None);
    assert!(page.contains("/audit?actor=%3Cmira%3E&#38;since=2026-01-01"), "{page}");
    assert!(page.contains("/audit?object=hold%2F2&#38;since=2026-01-01"), "{page}");
    assert!(page.contains("/audit?since=2026-01-01&#38;before=1"), "{page}");
    assert!(!page.contains("<mira>") && page.contains("<details>"), "{page}");
}

#[test]
fn rows_that_do_not_follow_each_other_are_told() {
    assert!(html("", rows(3), None, None).contains("rows of this page fit"));
    let mut forged = rows(3);
    forged[1].actor = "eve".to_owned();
    assert!(html("", forged, None, None).contains("row 2 was changed"));
    let page = html("actor=mira", vec![rows(3).remove(0)], None, None);
    assert!(page.contains("not checked"), "filtered rows need not follow each other");
}

#[test]
fn a_check_of_the_whole_chain_says_what_it_found() {
    let good = ChainCheck { rows: 9, head: "ab".to_owned(), broken_at: None };
    assert!(html("check=1", Vec::new(), None, Some(good)).contains("9 rows checked"));
    let bad = ChainCheck { rows: 4, head: "ab".to_owned(), broken_at: Some(5) };
    assert!(html("check=1", Vec::new(), None, Some(bad)).contains("row 5 does not follow row 4"));
}

#[test]
fn a_search_without_rows_says_whether_everything_was_looked_at() {
    assert!(html("", Vec::new(), None, None).contains("Nothing was changed yet."));
    assert!(html("actor=x", Vec::new(), None, None).contains("No row matches."));
    let page = html("actor=x", Vec::new(), Some(7), None);
    assert!(page.contains("Older rows were not looked at") && page.contains("before=7"));
    assert!(html("since=soon", Vec::new(), None, None).contains("&#34;soon&#34; is no day"));
}
