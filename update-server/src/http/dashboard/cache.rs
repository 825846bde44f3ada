//! What pages keep between requests, because it takes longer to work out than to show.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web;
use channels::names::ProductRef;
use channels::wire::SoakRelease;
use jiff::Timestamp;

use super::trust::TrustFacts;
use crate::http::api::{HubState, from_disk};
use crate::http::problem::ApiError;
use crate::telemetry::Soaking;

/// Products whose soak is kept; a hub with more of them counts anew now and then.
const MAX_PRODUCTS: usize = 64;

/// Soak of a product, as of the note of trends that was the newest when it was counted.
type Counted = (Option<Timestamp>, Arc<Soaking>);

/// Kept values, each with what it was made from: a value is used while that is still so.
#[derive(Debug, Default)]
pub struct PageCache {
    soak: Mutex<BTreeMap<ProductRef, Counted>>,
    trust: Mutex<Option<(String, Arc<TrustFacts>)>>,
}

impl PageCache {
    /// How clusters fared on a product's releases, as `GET /api/v1/soak` tells it.
    pub(super) async fn soak(
        &self,
        state: &web::Data<HubState>,
        product: &ProductRef,
    ) -> Result<Vec<SoakRelease>, ApiError> {
        let noted = state.store.committed().last_trend_note();
        let kept = self.lock().get(product).filter(|(at, _)| *at == noted).cloned();
        let soaking = if let Some((_, soaking)) = kept {
            soaking
        } else {
            let asked = product.clone();
            let (_, soaking) = from_disk(state, move |reader| reader.soak(&asked)).await?;
            let soaking = Arc::new(soaking);
            let mut kept = self.lock();
            if kept.len() >= MAX_PRODUCTS {
                kept.clear();
            }
            kept.insert(product.clone(), (noted, Arc::clone(&soaking)));
            soaking
        };
        let failures = state.store.committed().rollouts().failures_of(product);
        let failed = |version: &_| failures.get(version).copied().unwrap_or_default();
        Ok(soaking.as_ref().clone().releases(failed))
    }

    /// What is known of keys and roles, made anew when the repository was signed again.
    pub(super) fn trust(&self, tag: &str, make: impl FnOnce() -> TrustFacts) -> Arc<TrustFacts> {
        let mut kept = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, facts)) = kept.as_ref().filter(|(of, _)| of == tag) {
            return Arc::clone(facts);
        }
        let facts = Arc::new(make());
        *kept = Some((tag.to_owned(), Arc::clone(&facts)));
        facts
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ProductRef, Counted>> {
        // Values are only ever put in whole.
        self.soak.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
