//! What other replicas committed, taken into this one's memory.
//!
//! Every batch of every replica says in one row of table `change` what it changed of what all of them
//! keep in memory. A batch holds a lock from before it looks to after its commit, so rows have the
//! order of the commits, and a replica that has taken over everything up to a row has missed nothing.
//! Before a batch works it catches up: its decisions are made on what is committed, as if there were
//! one hub. In between, an idle replica looks once a second, for those who read.
//!
//! Nothing is decided here.

mod change;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

pub(super) use self::change::Change;
use super::audit::{self, Head};
use super::db::{Db, DbResult};
use super::{Committed, LoadError, load, rollouts, sites};

/// How long rows are kept: a replica that was away for longer reads everything anew.
const KEPT: SignedDuration = SignedDuration::from_hours(1);
/// A replica that was away for so long takes over before it asks for the lock: reading everything
/// anew would keep the others from writing.
pub(super) const LONG: std::time::Duration = std::time::Duration::from_mins(30);
/// Name of the row of `meta` with the newest number that was forgotten.
const FORGOTTEN: &str = "change_forgotten";
/// Audit rows read at once for those who listen.
const AUDIT_PAGE: usize = 1000;

/// How far this replica is.
#[derive(Debug)]
pub(super) struct Follower {
    newest: i64,
    interval_s: u64,
}

impl Follower {
    /// Beside memory that was just read in the transaction that is open.
    pub(super) fn here(db: &Db, interval_s: u64) -> DbResult<Self> {
        let (newest, forgotten) = ends(db)?;
        Ok(Self { newest: newest.max(forgotten), interval_s })
    }

    /// Takes over what others committed since, and says whether there was anything. In a transaction
    /// that sees one moment, or in which nobody else writes.
    pub(super) fn catch_up(
        &mut self,
        db: &Db,
        committed: &Committed,
        head: &mut Head,
        now: Timestamp,
    ) -> Result<bool, LoadError> {
        let (newest, forgotten) = ends(db)?;
        if newest.max(forgotten) <= self.newest {
            return Ok(false);
        }
        let mut all = Change::default();
        if forgotten > self.newest {
            tracing::warn!("away for too long to follow: everything is read anew");
            db.is_patient(true)?;
            let fresh = load::load(db, self.interval_s, now);
            db.is_patient(false)?;
            committed.replace(fresh?);
            all.audit = true;
        } else {
            let sql = "SELECT what FROM change WHERE id > ?1 ORDER BY id";
            for what in db.rows(sql, params![self.newest], |row| row.get::<_, String>(0))? {
                all.and(Change::parse(&what)?);
            }
            take_over(db, committed, &all, now)?;
        }
        if all.audit {
            tell(db, committed, head)?;
        }
        committed.changed();
        self.newest = newest.max(forgotten);
        Ok(true)
    }

    /// The row of this replica's own batch was committed.
    pub(super) fn wrote(&mut self, id: i64) {
        self.newest = self.newest.max(id);
    }
}

/// The newest number there is, and the newest that was forgotten.
fn ends(db: &Db) -> DbResult<(i64, i64)> {
    db.row(
        "SELECT coalesce((SELECT max(id) FROM change), 0), \
         coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE name = ?1), 0)",
        params![FORGOTTEN],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Forgets rows that are old, in the transaction of a batch.
pub(super) fn prune(db: &Db, now: Timestamp) -> DbResult<()> {
    let oldest = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN).as_millisecond();
    let sql = "SELECT max(id) FROM change WHERE at < ?1";
    let Some(last) = db.row(sql, params![oldest], |row| row.get::<_, Option<i64>>(0))? else {
        return Ok(());
    };
    db.execute("DELETE FROM change WHERE id <= ?1", params![last])?;
    db.execute(
        "INSERT INTO meta (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        params![FORGOTTEN, last.to_string()],
    )
    .map(drop)
}

fn take_over(
    db: &Db,
    committed: &Committed,
    change: &Change,
    now: Timestamp,
) -> Result<(), LoadError> {
    let records = load::clusters(db, &change.clusters)?;
    committed.forget_unit_marks(records.iter().map(|(slot, _)| *slot));
    if !records.is_empty() {
        let mut fleet = committed.fleet_mut();
        for (slot, record) in &records {
            fleet.apply(*slot, record, now);
        }
    }
    if change.holds {
        committed.set_holds(load::holds(db)?);
    }
    if change.tokens {
        committed.set_tokens(load::tokens(db)?);
    }
    if change.sessions {
        committed.set_sessions(load::sessions(db)?);
    }
    if change.sites {
        let sites = sites::load(db, &committed.fleet())?;
        committed.set_sites(sites);
    }
    if change.has_rollouts() {
        let rows = rollouts::changed(db, change)?;
        committed.adopt_rollouts(rows.policies, rows.rollouts, rows.attempts)?;
    }
    Ok(())
}

/// Tells listeners here what others wrote into the audit log, and follows its end.
fn tell(db: &Db, committed: &Committed, head: &mut Head) -> DbResult<()> {
    let newest = audit::head(db)?;
    let mut after = head.id();
    while after < newest.id() {
        let rows = audit::page_after(db, after, AUDIT_PAGE)?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        committed.events().publish_rows(rows);
    }
    *head = newest;
    Ok(())
}
