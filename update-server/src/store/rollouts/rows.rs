//! Rollouts on disk: policies, rollouts, attempts, and the fleet's salt.
//!
//! Rows are what `crate::rollout` made of them; nothing is decided here.

use channels::rollout::{FleetSalt, Name, Period};
use jiff::Timestamp;
use rusqlite::params;

#[cfg(test)]
use super::super::db::DbError;
use super::super::db::{Db, DbResult, Row};
use super::super::follow::Change;
use super::super::load::At;
use super::super::{LoadError, int};
use crate::fleet::Slot;
use crate::rollout::{AttemptRow, Outcome, PolicyRow, RolloutChanges, RolloutId, RolloutRow, Went};

/// Every policy.
const POLICIES: &str = "SELECT * FROM rollout_policy ORDER BY name, version";
/// Rows asked for in one statement.
const ATTEMPTS_AT_ONCE: usize = 5000;
/// Name of the salt in `meta`, 64 hex digits.
const SALT: &str = "fleet_salt";

/// Writes what a draft changed. Attempts, the many, are one statement each on one table.
pub(super) fn write(db: &Db, changes: &RolloutChanges) -> DbResult<()> {
    for row in &changes.policies {
        db.execute(
            "INSERT INTO rollout_policy (name, version, text, deleted, at, by) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.name.as_str(),
                int(row.version),
                row.text,
                row.deleted,
                row.at.as_millisecond(),
                row.by
            ],
        )?;
    }
    for row in &changes.rollouts {
        db.execute(
            "INSERT INTO rollout (id, policy, product, version, digest, opened_at, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT (id) DO UPDATE SET state = excluded.state",
            params![
                int(row.id.0),
                row.policy.as_str(),
                row.product.to_string(),
                row.version.to_string(),
                row.digest.as_bytes(),
                row.opened_at.as_millisecond(),
                row.state
            ],
        )?;
    }
    for row in &changes.attempts {
        write_attempt(db, row)?;
    }
    Ok(())
}

fn write_attempt(db: &Db, row: &AttemptRow) -> DbResult<()> {
    db.execute(
        "INSERT INTO rollout_attempt \
         (rollout, cluster, generation, outcome, granted_at, at, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (rollout, cluster, generation) DO UPDATE SET outcome = excluded.outcome, \
         granted_at = excluded.granted_at, at = excluded.at, body = excluded.body",
        params![
            int(row.rollout.0),
            row.slot.rowid(),
            int(row.generation),
            row.outcome.as_str(),
            row.granted_at.map(Timestamp::as_millisecond),
            row.at.as_millisecond(),
            row.body
        ],
    )
    .map(drop)
}

/// Attempts forgotten in one go: a tenth of a second of the writer.
const FORGET_AT_ONCE: i64 = 20_000;

/// Forgets attempts of a rollout that is over: those of so many rows of clusters, from the first one
/// that is left. Says whether there were any.
pub(super) fn forget(db: &Db, id: RolloutId, before: Timestamp) -> DbResult<bool> {
    let (id, before) = (int(id.0), before.as_millisecond());
    let sql = "SELECT cluster FROM rollout_attempt WHERE rollout = ?1 AND at < ?2 \
               ORDER BY cluster LIMIT 1";
    let first: Option<i64> = db.row_if_any(sql, params![id, before], |row| row.get(0))?;
    let Some(first) = first else { return Ok(false) };
    db.execute(
        "DELETE FROM rollout_attempt WHERE rollout = ?1 AND at < ?2 \
         AND cluster >= ?3 AND cluster < ?4",
        params![id, before, first, first + FORGET_AT_ONCE],
    )?;
    Ok(true)
}

/// Keys of what a draft changed.
pub(super) fn change(changes: &RolloutChanges) -> Change {
    let attempt = |row: &AttemptRow| (int(row.rollout.0), row.slot.rowid(), int(row.generation));
    Change {
        policies: !changes.policies.is_empty(),
        rollouts: changes.rollouts.iter().map(|row| int(row.id.0)).collect(),
        attempts: changes.attempts.iter().map(attempt).collect(),
        ..Change::default()
    }
}

/// Rows that changed.
#[derive(Debug, Default)]
pub(in super::super) struct Changed {
    /// All of them, if one changed.
    pub(in super::super) policies: Option<Vec<PolicyRow>>,
    pub(in super::super) rollouts: Vec<RolloutRow>,
    pub(in super::super) attempts: Vec<AttemptRow>,
}

/// Reads what another replica changed. Only a server has others.
pub(super) fn changed(db: &Db, change: &Change) -> Result<Changed, LoadError> {
    let mut all = Changed::default();
    let Db::Postgres(session) = db else { return Ok(all) };
    if change.policies {
        all.policies = Some(db.rows(POLICIES, &[], policy)?);
    }
    if !change.rollouts.is_empty() {
        let ids: Vec<i64> = change.rollouts.iter().copied().collect();
        let sql = "SELECT * FROM rollout WHERE id = ANY($1) ORDER BY id";
        all.rollouts = session.rows_native(sql, &[&ids], rollout)?;
    }
    let keys: Vec<&(i64, i64, i64)> = change.attempts.iter().collect();
    for some in keys.chunks(ATTEMPTS_AT_ONCE) {
        let part = |of: fn(&(i64, i64, i64)) -> i64| some.iter().map(|key| of(key)).collect();
        let (rollouts, clusters, generations): (Vec<i64>, Vec<i64>, Vec<i64>) =
            (part(|key| key.0), part(|key| key.1), part(|key| key.2));
        let sql = "SELECT rollout_attempt.* FROM rollout_attempt \
                   JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS k (r, c, g) \
                   ON rollout = k.r AND cluster = k.c AND generation = k.g";
        let found = session.rows_native(sql, &[&rollouts, &clusters, &generations], attempt)?;
        all.attempts.extend(found);
    }
    Ok(all)
}

/// The fleet's salt; drawn and written at the first start.
pub(in super::super) fn salt(db: &Db) -> Result<FleetSalt, LoadError> {
    let stored: Option<String> =
        db.row_if_any("SELECT value FROM meta WHERE name = ?1", params![SALT], |row| row.get(0))?;
    if let Some(text) = stored {
        let value = |error: channels::names::NameError| LoadError::Value {
            table: "meta",
            row: 0,
            column: "value",
            why: error.to_string(),
        };
        return text.parse().map_err(value);
    }
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| LoadError::Value {
        table: "meta",
        row: 0,
        column: "value",
        why: format!("no randomness for the fleet's salt: {error}"),
    })?;
    db.execute(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)",
        params![SALT, &hex::encode(bytes)],
    )?;
    Ok(FleetSalt::from_bytes(bytes))
}

/// Every row there is, read back at start.
pub(super) struct Rows {
    pub(super) policies: Vec<PolicyRow>,
    pub(super) rollouts: Vec<RolloutRow>,
    pub(super) attempts: Vec<AttemptRow>,
}

/// Reads what is needed at `now`: of attempts that came to nothing only those that a cap may still
/// count.
pub(super) fn load(db: &Db, now: Timestamp) -> Result<Rows, LoadError> {
    // No cap's period is longer.
    let oldest = now.checked_sub(Period::MAX.duration()).unwrap_or(Timestamp::MIN);
    Ok(Rows {
        policies: db.rows(POLICIES, &[], policy)?,
        rollouts: db.rows("SELECT * FROM rollout ORDER BY id", &[], rollout)?,
        attempts: db.rows(
            "SELECT * FROM rollout_attempt \
             WHERE outcome IN ('live', 'settled') OR granted_at > ?1 \
             ORDER BY rollout, cluster, generation",
            params![oldest.as_millisecond()],
            attempt,
        )?,
    })
}

fn parse<T: std::str::FromStr>(at: &At<'_>, column: &'static str) -> Result<T, LoadError>
where
    T::Err: std::fmt::Display,
{
    at.get::<String>(column)?.parse().map_err(|error| at.wrong(column, error))
}

pub(super) fn policy(row: &Row<'_>) -> Result<PolicyRow, LoadError> {
    let at = At { table: "rollout_policy", id: row.get("version")?, row };
    Ok(PolicyRow {
        name: parse(&at, "name")?,
        version: at.unsigned("version")?,
        text: at.get("text")?,
        deleted: at.get("deleted")?,
        at: at.some_time("at")?,
        by: at.get("by")?,
    })
}

fn rollout(row: &Row<'_>) -> Result<RolloutRow, LoadError> {
    let at = At { table: "rollout", id: row.get("id")?, row };
    Ok(RolloutRow {
        id: RolloutId(at.unsigned("id")?),
        policy: parse(&at, "policy")?,
        product: parse(&at, "product")?,
        version: parse(&at, "version")?,
        digest: at.digest("digest")?,
        opened_at: at.some_time("opened_at")?,
        state: at.get("state")?,
    })
}

fn attempt(row: &Row<'_>) -> Result<AttemptRow, LoadError> {
    let at = At { table: "rollout_attempt", id: row.get("cluster")?, row };
    let outcome: String = at.get("outcome")?;
    Ok(AttemptRow {
        rollout: RolloutId(at.unsigned("rollout")?),
        slot: Slot::from_rowid(at.id).ok_or_else(|| at.wrong("cluster", "not a row"))?,
        generation: at.unsigned("generation")?,
        outcome: Outcome::parse(&outcome).ok_or_else(|| at.wrong("outcome", "not an outcome"))?,
        granted_at: at.time("granted_at")?,
        at: at.some_time("at")?,
        body: at.get("body")?,
    })
}

/// When the clusters of a rollout went: each once, by its first grant that came to anything.
pub(super) fn went(db: &Db, id: RolloutId) -> Result<Vec<Went>, LoadError> {
    // No body is read, and columns by place: there are as many rows as clusters.
    let rows: Vec<Went> = db.rows(
        "SELECT cluster, outcome, granted_at, at FROM rollout_attempt \
         WHERE rollout = ?1 AND outcome IN ('live', 'settled') ORDER BY cluster, generation",
        params![int(id.0)],
        |row| {
            let id: i64 = row.get(0)?;
            let at = At { table: "rollout_attempt", id, row };
            let time = |ms, column| {
                Timestamp::from_millisecond(ms).map_err(|error| at.wrong(column, error))
            };
            let slot = Slot::from_rowid(id).ok_or_else(|| at.wrong("cluster", "not a row"))?;
            let changed_at = time(row.get(3)?, "at")?;
            let granted_at = row.get::<_, Option<i64>>(2)?.map(|ms| time(ms, "granted_at"));
            // Whoever went without a grant of this hub began when it was first heard to have.
            let started_at = granted_at.transpose()?.unwrap_or(changed_at);
            let is_settled = row.get::<_, String>(1)? == Outcome::Settled.as_str();
            Ok::<_, LoadError>(Went { slot, started_at, done_at: is_settled.then_some(changed_at) })
        },
    )?;
    let mut all: Vec<Went> = Vec::with_capacity(rows.len());
    for went in rows {
        match all.last_mut().filter(|last| last.slot == went.slot) {
            // It went again: what it came to in the end counts.
            Some(last) => last.done_at = went.done_at,
            None => all.push(went),
        }
    }
    Ok(all)
}

/// Versions of a policy, newest first; or one of them.
pub(super) fn policy_versions(
    db: &Db,
    name: &Name,
    version: Option<u64>,
) -> Result<Vec<PolicyRow>, LoadError> {
    db.rows(
        "SELECT * FROM rollout_policy \
         WHERE name = ?1 AND (CAST(?2 AS BIGINT) IS NULL OR version = ?2) \
         ORDER BY version DESC",
        params![name.as_str(), version.map(int)],
        policy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn old_attempts_of_one_rollout_are_forgotten_a_part_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::from(schema::open_writer(&dir.path().join("hub.sqlite3")).unwrap());
        let row = |rollout, slot, second| AttemptRow {
            rollout: RolloutId(rollout),
            slot: Slot(slot),
            generation: 1,
            outcome: Outcome::Settled,
            granted_at: None,
            at: at(second),
            body: String::new(),
        };
        let far = u32::try_from(FORGET_AT_ONCE).unwrap();
        let attempts =
            vec![row(1, 0, 10), row(1, 1, 10), row(1, 2, 99), row(1, far, 10), row(2, 0, 10)];
        write(&db, &RolloutChanges { attempts, ..RolloutChanges::default() }).unwrap();
        let left = || {
            let sql = "SELECT rollout, cluster FROM rollout_attempt ORDER BY rollout, cluster";
            db.rows(sql, &[], |row| Ok::<(i64, i64), DbError>((row.get(0)?, row.get(1)?))).unwrap()
        };
        let last = i64::from(far) + 1;
        assert!(forget(&db, RolloutId(1), at(50)).unwrap());
        assert_eq!(left(), [(1, 3), (1, last), (2, 1)], "as far as one go reaches");
        assert!(forget(&db, RolloutId(1), at(50)).unwrap());
        assert!(!forget(&db, RolloutId(1), at(50)).unwrap());
        assert_eq!(left(), [(1, 3), (2, 1)]);
    }
}
