//! Rollouts on disk: policies, rollouts, attempts, and the fleet's salt.
//!
//! Rows are what `crate::rollout` made of them; nothing is decided here.

use channels::rollout::{FleetSalt, Name, Period};
use jiff::Timestamp;
use rusqlite::params;

use super::super::db::{Db, DbResult, Row};
use super::super::follow::Change;
use super::super::load::At;
use super::super::{LoadError, int};
use crate::fleet::Slot;
use crate::rollout::{AttemptRow, Outcome, PolicyRow, RolloutChanges, RolloutId, RolloutRow};

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
