//! What the handlers work on.

use std::sync::{Mutex, PoisonError};

use actix_web::web;
use jiff::Timestamp;
use tokio::time::{Duration, Instant};

use super::super::access::Access;
use super::super::dashboard::PageCache;
use super::super::problem::{ApiError, Code};
use super::super::public::Clock;
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::fleet::{FleetIndex, View};
use crate::metrics::Metrics;
use crate::publish::Publisher;
use crate::server::Leadership;
use crate::store::{Reader, ReaderError, Store};
use crate::webhooks::Deliveries;

/// Least time between two batches that only strangers caused.
const CATCH_UP_FLOOR: Duration = Duration::from_millis(50);

/// One per process; handlers get it as `web::Data`.
#[derive(Debug)]
pub struct HubState {
    /// Writes, and the committed state in memory.
    pub store: Store,
    /// Reads of what is on disk only.
    pub reader: Reader,
    /// What is served to everyone.
    pub catalog: Catalog,
    /// Takes publications.
    pub publisher: Publisher,
    /// Whether this hub does what only one replica does.
    pub leadership: Leadership,
    /// What is counted.
    pub metrics: Metrics,
    /// When it is.
    pub clock: Clock,
    /// What was set.
    pub settings: Settings,
    /// What is remembered between requests of people.
    pub access: Access,
    /// How webhooks fare.
    pub deliveries: Deliveries,
    /// When a request last waited for what other replicas committed.
    pub caught_up: Mutex<Option<Instant>>,
    /// Held while the catalog takes over the holds: two of them at once could leave the older
    /// list shown.
    pub holds_shown: Mutex<()>,
    /// What pages for people keep between requests.
    pub pages: PageCache,
}

impl HubState {
    /// The hub's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Answers from the fleet index.
    pub fn with_fleet<T>(&self, answer: impl FnOnce(&FleetIndex, &mut View<'_>) -> T) -> T {
        let committed = self.store.committed();
        let fleet = committed.fleet();
        let mut memo = committed.memo();
        answer(&fleet, &mut View::new(self.now(), &self.catalog, &mut memo))
    }

    /// `first`; or, if it is that nobody is known by that key, token or session and another replica
    /// may have let them in just now, what `again` says when memory has caught up.
    pub async fn unless_behind<T>(
        &self,
        first: Result<T, ApiError>,
        again: impl FnOnce() -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        match first {
            Err(error)
                if matches!(error.code(), Code::UnknownCluster | Code::Unauthenticated)
                    && self.catch_up().await =>
            {
                again()
            }
            other => other,
        }
    }

    /// Takes over what other replicas committed before this call, and says whether it did. Not too
    /// often: strangers may ask.
    async fn catch_up(&self) -> bool {
        if !self.publisher.is_shared() {
            return false;
        }
        {
            let mut last = self.caught_up.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < CATCH_UP_FLOOR) {
                return false;
            }
            *last = Some(Instant::now());
        }
        self.store.catch_up().await.is_ok()
    }

    /// Shows the committed holds to plain Cincinnati clients. Compresses graphs: blocks.
    pub fn show_holds(&self) {
        let _one_at_a_time = self.holds_shown.lock().unwrap_or_else(PoisonError::into_inner);
        let committed = self.store.committed();
        let stops = super::rollouts::stops(&committed.rollouts(), &self.catalog, self.now());
        self.catalog.set_holds(&committed.holds(), &stops);
    }
}

/// Reads from disk on a thread that may block.
pub(in crate::http) async fn from_disk<T: Send + 'static>(
    state: &web::Data<HubState>,
    read: impl FnOnce(&Reader) -> Result<T, ReaderError> + Send + 'static,
) -> Result<T, ApiError> {
    let reader = state.reader.clone();
    web::block(move || read(&reader))
        .await
        .map_err(|error| ApiError::internal("read the database", &error))?
        .map_err(|error| ApiError::internal("read the database", &error))
}
