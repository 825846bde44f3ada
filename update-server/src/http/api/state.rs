//! What the handlers work on.

use std::sync::{Mutex, PoisonError};

use actix_web::web;
use jiff::Timestamp;

use super::super::problem::ApiError;
use super::super::public::Clock;
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::fleet::{FleetIndex, View};
use crate::metrics::Metrics;
use crate::publish::Publisher;
use crate::store::{Reader, ReaderError, Store};

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
    /// What is counted.
    pub metrics: Metrics,
    /// When it is.
    pub clock: Clock,
    /// What was set.
    pub settings: Settings,
    /// Held while the catalog takes over the holds: two of them at once could leave the older
    /// list shown.
    pub holds_shown: Mutex<()>,
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

    /// Shows the committed holds to plain Cincinnati clients. Compresses graphs: blocks.
    pub fn show_holds(&self) {
        let _one_at_a_time = self.holds_shown.lock().unwrap_or_else(PoisonError::into_inner);
        let committed = self.store.committed();
        let stops = super::rollouts::stops(&committed.rollouts(), &self.catalog, self.now());
        self.catalog.set_holds(&committed.holds(), &stops);
    }
}

/// Reads from disk on a thread that may block.
pub(super) async fn from_disk<T: Send + 'static>(
    state: &web::Data<HubState>,
    read: impl FnOnce(&Reader) -> Result<T, ReaderError> + Send + 'static,
) -> Result<T, ApiError> {
    let reader = state.reader.clone();
    web::block(move || read(&reader))
        .await
        .map_err(|error| ApiError::internal("read the database", &error))?
        .map_err(|error| ApiError::internal("read the database", &error))
}
