//! One transfer per digest, however many want it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::RegistryError;
use crate::oci::Digest;

/// Remembers what was moved in this run. Grows with the digests of one run and is dropped with it.
#[derive(Debug, Default)]
pub struct SingleFlight {
    flights: Mutex<BTreeMap<Digest, Arc<OnceCell<()>>>>,
}

impl SingleFlight {
    /// Runs `work` unless it was done for this digest; waits where someone else is at it. A failure
    /// is the failure of whoever worked: the next one in line tries again.
    ///
    /// # Errors
    /// What `work` says.
    pub async fn once<W, F>(&self, digest: Digest, work: W) -> Result<(), RegistryError>
    where
        W: FnOnce() -> F,
        F: Future<Output = Result<(), RegistryError>>,
    {
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(flights.entry(digest).or_default())
        };
        flight.get_or_try_init(work).await.copied()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn two_who_want_the_same_cause_one_transfer_and_a_failure_is_tried_again() {
        let flights = SingleFlight::default();
        let ran = AtomicU32::new(0);
        let work = async |fails: bool| {
            ran.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            if fails {
                return Err(RegistryError::Protocol { what: "x".to_owned(), why: "y".to_owned() });
            }
            Ok(())
        };
        let digest = Digest::of(b"x");
        assert!(flights.once(digest, || work(true)).await.is_err());
        let (one, two) = tokio::join!(
            flights.once(digest, || work(false)),
            flights.once(digest, || work(false)),
        );
        assert!(one.is_ok() && two.is_ok());
        assert_eq!(ran.load(Ordering::Relaxed), 2);
    }
}
