//! The one thread that writes: collects jobs, commits them together, then answers.
//!
//! With replicas every batch is alone over all of them, and begins by taking over what the others
//! committed. A connection that is lost takes its batch with it, and is made anew.

mod line;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::params;
use signing::causes::chain;
use tokio::time::Instant;

use self::line::Line;
use super::audit::{self, Head};
use super::batch::{Batch, Changes};
use super::db::{Database, Db, DbResult};
use super::follow::{Follower, LONG};
use super::queue::{Gathered, Receiver};
use super::{CommitObserver, Committed, Delivery, LoadError, StoreSettings, Work, load};
use crate::clock;
use crate::served::Served;

/// Jobs in one commit: beyond this the gain is gone and the wait grows (telemetry.md §3.1).
const MAX_BATCH: usize = 2000;
/// How often a replica without work looks at what the others did.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Owner of the writing connection.
pub(super) struct Writer {
    line: Line,
    committed: Arc<Committed>,
    served: Arc<dyn Served>,
    settings: StoreSettings,
    head: Head,
    /// Only where there may be other replicas.
    follower: Option<Follower>,
}

impl Writer {
    /// Reads memory from the database.
    pub(super) fn load(
        db: Db,
        database: &Database,
        served: Arc<dyn Served>,
        settings: StoreSettings,
        now: Timestamp,
    ) -> Result<(Self, Arc<Committed>), LoadError> {
        let interval_s = settings.report_interval_s;
        let tx = db.begin_alone()?;
        super::rollouts::salt(&db)?;
        tx.commit()?;
        let tx = db.begin_reading()?;
        db.is_patient(true)?;
        let committed = Arc::new(load::load(&db, interval_s, now)?);
        let head = audit::head(&db)?;
        let follower = match db {
            Db::Sqlite(_) => None,
            Db::Postgres(_) => Some(Follower::here(&db, interval_s)?),
        };
        tx.commit()?;
        db.is_patient(false)?;
        if follower.is_some() {
            committed.is_current();
        }
        let line = Line::new(db, database);
        let same = Arc::clone(&committed);
        Ok((Self { line, committed, served, settings, head, follower }, same))
    }

    /// What must be done before the first report.
    pub(super) fn wake(&mut self, now: Timestamp) -> Result<(), LoadError> {
        let wake: Work = Box::new(move |batch| {
            batch.wake(now)?;
            Ok(Box::new(|| ()))
        });
        self.commit(vec![wake]).map(drop)
    }

    /// Runs until the queue has ended and is empty.
    pub(super) fn run(mut self, jobs: &Receiver<Work>, observer: &CommitObserver) {
        let idle = self.follower.is_some().then_some(FOLLOW_EVERY);
        loop {
            match jobs.gather(MAX_BATCH, idle) {
                Gathered::Items(batch) => self.work(batch, observer),
                Gathered::Nothing => self.follow(),
                Gathered::End => {
                    self.committed.stopped.store(true, Ordering::Relaxed);
                    self.line.db().checkpoint();
                    return;
                }
            }
        }
    }

    fn work(&mut self, batch: Vec<Work>, observer: &CommitObserver) {
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
                tracing::error!(error = chain(&error), store.batch = size, "commit failed");
            }
        }
    }

    /// All or nothing. On an error every job of the batch is dropped unanswered, which its caller
    /// reads as "unavailable".
    fn commit(&mut self, batch: Vec<Work>) -> Result<Vec<Delivery>, LoadError> {
        let committed = Arc::clone(&self.committed);
        // Said before anything is dropped, because dropping a job tells its caller.
        let failed = || committed.writable.store(false, Ordering::Relaxed);
        self.line.mend().inspect_err(|_| failed())?;
        if committed.behind().is_some_and(|behind| behind > LONG) {
            self.look().inspect_err(|_| failed())?;
        }
        let db = self.line.db();
        let tx = db.begin_alone().inspect_err(|_| failed())?;
        if let Some(follower) = &mut self.follower {
            follower
                .catch_up(db, &committed, &mut self.head, clock::now())
                .inspect_err(|_| failed())?;
            committed.is_current();
        }
        let rows = committed.fleet().rows();
        let mut open = Batch {
            db,
            committed: &committed,
            served: self.served.as_ref(),
            settings: &self.settings,
            changes: Changes::new(self.head.clone(), rows),
        };
        let mut deliveries = Vec::with_capacity(batch.len());
        for work in batch {
            deliveries.push(work(&mut open)?);
        }
        open.write_rest().inspect_err(|_| failed())?;
        let told = match &self.follower {
            Some(_) => tell(&open, self.head.id()).inspect_err(|_| failed())?,
            None => None,
        };
        let changes = open.changes;
        // After an error nobody can say whether it was committed: then its row, if there is one, is
        // taken over like another replica's.
        tx.commit().inspect_err(|_| failed())?;
        if let (Some(follower), Some(id)) = (&mut self.follower, told) {
            follower.wrote(id);
        }
        let ticked = changes.ticked();
        self.head = changes.publish(&committed);
        if ticked {
            db.checkpoint();
        }
        Ok(deliveries)
    }

    /// Without work of its own a replica still sees what the others do.
    fn follow(&mut self) {
        if let Err(error) = self.look() {
            tracing::warn!(error = chain(&error), "the other replicas cannot be followed");
        }
    }

    fn look(&mut self) -> Result<(), LoadError> {
        let Some(follower) = &mut self.follower else { return Ok(()) };
        self.line.mend()?;
        let db = self.line.db();
        let tx = db.begin_reading()?;
        follower.catch_up(db, &self.committed, &mut self.head, clock::now())?;
        tx.commit()?;
        self.committed.is_current();
        Ok(())
    }
}

/// Writes down what the other replicas are to take over, and under which number.
fn tell(batch: &Batch<'_>, head_before: u64) -> DbResult<Option<i64>> {
    let change = batch.change(head_before);
    if change.is_empty() {
        return Ok(None);
    }
    let sql = "INSERT INTO change (at, what) VALUES (?1, ?2) RETURNING id";
    batch.db.insert(sql, params![clock::now().as_millisecond(), change.text()]).map(Some)
}
