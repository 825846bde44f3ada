//! What only one replica does: the planner's tick, signing again, webhooks, remote-write.
//!
//! Two of them at once would do no harm to the fleet, since every change is one transaction on top of
//! the newest state; events would be sent twice.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::store::Lease;

/// Whether this replica leads. A hub without replicas always does.
#[derive(Debug, Clone)]
pub struct Leadership(Option<Seat>);

#[derive(Debug, Clone)]
struct Seat {
    told: watch::Receiver<Lease>,
    fit: Fitness,
}

/// Whether this replica could do what the leader does. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fitness(Arc<AtomicBool>);

impl Fitness {
    /// Whether it could.
    pub(super) fn is_fit(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Leadership {
    /// Of a hub that shares its database with nobody.
    pub fn alone() -> Self {
        Self(None)
    }

    /// Of one replica among others.
    pub(super) fn among(told: watch::Receiver<Lease>, fit: Fitness) -> Self {
        Self(Some(Seat { told, fit }))
    }

    /// Says whether this replica could lead: one that cannot sign must not.
    pub(super) fn set_fit(&self, fit: bool) {
        if let Some(seat) = &self.0 {
            seat.fit.0.store(fit, Ordering::Relaxed);
        }
    }

    /// Whether it leads now.
    pub fn is_leader(&self) -> bool {
        let until = |seat: &Seat| *seat.told.borrow();
        self.0.as_ref().is_none_or(|seat| until(seat).is_some_and(|until| until > Instant::now()))
    }

    /// Waits until it leads.
    async fn gained(&mut self) {
        while !self.is_leader() {
            let Some(Seat { told, .. }) = &mut self.0 else { return };
            if told.changed().await.is_err() {
                // Nobody asks any more: the hub is ending.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until it leads no more.
    async fn lost(&mut self) {
        let Some(Seat { told, .. }) = &mut self.0 else { return std::future::pending().await };
        loop {
            let until = *told.borrow_and_update();
            let Some(until) = until.filter(|until| *until > Instant::now()) else { return };
            tokio::select! {
                () = sleep_until(until) => {}
                changed = told.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Runs `work` whenever this replica leads, and drops it as soon as it does not.
    pub(super) async fn while_leading<F: Future<Output = ()>>(mut self, work: impl Fn() -> F) {
        loop {
            self.gained().await;
            let mut watched = self.clone();
            tokio::select! {
                () = work() => {}
                () = watched.lost() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    /// Counts itself out when it is dropped.
    struct Out(Arc<AtomicUsize>);

    impl Drop for Out {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_word_that_is_not_renewed_is_good_for_its_time_only() {
        let (tell, told) = watch::channel(None);
        let mut here = Leadership::among(told, Fitness::default());
        assert!(!here.is_leader());
        tell.send_replace(Some(Instant::now() + Duration::from_secs(8)));
        here.gained().await;
        assert!(here.is_leader());
        // Nobody says that it is over.
        here.lost().await;
        assert!(!here.is_leader());
    }

    #[tokio::test(start_paused = true)]
    async fn work_of_the_leader_is_dropped_with_the_lead_and_begun_again() {
        let (tell, told) = watch::channel(None);
        let (begun, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, inside) = (Arc::clone(&begun), Arc::clone(&running));
        let task =
            tokio::spawn(Leadership::among(told, Fitness::default()).while_leading(move || {
                count.fetch_add(1, Ordering::SeqCst);
                inside.fetch_add(1, Ordering::SeqCst);
                let out = Out(Arc::clone(&inside));
                async move {
                    std::future::pending::<()>().await;
                    drop(out);
                }
            }));
        for round in 1..=2 {
            tell.send_replace(Some(Instant::now() + Duration::from_secs(8)));
            while running.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(begun.load(Ordering::SeqCst), round);
            tell.send_replace(None);
            while running.load(Ordering::SeqCst) == 1 {
                tokio::task::yield_now().await;
            }
        }
        task.abort();
    }

    #[tokio::test]
    async fn a_hub_without_replicas_always_leads() {
        let mut alone = Leadership::alone();
        alone.gained().await;
        assert!(alone.is_leader());
    }
}
