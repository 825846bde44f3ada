//! The first page: what the fleet runs, what moves, and why the rest does not.
//!
//! Takes a plain value and renders it; reads no store and no clock. No script: the page refreshes
//! itself, works in a text browser and prints.

mod page;
mod sites;
#[cfg(test)]
mod tests;
mod words;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use askama::Template;
use channels::wire::{ClusterRow, DriftTotals, Hold, SiteDrift, SiteRow};
use jiff::Timestamp;

use super::assets::security_headers;
use super::problem::ApiError;
use crate::catalog::CatalogStatus;

/// Seconds between refreshes unless the address says otherwise.
pub const REFRESH_S: u32 = 2;

/// Longest refresh interval taken from the address, seconds.
const REFRESH_MAX_S: u32 = 3600;

/// Somebody who is signed in with this browser.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Their name.
    pub name: String,
    /// The token of their pages, for the form that signs out.
    pub csrf: String,
}

/// Everything the page shows.
#[derive(Debug, Clone)]
pub struct DashboardView {
    /// Server's clock.
    pub at: Timestamp,
    /// Version of the server.
    pub hub_version: String,
    /// Who is signed in, where somebody is.
    pub signed_in: Option<SignedIn>,
    /// Seconds between refreshes; 0 = none.
    pub refresh_s: u32,
    /// The repository.
    pub status: CatalogStatus,
    /// One entry per graph.
    pub drift: Vec<DriftTotals>,
    /// The clusters to list, already limited.
    pub clusters: Vec<ClusterRow>,
    /// How many clusters there are in all.
    pub clusters_total: u64,
    /// Holds in force.
    pub holds: Vec<Hold>,
    /// Dark sites.
    pub sites: Vec<SiteRow>,
    /// Their drift on this hub's graphs.
    pub site_drift: Vec<SiteDrift>,
}

/// Reads `refresh=N` of a query string: seconds, 0 = never, at most an hour; 2 unless given.
pub fn refresh_from_query(query: &str) -> u32 {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("refresh="))
        .and_then(|value| value.parse().ok())
        .map_or(REFRESH_S, |seconds: u32| seconds.min(REFRESH_MAX_S))
}

/// The page as HTML.
pub fn render(view: &DashboardView) -> Result<String, askama::Error> {
    page::Page::new(view).render()
}

/// The page with its headers.
pub fn respond(view: &DashboardView) -> Result<HttpResponse, ApiError> {
    let html = render(view).map_err(|error| ApiError::internal("render dashboard", &error))?;
    let mut response = HttpResponse::Ok();
    for header in security_headers() {
        response.insert_header(header);
    }
    response.insert_header((CACHE_CONTROL, "no-store"));
    Ok(response.content_type("text/html; charset=utf-8").body(html))
}
