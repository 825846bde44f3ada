//! What anyone may read: graphs, the TUF repository, the dashboard's assets.

use std::fmt;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{ALLOW, CACHE_CONTROL};
use actix_web::web::{self, ServiceConfig};
use jiff::Timestamp;

use super::lookout::Lookout;
use super::{assets, cincinnati, fcos, tuf};
use crate::catalog::Catalog;
use crate::fcos::Fcos;
use crate::metrics::Metrics;

/// The time of day, handed in so that tests can set it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that answers `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// What the public handlers work on.
#[derive(Debug, Clone)]
pub struct PublicState {
    /// What is served.
    pub catalog: Catalog,
    /// What is counted.
    pub metrics: Metrics,
    /// When it is.
    pub clock: Clock,
    /// Graphs for Fedora `CoreOS` clients.
    pub fcos: Fcos,
    /// Where other replicas publish.
    pub lookout: Lookout,
}

/// Registers the public paths: `App::new().configure(public::routes(state))`.
pub fn routes(state: PublicState) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config.app_data(web::Data::new(state));
        cincinnati::routes(config);
        tuf::routes(config);
        fcos::routes(config);
        assets::routes(config);
    }
}

/// The methods of every public path.
pub(super) const METHODS: &str = "GET, HEAD";

/// 405 with the methods that do work.
pub(super) fn method_not_allowed(content_type: &'static str, body: String) -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, METHODS))
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type(content_type)
        .body(body)
}
