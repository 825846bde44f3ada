//! Dark sites on the page: what is known of them, and how old that is.

use channels::version::ReleaseVersion;
use channels::wire::{DriftTotals, Redaction, SiteDrift, SiteRow};

use super::super::words::{self, Pill, Tone};
use super::FleetView;

/// One site.
#[derive(Debug)]
pub(super) struct DarkSite {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) graphs: Vec<SiteGraph>,
    pub(super) clusters: String,
    pub(super) health: String,
    pub(super) redacted: String,
    pub(super) as_of: String,
    pub(super) freshness: Pill,
}

/// What the site's clusters of one graph run.
#[derive(Debug)]
pub(super) struct SiteGraph {
    pub(super) name: String,
    pub(super) counts: String,
    pub(super) heads: String,
}

pub(super) fn dark_sites(view: &FleetView) -> Vec<DarkSite> {
    view.sites.iter().map(|site| dark_site(site, view)).collect()
}

fn dark_site(site: &SiteRow, view: &FleetView) -> DarkSite {
    let status = site.status.as_ref();
    let said = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let graphs = view.site_drift.iter().filter(|drift| drift.site == site.name);
    DarkSite {
        name: site.name.to_string(),
        description: site.description.clone(),
        graphs: graphs.map(graph).collect(),
        clusters: said(status.map(|s| s.counts.clusters.to_string())),
        health: said(status.map(|s| {
            let counts = &s.counts;
            format!(
                "{} healthy, {} unhealthy, {} unknown",
                counts.healthy, counts.unhealthy, counts.unknown
            )
        })),
        redacted: said(status.filter(|s| !s.redacted.is_empty()).map(|s| {
            s.redacted.iter().map(|r: &Redaction| r.as_str()).collect::<Vec<_>>().join(", ")
        })),
        as_of: said(status.map(|s| words::relative(view.at, s.made_at))),
        freshness: words::freshness(site.freshness)
            .unwrap_or_else(|| Pill::new(Tone::Plain, site.freshness.as_str())),
    }
}

fn graph(drift: &SiteDrift) -> SiteGraph {
    let totals = &drift.totals;
    let head = |version: &Option<ReleaseVersion>| {
        version.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    SiteGraph {
        name: format!("{} {} {}", totals.product, totals.channel, totals.arch),
        counts: counts(totals),
        heads: format!("head here {}, there {}", head(&totals.head), head(&drift.head_at_site)),
    }
}

fn counts(totals: &DriftTotals) -> String {
    let parts = [
        (totals.current, "current"),
        (totals.behind, "behind"),
        (totals.stranded, "stranded"),
        (totals.off_graph, "off graph"),
        (totals.eol, "past end of life"),
        (totals.silent, "silent there"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    if parts.is_empty() { format!("{} clusters", totals.active) } else { parts.join(", ") }
}
