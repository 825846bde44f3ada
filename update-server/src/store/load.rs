//! Warm start: the committed state from disk into memory.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use channels::names::ClusterId;
use channels::wire::{Hold, KeyRevocation, OpenJoinToken};
use jiff::Timestamp;
use rusqlite::types::FromSql;
use signing::Sha256Digest;

use super::db::{Db, DbError, Row};
use super::{Committed, rollouts, sites, soak, state, trends};
use crate::auth::{Access, Scope, SessionRecord, SessionTable, TokenRecord, TokenTable};
use crate::directive::Ledger;
use crate::events::Bus;
use crate::fleet::{ClusterKey, ClusterRecord, FleetIndex, FormerKey, KeyEnd, ProductRecord, Slot};
use crate::rollout::RestoreError;

/// The database holds something this hub did not write.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database failed.
    #[error("failed to read the database")]
    Sql(#[from] DbError),
    /// Stored rollouts do not fit together.
    #[error(transparent)]
    Rollouts(#[from] RestoreError),
    /// A value does not parse.
    #[error("table {table}, row {row}: {column} is not readable: {why}")]
    Value {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: i64,
        /// Which column.
        column: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Row numbers are slots; a missing one means a row was deleted by hand.
    #[error("table cluster: row {expected} is missing, found {found}")]
    Gap {
        /// The next row there should be.
        expected: i64,
        /// The row there is.
        found: i64,
    },
}

/// The table of clusters.
const CLUSTER: &str = "cluster";
/// Rows asked for in one statement: some megabytes.
const CLUSTERS_AT_ONCE: usize = 5000;
/// Rows that one thread reads before another takes them into memory: enough that neither waits for
/// the other's lock at every row. Tests have few clusters, and batches as well.
const BATCH: usize = if cfg!(test) { 3 } else { 1000 };
/// Batches that are read and not taken yet: some megabytes, and the disk need not wait.
const BATCHES_AHEAD: usize = 4;
/// What is read of it, in this order.
const CLUSTER_COLUMNS: &[&str] = &[
    "id",
    "uuid",
    "name",
    "key",
    "key_id",
    "enrolled_at",
    "retired_at",
    "agent_version",
    "last_seen",
    "seq",
    "generation",
    "grant_json",
    "products",
    "instance",
    "conflict_since",
    "revoked",
    "former_key",
    "former_key_id",
    "former_why",
    "former_at",
    "elder_key",
    "elder_key_id",
    "elder_at",
    "labels",
    "settings",
    "state",
];

/// Names the row a value is read from.
pub(super) struct At<'r> {
    pub(super) table: &'static str,
    pub(super) id: i64,
    pub(super) row: &'r Row<'r>,
}

impl At<'_> {
    pub(super) fn get<T: FromSql>(&self, column: &'static str) -> Result<T, LoadError> {
        // There are a million rows of clusters, and asking the database for the place of a column
        // takes longer than reading it.
        let known = (self.table == CLUSTER)
            .then(|| CLUSTER_COLUMNS.iter().position(|known| *known == column))
            .flatten();
        let value = match known {
            Some(index) => self.row.get(index),
            None => self.row.get(column),
        };
        value.map_err(|e| self.wrong(column, e.to_string()))
    }

    pub(super) fn wrong(&self, column: &'static str, why: impl std::fmt::Display) -> LoadError {
        LoadError::Value { table: self.table, row: self.id, column, why: why.to_string() }
    }

    pub(super) fn time(&self, column: &'static str) -> Result<Option<Timestamp>, LoadError> {
        self.get::<Option<i64>>(column)?
            .map(|ms| Timestamp::from_millisecond(ms).map_err(|e| self.wrong(column, e)))
            .transpose()
    }

    pub(super) fn some_time(&self, column: &'static str) -> Result<Timestamp, LoadError> {
        self.time(column)?.ok_or_else(|| self.wrong(column, "absent"))
    }

    pub(super) fn unsigned(&self, column: &'static str) -> Result<u64, LoadError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|e| self.wrong(column, e))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<T, LoadError> {
        serde_json::from_str(&self.get::<String>(column)?).map_err(|e| self.wrong(column, e))
    }

    pub(super) fn digest(&self, column: &'static str) -> Result<Sha256Digest, LoadError> {
        self.get::<[u8; 32]>(column).map(Sha256Digest::from)
    }
}

/// Reads everything that lives in memory.
pub(super) fn load(db: &Db, interval_s: u64, now: Timestamp) -> Result<Committed, LoadError> {
    let mut fleet = fleet(db, interval_s, now)?;
    soak::resume(db, &mut fleet, now)?;
    let sites = sites::load(db, &fleet)?;
    let (holds, tokens, sessions) = (holds(db)?, tokens(db)?, sessions(db)?);
    // No two runs of a hub begin in the same millisecond.
    let events = Bus::new(u64::try_from(now.as_millisecond()).unwrap_or(0));
    let rollouts = rollouts::load(db, now)?;
    let committed = Committed::new(fleet, holds, tokens, sessions, sites, rollouts, events);
    *committed.trend_clock() = trends::clock(db)?;
    Ok(committed)
}

fn fleet(db: &Db, interval_s: u64, now: Timestamp) -> Result<FleetIndex, LoadError> {
    // Reading a row takes about as long as taking it into memory, and a hub has two cores.
    thread::scope(|scope| {
        let (batches, taken) = sync_channel::<Batch>(BATCHES_AHEAD);
        let index = scope.spawn(move || {
            let mut fleet = FleetIndex::new(interval_s);
            for (slot, record) in taken.into_iter().flatten() {
                fleet.apply(slot, &record, now);
            }
            fleet
        });
        let read = read_fleet(db, &batches);
        drop(batches);
        let fleet = index.join().unwrap_or_else(|panic| resume_unwind(panic));
        read.map(|()| fleet)
    })
}

type Batch = Vec<(Slot, ClusterRecord)>;

/// Every row of clusters, in order and without a gap.
fn read_fleet(db: &Db, batches: &SyncSender<Batch>) -> Result<(), LoadError> {
    let columns = CLUSTER_COLUMNS.join(", ");
    let sql = format!("SELECT {columns} FROM cluster ORDER BY id");
    let (mut batch, mut expected) = (Batch::with_capacity(BATCH), 1);
    db.each(&sql, &[], |row| {
        let id: i64 = row.get(0)?;
        let slot = Slot::from_rowid(id)
            .filter(|_| id == expected)
            .ok_or(LoadError::Gap { expected, found: id })?;
        expected += 1;
        batch.push((slot, cluster(&At { table: CLUSTER, id, row })?));
        if batch.len() == BATCH {
            hand_over(batches, std::mem::replace(&mut batch, Batch::with_capacity(BATCH)));
        }
        Ok::<_, LoadError>(())
    })?;
    hand_over(batches, batch);
    Ok(())
}

/// Who takes them is there until the last: it is gone only where it panicked, and then `join` says
/// so.
fn hand_over(batches: &SyncSender<Batch>, batch: Batch) {
    let _ = batches.send(batch);
}

/// These rows of clusters, in order. Only a server has other writers, whose rows are asked for.
pub(super) fn clusters(
    db: &Db,
    ids: &BTreeSet<i64>,
) -> Result<Vec<(Slot, ClusterRecord)>, LoadError> {
    let Db::Postgres(session) = db else { return Ok(Vec::new()) };
    let ids: Vec<i64> = ids.iter().copied().collect();
    let columns = CLUSTER_COLUMNS.join(", ");
    let sql = format!("SELECT {columns} FROM cluster WHERE id = ANY($1) ORDER BY id");
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(CLUSTERS_AT_ONCE) {
        found.extend(session.rows_native(&sql, &[&some], |row| {
            let id: i64 = row.get(0)?;
            let at = At { table: CLUSTER, id, row };
            let slot = Slot::from_rowid(id).ok_or_else(|| at.wrong("id", "not a row"))?;
            Ok::<_, LoadError>((slot, cluster(&at)?))
        })?);
    }
    Ok(found)
}

fn cluster(at: &At<'_>) -> Result<ClusterRecord, LoadError> {
    let current = at
        .get::<Option<String>>("grant_json")?
        .map(|json| serde_json::from_str(&json).map_err(|e| at.wrong("grant_json", e)))
        .transpose()?;
    Ok(ClusterRecord {
        id: ClusterId(uuid::Uuid::from_bytes(at.get("uuid")?)),
        name: at.get("name")?,
        labels: Arc::new(at.json("labels")?),
        settings: Arc::new(at.json("settings")?),
        key: ClusterKey { bytes: at.get("key")?, id: at.digest("key_id")? },
        former: former(at)?,
        elder: elder(at)?,
        enrolled_at: at.some_time("enrolled_at")?,
        retired_at: at.time("retired_at")?,
        agent_version: at.get("agent_version")?,
        last_seen: at.time("last_seen")?,
        seq: at.unsigned("seq")?,
        instance: at
            .get::<Option<String>>("instance")?
            .map(|text| text.parse().map_err(|e| at.wrong("instance", e)))
            .transpose()?,
        conflict_since: at.time("conflict_since")?,
        revoked: at
            .get::<Option<String>>("revoked")?
            .map(|json| serde_json::from_str(&json).map_err(|e| at.wrong("revoked", e)))
            .transpose()?
            .map(|revoked: KeyRevocation| Arc::new(revoked)),
        ledger: Ledger { generation: at.unsigned("generation")?, current },
        products: products(at)?,
    })
}

/// Packed since the row's last report, as JSON before.
fn products(at: &At<'_>) -> Result<Vec<ProductRecord>, LoadError> {
    match at.get::<Option<Vec<u8>>>("state")? {
        Some(bytes) => state::decode(&bytes).map_err(|e| at.wrong("state", e)),
        None => at.json("products"),
    }
}

fn former(at: &At<'_>) -> Result<Option<FormerKey>, LoadError> {
    let Some(why) = at.get::<Option<String>>("former_why")? else { return Ok(None) };
    let end = KeyEnd::parse(&why).ok_or_else(|| at.wrong("former_why", "not a known end"))?;
    let key = ClusterKey { bytes: at.get("former_key")?, id: at.digest("former_key_id")? };
    let at = at.time("former_at")?.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(FormerKey { key, end, at }))
}

fn elder(at: &At<'_>) -> Result<Option<FormerKey>, LoadError> {
    let Some(ended_at) = at.time("elder_at")? else { return Ok(None) };
    let key = ClusterKey { bytes: at.get("elder_key")?, id: at.digest("elder_key_id")? };
    Ok(Some(FormerKey { key, end: KeyEnd::Rotated, at: ended_at }))
}

/// One row of the `join_token` table, with the `uuid` of its cluster.
pub(super) fn join_token(row: &Row<'_>) -> Result<OpenJoinToken, LoadError> {
    let at = At { table: "join_token", id: row.get("id")?, row };
    Ok(OpenJoinToken {
        id: at.unsigned("id")?,
        uses: at.get("uses")?,
        used: at.get("used")?,
        expires_at: at.some_time("expires_at")?,
        cluster: at
            .get::<Option<[u8; 16]>>("uuid")?
            .map(|bytes| ClusterId(uuid::Uuid::from_bytes(bytes))),
        note: at.get("note")?,
        labels: at.json("labels")?,
        created_at: at.some_time("created_at")?,
        created_by: at.get("created_by")?,
    })
}

/// One row of the `hold` table.
pub(super) fn hold(row: &Row<'_>) -> Result<Hold, LoadError> {
    let at = At { table: "hold", id: row.get("id")?, row };
    Ok(Hold {
        id: at.unsigned("id")?,
        scope: at.json("scope")?,
        reason: at.get("reason")?,
        by: at.get("by")?,
        at: at.some_time("at")?,
        resumed_at: at.time("resumed_at")?,
        resumed_by: at.get("resumed_by")?,
    })
}

pub(super) fn holds(db: &Db) -> Result<Vec<Hold>, LoadError> {
    db.rows("SELECT * FROM hold WHERE resumed_at IS NULL ORDER BY id", &[], hold)
}

pub(super) fn tokens(db: &Db) -> Result<TokenTable, LoadError> {
    let mut table = TokenTable::default();
    db.each("SELECT * FROM token WHERE revoked_at IS NULL", &[], |row| {
        let at = At { table: "token", id: row.get("id")?, row };
        let record = TokenRecord {
            id: at.unsigned("id")?,
            name: at.get("name")?,
            access: access(&at)?,
            scope: scope(&at)?,
            created_at: at.some_time("created_at")?,
            created_by: at.get("created_by")?,
            expires_at: at.time("expires_at")?,
            last_used: at.get("last_used")?,
        };
        table.insert(at.digest("digest")?, record);
        Ok::<_, LoadError>(())
    })?;
    Ok(table)
}

fn access(at: &At<'_>) -> Result<Access, LoadError> {
    let name: String = at.get("access")?;
    Access::parse(&name).ok_or_else(|| at.wrong("access", "not an access level"))
}

/// A selector that cannot be read opens nothing: the hub does not start.
fn scope(at: &At<'_>) -> Result<Scope, LoadError> {
    match at.get::<Option<String>>("selector")? {
        None => Ok(Scope::whole()),
        Some(text) => text.parse().map_err(|e| at.wrong("selector", e)),
    }
}

pub(super) fn sessions(db: &Db) -> Result<SessionTable, LoadError> {
    let mut table = SessionTable::default();
    db.each("SELECT * FROM session ORDER BY id", &[], |row| {
        let at = At { table: "session", id: row.get("id")?, row };
        let record = SessionRecord {
            id: at.unsigned("id")?,
            name: at.get("name")?,
            access: access(&at)?,
            scope: scope(&at)?,
            created_at: at.some_time("created_at")?,
            expires_at: at.some_time("expires_at")?,
            active_at: at.some_time("active_at")?,
        };
        table.insert(at.digest("digest")?, record);
        Ok::<_, LoadError>(())
    })?;
    Ok(table)
}
