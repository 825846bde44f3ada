//! The one thread that writes: collects jobs, commits them together, then answers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::time::Instant;

use super::audit::Head;
use super::batch::{Batch, Changes};
use super::db::{Db, DbError, DbResult};
use super::{CommitObserver, Committed, Delivery, Job, StoreSettings, Work};
use crate::served::Served;

/// Jobs in one commit: beyond this the gain is gone and the wait grows (telemetry.md §3.1).
const MAX_BATCH: usize = 2000;
/// How long the first job of a batch waits for company.
const LINGER: Duration = Duration::from_millis(10);

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

    /// Runs until `Job::Stop` or until every handle is gone.
    pub(super) fn run(mut self, jobs: &Receiver<Job>, observer: &CommitObserver) {
        loop {
            let (batch, stop) = collect(jobs);
            if !batch.is_empty() {
                let size = batch.len();
                self.committed.queued.fetch_sub(size, Ordering::Relaxed);
                let started = Instant::now();
                let result = self.commit(batch);
                match result {
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
            if stop {
                self.committed.stopped.store(true, Ordering::Relaxed);
                self.db.checkpoint();
                return;
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

/// Waits for a first job, then takes what comes within the linger. The flag says that the writer
/// shall end after this batch.
fn collect(jobs: &Receiver<Job>) -> (Vec<Work>, bool) {
    let mut batch = Vec::new();
    match jobs.recv() {
        Ok(Job::Work(work)) => batch.push(work),
        Ok(Job::Stop) | Err(_) => return (batch, true),
    }
    let deadline = Instant::now() + LINGER;
    while batch.len() < MAX_BATCH {
        let left = deadline.saturating_duration_since(Instant::now());
        match jobs.recv_timeout(left) {
            Ok(Job::Work(work)) => batch.push(work),
            Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => return (batch, true),
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    (batch, false)
}
