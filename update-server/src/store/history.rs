//! What changed and when, one table per UTC day, so that forgetting is dropping a table.
//!
//! A row is written only when a product's version, target, phase, unit or verdict changes: every
//! report of a million clusters would be 60 GB a day, their changes are a few MB.

use channels::names::{ProductRef, UnitName};
use channels::version::ReleaseVersion;
use channels::wire::{HealthVerdict, Phase};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::fleet::{ProductRecord, Slot};

/// Seconds of a day, for the cut-off.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// From this much time since the last tick on, the clock may be wrong rather than the days over, so
/// one tick passes without dropping any: whoever looks at the clock then still has them.
pub(super) const CLOCK_JUMP: SignedDuration = SignedDuration::from_hours(48);

/// One change of one product of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// When the hub learned of it.
    pub at: Timestamp,
    /// Which product.
    pub product: ProductRef,
    /// What it runs from here on.
    pub version: ReleaseVersion,
    /// What it moves to from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ReleaseVersion>,
    /// What it does from here on.
    pub phase: Phase,
    /// The unit that is out from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitName>,
    /// Its health from here on.
    pub health: HealthVerdict,
    /// `seq` of the report that said so.
    pub seq: u64,
}

/// Where a change is kept: the day's table and its row there. Later changes have greater places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryPlace {
    /// The day in UTC as `YYYYMMDD`.
    pub day: u32,
    /// The row in its table.
    pub row: i64,
}

fn table(at: Timestamp) -> String {
    format!("history_{}", at.strftime("%Y%m%d"))
}

/// Whether a report changed anything history keeps.
pub(super) fn differs(old: Option<&ProductRecord>, new: &ProductRecord) -> bool {
    old.is_none_or(|old| {
        old.version != new.version
            || old.target != new.target
            || old.phase != new.phase
            || old.unit != new.unit
            || old.health.verdict != new.health.verdict
    })
}

/// Makes sure the day's table exists.
pub(super) fn create(conn: &Connection, at: Timestamp) -> rusqlite::Result<()> {
    conn.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {} (cluster INTEGER NOT NULL, at INTEGER NOT NULL, \
         seq INTEGER NOT NULL, row TEXT NOT NULL) STRICT",
        table(at)
    ))
}

/// Writes one change into the day's table, which exists.
pub(super) fn append(
    conn: &Connection,
    slot: Slot,
    at: Timestamp,
    seq: u64,
    new: &ProductRecord,
) -> rusqlite::Result<()> {
    let row = HistoryRow {
        at,
        product: new.graph.product.clone(),
        version: new.version.clone(),
        target: new.target.clone(),
        phase: new.phase,
        unit: new.unit.clone(),
        health: new.health.verdict,
        seq,
    };
    let sql = format!("INSERT INTO {} (cluster, at, seq, row) VALUES (?1, ?2, ?3, ?4)", table(at));
    conn.prepare_cached(&sql)?.execute(params![
        slot.rowid(),
        at.as_millisecond(),
        super::int(seq),
        // Strings, numbers and names: always serialises.
        serde_json::to_string(&row).unwrap_or_default()
    ])?;
    Ok(())
}

/// Days that have a table, newest first.
fn tables(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    conn.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'history_[0-9]*' \
         ORDER BY name DESC",
    )?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// Drops every day older than `keep_days`.
pub(super) fn prune(conn: &Connection, keep_days: u32, now: Timestamp) -> rusqlite::Result<usize> {
    let keep = DAY.saturating_mul(i32::try_from(keep_days).unwrap_or(i32::MAX));
    let oldest = table(now.checked_sub(keep).unwrap_or(Timestamp::MIN));
    let mut dropped = 0;
    for name in tables(conn)?.into_iter().filter(|name| *name < oldest) {
        conn.execute_batch(&format!("DROP TABLE {name}"))?;
        dropped += 1;
    }
    Ok(dropped)
}

/// The newest changes of one cluster before a place, newest first.
pub(super) fn read(
    conn: &Connection,
    slot: Slot,
    before: Option<HistoryPlace>,
    limit: usize,
) -> rusqlite::Result<Vec<(HistoryPlace, HistoryRow)>> {
    let mut found: Vec<(HistoryPlace, HistoryRow)> = Vec::new();
    for name in tables(conn)? {
        let left = limit.saturating_sub(found.len());
        if left == 0 {
            break;
        }
        let Some(day) = name.rsplit('_').next().and_then(|day| day.parse().ok()) else { continue };
        let below = match before {
            Some(place) if day > place.day => continue,
            Some(place) if day == place.day => place.row,
            Some(_) | None => i64::MAX,
        };
        let rows: Vec<(i64, String)> = conn
            .prepare(&format!(
                "SELECT rowid, row FROM {name} WHERE cluster = ?1 AND rowid < ?2 \
                 ORDER BY rowid DESC LIMIT ?3"
            ))?
            .query_map(
                params![slot.rowid(), below, i64::try_from(left).unwrap_or(i64::MAX)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .collect::<rusqlite::Result<_>>()?;
        found.extend(rows.iter().filter_map(|(row, json)| {
            Some((HistoryPlace { day, row: *row }, serde_json::from_str(json).ok()?))
        }));
    }
    Ok(found)
}
