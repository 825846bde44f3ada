//! The page over made-up sites.

use askama::Template as _;
use channels::wire::{
    DriftSpread, DriftTotals, Freshness, SiteCounts, SiteDrift, SiteRow, SiteStatusHead,
};
use jiff::{SignedDuration, Timestamp};

use super::SitesFacts;
use super::view::SitesPage;
use crate::catalog::CatalogStatus;
use crate::http::dashboard::shell::{Live, Place, Shell};
use crate::http::dashboard::visitor::Visitor;

fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn days_ago(days: i64) -> Timestamp {
    now() - SignedDuration::from_hours(24 * days)
}

fn site(name: &str, freshness: Freshness, made_at: Option<Timestamp>) -> (SiteRow, u64) {
    let status = made_at.map(|made_at| SiteStatusHead {
        sequence: 7,
        made_at,
        imported_at: days_ago(0),
        imported_by: "mira".to_owned(),
        hub_version: "0.1.0".to_owned(),
        redacted: std::collections::BTreeSet::new(),
        newest_bundle: Some(4),
        receipt: Some(channels::wire::BundleReceipt {
            bundle: "north-4".to_owned(),
            sequence: 4,
            manifest: signing::Sha256Digest::of(b"manifest"),
            imported_at: days_ago(3),
            complete: false,
            digest: signing::Sha256Digest::of(b"receipt"),
        }),
        counts: SiteCounts { clusters: 3, active: 2, healthy: 1, unhealthy: 1, unknown: 0 },
        live_here: 0,
    });
    let row = SiteRow {
        name: name.parse().unwrap(),
        description: "<b>rig</b>".to_owned(),
        key_id: "ab".repeat(32),
        expected_interval_s: None,
        registered_at: days_ago(90),
        registered_by: "mira".to_owned(),
        freshness,
        status,
    };
    (row, 7 * 24 * 3600)
}

fn drift(site: &str, here: &str, there: &str) -> SiteDrift {
    SiteDrift {
        site: site.parse().unwrap(),
        as_of: days_ago(1),
        freshness: Freshness::Carried,
        head_at_site: Some(there.parse().unwrap()),
        totals: DriftTotals {
            product: "acme/kafka".parse().unwrap(),
            channel: "stable".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
            head: Some(here.parse().unwrap()),
            active: 2,
            silent: 1,
            current: 0,
            behind: 2,
            stranded: 0,
            off_graph: 0,
            eol: 0,
            rolling: 0,
            stopped: 0,
            hops_max: Some(1),
            spread: DriftSpread::default(),
            versions: Vec::new(),
        },
    }
}

fn html(sites: Vec<(SiteRow, u64)>, drift: Vec<SiteDrift>) -> String {
    let facts = SitesFacts { at: now(), sites, drift, imports: None };
    let visitor = Visitor::sample(now(), "/sites", "");
    let status = CatalogStatus {
        root_version: None,
        expires: None,
        stale: None,
        expired_roles: Vec::new(),
        products: Vec::new(),
    };
    let shell = Shell::new(&visitor, &status, Place::Sites, "Sites", Live::No);
    SitesPage::new(shell, &facts).render().unwrap()
}

#[test]
fn a_hub_without_sites_says_how_one_is_registered() {
    assert!(html(Vec::new(), Vec::new()).contains("fairway sites add NAME --key FILE"));
}

#[test]
fn a_late_site_says_how_old_it_is_and_which_commands_bring_a_newer_status() {
    for (freshness, days, words) in [
        (Freshness::Late, 9, "made 9 d ago; one is expected every 7 d"),
        (Freshness::Silent, 30, "made 30 d ago, more than twice the 7 d"),
    ] {
        let page = html(vec![site("north", freshness, Some(days_ago(days)))], Vec::new());
        assert!(page.contains(words), "{page}");
        assert!(page.contains("offline-mirror status-export --server"), "{page}");
        assert!(page.contains("fairway sites import north.status.json --site north"), "{page}");
        assert!(page.contains("&#60;b&#62;rig"), "{page}");
    }
    let page = html(vec![site("north", Freshness::Never, None)], Vec::new());
    assert!(page.contains("no status was ever carried here"), "{page}");
}

#[test]
fn a_site_that_lacks_the_newest_release_wants_a_bundle_and_one_that_has_it_nothing() {
    let carried = || vec![site("north", Freshness::Carried, Some(days_ago(1)))];
    let behind = html(carried(), vec![drift("north", "1.1.0", "1.0.0")]);
    assert!(behind.contains("newest release of acme/kafka stable amd64: carry a bundle"));
    assert!(behind.contains("--for north") && behind.contains("2 behind, 1 silent there"));
    for drifts in [vec![drift("north", "1.1.0", "1.1.0")], vec![drift("south", "1.1.0", "1.0.0")]] {
        let page = html(carried(), drifts);
        assert!(!page.contains("carry a bundle") && page.contains("number 4, imported there"));
        assert!(page.contains("north-4, imported 3 d") && page.contains("not complete"), "{page}");
    }
}
