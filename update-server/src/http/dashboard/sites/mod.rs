//! `/sites`: air-gapped sites, what is known of each, how old that is, and what to do about it.

#[cfg(test)]
mod tests;
mod view;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use channels::names::SiteName;
use channels::wire::{SiteDrift, SiteImport, SiteRow};
use jiff::Timestamp;
use serde::Deserialize;

use super::send;
use super::shell::{Live, Place, Shell};
use super::visitor::Visitor;
use crate::http::api::{Guarded, HubState, Viewer, from_disk, get, methods};
use crate::http::problem::{ApiError, Code};

/// Imports listed of one site: half a year of weekly ones.
const MAX_IMPORTS: usize = 26;

/// Events that change what is shown here.
const KINDS: &str = "import_status,register_site,remove_site,publish";

/// Everything the page shows.
#[derive(Debug)]
struct SitesFacts {
    /// The hub's time.
    at: Timestamp,
    /// Every site, and the seconds within which its status is expected.
    sites: Vec<(SiteRow, u64)>,
    /// Their clusters on this hub's graphs.
    drift: Vec<SiteDrift>,
    /// The newest imports of the site that is picked.
    imports: Option<(SiteName, Vec<SiteImport>)>,
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(methods("/sites", "GET, HEAD").route(get().to(page)));
}

#[derive(Debug, Deserialize)]
struct SitesQuery {
    /// Whose imports are listed.
    site: Option<String>,
}

/// The handler. Sites are in no scope but the whole, as in the API.
async fn page(
    visitor: Visitor,
    _whole: Guarded<Viewer>,
    state: web::Data<HubState>,
    request: HttpRequest,
    query: web::Query<SitesQuery>,
) -> Result<HttpResponse, ApiError> {
    let sites = state.store.committed().sites();
    let imports = match &query.site {
        None => None,
        Some(text) => {
            let known = text.parse::<SiteName>().ok().filter(|name| sites.get(name).is_some());
            let name = known.ok_or_else(|| {
                ApiError::new(Code::UnknownSite, format!("no site {text:?} is registered here"))
            })?;
            let asked = name.clone();
            let read =
                move |reader: &crate::store::Reader| reader.site_imports(&asked, MAX_IMPORTS);
            Some((name, from_disk(&state, read).await?))
        }
    };
    let (rows, drift) = state.with_fleet(|_, view| (sites.rows(view), sites.drift(view)));
    let with_interval = |row: SiteRow| {
        let every_s = sites.get(&row.name).map_or(0, |site| site.interval_s());
        (row, every_s)
    };
    let facts = SitesFacts {
        at: visitor.at,
        sites: rows.into_iter().map(with_interval).collect(),
        drift,
        imports,
    };
    let status = state.catalog.status(visitor.at);
    let shell = Shell::new(&visitor, &status, Place::Sites, "Air-gapped sites", Live::On(KINDS));
    send::page(&request, &view::SitesPage::new(shell, &facts))
}
