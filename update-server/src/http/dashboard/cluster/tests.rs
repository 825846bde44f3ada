//! The page over made-up clusters.

use askama::Template as _;
use channels::wire::Page as WirePage;

use super::*;
use crate::catalog::CatalogStatus;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn row(case: &str) -> ClusterRow {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../channels/golden/v1/");
    let text = std::fs::read(format!("{dir}{case}.json")).unwrap();
    let page: WirePage<ClusterRow> = serde_json::from_slice(&text).unwrap();
    page.items.into_iter().next().unwrap()
}

fn facts(row: ClusterRow, may: May) -> Facts {
    let product = |product: &ProductRow| ProductFacts {
        row: product.clone(),
        way: None,
        risks: Vec::new(),
        rollout: None,
    };
    Facts {
        at: now(),
        products: row.products.iter().map(product).collect(),
        row,
        history: Vec::new(),
        actions: Vec::new(),
        holds: Vec::new(),
        may,
        done: None,
    }
}

fn render(facts: &Facts) -> String {
    let status = CatalogStatus {
        root_version: None,
        expires: None,
        stale: None,
        expired_roles: Vec::new(),
        products: Vec::new(),
    };
    let visitor = Visitor::sample(now(), "/clusters/x", "");
    let shell = Shell::new(&visitor, &status, Place::Fleet, &facts.row.name, Live::On(KINDS));
    view::Page::new(shell, facts).render().unwrap()
}

#[test]
fn what_clusters_and_vendors_say_is_text_and_never_markup_or_a_script_behind_a_link() {
    let mut row = row("cluster-row-page");
    let evil = "<script>alert(1)</script>";
    row.name = evil.to_owned();
    row.labels.insert("a".to_owned(), evil.to_owned());
    let mut facts = facts(row, May::Set);
    let product = facts.products.first_mut().unwrap();
    product.row.failure = Some(channels::wire::Failure {
        kind: evil.to_owned(),
        message: evil.to_owned(),
        at: now(),
    });
    product.risks = vec![ClusterRisk {
        product: product.row.product.clone(),
        channel: product.row.channel.clone(),
        version: product.row.version.clone(),
        risk: evil.to_owned(),
        message: evil.to_owned(),
        url: "javascript:alert(1)".to_owned(),
        always: true,
        blocked: true,
        to: Vec::new(),
        said: None,
    }];
    let html = render(&facts);
    assert!(!html.contains("<script>alert") && !html.contains("javascript:"), "{html}");
    assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
}

#[test]
fn a_cluster_of_a_dark_site_is_looked_at_and_not_steered() {
    let html = render(&facts(row("cluster-row-page--dark"), May::Look));
    assert!(html.contains("It belongs to a dark site"), "{html}");
    for absent in ["/hold\"", "/retire\"", "id=\"history\"", "What people did"] {
        assert!(!html.contains(absent), "{absent} in\n{html}");
    }
}

#[test]
fn one_that_was_revoked_or_cloned_or_never_reported_says_what_to_do() {
    for (case, text) in [
        ("cluster-row-page--revoked", "fairway clusters reinvite"),
        ("cluster-row-page--conflict", "fairway clusters trust"),
    ] {
        let html = render(&facts(row(case), May::Set));
        assert!(html.contains(text), "{case}: {html}");
    }
    let mut never = row("cluster-row-page");
    never.products.clear();
    never.last_seen = None;
    let html = render(&facts(never, May::Set));
    assert!(html.contains("It has not reported yet."), "{html}");
}
