//! Reads of what is only on disk: units, history, audit, lifted holds. Blocking; callers use a
//! blocking thread. Short statements only: a long read keeps the log from being truncated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use channels::names::{ProductRef, SiteName};
use channels::rollout::Name;
use channels::wire::{
    AuditRow, DeadDelivery, Hold, OpenJoinToken, SiteImport, SoakDay, TrendSeries, UnitState,
};
use jiff::Timestamp;
use rusqlite::params;
use tokio::time::{Duration, Instant};

use super::audit::{self, AuditFilter, AuditFound, ChainCheck};
use super::db::{Database, Db, DbError};
use super::history::{self, HistoryPlace, HistoryRow};
use super::{
    LoadError, SchemaError, TrendQuestion, WebhookRecord, load, rollouts, schema, sites, soak,
    trends, units, webhooks,
};
use crate::fleet::Slot;
use crate::rollout::{PolicyRow, RolloutId, Went};
use crate::telemetry::{Folding, NOTE_EVERY_S, Soaking};

/// A read failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the database")]
pub struct ReaderError(#[from] LoadError);

impl From<DbError> for ReaderError {
    fn from(error: DbError) -> Self {
        Self(error.into())
    }
}

/// After a connection could not be made, reads fail at once for so long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// One connection, shared: these reads are people's, not the fleet's.
#[derive(Debug, Clone)]
pub struct Reader(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    database: Database,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    db: Db,
    failed_at: Option<Instant>,
}

/// The connection, for one read.
struct Held<'r>(MutexGuard<'r, Line>);

impl std::ops::Deref for Held<'_> {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.0.db
    }
}

impl Reader {
    /// Opens a database that the writer has made.
    ///
    /// # Errors
    /// It cannot be opened or reached.
    pub fn open(database: impl Into<Database>) -> Result<Self, SchemaError> {
        let database = database.into();
        let line = Line { db: schema::open_for_reading(&database)?, failed_at: None };
        Ok(Self(Arc::new(Shared { database, line: Mutex::new(line) })))
    }

    /// The connection, made anew if it is lost.
    fn db(&self) -> Result<Held<'_>, ReaderError> {
        let mut line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.db.is_lost() {
            // Whoever waits behind somebody who just tried in vain need not try again.
            if line.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER) {
                return Err(DbError::Lost.into());
            }
            match schema::open_for_reading(&self.0.database) {
                Ok(db) => *line = Line { db, failed_at: None },
                Err(error) => {
                    line.failed_at = Some(Instant::now());
                    tracing::warn!(error = signing::causes::chain(&error), "reads fail");
                    return Err(DbError::Lost.into());
                }
            }
        }
        Ok(Held(line))
    }

    /// Units of one product of a cluster, as last reported.
    pub fn units(&self, slot: Slot, product: &ProductRef) -> Result<Vec<UnitState>, ReaderError> {
        let blob: Option<Option<Vec<u8>>> = self.db()?.row_if_any(
            "SELECT units FROM cluster WHERE id = ?1",
            params![slot.rowid()],
            |r| r.get(0),
        )?;
        let mut all = blob.flatten().as_deref().map(units::decode).unwrap_or_default();
        Ok(all.remove(product).unwrap_or_default())
    }

    /// The newest changes of a cluster, newest first.
    pub fn history(&self, slot: Slot, limit: usize) -> Result<Vec<HistoryRow>, ReaderError> {
        let found = history::read(&*self.db()?, slot, None, limit)?;
        Ok(found.into_iter().map(|(_, row)| row).collect())
    }

    /// The newest changes of a cluster before a place, newest first.
    pub fn history_before(
        &self,
        slot: Slot,
        before: Option<HistoryPlace>,
        limit: usize,
    ) -> Result<Vec<(HistoryPlace, HistoryRow)>, ReaderError> {
        Ok(history::read(&*self.db()?, slot, before, limit)?)
    }

    /// Audit rows about one object below `before`, newest first.
    pub fn audit_of(
        &self,
        object: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditRow>, ReaderError> {
        Ok(audit::page_of(&*self.db()?, object, before, limit)?)
    }

    /// Audit rows below `before`, newest first.
    pub fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<AuditRow>, ReaderError> {
        Ok(audit::page(&*self.db()?, before, limit)?)
    }

    /// Audit rows that match below `before`, newest first.
    pub fn search_audit(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<AuditFound, ReaderError> {
        Ok(audit::search(&*self.db()?, filter, before, limit)?)
    }

    /// Audit rows above `after`, oldest first.
    pub fn audit_after(&self, after: u64, limit: usize) -> Result<Vec<AuditRow>, ReaderError> {
        Ok(audit::page_after(&*self.db()?, after, limit)?)
    }

    /// All webhooks.
    pub fn webhooks(&self) -> Result<Vec<WebhookRecord>, ReaderError> {
        Ok(webhooks::all(&*self.db()?)?)
    }

    /// Events of a webhook that were given up on, with numbers below `before`, newest first.
    pub fn dead_deliveries(
        &self,
        webhook: u64,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeadDelivery>, ReaderError> {
        Ok(webhooks::dead(&*self.db()?, webhook, before, limit)?)
    }

    /// Checks the whole audit chain.
    pub fn verify_audit(&self) -> Result<ChainCheck, ReaderError> {
        let db = self.db()?;
        // A long log takes longer than other reads may.
        let tx = db.begin_reading()?;
        db.is_patient(true)?;
        let check = audit::verify_chain(&db);
        db.is_patient(false)?;
        tx.commit()?;
        Ok(check?)
    }

    /// Join tokens that work at `now`, with numbers below `before`, newest first.
    pub fn open_join_tokens(
        &self,
        now: Timestamp,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<OpenJoinToken>, ReaderError> {
        let before = before.map_or(i64::MAX, super::int);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let open = self.db()?.rows(
            "SELECT join_token.*, cluster.uuid FROM join_token \
             LEFT JOIN cluster ON cluster.id = join_token.cluster \
             WHERE join_token.used < join_token.uses AND join_token.expires_at > ?1 \
             AND join_token.id < ?2 ORDER BY join_token.id DESC LIMIT ?3",
            params![now.as_millisecond(), before, limit],
            load::join_token,
        )?;
        Ok(open)
    }

    /// The newest imports of a site's status, newest first.
    pub fn site_imports(
        &self,
        site: &SiteName,
        limit: usize,
    ) -> Result<Vec<SiteImport>, ReaderError> {
        Ok(sites::imports(&*self.db()?, site, limit)?)
    }

    /// Versions of a rollout policy, newest first; or one of them.
    pub fn policy_versions(
        &self,
        name: &Name,
        version: Option<u64>,
    ) -> Result<Vec<PolicyRow>, ReaderError> {
        Ok(rollouts::policy_versions(&*self.db()?, name, version)?)
    }

    /// When the clusters of a rollout went.
    pub fn went(&self, id: RolloutId) -> Result<Vec<Went>, ReaderError> {
        Ok(rollouts::went(&*self.db()?, id)?)
    }

    /// Notes of the fleet by step; `None` if there are more than one answer holds.
    pub fn trends(
        &self,
        question: &TrendQuestion,
    ) -> Result<Option<Vec<TrendSeries>>, ReaderError> {
        let mut folding = Folding::new(question.step_s);
        for day in trends::days(question) {
            let mut take = |name, at, figures| folding.take(name, at, figures);
            if !trends::each(&*self.db()?, &day, &mut take)? {
                return Ok(None);
            }
        }
        Ok(Some(folding.series()))
    }

    /// Days of a product's releases, and the notes of its clusters added up.
    pub fn soak(&self, product: &ProductRef) -> Result<(Vec<SoakDay>, Soaking), ReaderError> {
        let days = soak::days(&*self.db()?, product)?;
        let mut soaking = Soaking::default();
        let Some((from, to)) = trends::span(&*self.db()?)? else { return Ok((days, soaking)) };
        let product = Some(product.clone());
        let question = TrendQuestion { product, channel: None, from, to, step_s: NOTE_EVERY_S };
        for day in trends::days(&question) {
            trends::each(&*self.db()?, &day, &mut |name, at, figures| {
                if let Some((_, channel)) = name {
                    soaking.take(&channel, at, &figures);
                }
                true
            })?;
        }
        Ok((days, soaking))
    }

    /// The newest holds, lifted ones included, newest first.
    pub fn all_holds(&self, limit: usize) -> Result<Vec<Hold>, ReaderError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT * FROM hold ORDER BY id DESC LIMIT ?1";
        Ok(self.db()?.rows(sql, &[&limit], load::hold)?)
    }
}
