//! The one thread that writes: collects jobs, commits them together, then answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::audit::Head;
use super::batch::{Batch, Changes};
use super::db::{Db, DbError, DbResult};
use super::queue::Receiver;
use super::{CommitObserver, Committed, Delivery, StoreSettings, Work};
use crate::served::Served;

/// Jobs in one commit: beyond this the gain is gone and the wait grows (telemetry.md §3.1).
const MAX_BATCH: usize = 2000;

/// Owner of the writing connection.
pub(super) struct Writer {
    db: Db,
    committed: Arc<Committed>,
    served: Arc<dyn Served>,
    settings: StoreSettings,
    head: Head,
}

impl Writer {
    pub(super) fn new(
        db: Db,
        committed: Arc<Committed>,
        served: Arc<dyn Served>,
        settings: StoreSettings,
        head: Head,
    ) -> Self {
        Self { db, committed, served, settings, head }
    }

    /// Runs until the queue has ended and is empty.
    pub(super) fn run(mut self, jobs: &Receiver<Work>, observer: &CommitObserver) {
        loop {
            let batch = jobs.gather(MAX_BATCH);
            if batch.is_empty() {
                self.committed.stopped.store(true, Ordering::Relaxed);
                self.db.checkpoint();
                return;
            }
            let size = batch.len();
            self.committed.queued.fetch_sub(size, Ordering::Relaxed);
            let started = Instant::now();
            match self.commit(batch) {
                Ok(deliveries) => {
                    self.committed.writable.store(true, Ordering::Relaxed);
                    observer(size, started.elapsed());
                    for tell in deliveries {
                        tell();
                    }
                }
                Err(error) => {
                    tracing::error!(error = %error, store.batch = size, "commit failed");
                }
            }
        }
    }

    /// All or nothing. On an error every job of the batch is dropped unanswered, which its caller
    /// reads as "unavailable".
    fn commit(&mut self, batch: Vec<Work>) -> DbResult<Vec<Delivery>> {
        // Said before anything is dropped, because dropping a job tells its caller.
        let failed = |_: &DbError| self.committed.writable.store(false, Ordering::Relaxed);
        let tx = self.db.begin().inspect_err(failed)?;
        let rows = self.committed.fleet().rows();
        let mut open = Batch {
            db: &self.db,
            committed: &self.committed,
            served: self.served.as_ref(),
            settings: &self.settings,
            changes: Changes::new(self.head.clone(), rows),
        };
        let mut deliveries = Vec::with_capacity(batch.len());
        for work in batch {
            deliveries.push(work(&mut open)?);
        }
        open.write_rollouts().inspect_err(failed)?;
        let changes = open.changes;
        tx.commit().inspect_err(failed)?;
        let ticked = changes.ticked();
        self.head = changes.publish(&self.committed);
        if ticked {
            self.db.checkpoint();
        }
        Ok(deliveries)
    }
}
